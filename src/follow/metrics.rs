//! What following is measured by; one cluster's labels are resolved up front.

use prometheus::core::{AtomicF64, AtomicI64, AtomicU64};
use prometheus::{Histogram, HistogramOpts, HistogramVec, Registry};

use crate::leader::{NodeId, NodeState, Override};
use crate::metrics::{Counter, Family, FloatCounter, FloatGauge, Gauge};

/// The metrics of all clusters.
#[derive(Clone, Debug)]
pub struct Metrics {
    leader: Family<AtomicI64>,
    leaders_observed: Family<AtomicI64>,
    leader_changes: Family<AtomicU64>,
    last_change: Family<AtomicF64>,
    leaderless: Family<AtomicF64>,
    not_serving: Family<AtomicI64>,
    failover: HistogramVec,
    node_state: Family<AtomicI64>,
    node_override: Family<AtomicI64>,
    healthy: Family<AtomicI64>,
    last_verdict: Family<AtomicF64>,
    leaving: Family<AtomicI64>,
    interval: Family<AtomicF64>,
}

impl Metrics {
    /// Defines and registers them.
    ///
    /// # Errors
    /// If a name is taken already, which is a defect of the program.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let cluster = &["cluster"];
        let node = &["cluster", "node"];
        let failover = HistogramOpts::new(
            "raftgate_failover_duration_seconds",
            "From the old leader's last good statement until clients are sent to the new one",
        )
        .buckets(vec![0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0]);
        let metrics = Metrics {
            leader: Family::gauges(
                registry,
                "raftgate_leader",
                "1 for the node that clients are sent to",
                node,
            )?,
            leaders_observed: Family::gauges(
                registry,
                "raftgate_leaders_observed",
                "How many nodes claim to lead",
                cluster,
            )?,
            leader_changes: Family::counters(
                registry,
                "raftgate_leader_changes_total",
                "How often a node became leader, re-elections of the same node included",
                cluster,
            )?,
            last_change: Family::gauges(
                registry,
                "raftgate_leader_last_change_timestamp_seconds",
                "When a node last became leader, or the gate began to look for one, in seconds since the Unix epoch",
                cluster,
            )?,
            leaderless: Family::counters(
                registry,
                "raftgate_leaderless_seconds_total",
                "Seconds without a leader to send clients to",
                cluster,
            )?,
            not_serving: Family::gauges(
                registry,
                "raftgate_leader_not_serving",
                "1 while the leader answers its probes, but takes no clients",
                cluster,
            )?,
            failover: HistogramVec::new(failover, cluster)?,
            node_state: Family::gauges(
                registry,
                "raftgate_node_state",
                "1 for the state that the node counts as",
                &["cluster", "node", "state"],
            )?,
            node_override: Family::gauges(
                registry,
                "raftgate_node_override",
                "1 while an operator has drained the node, or pinned it as the route",
                &["cluster", "node", "override"],
            )?,
            healthy: Family::gauges(
                registry,
                "raftgate_node_healthy",
                "1 if the newest answer says who leads, and not that the node is ill",
                node,
            )?,
            last_verdict: Family::gauges(
                registry,
                "raftgate_node_last_verdict_timestamp_seconds",
                "When the newest verdict arrived, in seconds since the Unix epoch",
                node,
            )?,
            interval: Family::gauges(
                registry,
                "raftgate_probe_interval_seconds",
                "How often each node is asked in steady times, as configured",
                cluster,
            )?,
            leaving: Family::gauges(
                registry,
                "raftgate_cluster_leaving",
                "1 if a reload has removed the cluster, which is shown until its last session has ended",
                cluster,
            )?,
        };
        registry.register(Box::new(metrics.failover.clone()))?;
        Ok(metrics)
    }

    /// The metrics of one cluster.
    pub(super) fn cluster<'a>(&self, cluster: &str, nodes: impl Iterator<Item = &'a str>) -> ClusterMetrics {
        ClusterMetrics {
            leaders_observed: self.leaders_observed.with(&[cluster]),
            leader_changes: self.leader_changes.with(&[cluster]),
            last_change: self.last_change.with(&[cluster]),
            leaderless: self.leaderless.with(&[cluster]),
            not_serving: self.not_serving.with(&[cluster]),
            failover: self.failover.with_label_values(&[cluster]),
            interval: self.interval.with(&[cluster]),
            nodes: nodes.map(|node| self.node(cluster, node)).collect(),
            families: self.clone(),
        }
    }

    /// Shows whether a reload has removed the cluster.
    pub fn set_leaving(&self, cluster: &str, leaving: bool) {
        self.leaving.with(&[cluster]).set(i64::from(leaving));
    }

    /// Shows nothing of a cluster any more that is not followed any more.
    pub fn forget(&self, cluster: &str) {
        for family in [
            &self.leaders_observed,
            &self.not_serving,
            &self.leader,
            &self.node_state,
            &self.node_override,
            &self.healthy,
            &self.leaving,
        ] {
            family.forget(&[cluster]);
        }
        self.leader_changes.forget(&[cluster]);
        for family in [&self.last_change, &self.leaderless, &self.last_verdict, &self.interval] {
            family.forget(&[cluster]);
        }
        // It fails if it is not there: so it shall be.
        let _ = self.failover.remove_label_values(&[cluster]);
    }

    fn forget_node(&self, cluster: &str, node: &str) {
        for family in [&self.leader, &self.node_state, &self.node_override, &self.healthy] {
            family.forget(&[cluster, node]);
        }
        self.last_verdict.forget(&[cluster, node]);
    }

    fn node(&self, cluster: &str, node: &str) -> NodeMetrics {
        let state = |state: NodeState| self.node_state.with(&[cluster, node, state.as_str()]);
        let metrics = NodeMetrics {
            leader: self.leader.with(&[cluster, node]),
            states: NodeState::ALL.map(|s| (s, state(s))),
            overrides: Override::ALL
                .map(|each| (each, self.node_override.with(&[cluster, node, each.as_str()]))),
            healthy: self.healthy.with(&[cluster, node]),
            last_verdict: self.last_verdict.with(&[cluster, node]),
        };
        metrics.set_state(NodeState::Unknown);
        metrics
    }
}

/// One cluster's metrics.
#[derive(Debug)]
pub(super) struct ClusterMetrics {
    pub(super) leaders_observed: Gauge,
    pub(super) leader_changes: Counter,
    pub(super) last_change: FloatGauge,
    pub(super) leaderless: FloatCounter,
    pub(super) not_serving: Gauge,
    pub(super) failover: Histogram,
    pub(super) interval: FloatGauge,
    /// By the nodes' ids; the numbers of one that has gone are not shown.
    pub(super) nodes: Vec<NodeMetrics>,
    families: Metrics,
}

impl ClusterMetrics {
    /// Shows a node that is new in this place.
    pub(super) fn show_node(&mut self, cluster: &str, id: usize, node: &str) {
        let shown = self.families.node(cluster, node);
        match self.nodes.get_mut(id) {
            Some(before) => *before = shown,
            None => self.nodes.push(shown),
        }
    }

    /// Shows nothing any more of a node that has gone.
    pub(super) fn forget_node(&self, cluster: &str, node: &str) {
        self.families.forget_node(cluster, node);
    }

    /// Shows nothing as known of any node.
    pub(super) fn begin_anew(&self) {
        self.set_leader(None);
        for node in &self.nodes {
            node.set_state(NodeState::Unknown);
            node.set_override(None);
        }
    }

    /// Shows `route` as the only leader, or none.
    pub(super) fn set_leader(&self, route: Option<NodeId>) {
        for (id, node) in self.nodes.iter().enumerate() {
            node.leader.set(i64::from(route == Some(NodeId(id))));
        }
    }
}

/// One node's metrics.
#[derive(Debug)]
pub(super) struct NodeMetrics {
    leader: Gauge,
    states: [(NodeState, Gauge); 5],
    overrides: [(Override, Gauge); 2],
    pub(super) healthy: Gauge,
    pub(super) last_verdict: FloatGauge,
}

impl NodeMetrics {
    pub(super) fn set_override(&self, overridden: Option<Override>) {
        for (each, gauge) in &self.overrides {
            gauge.set(i64::from(overridden == Some(*each)));
        }
    }

    pub(super) fn set_state(&self, state: NodeState) {
        for (each, gauge) in &self.states {
            gauge.set(i64::from(*each == state));
        }
    }
}
