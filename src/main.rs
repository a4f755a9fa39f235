//! The `raftgate` binary: maps the outcome of a command to an exit code, and names its allocator; nothing else.

use std::process::ExitCode;

use mimalloc::MiMalloc;
use raftgate::cli::{self, Exit};

/// An idle session takes about a fifth less memory with it than with glibc's (D4).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    ExitCode::from(match cli::run() {
        Exit::Done => 0,
        Exit::Failed => 1,
        Exit::Usage => 2,
        Exit::Configuration => 78,
    })
}
