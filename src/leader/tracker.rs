//! The leader tracker: observations, signals and time in; elections, losses and alarms out.

use std::time::Instant;

use super::{NodeId, NodeState, Observation, Pace, Policy, Signal};

/// What the tracker decided. Poll until there is none left after every `handle_*` call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// `node` is the route from now on; it replaces the route that there was, if any.
    Elected {
        /// The new route.
        node: NodeId,
        /// Its claim's ordinal; `None` for a first-ever claim, which has no order (L3).
        ordinal: Option<u64>,
        /// When the probe was begun that brought the *previous* route's last leader statement;
        /// `None` if there never was a route.
        previous_last_good: Option<Instant>,
    },
    /// There is no route any more.
    Lost {
        /// The node that was the route.
        node: NodeId,
        /// Why it no longer is.
        cause: LossCause,
    },
    /// A node counts as something else from now on.
    NodeChanged {
        /// The node.
        node: NodeId,
        /// What it counted as.
        from: NodeState,
        /// What it counts as now.
        to: NodeState,
    },
    /// An alarm begins (L8).
    AlarmRaised(Alarm),
    /// An alarm ends.
    AlarmCleared(Alarm),
    /// This node is to be probed at once (L4).
    ProbeNode(NodeId),
    /// Every node is to be probed at once (L5, L7).
    ProbeAll,
}

/// Why a route ended without a successor at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossCause {
    /// The node said that it follows.
    SteppedDown,
    /// `fall` silences in a row.
    Silent,
    /// Its last leader statement is too old (L7).
    LeaseExpired,
}

impl LossCause {
    /// The words used in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            LossCause::SteppedDown => "stepped down",
            LossCause::Silent => "silent",
            LossCause::LeaseExpired => "lease expired",
        }
    }
}

/// A state of the cluster that somebody should look at (L8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alarm {
    /// No route.
    Leaderless,
    /// More than one claim stands.
    Conflict,
    /// Every node of several claims: a wrong path, or raft is off.
    Unanimity,
    /// The route changes again and again.
    Flapping,
}

impl Alarm {
    /// The word used in logs and in the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Alarm::Leaderless => "leaderless",
            Alarm::Conflict => "conflict",
            Alarm::Unanimity => "unanimity",
            Alarm::Flapping => "flapping",
        }
    }

    /// What it means and where to look, in a sentence.
    pub fn explanation(self) -> &'static str {
        match self {
            Alarm::Leaderless => "no node leads; new clients are held",
            Alarm::Conflict => "more than one node claims to lead; clients go to the newest claim",
            Alarm::Unanimity => "every node claims to lead: is the probe's path right, and raft enabled?",
            Alarm::Flapping => "the leader changes again and again; look at the cluster's network and load",
        }
    }
}

/// The state machine of one cluster.
#[derive(Debug)]
pub struct Tracker {
    policy: Policy,
}

impl Tracker {
    /// A tracker whose nodes are all unknown (L1). `priorities` has one entry a node, higher first;
    /// nodes are listed in the order of their names, so that a lower [`NodeId`] means an earlier name.
    pub fn new(now: Instant, priorities: &[i32], policy: Policy) -> Self {
        let _ = (now, priorities);
        Tracker { policy }
    }
    /// Takes in one finished probe.
    pub fn handle_observation(&mut self, now: Instant, observation: Observation) {
        let _ = (now, observation);
    }
    /// Takes in a reason to doubt the route.
    pub fn handle_signal(&mut self, now: Instant, signal: Signal) {
        let _ = (now, signal);
    }
    /// To be called at [`poll_timeout`](Self::poll_timeout), or later.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }
    /// When [`handle_timeout`](Self::handle_timeout) is next due; ask again after every `handle_*`.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }
    /// The next thing that was decided.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }
    /// The route.
    pub fn route(&self) -> Option<NodeId> {
        None
    }
    /// How fast to probe from now on; ask again after every `handle_*` (L5).
    pub fn pace(&self) -> Pace {
        let _ = self.policy;
        Pace::Fast
    }
    /// What a node counts as.
    pub fn node_state(&self, node: NodeId) -> NodeState {
        let _ = node;
        NodeState::Unknown
    }
    /// How many claims stand.
    pub fn claims(&self) -> usize {
        0
    }
}
