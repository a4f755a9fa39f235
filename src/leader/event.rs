//! What the tracker decided, and what it wants done.

use std::time::Instant;

use super::{NodeId, NodeState, Override};

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
        /// `None` if there never was a route, or if an operator's pin made it.
        previous_last_good: Option<Instant>,
    },
    /// `node` is the route from now on, by an operator's command and whatever it says (L10); it replaces the route
    /// that there was, if any, which may have been itself.
    Pinned(NodeId),
    /// `node` is the route, as it was in the process before this one (O3).
    Resumed(NodeId),
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
    /// An operator's override of a node is another from now on (L10).
    OverrideChanged {
        /// The node.
        node: NodeId,
        /// What is in force for it now.
        to: Option<Override>,
    },
    /// An alarm begins (L8).
    AlarmRaised(Alarm),
    /// An alarm ends.
    AlarmCleared(Alarm),
    /// This node is to be probed at once (L3, L4).
    ProbeNode(NodeId),
    /// Every node is to be probed at once (L3, L5, L7).
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
    /// An operator drained it (L10).
    Drained,
    /// An operator unpinned it, and it does not claim to lead (L10).
    Unpinned,
    /// It is not one of the cluster's nodes any more (O2).
    Removed,
    /// It is somewhere else now, and has not said there that it leads (O2).
    Readdressed,
}

impl LossCause {
    /// The words used in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            LossCause::SteppedDown => "stepped down",
            LossCause::Silent => "silent",
            LossCause::LeaseExpired => "lease expired",
            LossCause::Drained => "drained",
            LossCause::Unpinned => "unpinned",
            LossCause::Removed => "removed",
            LossCause::Readdressed => "readdressed",
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
    /// A node is drained or pinned by an operator (L10).
    Override,
    /// The route's node says that it leads, but takes no clients.
    NotServing,
}

impl Alarm {
    /// Every alarm.
    pub const ALL: [Alarm; 6] = [
        Alarm::Leaderless,
        Alarm::Conflict,
        Alarm::Unanimity,
        Alarm::Flapping,
        Alarm::Override,
        Alarm::NotServing,
    ];

    /// The word used in logs and in the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Alarm::Leaderless => "leaderless",
            Alarm::Conflict => "conflict",
            Alarm::Unanimity => "unanimity",
            Alarm::Flapping => "flapping",
            Alarm::Override => "override",
            Alarm::NotServing => "not_serving",
        }
    }

    /// What it means and where to look, in a sentence.
    pub fn explanation(self) -> &'static str {
        match self {
            Alarm::Leaderless => "no node leads; new clients are held",
            Alarm::Conflict => {
                "more than one node claims to lead; clients go to the one proven to be newest, else stay where they are"
            }
            Alarm::Unanimity => "every node claims to lead: is the probe's path right, and raft enabled?",
            Alarm::Override => {
                "a node is drained or pinned by an operator; undrain or unpin it when you are done"
            }
            Alarm::NotServing => "the leader answers its probes, but takes no clients",
            Alarm::Flapping => "the leader changes again and again; look at the cluster's network and load",
        }
    }
}
