//! A claim: a node's "I lead", with its place in the order of claims (L3).
//!
//! Raft elects one leader a term, so of two leaders the one elected later is of the later term. From outside,
//! an election is only seen between two answers: after the probe began that was still answered "follower", and
//! before the first answer "leader" arrived. Where those spans of two claims overlap, nobody can tell which
//! is newer; where they do not, it is proven. Only proof displaces a route.

use std::time::Instant;

use super::memory::{ClaimMemory, Standing};

/// A node's claim to lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// Counts the claims whose beginning was witnessed; none for a first-ever statement.
    ordinal: Option<u64>,
    /// The node's election came after this: the begin of its last probe that was answered "follower".
    elected_after: Option<Instant>,
    /// The node's election came before this: when the claim's first statement arrived.
    elected_before: Instant,
    /// When the probe began that brought its newest statement: what the lease is counted from (L7).
    last_good: Instant,
    standing: Standing,
    /// A leader statement from a probe begun at this time or later is wanted before the claim may be the route.
    confirm_from: Option<Instant>,
}

impl Claim {
    /// The claim of a node that had never made a statement before: it has no order.
    pub(super) fn first_ever(now: Instant, began: Instant) -> Self {
        Claim {
            ordinal: None,
            elected_after: None,
            elected_before: now,
            last_good: began,
            standing: Standing::Rising,
            confirm_from: None,
        }
    }

    /// The claim of a node whose previous statement, from a probe begun at `followed`, was "follower".
    pub(super) fn after_following(ordinal: u64, followed: Instant, now: Instant, began: Instant) -> Self {
        Claim { ordinal: Some(ordinal), elected_after: Some(followed), ..Claim::first_ever(now, began) }
    }

    /// The same claim, said once more.
    pub(super) fn repeated(mut self, began: Instant) -> Self {
        self.confirm_from = self.confirm_from.filter(|from| began < *from);
        self.last_good = self.last_good.max(began);
        self
    }

    /// The same claim, said again after sleep. It has to be confirmed: a process that was paused says what it
    /// believed before, until it learns of its successor.
    pub(super) fn woken(mut self, now: Instant, began: Instant) -> Self {
        self.standing = Standing::Rising;
        self.confirm_from = Some(now);
        self.last_good = self.last_good.max(began);
        self
    }

    /// The same claim, said often enough to stand (L2).
    pub(super) fn risen(mut self) -> Self {
        self.standing = Standing::Stands;
        self
    }

    /// Stands no more; its order is remembered for when its node speaks again.
    pub(super) fn fall_asleep(&mut self) {
        self.standing = Standing::Asleep;
    }

    /// From now on wants a leader statement of a probe begun at `from` or later.
    pub(super) fn doubt(&mut self, from: Instant) {
        self.confirm_from = Some(from);
    }

    /// All of it, for another process.
    pub(super) fn remember(self, now: Instant) -> ClaimMemory {
        let age = |moment: Instant| now.saturating_duration_since(moment);
        ClaimMemory {
            ordinal: self.ordinal,
            elected_after: self.elected_after.map(age),
            elected_before: age(self.elected_before),
            last_good: age(self.last_good),
            standing: self.standing,
            doubted: self.confirm_from.map(age),
        }
    }

    /// The claim that another process remembered; `None` if it is older than this machine's clock can tell.
    pub(super) fn recall(now: Instant, memory: &ClaimMemory) -> Option<Self> {
        let moment = |age| now.checked_sub(age);
        Some(Claim {
            ordinal: memory.ordinal,
            elected_after: memory.elected_after.map(moment).map_or(Some(None), |at| at.map(Some))?,
            elected_before: moment(memory.elected_before)?,
            last_good: moment(memory.last_good)?,
            standing: memory.standing,
            confirm_from: memory.doubted.map(|age| moment(age).unwrap_or(now)),
        })
    }

    /// Its place in the order of claims.
    pub(super) fn ordinal(self) -> Option<u64> {
        self.ordinal
    }

    /// When its first statement arrived.
    pub(super) fn seen(self) -> Instant {
        self.elected_before
    }

    /// When the probe began that brought its newest statement.
    pub(super) fn last_good(self) -> Instant {
        self.last_good
    }

    /// Whether it stands: made often enough, and not asleep.
    pub(super) fn stands(self) -> bool {
        self.standing == Standing::Stands
    }

    /// Whether its node still has to repeat it before it stands.
    pub(super) fn is_rising(self) -> bool {
        self.standing == Standing::Rising
    }

    /// Whether it is subject to its lease.
    pub(super) fn is_awake(self) -> bool {
        self.standing != Standing::Asleep
    }

    /// Whether it may be the route as far as it alone is concerned.
    pub(super) fn is_confirmed(self) -> bool {
        self.confirm_from.is_none()
    }

    /// Whether its election is proven to be later than the other's.
    pub(super) fn is_newer_than(self, other: Claim) -> bool {
        self.elected_after.is_some_and(|after| other.elected_before <= after)
    }
}
