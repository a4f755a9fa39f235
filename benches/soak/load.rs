//! Who comes: a steady stream of short sessions, and populations of others that are made anew as they end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::support::client::Trust;

use super::clients::visit;
use super::kinds::Kind;
use super::ledger::Ledger;

/// What the short sessions are, in turn.
const STREAM: [Kind; 6] = [
    Kind::Short,
    Kind::ShortPlain,
    Kind::ClientEndsFirst,
    Kind::Short,
    Kind::ShortPlain,
    Kind::NodeEndsFirst,
];
/// How long a member of a population waits before it comes again.
const PAUSE: Duration = Duration::from_millis(300);
/// How long a long session lasts, in seconds.
pub(crate) const LONG: std::ops::Range<u32> = 15..60;
/// No session is begun that would last longer than this after the load is to end.
const LAST: u32 = 3;
/// So many sessions of either kind are reset at once in a storm.
const STORM: usize = 20;
/// How long the last sessions may take once no more are begun: a standstill is found before.
const LEAVING: Duration = Duration::from_mins(2);

/// How much load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Short sessions a second.
    pub(crate) rate: u32,
    /// Long sessions at a time.
    pub(crate) long: usize,
    /// Slow readers, slow writers, slow nodes and senders of urgent data at a time, each.
    pub(crate) slow: usize,
    /// Streams of bulk at a time, each way.
    pub(crate) bulk: usize,
}

/// The clients and where they go.
#[derive(Clone)]
pub(crate) struct Load {
    /// What they know.
    pub(crate) trust: Trust,
    /// Where they connect.
    pub(crate) gate: SocketAddr,
    /// Where their sessions are written down.
    pub(crate) ledger: Arc<Ledger>,
    /// When no more come.
    pub(crate) end: Instant,
    /// What the next session's bytes follow from.
    pub(crate) seeds: Arc<AtomicU64>,
}

impl Load {
    /// Lets all come until the end, and waits for the last of them.
    pub(crate) async fn run(self, plan: Plan) {
        let mut coming = JoinSet::new();
        coming.spawn(self.clone().stream(plan.rate));
        let populations = [
            (plan.long / 2, Kind::Long),
            (plan.long - plan.long / 2, Kind::LongPlain),
            (plan.slow, Kind::SlowReader),
            (plan.slow, Kind::SlowWriter),
            (plan.slow, Kind::SlowNode),
            (plan.slow, Kind::Urgent),
            (plan.bulk, Kind::BulkDown),
            (plan.bulk, Kind::BulkUp),
        ];
        for (size, kind) in populations {
            for number in 0..size {
                coming.spawn(self.clone().member(kind, number, size));
            }
        }
        all_leave(&self.ledger, coming, self.end).await;
    }

    /// A burst of sessions that are reset in the middle, by either end, and are waited for.
    pub(crate) async fn storm(&self) {
        let mut storm = JoinSet::new();
        for _ in 0..STORM {
            for kind in [Kind::ClientResets, Kind::NodeResets] {
                let load = self.clone();
                storm.spawn(async move { load.session(kind, 1).await });
            }
        }
        storm.join_all().await;
    }

    async fn stream(self, rate: u32) {
        let mut under_way = JoinSet::new();
        let mut tick = interval(Duration::from_secs(1) / rate.max(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for kind in STREAM.into_iter().cycle() {
            tick.tick().await;
            if Instant::now() >= self.end {
                break;
            }
            let load = self.clone();
            under_way.spawn(async move { load.session(kind, 1).await });
            while under_way.try_join_next().is_some() {}
        }
        under_way.join_all().await;
    }

    /// One of a population, again and again; not all of them begin at once.
    async fn member(self, kind: Kind, number: usize, size: usize) {
        let share = u32::try_from(number).unwrap_or(0);
        sleep(Duration::from_secs(2) / u32::try_from(size).unwrap_or(1).max(1) * share).await;
        loop {
            let left = self.end.saturating_duration_since(Instant::now()).as_secs();
            if left == 0 {
                return;
            }
            let left = u32::try_from(left).unwrap_or(u32::MAX).saturating_add(LAST);
            self.session(kind, fastrand::u32(LONG).min(left)).await;
            sleep(PAUSE).await;
        }
    }

    async fn session(&self, kind: Kind, seconds: u32) {
        self.ledger.began();
        let seed = self.seeds.fetch_add(1, Ordering::Relaxed);
        let session = visit(&self.trust, self.gate, kind, seed, seconds).await;
        self.ledger.ended(session);
    }
}

/// Waits until all have gone.
async fn all_leave(ledger: &Ledger, mut coming: JoinSet<()>, end: Instant) {
    let leaving = async {
        while let Some(left) = coming.join_next().await {
            if let Err(error) = left {
                ledger.defect("failures of the harness", error.to_string());
            }
        }
    };
    let patience = end.saturating_duration_since(Instant::now()) + LEAVING;
    if timeout(patience, leaving).await.is_err() {
        ledger.defect("failures of the harness", format!("sessions have not ended after {LEAVING:?}"));
    }
}
