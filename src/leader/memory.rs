//! What a tracker hands to its heir in another process: everything that its judgement rests on, in ages instead of moments,
//! for the clocks of two processes need not have the same zero (L9).

use std::time::Duration;

use super::{NodeId, NodeState, Override};

/// What is remembered of a cluster. Every duration is an age: how long ago something was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// One a node, in the order of their ids.
    pub nodes: Vec<NodeMemory>,
    /// The route.
    pub route: Option<NodeId>,
    /// The highest ordinal that a claim has had (L3).
    pub last_ordinal: u64,
    /// Begin of the probe that brought the last leader statement of the route, or of the one before.
    pub last_good: Option<Duration>,
    /// When more than one claim began to stand.
    pub contested: Option<Duration>,
}

/// What is remembered of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeMemory {
    /// Its claim, standing or asleep.
    pub claim: Option<ClaimMemory>,
    /// What an operator has ordered for it (L10).
    pub overridden: Option<Override>,
    /// What it counts as.
    pub state: NodeState,
    /// Whether any verdict of it has ever arrived.
    pub heard: bool,
    /// Begin of the probe that brought its newest follower statement.
    pub followed: Option<Duration>,
    /// Silences in a row.
    pub silences: u32,
    /// Leader statements in a row.
    pub leader_statements: u32,
}

impl Default for NodeMemory {
    /// Of a node that was never heard of.
    fn default() -> Self {
        NodeMemory {
            claim: None,
            overridden: None,
            state: NodeState::Unknown,
            heard: false,
            followed: None,
            silences: 0,
            leader_statements: 0,
        }
    }
}

/// What is remembered of a claim (L3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimMemory {
    /// Its place in the order of claims.
    pub ordinal: Option<u64>,
    /// Its node was elected after this: the begin of its last probe that was answered "follower".
    pub elected_after: Option<Duration>,
    /// And before this: when the claim's first statement arrived.
    pub elected_before: Duration,
    /// Begin of the probe that brought its newest statement.
    pub last_good: Duration,
    /// How far it is.
    pub standing: Standing,
    /// It is doubted: a statement is wanted of a probe that was begun later than this.
    pub doubted: Option<Duration>,
}

/// How far a claim is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not yet said `rise` times in a row (L2).
    Rising,
    /// Said often enough.
    Stands,
    /// The node fell silent, or its lease ended.
    Asleep,
}
