//! Who is a cluster's route, swapped atomically, and what becomes of the sessions of a past one. Where readers go is said
//! in the same way, by a channel of their own.
//!
//! `follow` writes through the one [`TenureWriter`] of a cluster; any number of [`TenureReader`]s
//! read without a lock. A session keeps the `Arc<Tenure>` that it was dialled under, and learns
//! its fate through it.

mod approach;
mod heartbeat;
mod service;
#[cfg(test)]
mod tests;
mod to;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::leader::NodeId;
pub use approach::{Approach, Trial};
use heartbeat::Heartbeat;
pub use heartbeat::Trust;
pub use service::{Failing, Unserved};
pub use to::{OfReaders, To};

/// The time during which one node is a cluster's route, or one of the nodes that its readers go to.
#[derive(Debug)]
pub struct Tenure {
    /// The node.
    pub node: NodeId,
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Where clients' bytes go.
    pub address: SocketAddr,
    /// Grows with every tenure of the process (S1); 0 for a stand-in, which is no route (S2).
    pub epoch: u64,
    /// Whether an operator has made it the route, whatever it says (L10).
    pinned: bool,
    fate: AtomicU8,
    /// Begin of the probe that last confirmed the statement on which clients go there, in nanoseconds since `base`.
    confirmed: AtomicU64,
    base: Instant,
    /// Rung at each confirmation; nobody hears it but who waits for one.
    confirmation: Notify,
    /// Readers on their way to it.
    approaching: AtomicUsize,
    /// Until when it is spared readers, in nanoseconds since `base`; 0 unless it has failed one.
    spared_until: AtomicU64,
    /// Whether the newest client of whom anything is known was not taken.
    is_failing_clients: AtomicBool,
    failing: Mutex<Option<Failing>>,
    instead: ArcSwapOption<Tenure>,
}

/// On what a tenure rests that began in another process.
#[derive(Clone, Copy, Debug)]
pub enum Resumed {
    /// On its node's own statement, to a probe begun then.
    Confirmed(Instant),
    /// On an operator's word (L10), now.
    Pinned(Instant),
}

/// What is to become of a tenure's sessions (S5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Fate {
    /// They go on.
    Keep = 0,
    /// They may end by themselves for a while, then they are cut.
    Drain = 1,
    /// They are reset, in jittered batches.
    Cut = 2,
}

impl Tenure {
    fn new(node: NodeId, name: Arc<str>, address: SocketAddr, epoch: u64, confirmed: Instant) -> Self {
        Tenure {
            node,
            name,
            address,
            epoch,
            pinned: false,
            fate: AtomicU8::new(Fate::Keep as u8),
            confirmed: AtomicU64::new(0),
            base: confirmed,
            confirmation: Notify::new(),
            approaching: AtomicUsize::new(0),
            spared_until: AtomicU64::new(0),
            is_failing_clients: AtomicBool::new(false),
            failing: Mutex::new(None),
            instead: ArcSwapOption::empty(),
        }
    }

    /// What is to become of its sessions.
    pub fn fate(&self) -> Fate {
        match self.fate.load(Ordering::Acquire) {
            0 => Fate::Keep,
            1 => Fate::Drain,
            _ => Fate::Cut,
        }
    }

    /// When the probe was begun that brought the newest statement on which clients go there (S3): that the node leads
    /// or, for readers, whatever suits them.
    pub fn confirmed_at(&self) -> Instant {
        self.base + Duration::from_nanos(self.confirmed.load(Ordering::Acquire))
    }

    /// Waits for such a statement of a probe begun later than `after`.
    pub async fn confirmed_after(&self, after: Instant) {
        loop {
            // Made first: it hears what rings from here on, looked at or not.
            let confirmation = self.confirmation.notified();
            if self.confirmed_at() > after {
                return;
            }
            confirmation.await;
        }
    }

    /// Notes such a statement from a probe begun at `began`; earlier ones change nothing.
    pub fn confirm(&self, began: Instant) {
        self.confirmed.fetch_max(self.nanos(began), Ordering::AcqRel);
        self.confirmation.notify_waiters();
    }

    /// A moment, in nanoseconds since `base`.
    fn nanos(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.base).as_nanos()).unwrap_or(u64::MAX)
    }

    /// Whether its node is the route by its own word, so that a newer one can be waited for. A stand-in or a pinned
    /// node may never say that it leads.
    pub fn rests_on_statements(&self) -> bool {
        !self.pinned && !self.is_stand_in()
    }

    /// Whether this is a makeshift target of the leaderless time and not a route (S2).
    pub fn is_stand_in(&self) -> bool {
        self.epoch == 0
    }
}

/// Where a cluster's clients go at this moment.
#[derive(Clone, Debug)]
pub enum Route {
    /// To the leader.
    Led(Arc<Tenure>),
    /// Readers: to any of these nodes; never none.
    Spread(Arc<[Arc<Tenure>]>),
    /// Nowhere yet: they are held.
    Leaderless {
        /// Since when; `hold.timeout` counts from here (S2).
        since: Instant,
        /// Where a client goes whose hold is over, if `hold.then` names such a place.
        stand_in: Option<Arc<Tenure>>,
    },
}

/// The process's counter of tenures (S1).
#[derive(Debug, Default)]
pub struct Epochs(AtomicU64);

impl Epochs {
    /// Goes on after another process's last one.
    pub fn go_on_after(&self, last: u64) {
        self.0.fetch_max(last, Ordering::Relaxed);
    }

    /// The last one that was given out; 0 if none was.
    pub fn last(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// What the two ends of a channel share.
#[derive(Debug)]
struct Shared {
    route: ArcSwap<Route>,
    /// A statement of a probe begun later than this is waited for.
    wanted: watch::Sender<Option<Instant>>,
    heartbeat: Heartbeat,
}

/// A leaderless route and the two ends through which it is written and read.
pub fn channel(now: Instant, epochs: Arc<Epochs>) -> (TenureWriter, TenureReader) {
    let (wanted, wishes) = watch::channel(None);
    let route = ArcSwap::from_pointee(Route::Leaderless { since: now, stand_in: None });
    let shared = Arc::new(Shared { route, wanted, heartbeat: Heartbeat::new(now) });
    let (changed, changes) = watch::channel(());
    let reader = TenureReader { shared: Arc::clone(&shared), changes };
    (TenureWriter { shared, changed, wishes, epochs }, reader)
}

/// Reads a cluster's route.
#[derive(Clone, Debug)]
pub struct TenureReader {
    shared: Arc<Shared>,
    changes: watch::Receiver<()>,
}

impl TenureReader {
    /// The route now. Load it once an attempt (S1).
    pub fn load(&self) -> Route {
        Route::clone(&self.shared.route.load())
    }

    /// The tenure of the present leader, if there is one.
    pub fn leader(&self) -> Option<Arc<Tenure>> {
        match &**self.shared.route.load() {
            Route::Led(tenure) => Some(Arc::clone(tenure)),
            Route::Spread(_) | Route::Leaderless { .. } => None,
        }
    }

    /// Asks for a statement of a probe begun later than `after`; [`Tenure::confirmed_after`] tells when it is
    /// there. However many ask, one probe serves all who asked before it began.
    pub fn want_confirmation(&self, after: Instant) {
        self.shared.wanted.send_if_modified(|wanted| {
            let more = *wanted < Some(after);
            if more {
                *wanted = Some(after);
            }
            more
        });
    }

    /// A statement of a probe begun at that moment or before sends nobody at `now` (L7): the gate stood still since, or
    /// the statement is older than the lease. `None`: each counts.
    pub fn outdated(&self, now: Instant) -> Option<Instant> {
        self.shared.heartbeat.outdated(now)
    }

    /// Whether the other one reads what this one does.
    pub fn is_same(&self, other: &TenureReader) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Waits for the next change of the route or of a past tenure's fate that comes after the last
    /// call (or after this reader was cloned). Returns `false` once the writer is gone.
    ///
    /// To miss nothing: call [`mark_seen`](Self::mark_seen), load, then wait.
    pub async fn changed(&mut self) -> bool {
        self.changes.changed().await.is_ok()
    }

    /// Takes every change up to now as seen.
    pub fn mark_seen(&mut self) {
        self.changes.mark_unchanged();
    }
}

/// Writes a cluster's route. There is one a cluster, by type: it cannot be cloned.
#[derive(Debug)]
pub struct TenureWriter {
    shared: Arc<Shared>,
    changed: watch::Sender<()>,
    wishes: watch::Receiver<Option<Instant>>,
    epochs: Arc<Epochs>,
}

impl TenureWriter {
    /// Begins a tenure, confirmed by a probe begun at `confirmed`. The swap comes first, so that nobody is sent to
    /// the previous node once its fate is set.
    pub fn lead(
        &mut self,
        node: NodeId,
        name: Arc<str>,
        address: SocketAddr,
        confirmed: Instant,
    ) -> Arc<Tenure> {
        let tenure = Arc::new(Tenure::new(node, name, address, self.epochs.next(), confirmed));
        self.publish(Route::Led(Arc::clone(&tenure)));
        tenure
    }

    /// Begins a tenure of a node that an operator has pinned (L10).
    pub fn pin(&mut self, node: NodeId, name: Arc<str>, address: SocketAddr, now: Instant) -> Arc<Tenure> {
        let tenure = Tenure { pinned: true, ..Tenure::new(node, name, address, self.epochs.next(), now) };
        let tenure = Arc::new(tenure);
        self.publish(Route::Led(Arc::clone(&tenure)));
        tenure
    }

    /// Goes on with a tenure that began in another process (O3), under the same epoch.
    pub fn resume(
        &mut self,
        node: NodeId,
        name: Arc<str>,
        address: SocketAddr,
        epoch: u64,
        standing: Resumed,
    ) -> Arc<Tenure> {
        let (confirmed, pinned) = match standing {
            Resumed::Confirmed(at) => (at, false),
            Resumed::Pinned(at) => (at, true),
        };
        let tenure = Arc::new(Tenure { pinned, ..Tenure::new(node, name, address, epoch, confirmed) });
        self.publish(Route::Led(Arc::clone(&tenure)));
        tenure
    }

    /// Begins a tenure of a node that readers may go to, on what it said to a probe begun at `confirmed`. They go there
    /// once it is among those of [`spread`](Self::spread).
    pub fn reader(
        &self,
        node: NodeId,
        name: Arc<str>,
        address: SocketAddr,
        confirmed: Instant,
    ) -> Arc<Tenure> {
        Arc::new(Tenure::new(node, name, address, self.epochs.next(), confirmed))
    }

    /// Sends readers to these nodes from now on; there is at least one.
    pub fn spread(&mut self, tenures: impl IntoIterator<Item = Arc<Tenure>>) {
        self.publish(Route::Spread(tenures.into_iter().collect()));
    }

    /// Ends the route, or changes who stands in. `since` is when the leaderless time began.
    pub fn leaderless(&mut self, since: Instant, stand_in: Option<Arc<Tenure>>) {
        self.publish(Route::Leaderless { since, stand_in });
    }

    /// A makeshift target for clients whose hold is over; no route, so its epoch is 0.
    pub fn stand_in(&self, node: NodeId, name: Arc<str>, address: SocketAddr, now: Instant) -> Arc<Tenure> {
        Arc::new(Tenure::new(node, name, address, 0, now))
    }

    /// Sends the clients of a tenure whose hold is over to this node, because its own takes none; or to no other, again.
    pub fn set_instead(&self, tenure: &Tenure, instead: Option<Arc<Tenure>>) {
        tenure.instead.store(instead);
    }

    /// Says what becomes of a past tenure's sessions. A cut is final (S5). Returns whether this
    /// changed anything.
    pub fn set_fate(&mut self, tenure: &Tenure, fate: Fate) -> bool {
        let before = tenure.fate();
        if before == fate || before == Fate::Cut {
            return false;
        }
        tenure.fate.store(fate as u8, Ordering::Release);
        self.changed.send_replace(());
        true
    }

    /// Notes that the writer is at work; to be called at least every [`Trust::turn`] from the first call on. Without that
    /// readers trust no statement (L7).
    pub fn beat(&self, now: Instant, trust: Trust) {
        self.shared.heartbeat.beat(now, trust);
    }

    /// What was last asked for by [`TenureReader::want_confirmation`].
    pub fn wanted(&self) -> Option<Instant> {
        *self.shared.wanted.borrow()
    }

    /// Waits until more is asked for than at the last call.
    pub async fn wanted_more(&mut self) {
        // Its sender lives as long as `self`.
        let _ = self.wishes.changed().await;
    }

    fn publish(&mut self, route: Route) {
        self.shared.route.store(Arc::new(route));
        self.changed.send_replace(());
    }
}
