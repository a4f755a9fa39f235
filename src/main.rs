//! The `raftgate` binary: maps the outcome of a command to an exit code, and nothing else.

use std::process::ExitCode;

use raftgate::cli::{self, Exit};

fn main() -> ExitCode {
    ExitCode::from(match cli::run() {
        Exit::Done => 0,
        Exit::Failed => 1,
        Exit::Usage => 2,
        Exit::Configuration => 78,
    })
}
