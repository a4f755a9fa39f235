//! What a gate tells of itself in `/status`, as far as it is shown here.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The whole gate. Times are in seconds since the Unix epoch.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Status {
    pub(super) version: String,
    pub(super) now: f64,
    pub(super) ready: bool,
    pub(super) listeners: Vec<Listener>,
    pub(super) clusters: BTreeMap<String, Cluster>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Listener {
    pub(super) name: String,
    pub(super) address: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Cluster {
    pub(super) leader: Option<String>,
    pub(super) epoch: Option<u64>,
    pub(super) stand_in: Option<String>,
    pub(super) since: f64,
    pub(super) leader_changes: u64,
    pub(super) alarms: Vec<String>,
    /// Absent where it is false.
    #[serde(default)]
    pub(super) leaving: bool,
    pub(super) held: i64,
    pub(super) nodes: Vec<Node>,
    pub(super) events: Vec<Event>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) state: String,
    #[serde(rename = "override")]
    pub(super) overridden: Option<String>,
    pub(super) latency_ms: Option<f64>,
    pub(super) last_verdict: Option<f64>,
    pub(super) certificate: Option<Certificate>,
    pub(super) sessions: i64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Certificate {
    pub(super) not_after: f64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Event {
    pub(super) at: f64,
    pub(super) message: String,
}
