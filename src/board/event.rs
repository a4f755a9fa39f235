//! What happens to a cluster, one thing at a time, in words and in fields.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::leader::{NodeState, ProbeFailure, Verdict};

/// One thing that happened, as shown.
#[derive(Clone, Debug, PartialEq)]
pub struct BoardEvent {
    /// Grows from event to event, over all clusters of a process.
    pub id: u64,
    /// Seconds since the Unix epoch.
    pub at: f64,
    /// What it was.
    pub what: Happened,
}

/// What can happen. Its fields are those of the JSON, its variants' names the JSON's `kind`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Happened {
    /// A node is the route from now on, by its own word.
    LeaderElected {
        /// The new leader.
        node: Arc<str>,
        /// Its tenure's epoch.
        epoch: u64,
        /// Who was the route until now, if anybody.
        previous: Option<Arc<str>>,
        /// How long there was no route before, in milliseconds.
        leaderless_ms: u64,
        /// From the previous leader's last good statement until now, in milliseconds.
        failover_ms: Option<u64>,
    },
    /// A node is the route from now on, by an operator's word (L10).
    LeaderPinned {
        /// The pinned node.
        node: Arc<str>,
        /// Its tenure's epoch.
        epoch: u64,
        /// Who was the route until now, if anybody.
        previous: Option<Arc<str>>,
        /// How long there was no route before, in milliseconds.
        leaderless_ms: u64,
    },
    /// The leader has another address.
    LeaderMoved {
        /// The leader.
        node: Arc<str>,
        /// Where it is now.
        address: SocketAddr,
        /// Its new tenure's epoch.
        epoch: u64,
    },
    /// There is no route any more.
    LeaderLost {
        /// Who was the route.
        node: Arc<str>,
        /// Why it no longer is.
        cause: &'static str,
    },
    /// Without a route, clients whose hold is over go to this node (S2).
    StandIn {
        /// The node.
        node: Arc<str>,
    },
    /// Clients of listeners that lead to followers, or to any node, go to this one, too.
    ReaderBegins {
        /// The node.
        node: Arc<str>,
        /// What such listeners lead to.
        to: &'static str,
        /// Its tenure's epoch.
        epoch: u64,
    },
    /// Such clients no longer go to this node.
    ReaderEnds {
        /// The node.
        node: Arc<str>,
        /// What such listeners lead to.
        to: &'static str,
    },
    /// A node counts as something else from now on (L2).
    Verdict {
        /// The node.
        node: Arc<str>,
        /// What it counts as.
        #[serde(serialize_with = "state_in_words")]
        state: NodeState,
        /// Why it is silent, if it is.
        silence: Option<Silence>,
    },
    /// The leader takes no clients: what the alarm `not_serving` is about.
    NotServing {
        /// The leader.
        node: Arc<str>,
        /// Where clients are not taken, and why.
        reason: Arc<str>,
    },
    /// An alarm begins (L8).
    AlarmRaised {
        /// Its name.
        alarm: &'static str,
    },
    /// An alarm ends.
    AlarmOver {
        /// Its name.
        alarm: &'static str,
    },
    /// An operator has ended a node's sessions.
    SessionsCut {
        /// The node.
        node: Arc<str>,
        /// How many they were.
        sessions: usize,
    },
    /// An operator has changed what is in force for a node (L10).
    Override {
        /// The node.
        node: Arc<str>,
        /// What is in force now: `drain`, `pin`, or nothing.
        to: Option<&'static str>,
        /// What has changed it.
        by: OrderCause,
    },
}

/// What changes an operator's order for a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderCause {
    /// A command.
    Operator,
    /// Another configuration, in which the node is gone, or is back.
    Reload,
    /// The orders of another process.
    Upgrade,
}

impl OrderCause {
    /// The word of the JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            OrderCause::Operator => "operator",
            OrderCause::Reload => "reload",
            OrderCause::Upgrade => "upgrade",
        }
    }

    /// The same for people.
    pub fn in_words(self) -> &'static str {
        match self {
            OrderCause::Operator => "by an operator's command",
            OrderCause::Reload => "by a reload; operators' orders wait for nodes that are gone",
            OrderCause::Upgrade => "by an operator's command to another process",
        }
    }
}

/// Why a node makes no statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// It answers with this HTTP status.
    Status(u16),
    /// Its probes fail.
    Failure(ProbeFailure),
}

impl Silence {
    /// Why a node that counts as `state` is silent, where `newest` is its newest verdict.
    pub fn of(state: NodeState, newest: Option<Verdict>) -> Option<Self> {
        match (state, newest?) {
            (NodeState::Unfit, Verdict::Unfit { status }) => Some(Silence::Status(status)),
            (NodeState::Unreachable, Verdict::Unreachable { failure }) => Some(Silence::Failure(failure)),
            _ => None,
        }
    }
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Silence::Status(status) => write!(f, "status {status}"),
            Silence::Failure(failure) => write!(f, "{failure}"),
        }
    }
}

impl Serialize for Silence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A state as the word that is its name everywhere.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "so serde hands it over")]
pub(super) fn state_in_words<S: Serializer>(state: &NodeState, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state.as_str())
}

impl fmt::Display for Happened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Happened::LeaderElected { node, epoch, failover_ms: Some(ms), .. } => {
                write!(f, "{node} leads (epoch {epoch}), after a failover of {ms} ms")
            }
            Happened::LeaderElected { node, epoch, .. } => write!(f, "{node} leads (epoch {epoch})"),
            Happened::LeaderPinned { node, epoch, .. } => {
                write!(f, "clients go to {node}, which is pinned (epoch {epoch})")
            }
            Happened::LeaderMoved { node, address, epoch } => {
                write!(f, "{node} has moved to {address} (epoch {epoch})")
            }
            Happened::LeaderLost { node, cause } => write!(f, "{node} lost the lead: {cause}"),
            Happened::StandIn { node } => {
                write!(f, "{node} stands in: clients go there after hold.timeout")
            }
            Happened::ReaderBegins { node, to, epoch } => {
                write!(f, "{node} takes clients who go to {to} (epoch {epoch})")
            }
            Happened::ReaderEnds { node, to } => write!(f, "{node} takes no more clients who go to {to}"),
            Happened::Verdict { node, state, silence: None } => write!(f, "{node} counts as {state}"),
            Happened::Verdict { node, state, silence: Some(why) } => {
                write!(f, "{node} counts as {state} ({why})")
            }
            Happened::NotServing { reason, .. } => f.write_str(reason),
            Happened::AlarmRaised { alarm } => write!(f, "alarm: {alarm}"),
            Happened::AlarmOver { alarm } => write!(f, "alarm is over: {alarm}"),
            Happened::SessionsCut { node, sessions: 1 } => {
                write!(f, "1 session with {node} was cut, by an operator's command")
            }
            Happened::SessionsCut { node, sessions } => {
                write!(f, "{sessions} sessions with {node} were cut, by an operator's command")
            }
            Happened::Override { node, to, by } => {
                let what = match to {
                    Some("drain") => "drained",
                    Some("pin") => "pinned",
                    _ => "no longer drained or pinned",
                };
                write!(f, "{node} is {what}, {}", by.in_words())
            }
        }
    }
}

/// The fields as they are, and the same in words.
impl Serialize for BoardEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'a> {
            id: u64,
            at: f64,
            message: String,
            #[serde(flatten)]
            what: &'a Happened,
        }
        Shown { id: self.id, at: self.at, message: self.what.to_string(), what: &self.what }
            .serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_its_words_and_its_fields() {
        let what = Happened::LeaderElected {
            node: "n2".into(),
            epoch: 3,
            previous: Some("n1".into()),
            leaderless_ms: 0,
            failover_ms: Some(42),
        };
        let json = serde_json::to_value(BoardEvent { id: 7, at: 1.5, what }).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "id": 7, "at": 1.5, "message": "n2 leads (epoch 3), after a failover of 42 ms",
                "kind": "leader_elected", "node": "n2", "epoch": 3, "previous": "n1",
                "leaderless_ms": 0, "failover_ms": 42,
            })
        );
    }

    #[test]
    fn a_silence_is_told_only_of_a_node_that_counts_as_silent() {
        let refused = Verdict::Unreachable { failure: ProbeFailure::Refused };
        let told = Silence::of(NodeState::Unreachable, Some(refused)).unwrap();
        assert_eq!(told.to_string(), "refused");
        assert_eq!(Silence::of(NodeState::Leader, Some(refused)), None, "it is not silent for long enough");
        let unfit = Silence::of(NodeState::Unfit, Some(Verdict::Unfit { status: 503 })).unwrap();
        assert_eq!(serde_json::to_value(unfit).unwrap(), "status 503");
    }
}
