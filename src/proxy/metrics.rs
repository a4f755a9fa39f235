//! What the data plane counts. Labels are resolved once, at the start, so that counting is one atomic addition.

use std::sync::Arc;

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use super::dial::ConnectFailure;
use super::outcome::{Outcome, Refusal};
use super::settings::ClusterSettings;
use crate::leader::NodeId;

/// Buckets for holds, in seconds: an election takes tens of milliseconds to many seconds.
const HOLD_BUCKETS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];
/// Buckets for connects, in seconds: from loopback to `connect.timeout`.
const CONNECT_BUCKETS: [f64; 12] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 2.5];

/// The data plane's metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    connections: IntCounterVec,
    active: IntGaugeVec,
    refused: IntCounterVec,
    closed: IntCounterVec,
    bytes: IntCounterVec,
    accept_pauses: IntCounterVec,
    sessions: IntGaugeVec,
    held: IntGaugeVec,
    hold_duration: HistogramVec,
    hold_timeouts: IntCounterVec,
    connect_duration: HistogramVec,
    connect_failures: IntCounterVec,
    moved: IntCounterVec,
}

impl Metrics {
    /// Registers them all.
    ///
    /// # Errors
    /// If one of the names is taken, which is a defect of the program.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let by = Registrar(registry);
        Ok(Metrics {
            connections: by.counters(
                "connections_total",
                "Connections accepted: refused + closed + active",
                &["listener"],
            )?,
            active: by.gauges("connections_active", "Connections at this moment", &["listener"])?,
            refused: by.counters(
                "connections_refused_total",
                "Connections turned away",
                &["listener", "reason"],
            )?,
            closed: by.counters(
                "connections_closed_total",
                "Connections that ended, by why",
                &["listener", "reason"],
            )?,
            bytes: by.counters("bytes_total", "Bytes relayed", &["listener", "direction"])?,
            accept_pauses: by.counters(
                "accept_pauses_total",
                "Pauses of accepting for want of descriptors or memory",
                &["listener"],
            )?,
            sessions: by.gauges("sessions_active", "Clients joined to a node", &["cluster", "node"])?,
            held: by.gauges("held_connections", "Clients that wait for a route", &["cluster"])?,
            hold_duration: by.histograms(
                "hold_duration_seconds",
                "How long clients waited for a route",
                &HOLD_BUCKETS,
            )?,
            hold_timeouts: by.counters(
                "hold_timeouts_total",
                "Clients whose hold ended without a leader: refused, or sent to a stand-in",
                &["cluster"],
            )?,
            connect_duration: by.histograms(
                "connect_duration_seconds",
                "How long nodes took to accept",
                &CONNECT_BUCKETS,
            )?,
            connect_failures: by.counters(
                "connect_failures_total",
                "Connects to nodes that failed",
                &["cluster", "node", "reason"],
            )?,
            moved: by.counters(
                "connections_moved_total",
                "Dials repeated because the node was lost before its first byte",
                &["cluster"],
            )?,
        })
    }

    /// What has become of all connections so far, over all listeners.
    pub(super) fn totals(&self) -> Totals {
        Totals {
            accepted: sum(&self.connections),
            refused: sum(&self.refused),
            closed: sum(&self.closed),
            active: sum(&self.active),
        }
    }

    /// One listener's share.
    pub(super) fn listener(&self, name: &str) -> ListenerMetrics {
        ListenerMetrics {
            connections: self.connections.with_label_values(&[name]),
            active: self.active.with_label_values(&[name]),
            refused: Refusal::ALL.map(|reason| self.refused.with_label_values(&[name, reason.as_str()])),
            closed: Outcome::ALL.map(|reason| self.closed.with_label_values(&[name, reason.as_str()])),
            to_node: self.bytes.with_label_values(&[name, "to_node"]),
            to_client: self.bytes.with_label_values(&[name, "to_client"]),
            accept_pauses: self.accept_pauses.with_label_values(&[name]),
        }
    }

    /// One cluster's share.
    pub(super) fn cluster(&self, settings: &ClusterSettings) -> ClusterMetrics {
        let name = &*settings.name;
        ClusterMetrics {
            held: self.held.with_label_values(&[name]),
            hold_duration: self.hold_duration.with_label_values(&[name]),
            hold_timeouts: self.hold_timeouts.with_label_values(&[name]),
            connect_duration: self.connect_duration.with_label_values(&[name]),
            moved: self.moved.with_label_values(&[name]),
            nodes: settings.nodes.iter().map(|node| self.node(name, node)).collect(),
        }
    }

    fn node(&self, cluster: &str, node: &Arc<str>) -> NodeMetrics {
        NodeMetrics {
            sessions: self.sessions.with_label_values(&[cluster, node]),
            connect_failures: ConnectFailure::ALL
                .map(|reason| self.connect_failures.with_label_values(&[cluster, node, reason.as_str()])),
        }
    }
}

/// Connections since the start. Always: accepted = refused + closed + active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// All that came.
    pub accepted: i64,
    /// Those that were turned away.
    pub refused: i64,
    /// Those that were let in and have ended.
    pub closed: i64,
    /// Those that are there.
    pub active: i64,
}

/// The sum over all labels of a vector of counters or gauges of whole numbers.
fn sum(vector: &impl Collector) -> i64 {
    let families = vector.collect();
    let metrics = families.iter().flat_map(prometheus::proto::MetricFamily::get_metric);
    // Each has one of the two; the other reads 0.
    let values = metrics.map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value());
    #[expect(clippy::cast_possible_truncation, reason = "the library keeps whole numbers as floating ones")]
    values.map(|value| value as i64).sum()
}

/// What is counted by listener.
#[derive(Debug)]
pub(super) struct ListenerMetrics {
    pub(super) connections: IntCounter,
    pub(super) active: IntGauge,
    refused: [IntCounter; Refusal::ALL.len()],
    closed: [IntCounter; Outcome::ALL.len()],
    pub(super) to_node: IntCounter,
    pub(super) to_client: IntCounter,
    pub(super) accept_pauses: IntCounter,
}

impl ListenerMetrics {
    pub(super) fn refused(&self, reason: Refusal) -> &IntCounter {
        &self.refused[reason as usize]
    }

    pub(super) fn closed(&self, reason: Outcome) -> &IntCounter {
        &self.closed[reason as usize]
    }
}

/// What is counted by cluster.
#[derive(Debug)]
pub(super) struct ClusterMetrics {
    pub(super) held: IntGauge,
    pub(super) hold_duration: Histogram,
    pub(super) hold_timeouts: IntCounter,
    pub(super) connect_duration: Histogram,
    pub(super) moved: IntCounter,
    nodes: Vec<NodeMetrics>,
}

impl ClusterMetrics {
    /// `None` for a node that the settings do not name.
    pub(super) fn sessions(&self, node: NodeId) -> Option<&IntGauge> {
        self.nodes.get(node.0).map(|metrics| &metrics.sessions)
    }

    /// `None` for a node that the settings do not name.
    pub(super) fn connect_failures(&self, node: NodeId, reason: ConnectFailure) -> Option<&IntCounter> {
        self.nodes.get(node.0).map(|metrics| &metrics.connect_failures[reason as usize])
    }
}

#[derive(Debug)]
struct NodeMetrics {
    sessions: IntGauge,
    connect_failures: [IntCounter; ConnectFailure::ALL.len()],
}

/// A gauge that counts as long as this lives, whatever ends it.
#[derive(Debug)]
pub(super) struct Counted(IntGauge);

impl Counted {
    pub(super) fn by(gauge: &IntGauge) -> Self {
        gauge.inc();
        Counted(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Makes and registers vectors of metrics under the common prefix.
struct Registrar<'a>(&'a Registry);

impl Registrar<'_> {
    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        let counters = IntCounterVec::new(options(name, help), labels)?;
        self.0.register(Box::new(counters.clone()))?;
        Ok(counters)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
        let gauges = IntGaugeVec::new(options(name, help), labels)?;
        self.0.register(Box::new(gauges.clone()))?;
        Ok(gauges)
    }

    fn histograms(&self, name: &str, help: &str, buckets: &[f64]) -> Result<HistogramVec, prometheus::Error> {
        let options = HistogramOpts::from(options(name, help)).buckets(buckets.to_vec());
        let histograms = HistogramVec::new(options, &["cluster"])?;
        self.0.register(Box::new(histograms.clone()))?;
        Ok(histograms)
    }
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(format!("raftgate_{name}"), help)
}
