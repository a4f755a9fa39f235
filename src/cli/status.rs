//! `raftgate status`: who leads, what each node says, and what happened last; once, or as it goes on.

#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod told;
mod view;
mod watch;

use std::io::{self, IsTerminal};

use clap::Args;

use super::socket::{self, ControlError, Where};
use super::{Exit, complain, print};
use told::Status;

/// Show who leads, what each node says, and what happened last.
///
/// With --watch on a terminal the table is drawn again every second until Ctrl-C; elsewhere each thing that happens
/// has a line.
#[derive(Args, Debug)]
pub(super) struct Options {
    /// Go on until Ctrl-C.
    #[arg(long)]
    watch: bool,
    /// Print JSON, as the gate's /status has it.
    #[arg(long, conflicts_with = "watch")]
    json: bool,
    #[command(flatten)]
    place: Where,
}

pub(super) fn run(options: &Options) -> Exit {
    match options.show() {
        Ok(exit) => exit,
        Err(error) => {
            complain(format_args!("raftgate: {error}"));
            error.exit()
        }
    }
}

impl Options {
    fn show(&self) -> Result<Exit, ControlError> {
        let path = self.place.path()?;
        if self.json {
            let body = socket::get(&path, "/status")?;
            let text = format!("{}\n", String::from_utf8_lossy(&body).trim_end());
            return Ok(print("the status", &text, Exit::Done));
        }
        let ask = || {
            let body = socket::get(&path, "/status")?;
            serde_json::from_slice::<Status>(&body).map_err(|_| ControlError::NoAnswer { path: path.clone() })
        };
        let status = ask()?;
        if self.watch {
            return Ok(watch::go_on(&status, ask));
        }
        Ok(print("the status", &view::render(&status, colours()), Exit::Done))
    }
}

/// Whether standard output shows colours: it is a terminal that can, and nobody has said no (<https://no-color.org>).
fn colours() -> bool {
    let says = |name, no: fn(&str) -> bool| std::env::var(name).is_ok_and(|value| no(&value));
    io::stdout().is_terminal()
        && !says("NO_COLOR", |value| !value.is_empty())
        && !says("TERM", |value| value == "dumb")
}
