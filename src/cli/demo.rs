//! `raftgate demo`: an embedded cluster, a gate before it, and failovers to watch.

use clap::Args;

use super::Exit;

/// Start a raft cluster and a gate in this process, and watch failovers that no client notices.
#[derive(Args, Debug)]
pub(super) struct Options {
    /// Stop after this many failovers [default: go on until interrupted].
    #[arg(long, value_name = "N")]
    failovers: Option<u32>,
}

pub(super) fn run(options: &Options) -> Exit {
    match play(options.failovers) {
        Ok(()) => Exit::Done,
        Err(error) => {
            eprintln!("raftgate: {error}");
            Exit::Failed
        }
    }
}

/// PLACEHOLDER for `crate::demo::run(failovers)`: replace the call above, then delete this.
fn play(failovers: Option<u32>) -> Result<(), String> {
    Err(format!("there is no demo yet (failovers: {failovers:?})"))
}
