//! `raftgate stage`: between an old process and a new one (O3). Sockets that are passed are meant for the process whose
//! number stands beside them, and only that process itself knows it: so it is written down here, and then this process
//! becomes the new gate.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, id};

use clap::Args;

use super::{Exit, complain};

/// Become the gate that these arguments name, with the sockets that were passed.
#[derive(Args, Debug)]
pub(super) struct Options {
    /// The gate's arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

pub(super) fn run(options: &Options) -> Exit {
    // It was called by the path of the binary.
    let program = std::env::args_os().next().unwrap_or_default();
    let pid = id().to_string();
    let mut command = Command::new(&program);
    command.args(&options.arguments).env("LISTEN_PID", &pid);
    if std::env::var_os("WATCHDOG_PID").is_some() {
        command.env("WATCHDOG_PID", &pid);
    }
    let error = command.exec();
    complain(format_args!("raftgate: {}: {error}", program.display()));
    Exit::Failed
}
