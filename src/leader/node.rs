//! One node, as the tracker knows it: what it said last, and what it counts as (L2).

use std::time::Instant;

use super::claim::Claim;
use super::memory::NodeMemory;
use super::{NodeState, Observation, Override, Policy, Preference, ProbeId, Verdict};

/// What a leader statement means for its node's claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeaderStatement {
    /// It begins a new one.
    Begins,
    /// It wakes the one that slept.
    Wakes,
    /// It says it once more.
    BearsOut,
}

/// What is known of one node.
#[derive(Debug)]
pub(super) struct Node {
    /// Decides among claims without an order (L3).
    pub(super) preference: Preference,
    /// Its claim, standing or asleep. None: it never said that it leads, or it said that it follows since.
    pub(super) claim: Option<Claim>,
    /// What an operator has ordered for it (L10); what it says is taken in all the same.
    pub(super) overridden: Option<Override>,
    /// Whether it is still one of the cluster's nodes (O2).
    member: bool,
    state: NodeState,
    newest_probe: Option<ProbeId>,
    /// Since when it is probed.
    asked: Instant,
    /// When the probe began that brought its newest follower statement.
    followed: Option<Instant>,
    /// Silences in a row, unfit and unreachable alike.
    silences: u32,
    /// Leader statements in a row.
    leader_statements: u32,
}

impl Node {
    /// A node that was never heard of (L1), and is probed from now on.
    pub(super) fn new(now: Instant, preference: Preference) -> Self {
        Node {
            preference,
            claim: None,
            overridden: None,
            member: true,
            state: NodeState::Unknown,
            newest_probe: None,
            asked: now,
            followed: None,
            silences: 0,
            leader_statements: 0,
        }
    }

    /// The node as if it was never heard of; what was ordered for it stays.
    pub(super) fn unheard(&self, now: Instant) -> Self {
        Node { overridden: self.overridden, ..Node::new(now, self.preference) }
    }

    /// The place of a node that the cluster has not any more.
    pub(super) fn absent(now: Instant) -> Self {
        Node { member: false, ..Node::new(now, Preference::default()) }
    }

    /// Whether it is one of the cluster's nodes.
    pub(super) fn is_member(&self) -> bool {
        self.member
    }

    /// All that is known of it, for another process.
    pub(super) fn remember(&self, now: Instant) -> NodeMemory {
        NodeMemory {
            claim: self.claim.map(|claim| claim.remember(now)),
            overridden: self.overridden,
            state: self.state,
            heard: self.was_heard_of(),
            followed: self.followed.map(|at| now.saturating_duration_since(at)),
            silences: self.silences,
            leader_statements: self.leader_statements,
        }
    }

    /// Takes in what another process remembered of it. This process's probes are all newer than that one's.
    pub(super) fn recall(&mut self, now: Instant, memory: &NodeMemory) {
        *self = Node {
            preference: self.preference,
            claim: memory.claim.and_then(|claim| Claim::recall(now, &claim)),
            overridden: memory.overridden,
            member: self.member,
            state: memory.state,
            newest_probe: memory.heard.then_some(ProbeId(0)),
            asked: self.asked,
            followed: memory.followed.and_then(|age| now.checked_sub(age)),
            silences: memory.silences,
            leader_statements: memory.leader_statements,
        };
    }

    /// Counts one verdict. What it counts as changes once there were enough in a row (L2).
    pub(super) fn count(&mut self, observation: &Observation, policy: &Policy) {
        self.newest_probe = Some(observation.probe);
        match observation.verdict {
            Verdict::Leader => {
                self.silences = 0;
                self.leader_statements = self.leader_statements.saturating_add(1);
            }
            Verdict::Follower => {
                self.silences = 0;
                self.leader_statements = 0;
                self.followed = Some(observation.began);
            }
            Verdict::Unfit { .. } | Verdict::Unreachable { .. } => {
                self.silences = self.silences.saturating_add(1);
                self.leader_statements = 0;
            }
        }
        self.state = match observation.verdict {
            Verdict::Leader if self.has_risen(policy) => NodeState::Leader,
            Verdict::Follower => NodeState::Follower,
            Verdict::Unfit { .. } if self.has_fallen(policy) => NodeState::Unfit,
            Verdict::Unreachable { .. } if self.has_fallen(policy) => NodeState::Unreachable,
            _ => self.state,
        };
    }

    /// Takes in a leader statement that was counted (L3). `ordinal` is for a new claim that has an order.
    pub(super) fn say_leader(
        &mut self,
        now: Instant,
        began: Instant,
        ordinal: u64,
        policy: &Policy,
    ) -> LeaderStatement {
        let (claim, meaning) = match (self.claim.take(), self.followed) {
            (Some(claim), _) if claim.is_awake() => (claim.repeated(began), LeaderStatement::BearsOut),
            (Some(claim), _) => (claim.woken(now, began), LeaderStatement::Wakes),
            (None, Some(followed)) => {
                (Claim::after_following(ordinal, followed, now, began), LeaderStatement::Begins)
            }
            (None, None) => (Claim::first_ever(now, began), LeaderStatement::Begins),
        };
        self.claim = Some(if self.has_risen(policy) { claim.risen() } else { claim });
        meaning
    }

    /// Puts its claim to sleep: its order is remembered, but it stands no more (L3).
    pub(super) fn fall_asleep(&mut self) {
        self.leader_statements = 0;
        if let Some(claim) = &mut self.claim {
            claim.fall_asleep();
        }
    }

    /// Takes in that its newest statement is older than the lease (L7): if that was "leader", it counts as unknown.
    pub(super) fn expire(&mut self) {
        self.fall_asleep();
        if self.state == NodeState::Leader {
            self.state = NodeState::Unknown;
        }
    }

    /// What it counts as.
    pub(super) fn state(&self) -> NodeState {
        self.state
    }

    /// Whether any verdict of it has arrived yet, if one is to be expected.
    pub(super) fn was_heard_of(&self) -> bool {
        !self.member || self.newest_probe.is_some()
    }

    /// Until when its first verdict is waited for; `None` once there is one, or if none is to be expected.
    pub(super) fn first_verdict_due(&self, policy: &Policy) -> Option<Instant> {
        (!self.was_heard_of()).then(|| self.asked + policy.answer_time())
    }

    /// Whether this probe is newer than all that were applied (L4).
    pub(super) fn is_news(&self, probe: ProbeId) -> bool {
        self.newest_probe.is_none_or(|newest| newest < probe)
    }

    /// Whether an outdated verdict says otherwise than what stands (L4). Outdated silence says nothing.
    pub(super) fn is_contradicted_by(&self, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Leader => self.state != NodeState::Leader,
            Verdict::Follower => self.state != NodeState::Follower,
            Verdict::Unfit { .. } | Verdict::Unreachable { .. } => false,
        }
    }

    /// Whether its newest verdict is the first silence after a statement.
    pub(super) fn just_missed(&self) -> bool {
        self.silences == 1
    }

    /// Whether its silence acts: `fall` in a row (L2).
    pub(super) fn has_fallen(&self, policy: &Policy) -> bool {
        self.silences > 0 && self.silences >= policy.fall
    }

    fn has_risen(&self, policy: &Policy) -> bool {
        self.leader_statements > 0 && self.leader_statements >= policy.rise
    }
}
