//! What a gate tells of itself in `/status`, as far as it is shown here.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The whole gate. Times are in seconds since the Unix epoch.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Status {
    pub(super) version: String,
    pub(super) now: f64,
    pub(super) ready: bool,
    #[serde(default)]
    pub(super) not_ready: Option<String>,
    pub(super) listeners: Vec<Listener>,
    pub(super) clusters: BTreeMap<String, Cluster>,
}

impl Status {
    /// Why clients may not be served. A cluster that was removed by a reload has no new clients.
    pub(super) fn problems(&self) -> Vec<String> {
        let not_ready = (!self.ready).then(|| {
            let why = self.not_ready.as_deref().unwrap_or("it does not say why");
            format!("the gate is not ready: {why}")
        });
        let clusters =
            self.clusters.iter().filter(|(_, cluster)| !cluster.leaving && cluster.leader.is_none());
        let leaderless = clusters.map(|(name, _)| format!("{name} has no leader"));
        not_ready.into_iter().chain(leaderless).collect()
    }
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
    not_after: f64,
    /// The others that the connection depends on; a gate of an older version does not tell them.
    #[serde(default)]
    related: Vec<Related>,
}

#[derive(Clone, Debug, Deserialize)]
struct Related {
    not_after: f64,
}

impl Certificate {
    /// When the first of these certificates expires, in seconds since the Unix epoch.
    pub(super) fn first_expiry(&self) -> f64 {
        self.related.iter().map(|related| related.not_after).fold(self.not_after, f64::min)
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Event {
    pub(super) at: f64,
    pub(super) message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o6_problems_are_what_keeps_clients_from_being_served() {
        let cluster = |leader: Option<&str>, leaving: bool| {
            serde_json::json!({ "leader": leader, "epoch": 1, "stand_in": null, "since": 0.0, "leader_changes": 1,
                "alarms": [], "leaving": leaving, "held": 0, "nodes": [], "events": [] })
        };
        let problems = |ready: bool, clusters: serde_json::Value| {
            let not_ready = (!ready).then_some("draining");
            let status = serde_json::json!({ "version": "1", "now": 0.0, "ready": ready, "not_ready": not_ready,
                "listeners": [], "clusters": clusters });
            serde_json::from_value::<Status>(status).unwrap().problems()
        };
        assert_eq!(problems(true, serde_json::json!({ "a": cluster(Some("n1"), false) })), [""; 0]);
        let clusters = serde_json::json!({ "a": cluster(None, false), "b": cluster(None, true) });
        assert_eq!(problems(true, clusters), ["a has no leader"]);
        assert_eq!(problems(false, serde_json::json!({})), ["the gate is not ready: draining"]);
    }
}
