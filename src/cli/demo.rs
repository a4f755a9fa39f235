//! `raftgate demo`: an embedded cluster, a gate before it, and failovers to watch.

use clap::Args;

use super::{Exit, complain};
use crate::demo;

/// Start a raft cluster and a gate in this process, and watch failovers that no client notices.
#[derive(Args, Debug)]
pub(super) struct Options {
    /// Stop after this many failovers [default: go on until interrupted].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    failovers: Option<u32>,
}

pub(super) fn run(options: &Options) -> Exit {
    match demo::run(demo::Options { failovers: options.failovers }) {
        Ok(summary) if summary.kept_promise() => Exit::Done,
        Ok(_) => Exit::Failed, // the summary has said which client failed, and why
        Err(error) => {
            complain(format_args!("raftgate: {error}"));
            Exit::Failed
        }
    }
}
