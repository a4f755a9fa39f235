//! What the gate holds while it works: a sample a second, and what is wrong with each.

use std::fmt::Write as _;
use std::time::Duration;

use rustix::process::Pid;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::gate::{Books, Holdings, Watcher};
use super::ledger::Ledger;
use super::load::LONG;
use super::slope::Slope;

/// How often.
const EVERY: Duration = Duration::from_secs(1);
/// So much of a run is not counted for slopes, at least: until then everything is used for the first time.
const WARM_UP: f64 = 20.0;
/// Of a long run, this share.
const WARM_UP_SHARE: f64 = 0.2;

/// How long a run of this length warms up.
pub(crate) fn warm_up(period: Duration) -> Duration {
    Duration::from_secs_f64((period.as_secs_f64() * WARM_UP_SHARE).max(WARM_UP))
}

/// One moment of the gate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Seconds since the load began.
    pub(crate) at: f64,
    /// The process that served.
    pub(crate) process: Pid,
    /// What its process held.
    pub(crate) holdings: Holdings,
    /// What it counted.
    pub(crate) books: Books,
}

/// All samples of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(pub(crate) Vec<Sample>);

impl Samples {
    /// Watches the gate until the end.
    pub(crate) async fn watch(gate: &Watcher, ledger: &Ledger, end: Instant) -> Self {
        let begun = Instant::now();
        let mut samples = Vec::new();
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if Instant::now() >= end {
                return Samples(samples);
            }
            match (gate.holdings(), gate.books().await) {
                (Ok(holdings), Some(books)) => {
                    if !books.balance() {
                        ledger.defect("samples whose books do not balance", format!("{books:?}"));
                    }
                    let (at, process) = (begun.elapsed().as_secs_f64(), gate.pid());
                    samples.push(Sample { at, process, holdings, books });
                }
                (Err(error), _) => ledger.defect("samples without the gate", error.to_string()),
                (_, None) => ledger.defect("samples without an answer", "/metrics".to_owned()),
            }
        }
    }

    /// How fast something grows once the gate is warm.
    pub(crate) fn slope(&self, of: impl Fn(&Holdings) -> u64) -> Option<Slope> {
        let last = self.0.last()?;
        let young =
            self.0.iter().find(|sample| sample.process == last.process).map_or(0.0, |sample| sample.at);
        // A new process has none of the sessions yet that its clients will have with it.
        let full = if young > self.0[0].at { young + f64::from(LONG.end) } else { 0.0 };
        let begin = warm_up(Duration::from_secs_f64(last.at)).as_secs_f64().max(full);
        let warm = self.0.iter().filter(|sample| sample.at >= begin);
        Slope::of(&warm.map(|sample| (sample.at, as_f64(of(&sample.holdings)))).collect::<Vec<_>>())
    }

    /// The most of something.
    pub(crate) fn most(&self, of: impl Fn(&Holdings) -> u64) -> u64 {
        self.0.iter().map(|sample| of(&sample.holdings)).max().unwrap_or_default()
    }

    /// The most connections that the gate had at a sample.
    pub(crate) fn most_active(&self) -> f64 {
        self.0.iter().map(|sample| sample.books.active).fold(0.0, f64::max)
    }

    /// One row a sample.
    pub(crate) fn csv(&self) -> String {
        let mut text = "seconds,process,rss_kib,threads,descriptors,pipe_descriptors,accepted,refused,closed,active,held,moved\n"
            .to_owned();
        for Sample { at, process, holdings, books } in &self.0 {
            writeln!(
                text,
                "{at:.1},{},{},{},{},{},{},{},{},{},{},{}",
                process.as_raw_nonzero(),
                holdings.kib,
                holdings.threads,
                holdings.descriptors,
                holdings.pipes,
                books.accepted,
                books.refused,
                books.closed,
                books.active,
                books.held,
                books.moved,
            )
            .expect("a string can be written");
        }
        text
    }
}

/// A count as a number to calculate with.
fn as_f64(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}
