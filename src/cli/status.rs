//! `raftgate status`: who leads, what each node says, and what happened last; once, or as it goes on.

#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod told;
mod view;
mod watch;

use std::io;

use bytes::Bytes;
use clap::Args;

use super::socket::{self, ControlError, Where};
use super::{Exit, complain, print};
use crate::style;
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
    /// Exit with 1 if the gate is not ready, or if a cluster has no leader.
    #[arg(long, conflicts_with = "watch")]
    check: bool,
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
        let ask = || socket::get(&path, "/status");
        let read = |body: Bytes| {
            serde_json::from_slice::<Status>(&body).map_err(|_| ControlError::NoAnswer { path: path.clone() })
        };
        if self.watch {
            return Ok(watch::go_on(&read(ask()?)?, || read(ask()?)));
        }
        let body = ask()?;
        let text = if self.json {
            format!("{}\n", String::from_utf8_lossy(&body).trim_end())
        } else {
            view::render(&read(body.clone())?, colours())
        };
        let exit = if self.check { judge(&read(body)?) } else { Exit::Done };
        Ok(print("the status", &text, exit))
    }
}

/// Says what is wrong with a gate that does not serve all its clusters.
fn judge(status: &Status) -> Exit {
    let problems = status.problems();
    for problem in &problems {
        complain(format_args!("raftgate: {problem}"));
    }
    if problems.is_empty() { Exit::Done } else { Exit::Failed }
}

/// Whether standard output shows colours.
fn colours() -> bool {
    style::is_coloured(&io::stdout())
}
