//! `raftgate health`: whether a gate serves, as an exit code, for containers and scripts.

use clap::Args;

use super::orders::name;
use super::socket::{self, ControlError, Where};
use super::{Exit, complain, print};

/// Exit with 0 if a running gate is ready: bound, nodes probed once, not draining. Else say why not, and exit with 1.
#[derive(Args, Debug)]
pub(super) struct Options {
    /// It has to know this cluster's leader, too.
    #[arg(long, value_parser = name)]
    cluster: Option<String>,
    #[command(flatten)]
    place: Where,
}

pub(super) fn run(options: &Options) -> Exit {
    match options.ask() {
        Ok(()) => print("the health", "ready\n", Exit::Done),
        Err(error) => {
            complain(format_args!("raftgate: {error}"));
            error.exit()
        }
    }
}

impl Options {
    fn ask(&self) -> Result<(), ControlError> {
        let target = match &self.cluster {
            Some(cluster) => format!("/readyz?cluster={cluster}"),
            None => "/readyz".to_owned(),
        };
        socket::get(&self.place.path()?, &target).map(drop)
    }
}
