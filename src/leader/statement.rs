//! What nodes say, and how it reaches the tracker: verdicts, observations and signals.

use std::fmt;
use std::time::Instant;

/// A node's position in its cluster's list of nodes; only meaningful within one cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub usize);

/// Orders the probes of a process: a later probe has a greater id (L4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeId(pub u64);

/// What one probe of one node means (L2).
///
/// `Leader` and `Follower` are *statements*, said by the node itself; the other two are *silence*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The node says that it leads.
    Leader,
    /// The node says that it follows.
    Follower,
    /// The node answered, but with neither statement.
    Unfit {
        /// The HTTP status of the answer.
        status: u16,
    },
    /// There was no answer that could be judged.
    Unreachable {
        /// Why there was none.
        failure: ProbeFailure,
    },
}

/// Why a probe brought no answer. The names are label values of `raftgate_probes_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeFailure {
    /// The connection was refused or the network said that the node cannot be reached.
    Refused,
    /// The probe's one deadline passed (L6).
    Timeout,
    /// The TLS handshake failed for another reason than the certificate.
    Tls,
    /// The node's certificate is not acceptable.
    Certificate,
    /// What came back is not an HTTP answer, or too large.
    Protocol,
    /// The connection was closed before the answer was complete.
    Closed,
    /// The node's name has no address.
    Dns,
}

impl ProbeFailure {
    /// Whether it is evidence that the node is gone, for nothing of it was heard. Who sends a certificate, a TLS alert or
    /// bytes that are no HTTP answer is there, and so may the data port be (S5).
    pub fn is_absence(self) -> bool {
        match self {
            ProbeFailure::Refused | ProbeFailure::Timeout | ProbeFailure::Closed => true,
            ProbeFailure::Tls | ProbeFailure::Certificate | ProbeFailure::Protocol | ProbeFailure::Dns => {
                false
            }
        }
    }

    /// The label value, and the word used in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            ProbeFailure::Refused => "refused",
            ProbeFailure::Timeout => "timeout",
            ProbeFailure::Tls => "tls",
            ProbeFailure::Certificate => "certificate",
            ProbeFailure::Protocol => "protocol",
            ProbeFailure::Closed => "closed",
            ProbeFailure::Dns => "dns",
        }
    }
}

impl fmt::Display for ProbeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One finished probe, as the tracker sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The node that was asked.
    pub node: NodeId,
    /// The probe that asked it.
    pub probe: ProbeId,
    /// When the probe was begun: what an answer is worth is dated from here, not from its arrival (L7).
    pub began: Instant,
    /// What came of it.
    pub verdict: Verdict,
}

/// What a node counts as: its verdicts after `rise` and `fall` (L2). The names are label values of
/// `raftgate_node_state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// Not heard of yet; unknown is not leader (L1).
    Unknown,
    /// Its newest statement is "I lead".
    Leader,
    /// Its newest statement is "I follow".
    Follower,
    /// It answers, but with neither statement.
    Unfit,
    /// It does not answer.
    Unreachable,
}

impl NodeState {
    /// Every state, in the order in which they are shown.
    pub const ALL: [NodeState; 5] = [
        NodeState::Unknown,
        NodeState::Leader,
        NodeState::Follower,
        NodeState::Unfit,
        NodeState::Unreachable,
    ];

    /// The label value, and the word used in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            NodeState::Unknown => "unknown",
            NodeState::Leader => "leader",
            NodeState::Follower => "follower",
            NodeState::Unfit => "unfit",
            NodeState::Unreachable => "unreachable",
        }
    }
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A reason to doubt the route before the next probe would be due (L5).
///
/// Local errors (no descriptors, no ports) are never signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal {
    /// The node that is suspected; signals about any other node than the route are ignored.
    pub node: NodeId,
    /// What was seen.
    pub suspicion: Suspicion,
}

/// What made somebody doubt a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspicion {
    /// A client's connection to it was refused, reset or unreachable.
    ConnectRefused,
    /// A client's connection to it takes unusually long, though not yet `connect.timeout`.
    ConnectLate,
    /// A client's connection to it was not accepted within `connect.timeout`.
    ConnectTimeout,
    /// It accepted a client's connection and ended it before its first byte (S4).
    ClosedEarly,
    /// Its kept-alive probe connection closed unannounced.
    ProbeConnectionClosed,
    /// Its answer to a probe is late, though not yet past the deadline.
    ProbeLate,
}

impl Suspicion {
    /// Whether it is drawn from what clients have met, and not from probes.
    pub fn is_of_clients(self) -> bool {
        match self {
            Suspicion::ConnectRefused
            | Suspicion::ConnectLate
            | Suspicion::ConnectTimeout
            | Suspicion::ClosedEarly => true,
            Suspicion::ProbeConnectionClosed | Suspicion::ProbeLate => false,
        }
    }

    /// The word used in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Suspicion::ConnectRefused => "connect refused",
            Suspicion::ConnectLate => "connect late",
            Suspicion::ConnectTimeout => "connect timed out",
            Suspicion::ClosedEarly => "connection closed early",
            Suspicion::ProbeConnectionClosed => "probe connection closed",
            Suspicion::ProbeLate => "probe late",
        }
    }
}
