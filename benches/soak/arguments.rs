//! What to run: the arguments after `cargo bench --bench soak --`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use super::judge::Fault;
use super::load::Plan;

/// Where the results of record are kept.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/soak");
/// Where all others go.
const PASSING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/soak");

/// Everything at once before the real gate, for as long as is wanted.
#[derive(Parser)]
#[command(name = "cargo bench --bench soak --")]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(crate) struct Arguments {
    /// How long the load goes on.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1440))]
    pub(crate) minutes: u64,
    /// Short sessions a second.
    #[arg(long, default_value_t = 50)]
    rate: u32,
    /// Long sessions at a time.
    #[arg(long, default_value_t = 200)]
    long: usize,
    /// Only this fault; may be repeated.
    #[arg(long, value_enum)]
    fault: Vec<Fault>,
    /// Attacks instead, one after the other, on the gate and on HAProxy.
    #[arg(long, conflicts_with_all = ["minutes", "rate", "long", "fault", "binary", "readme"])]
    pub(crate) overload: bool,
    /// This gate instead of this build's: one that is known to be broken must be found out.
    #[arg(long)]
    pub(crate) binary: Option<PathBuf>,
    /// Puts report and samples into benches/soak instead of target/soak.
    #[arg(long)]
    keep: bool,
    /// Writes the table between its two comments in README.md, too.
    #[arg(long)]
    pub(crate) readme: bool,
    /// Without it (`cargo test --benches`) nothing is run; cargo gives it by itself.
    #[arg(long, hide = true)]
    pub(crate) bench: bool,
}

impl Arguments {
    /// How long the load goes on.
    pub(crate) fn period(&self) -> Duration {
        Duration::from_secs(60 * self.minutes)
    }

    /// How much of it.
    pub(crate) fn plan(&self) -> Plan {
        Plan { rate: self.rate, long: self.long, slow: 4, bulk: 2 }
    }

    /// The faults, in the order in which they strike.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        Fault::ALL.into_iter().filter(|f| self.fault.is_empty() || self.fault.contains(f)).collect()
    }

    /// The folder of the results.
    pub(crate) fn folder(&self) -> PathBuf {
        PathBuf::from(if self.keep { KEPT } else { PASSING })
    }
}
