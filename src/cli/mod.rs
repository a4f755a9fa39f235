//! The commands, one file each.

mod check;
#[cfg(feature = "demo")]
mod demo;
mod run;

use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It did what it should.
    Done,
    /// It failed while it ran.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// The configuration makes no sense.
    Configuration,
}

/// A TCP proxy that always knows which raft node leads, and hands every client's untouched TLS stream to it.
#[derive(Debug, Parser)]
#[command(name = "raftgate", version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Options),
    Check(check::Options),
    #[cfg(feature = "demo")]
    Demo(demo::Options),
}

/// The option that several commands share.
#[derive(Args, Debug)]
struct ConfigFile {
    /// The configuration [default: /etc/raftgate/raftgate.toml].
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs the command that the process's arguments name; what it has to say is on standard output and standard error.
pub fn run() -> Exit {
    match CommandLine::try_parse() {
        Ok(CommandLine { command }) => command.run(),
        Err(error) => {
            // Nobody is left to tell if standard error is closed.
            let _ = error.print();
            match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done,
                _ => Exit::Usage,
            }
        }
    }
}

/// Says why a command failed, or what is doubtful. Nobody is left to tell if standard error is closed.
fn complain(about: impl Display) {
    let _ = writeln!(io::stderr(), "{about}");
}

impl Command {
    fn run(self) -> Exit {
        match self {
            Command::Run(options) => run::run(options),
            Command::Check(options) => check::run(options),
            #[cfg(feature = "demo")]
            Command::Demo(options) => demo::run(&options),
        }
    }
}

#[cfg(test)]
mod tests;
