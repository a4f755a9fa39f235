//! The table of one worker's connections (D8): fates, inactivity and the end of the gate reach them through
//! it, so that no connection owns a timer, a token or a subscription.

mod census;
mod waves;

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use slab::Slab;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::choice::later;
use super::generation::{Cluster, Entrance, Listener};
use super::outcome::Outcome;
use super::settings::ClusterSettings;
use super::trace::Trace;
use crate::relay::Meter;
use crate::tenure::{Fate, Tenure, TenureReader};

/// How many places of the table are looked at before other tasks have their turn.
const BATCH: usize = 4096;
/// How often inactivity is looked for, unless a timeout is so short that this would be too coarse.
const SWEEP: Duration = Duration::from_secs(1);
const SHORTEST_SWEEP: Duration = Duration::from_millis(10);

/// One worker's connections.
#[derive(Debug)]
pub(super) struct Sessions {
    entries: RefCell<Slab<Entry>>,
    /// How often inactivity is looked for.
    sweep_period: Cell<Duration>,
    /// Rung whenever the last connection leaves.
    emptied: Notify,
}

/// A connection's place in the table. Valid as long as its [`Slot`] lives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key(usize);

/// Keeps a connection's place; dropped, it gives the place back and counts the last bytes.
#[derive(Debug)]
pub(super) struct Slot {
    sessions: Rc<Sessions>,
    key: Key,
}

/// What the table wants of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// It has to end.
    End(Outcome),
    /// Its session lasts; said once. As for [`Recheck`](Call::Recheck), too.
    SettleIn,
    /// Its session has become quiet: bytes that the runtime does not know of may be waiting. Said once for each lull.
    Recheck,
}

#[derive(Debug)]
struct Entry {
    waker: Option<Waker>,
    /// What it has to do; the connection itself sees to it.
    call: Option<Call>,
    /// How many sweeps have found it joined, as far as that matters.
    sweeps: u8,
    /// Whether it has been called to recheck since the meter last moved.
    rechecked: bool,
    stage: Stage,
    meter: Rc<Meter>,
    trace: Rc<Trace>,
    listener: Rc<Listener>,
    /// Whose timeouts and fates are its own. `None` until its hello has been read.
    cluster: Option<Rc<Cluster>>,
    /// What has been added to `raftgate_bytes_total` of the meter's counts.
    counted: (u64, u64),
    /// When the meter was last seen to have moved.
    active_at: Instant,
}

#[derive(Debug)]
enum Stage {
    /// Its client may move at any time.
    Arriving,
    /// It waits for a route, which is nobody's inactivity.
    Held,
    /// It is joined to the node of this tenure.
    Joined { tenure: Arc<Tenure>, drain_until: Option<Instant> },
}

/// When sessions end by themselves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    idle: Option<Duration>,
    half_closed: Option<Duration>,
    /// For the client's opening, where the client speaks first.
    first_byte: Option<Duration>,
    drain: Duration,
}

impl Timeouts {
    pub(super) fn of(cluster: &ClusterSettings) -> Self {
        Timeouts {
            idle: cluster.idle,
            half_closed: cluster.half_closed,
            first_byte: cluster.first_byte_timeout.filter(|_| cluster.on_first_byte),
            drain: cluster.drain,
        }
    }
}

impl Sessions {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Sessions {
            entries: RefCell::default(),
            sweep_period: Cell::new(SWEEP),
            emptied: Notify::new(),
        })
    }

    /// Looks for inactivity as often as these timeouts want it and, if `still`, those of before.
    pub(super) fn look_out(&self, timeouts: impl Iterator<Item = Timeouts>, still: bool) {
        let period = sweep_period(timeouts);
        self.sweep_period.set(if still { period.min(self.sweep_period.get()) } else { period });
    }

    /// A place for a connection that has just been accepted.
    pub(super) fn admit(self: &Rc<Self>, entrance: &Entrance, meter: &Rc<Meter>, trace: &Rc<Trace>) -> Slot {
        let entry = Entry {
            waker: None,
            call: None,
            sweeps: 0,
            rechecked: false,
            stage: Stage::Arriving,
            meter: Rc::clone(meter),
            trace: Rc::clone(trace),
            listener: Rc::clone(&entrance.listener),
            cluster: entrance.only_cluster().cloned(),
            counted: (0, 0),
            active_at: Instant::now(),
        };
        let key = Key(self.entries.borrow_mut().insert(entry));
        Slot { sessions: Rc::clone(self), key }
    }

    /// Notes to which cluster its hello has brought the connection.
    pub(super) fn bound_for(&self, key: Key, cluster: &Rc<Cluster>) {
        self.with(key, |entry| {
            entry.cluster = Some(Rc::clone(cluster));
            entry.active_at = Instant::now();
        });
    }

    /// Notes that the connection waits for a route, and from when on it does not any more.
    pub(super) fn set_held(&self, key: Key, held: bool) {
        self.with(key, |entry| {
            entry.stage = if held { Stage::Held } else { Stage::Arriving };
            entry.active_at = Instant::now();
        });
    }

    /// Notes that the connection is joined: from here on the tenure's fate is its own (S5).
    pub(super) fn join(&self, key: Key, tenure: Arc<Tenure>) {
        let now = Instant::now();
        self.with(key, |entry| {
            entry.stage = Stage::Joined { tenure, drain_until: None };
            entry.active_at = now;
            if entry.apply_fate(now) == Fate::Cut {
                entry.end(Outcome::Cut);
            }
        });
    }

    /// Ends every connection.
    pub(super) fn end_all(&self, outcome: Outcome) {
        for (_, entry) in self.entries.borrow_mut().iter_mut() {
            entry.end(outcome);
        }
    }

    /// Waits until no connection is left.
    pub(super) async fn emptied(&self) {
        loop {
            let rung = self.emptied.notified();
            if self.entries.borrow().is_empty() {
                return;
            }
            rung.await;
        }
    }

    /// The mailbox of one cluster: applies fates whenever the route or a fate changes.
    pub(super) async fn follow_fates(self: Rc<Self>, cluster: Weak<Cluster>, mut route: TenureReader) {
        loop {
            route.mark_seen();
            self.apply_fates(&cluster).await;
            if !route.changed().await {
                return;
            }
        }
    }

    /// Looks for inactivity and overdue drains, for as long as the worker lives.
    pub(super) async fn sweep(self: Rc<Self>) {
        loop {
            let now = Instant::now();
            let mut drained = Vec::new();
            self.walk(|key, entry| {
                entry.count_bytes(now);
                entry.grow_old(now);
                match entry.overdue(now) {
                    // Those of one tenure all at the same moment: their clients are not to come again at one, either.
                    Some(Outcome::Drained) => drained.push(key),
                    Some(outcome) => entry.end(outcome),
                    None => {}
                }
            })
            .await;
            self.cut(&drained, Outcome::Drained, |entry| entry.overdue(now) == Some(Outcome::Drained)).await;
            tokio::time::sleep(self.sweep_period.get()).await;
        }
    }

    async fn apply_fates(&self, cluster: &Weak<Cluster>) {
        let mut cut = Vec::new();
        let now = Instant::now();
        self.walk(|key, entry| {
            if entry.is_of(cluster) && entry.apply_fate(now) == Fate::Cut {
                cut.push(key);
            }
        })
        .await;
        // The place may be another connection's by now: its fate is looked at, not remembered.
        self.cut(&cut, Outcome::Cut, |entry| entry.apply_fate(now) == Fate::Cut).await;
    }

    /// Visits every connection, a batch at a time.
    async fn walk(&self, mut visit: impl FnMut(Key, &mut Entry)) {
        let mut next = Some(0);
        while let Some(first) = next {
            next = self.walk_batch(first, &mut visit);
            tokio::task::yield_now().await;
        }
    }

    /// Visits the places from `first` on; returns where the next batch begins, if there is one.
    fn walk_batch(&self, first: usize, visit: &mut impl FnMut(Key, &mut Entry)) -> Option<usize> {
        let mut entries = self.entries.borrow_mut();
        let end = entries.capacity().min(first + BATCH);
        for place in first..end {
            if let Some(entry) = entries.get_mut(place) {
                visit(Key(place), entry);
            }
        }
        (end < entries.capacity()).then_some(end)
    }

    fn with(&self, Key(place): Key, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.entries.borrow_mut().get_mut(place) {
            change(entry);
        }
    }
}

fn sweep_period(timeouts: impl Iterator<Item = Timeouts>) -> Duration {
    let shortest = timeouts
        .flat_map(|t| [t.idle, t.half_closed, t.first_byte, Some(t.drain)])
        .flatten()
        .filter(|timeout| !timeout.is_zero()) // what is over at once needs no finer look
        .min()
        .unwrap_or(SWEEP);
    (shortest / 4).clamp(SHORTEST_SWEEP, SWEEP)
}

impl Slot {
    pub(super) fn key(&self) -> Key {
        self.key
    }

    /// Ready once the connection has to do something; else wakes the caller when it has to.
    pub(super) fn poll_call(&self, cx: &Context<'_>) -> Poll<Call> {
        let mut entries = self.sessions.entries.borrow_mut();
        let Some(entry) = entries.get_mut(self.key.0) else { return Poll::Pending };
        if let Some(call) = entry.call {
            if !matches!(call, Call::End(_)) {
                entry.call = None;
            }
            return Poll::Ready(call);
        }
        match &mut entry.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => entry.waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let entry = self.sessions.entries.borrow_mut().try_remove(self.key.0);
        if let Some(mut entry) = entry {
            entry.count_bytes(Instant::now());
        }
        if self.sessions.entries.borrow().is_empty() {
            self.sessions.emptied.notify_waiters();
        }
    }
}

impl Entry {
    /// The first reason stands.
    fn end(&mut self, outcome: Outcome) {
        if !matches!(self.call, Some(Call::End(_))) {
            self.call(Call::End(outcome));
        }
    }

    fn is_of(&self, cluster: &Weak<Cluster>) -> bool {
        self.cluster.as_ref().is_some_and(|own| std::ptr::eq(Rc::as_ptr(own), cluster.as_ptr()))
    }

    /// The second sweep that finds it joined has it settle in: most connections do not last so long. After that, the first sweep
    /// of each lull has it look for what the runtime may have missed.
    fn grow_old(&mut self, now: Instant) {
        if !matches!(self.stage, Stage::Joined { .. }) || self.call.is_some() {
            return;
        }
        let is_quiet = self.active_at < now;
        if self.sweeps < 2 {
            self.sweeps += 1;
            if self.sweeps == 2 {
                self.rechecked = is_quiet;
                self.call(Call::SettleIn);
            }
        } else if is_quiet && !self.rechecked {
            self.rechecked = true;
            self.call(Call::Recheck);
        }
    }

    fn call(&mut self, call: Call) {
        self.call = Some(call);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Begins or cancels a drain; a cut is left to the caller, who spreads them.
    fn apply_fate(&mut self, now: Instant) -> Fate {
        let (Stage::Joined { tenure, drain_until }, Some(cluster)) = (&mut self.stage, &self.cluster) else {
            return Fate::Keep;
        };
        let fate = tenure.fate();
        match fate {
            Fate::Keep => *drain_until = None,
            Fate::Drain => {
                drain_until.get_or_insert_with(|| later(now, cluster.timeouts().drain));
            }
            Fate::Cut => {}
        }
        fate
    }

    fn overdue(&mut self, now: Instant) -> Option<Outcome> {
        if let Stage::Joined { drain_until: Some(deadline), .. } = self.stage
            && now >= deadline
        {
            return Some(Outcome::Drained);
        }
        // Until its hello is there, the listener's own deadline holds.
        let timeouts = self.cluster.as_ref()?.timeouts();
        // A client that waits for nothing but its own words: that it is held, too, does not excuse it.
        if !matches!(self.stage, Stage::Joined { .. })
            && !self.meter.opening_complete.get()
            && timeouts
                .first_byte
                .is_some_and(|limit| now.saturating_duration_since(self.trace.accepted()) >= limit)
        {
            return Some(Outcome::FirstByteTimeout);
        }
        if let Stage::Held = self.stage {
            return None;
        }
        let quiet = now.saturating_duration_since(self.active_at);
        let past = |limit: Option<Duration>| limit.is_some_and(|limit| quiet >= limit);
        if self.meter.half_closed.get() && past(timeouts.half_closed) {
            return Some(Outcome::HalfClosed);
        }
        past(timeouts.idle).then_some(Outcome::Idle)
    }

    /// Adds what has moved to the listener's counters; where something has, the connection is not inactive.
    fn count_bytes(&mut self, now: Instant) {
        let seen = (self.meter.to_node.get(), self.meter.to_client.get());
        if seen != self.counted {
            self.listener.metrics.to_node.inc_by(seen.0.saturating_sub(self.counted.0));
            self.listener.metrics.to_client.inc_by(seen.1.saturating_sub(self.counted.1));
            self.counted = seen;
            self.active_at = now;
            self.rechecked = false;
        }
    }
}

#[cfg(test)]
mod tests;
