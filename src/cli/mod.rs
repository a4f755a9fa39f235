//! The commands, one file each.

mod check;
mod completions;
#[cfg(feature = "demo")]
mod demo;
mod health;
mod import;
mod orders;
mod run;
mod sessions;
mod socket;
mod stage;
mod status;
mod table;

#[cfg(any(test, fuzzing))]
pub use status::fuzz;

use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use table::harmless_lines;

/// How long a last word may wait for whoever reads standard error.
const PATIENCE: Duration = Duration::from_secs(1);

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
    Import(import::Options),
    Status(status::Options),
    Health(health::Options),
    Sessions(sessions::Options),
    Drain(orders::Drain),
    Undrain(orders::Undrain),
    Pin(orders::Pin),
    Unpin(orders::Unpin),
    Cut(orders::Cut),
    Reload(orders::Reload),
    Upgrade(orders::Upgrade),
    #[command(hide = true)]
    Stage(stage::Options),
    Completions(completions::Options),
    #[cfg(feature = "demo")]
    Demo(demo::Options),
}

/// The option that several commands share.
#[derive(Args, Debug)]
struct ConfigFile {
    /// The configuration, TOML or a `haproxy.cfg` [default: /etc/raftgate/raftgate.toml].
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// All commands and options, as they are parsed: for who describes them elsewhere, such as the manual's pages.
pub fn command_line() -> clap::Command {
    CommandLine::command()
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

/// Says why a command failed, or what is doubtful. Nobody is left to tell if standard error is closed, or is a pipe
/// that stays full: a gate that was told to end at once ends all the same (O5).
fn complain(about: impl Display) {
    let text = format!("{}\n", harmless_lines(&about.to_string()));
    let (said, heard) = mpsc::channel::<()>();
    let spoken = thread::Builder::new().name("complaint".to_owned()).spawn(move || {
        let _ = io::stderr().write_all(text.as_bytes());
        drop(said);
    });
    if spoken.is_ok() {
        // Either way it is over: the other end is gone when all is said.
        let _ = heard.recv_timeout(PATIENCE);
    }
}

/// Prints a text on standard output; `exit` if that worked.
fn print(what: &str, text: &str, exit: Exit) -> Exit {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => exit,
        // `raftgate check | head` has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => exit,
        Err(error) => {
            complain(format_args!("raftgate: cannot write {what}: {error}"));
            Exit::Failed
        }
    }
}

impl Command {
    fn run(self) -> Exit {
        match self {
            Command::Run(options) => run::run(options),
            Command::Check(options) => check::run(options),
            Command::Import(options) => import::run(&options),
            Command::Status(options) => status::run(&options),
            Command::Health(options) => health::run(&options),
            Command::Sessions(options) => sessions::run(&options),
            Command::Drain(order) => orders::give(&order),
            Command::Undrain(order) => orders::give(&order),
            Command::Pin(order) => orders::give(&order),
            Command::Unpin(order) => orders::give(&order),
            Command::Cut(order) => orders::give(&order),
            Command::Reload(order) => orders::give(&order),
            Command::Upgrade(order) => orders::give(&order),
            Command::Stage(options) => stage::run(&options),
            Command::Completions(options) => completions::run(&options),
            #[cfg(feature = "demo")]
            Command::Demo(options) => demo::run(&options),
        }
    }
}

#[cfg(test)]
mod tests;
