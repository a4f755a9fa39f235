//! `raftgate completions`: what a shell has to know to complete command lines.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{CommandLine, Exit, print};

/// Print a script that teaches a shell to complete raftgate's commands and options.
#[derive(Args, Debug)]
pub(super) struct Options {
    /// The shell.
    shell: Shell,
}

pub(super) fn run(options: &Options) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut CommandLine::command(), "raftgate", &mut script);
    print("the script", &String::from_utf8_lossy(&script), Exit::Done)
}
