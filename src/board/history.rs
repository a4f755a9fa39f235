//! What a cluster has lived through lately: bounded rings that grow on demand.
//!
//! A cluster in which nothing happens owns a few hundred bytes here, one that flaps for days some 8 KiB and 1 KiB a
//! node. The oldest makes room for the newest; how far each ring reaches back can be read from its first entry.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::Serialize;

use super::event::{BoardEvent, Happened, Silence, state_in_words};
use crate::leader::NodeState;

/// How many of a cluster's newest events are kept.
const EVENTS_KEPT: usize = 64;
/// How many of these events may be verdicts once the ring is full: a node that flaps must not push out who led when.
const VERDICT_EVENTS_KEPT: usize = 32;
/// How many of a cluster's newest tenures are kept.
const TENURES_KEPT: usize = 32;
/// How many of a node's newest verdicts are kept.
const VERDICTS_KEPT: usize = 64;

/// One tenure, as shown: who was the route, and at what price it became so.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TenureStatus {
    /// The route's node.
    pub node: Arc<str>,
    /// Its epoch.
    pub epoch: u64,
    /// Whether an operator had pinned it (L10).
    pub pinned: bool,
    /// When it began (seconds since the Unix epoch).
    pub from: f64,
    /// When it ended; `None` while it lasts.
    pub until: Option<f64>,
    /// Why it ended, in a word or two.
    pub ended: Option<&'static str>,
    /// How long there was no route before it, in milliseconds.
    pub leaderless_ms: u64,
    /// From the previous leader's last good statement to its begin, in milliseconds.
    pub failover_ms: Option<u64>,
}

/// From when on a node counted as what, as shown.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct VerdictStatus {
    /// Seconds since the Unix epoch.
    pub at: f64,
    /// What it has counted as since (L2).
    #[serde(serialize_with = "state_in_words")]
    pub state: NodeState,
    /// Why it was silent, if it was.
    pub silence: Option<Silence>,
}

/// A cluster's rings, each with the oldest first.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// What happened.
    pub events: VecDeque<BoardEvent>,
    /// Who was the route.
    pub tenures: VecDeque<TenureStatus>,
    /// What each node counted as. A first entry that is `unknown` is from the node's first moment.
    nodes: Vec<(Arc<str>, VecDeque<VerdictStatus>)>,
}

impl History {
    /// These are the cluster's nodes from now on; what was known of those that stay is kept.
    pub(super) fn begin(&mut self, at: f64, names: impl Iterator<Item = Arc<str>>) {
        let mut before = std::mem::take(&mut self.nodes);
        for name in names {
            let known = before.iter().position(|(known, _)| *known == name);
            let verdicts = known.map(|at| before.swap_remove(at).1).unwrap_or_default();
            self.nodes.push((name, verdicts));
        }
        for (_, verdicts) in self.nodes.iter_mut().filter(|(_, verdicts)| verdicts.is_empty()) {
            verdicts.push_back(VerdictStatus { at, state: NodeState::Unknown, silence: None });
        }
    }

    /// Takes in what has happened.
    pub(super) fn take(&mut self, event: BoardEvent) {
        let at = event.at;
        match &event.what {
            Happened::LeaderElected { node, epoch, leaderless_ms, failover_ms, .. } => {
                let tenure = tenure(node, *epoch, at, *leaderless_ms);
                self.succeed(TenureStatus { failover_ms: *failover_ms, ..tenure }, "succeeded");
            }
            Happened::LeaderPinned { node, epoch, leaderless_ms, .. } => {
                let tenure = tenure(node, *epoch, at, *leaderless_ms);
                self.succeed(TenureStatus { pinned: true, ..tenure }, "another was pinned");
            }
            Happened::LeaderMoved { node, epoch, .. } => {
                let pinned = self.tenures.back().is_some_and(|old| old.pinned);
                self.succeed(TenureStatus { pinned, ..tenure(node, *epoch, at, 0) }, "readdressed");
            }
            Happened::LeaderLost { cause, .. } => self.end(at, cause),
            Happened::Verdict { node, state, silence } => {
                let verdicts = self.nodes.iter_mut().find(|(name, _)| name == node);
                if let Some((_, verdicts)) = verdicts {
                    let verdict = VerdictStatus { at, state: *state, silence: *silence };
                    push(verdicts, VERDICTS_KEPT, verdict);
                }
            }
            Happened::StandIn { .. }
            | Happened::ReaderBegins { .. }
            | Happened::ReaderEnds { .. }
            | Happened::NotServing { .. }
            | Happened::AlarmRaised { .. }
            | Happened::AlarmOver { .. }
            | Happened::SessionsCut { .. }
            | Happened::Override { .. } => {}
        }
        self.make_room_for(&event);
        push(&mut self.events, EVENTS_KEPT, event);
    }

    /// Drops the oldest verdict if the ring is full and has more than its share of them.
    fn make_room_for(&mut self, event: &BoardEvent) {
        let is_verdict = |event: &BoardEvent| matches!(event.what, Happened::Verdict { .. });
        let verdicts =
            self.events.iter().filter(|event| is_verdict(event)).count() + usize::from(is_verdict(event));
        if self.events.len() >= EVENTS_KEPT
            && verdicts > VERDICT_EVENTS_KEPT
            && let Some(oldest) = self.events.iter().position(is_verdict)
        {
            self.events.remove(oldest);
        }
    }

    fn succeed(&mut self, tenure: TenureStatus, ended: &'static str) {
        self.end(tenure.from, ended);
        push(&mut self.tenures, TENURES_KEPT, tenure);
    }

    fn end(&mut self, at: f64, why: &'static str) {
        if let Some(last) = self.tenures.back_mut().filter(|tenure| tenure.until.is_none()) {
            (last.until, last.ended) = (Some(at), Some(why));
        }
    }

    /// What a node counted as; nothing of a node that the cluster does not have.
    pub fn verdicts(&self, node: &str) -> impl DoubleEndedIterator<Item = &VerdictStatus> + Clone {
        self.nodes.iter().find(|(name, _)| &**name == node).into_iter().flat_map(|(_, verdicts)| verdicts)
    }

    /// The events after this one, oldest first.
    pub fn events_after(&self, id: u64) -> impl Iterator<Item = &BoardEvent> {
        let known = self.events.partition_point(|event| event.id <= id);
        self.events.range(known..)
    }
}

fn tenure(node: &Arc<str>, epoch: u64, from: f64, leaderless_ms: u64) -> TenureStatus {
    TenureStatus {
        node: Arc::clone(node),
        epoch,
        pinned: false,
        from,
        until: None,
        ended: None,
        leaderless_ms,
        failover_ms: None,
    }
}

/// Adds the newest; the oldest makes room.
fn push<T>(ring: &mut VecDeque<T>, kept: usize, newest: T) {
    if ring.len() == kept {
        ring.pop_front();
    }
    ring.push_back(newest);
}

#[cfg(test)]
mod tests;
