//! What to run: the arguments after `cargo bench --bench failover --`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::gates::Kind;
use crate::scenarios::Scenario;

/// Where the results of record are kept.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/failover");
/// Where all others go.
const PASSING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/failover");

/// Raftgate and HAProxy side by side under the same faults.
#[derive(Parser)]
#[command(name = "cargo bench --bench failover --")]
pub(crate) struct Arguments {
    /// How often each fault strikes before each gate.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Only this scenario; may be repeated.
    #[arg(long, value_enum)]
    scenario: Vec<Scenario>,
    /// Only this gate; may be repeated.
    #[arg(long, value_enum)]
    gate: Vec<Kind>,
    /// One run of each, and a short steady phase.
    #[arg(long)]
    quick: bool,
    /// No round begins after so many minutes; what is missing then is reported as not run.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// So many streams of bulk go through each gate while it is struck.
    #[arg(long, default_value_t = 0)]
    pub(crate) bulk: usize,
    /// Puts samples and tables into benches/failover instead of target/failover.
    #[arg(long)]
    keep: bool,
    /// Without it (`cargo test --benches`) nothing is run; cargo gives it by itself.
    #[arg(long, hide = true)]
    pub(crate) bench: bool,
}

impl Arguments {
    /// How often each fault strikes before each gate.
    pub(crate) fn runs(&self) -> u32 {
        if self.quick { 1 } else { self.runs }
    }

    /// The scenarios, in the order of the report.
    pub(crate) fn scenarios(&self) -> Vec<Scenario> {
        Scenario::ALL.into_iter().filter(|s| self.scenario.is_empty() || self.scenario.contains(s)).collect()
    }

    /// The gates, in the order of the report.
    pub(crate) fn gates(&self) -> Vec<Kind> {
        Kind::ALL.into_iter().filter(|k| self.gate.is_empty() || self.gate.contains(k)).collect()
    }

    /// How long probing is watched while nothing happens; nothing if only some scenarios are wanted.
    pub(crate) fn steady(&self) -> Option<Duration> {
        self.scenario.is_empty().then(|| Duration::from_secs(if self.quick { 15 } else { 60 }))
    }

    /// After how long no round begins any more.
    pub(crate) fn bound(&self) -> Duration {
        Duration::from_secs(self.minutes * 60)
    }

    /// The folder of the results.
    pub(crate) fn folder(&self) -> PathBuf {
        PathBuf::from(if self.keep { KEPT } else { PASSING })
    }
}
