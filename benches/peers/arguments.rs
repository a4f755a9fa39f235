//! What to run: the arguments after `cargo bench --bench peers --`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::peers::Peer;
use crate::workloads::{Setting, Workload};

/// Where the results of record are kept.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches");
/// Where all others go.
const PASSING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/peers");

/// Raftgate, HAProxy and nginx side by side under the same load.
#[derive(Parser)]
#[command(name = "cargo bench --bench peers --")]
pub(crate) struct Arguments {
    /// How often each workload is put on each peer.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Only this workload; may be repeated.
    #[arg(long, value_enum)]
    workload: Vec<Workload>,
    /// Only this peer; may be repeated.
    #[arg(long, value_enum)]
    peer: Vec<Peer>,
    /// One short round of each, with fewer sessions and clusters.
    #[arg(long)]
    quick: bool,
    /// Writes benches/RESULTS.md, benches/peers.svg and benches/peers/samples.csv instead of target/peers.
    #[arg(long)]
    keep: bool,
    /// Without it (`cargo test --benches`) nothing is run; cargo gives it by itself.
    #[arg(long, hide = true)]
    pub(crate) bench: bool,
}

impl Arguments {
    /// How often each workload is put on each peer.
    pub(crate) fn rounds(&self) -> u32 {
        if self.quick { 1 } else { self.rounds }
    }

    /// The workloads, in the order of the report.
    pub(crate) fn workloads(&self) -> Vec<Workload> {
        Workload::ALL.into_iter().filter(|w| self.workload.is_empty() || self.workload.contains(w)).collect()
    }

    /// Those of one setting.
    pub(crate) fn workloads_of(&self, setting: Setting) -> Vec<Workload> {
        self.workloads().into_iter().filter(|workload| workload.setting() == setting).collect()
    }

    /// The peers, in the order of the report.
    pub(crate) fn peers(&self) -> Vec<Peer> {
        Peer::ALL.into_iter().filter(|p| self.peer.is_empty() || self.peer.contains(p)).collect()
    }

    /// How long a load is counted.
    pub(crate) fn window(&self) -> Duration {
        Duration::from_millis(if self.quick { 500 } else { 1500 })
    }

    /// How many sessions are idle.
    pub(crate) fn sessions(&self) -> u32 {
        if self.quick { 1000 } else { 8000 }
    }

    /// How many clusters are probed, in turn; the first is what the others are compared with.
    pub(crate) fn clusters(&self) -> &'static [u32] {
        if self.quick { &[1, 100] } else { &[1, 100, 1000] }
    }

    /// How long that is watched: no less than the time in which each probe's connection is made anew.
    pub(crate) fn watch(&self) -> Duration {
        Duration::from_secs(if self.quick { 5 } else { 30 })
    }

    /// The file of the raw results.
    pub(crate) fn samples(&self) -> PathBuf {
        PathBuf::from(if self.keep { KEPT } else { PASSING }).join(if self.keep {
            "peers/samples.csv"
        } else {
            "samples.csv"
        })
    }

    /// The folder of the report and its chart.
    pub(crate) fn folder(&self) -> PathBuf {
        PathBuf::from(if self.keep { KEPT } else { PASSING })
    }
}
