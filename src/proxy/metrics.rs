//! What the data plane counts. Labels are resolved once, at the start, so that counting is one atomic addition.

use std::sync::Arc;

use prometheus::core::{AtomicI64, AtomicU64};
use prometheus::{Histogram, HistogramOpts, HistogramVec, Registry};

use super::dial::ConnectFailure;
use super::outcome::{Outcome, Refusal};
use super::settings::ClusterSettings;
use crate::board::Traffic;
use crate::metrics::{Counter, Family, Gauge};
use crate::tenure::Tenure;

/// Buckets for holds, in seconds: an election takes tens of milliseconds to many seconds.
const HOLD_BUCKETS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];
/// Buckets for connects, in seconds: from loopback to `connect.timeout`.
const CONNECT_BUCKETS: [f64; 12] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 2.5];

/// What every name begins with.
const PREFIX: &str = "raftgate_";

/// The data plane's metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    connections: Family<AtomicU64>,
    active: Family<AtomicI64>,
    refused: Family<AtomicU64>,
    closed: Family<AtomicU64>,
    bytes: Family<AtomicU64>,
    accept_pauses: Family<AtomicU64>,
    sessions: Family<AtomicI64>,
    held: Family<AtomicI64>,
    hold_duration: HistogramVec,
    hold_timeouts: Family<AtomicU64>,
    connect_duration: HistogramVec,
    connect_failures: Family<AtomicU64>,
    moved: Family<AtomicU64>,
    pipe_refusals: Family<AtomicU64>,
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
            sessions: by
                .gauges("sessions_active", "Clients joined to a node, or connected to it and waiting for its first byte", &["cluster", "node"])?
                .shown_while_used(),
            held: by.gauges("held_connections", "Clients that wait for a route", &["cluster"])?,
            hold_duration: by.histograms(
                "hold_duration_seconds",
                "How long clients waited: for a route, their turn in a crowd, or a node that had failed them",
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
            connect_failures: by
                .counters(
                    "connect_failures_total",
                    "Connects to nodes that failed",
                    &["cluster", "node", "reason"],
                )?
                .shown_while_used(),
            moved: by.counters(
                "connections_moved_total",
                "Dials repeated because the node was lost before its first byte",
                &["cluster"],
            )?,
            pipe_refusals: by.counters(
                "pipe_refusals_total",
                "Pipes that the kernel refused: bulk is copied meanwhile, at more CPU time. At most one a second and worker",
                &[],
            )?,
        })
    }

    /// Where the figures are that people are shown.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            sessions: self.sessions.clone(),
            held: self.held.clone(),
            active: self.active.clone(),
            accepted: self.connections.clone(),
            refused: self.refused.clone(),
        }
    }

    /// How often the kernel has refused a pipe.
    pub(super) fn pipe_refusals(&self) -> Counter {
        self.pipe_refusals.with(&[])
    }

    /// What has become of all connections so far, over all listeners.
    pub(super) fn totals(&self) -> Totals {
        Totals {
            accepted: whole(self.connections.sum()),
            refused: whole(self.refused.sum()),
            closed: whole(self.closed.sum()),
            active: self.active.sum(),
        }
    }

    /// Shows nothing of a cluster any more that has no client any more. What is shown of its nodes ends by itself.
    pub fn forget_cluster(&self, cluster: &str) {
        self.held.forget(&[cluster]);
        for counter in [&self.hold_timeouts, &self.moved] {
            counter.forget(&[cluster]);
        }
        for histogram in [&self.hold_duration, &self.connect_duration] {
            // It fails if it is not there: so it shall be.
            let _ = histogram.remove_label_values(&[cluster]);
        }
    }

    /// One listener's share.
    pub(super) fn listener(&self, name: &str) -> ListenerMetrics {
        ListenerMetrics {
            connections: self.connections.with(&[name]),
            active: self.active.with(&[name]),
            refused: Refusal::ALL.map(|reason| self.refused.with(&[name, reason.as_str()])),
            closed: Outcome::ALL.map(|reason| self.closed.with(&[name, reason.as_str()])),
            to_node: self.bytes.with(&[name, "to_node"]),
            to_client: self.bytes.with(&[name, "to_client"]),
            accept_pauses: self.accept_pauses.with(&[name]),
        }
    }

    /// One cluster's share.
    pub(super) fn cluster(&self, settings: &ClusterSettings) -> ClusterMetrics {
        let name = &*settings.name;
        ClusterMetrics {
            held: self.held.with(&[name]),
            hold_duration: self.hold_duration.with_label_values(&[name]),
            hold_timeouts: self.hold_timeouts.with(&[name]),
            connect_duration: self.connect_duration.with_label_values(&[name]),
            moved: self.moved.with(&[name]),
            nodes: settings.nodes.iter().map(|node| Some(self.node(name, node.as_ref()?))).collect(),
            of_others: OfOthers {
                cluster: Arc::clone(&settings.name),
                sessions: self.sessions.clone(),
                connect_failures: self.connect_failures.clone(),
            },
        }
    }

    fn node(&self, cluster: &str, node: &Arc<str>) -> NodeMetrics {
        NodeMetrics {
            sessions: self.sessions.with(&[cluster, node]),
            connect_failures: ConnectFailure::ALL
                .map(|reason| self.connect_failures.with(&[cluster, node, reason.as_str()])),
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

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// What is counted by listener.
#[derive(Debug)]
pub(super) struct ListenerMetrics {
    pub(super) connections: Counter,
    pub(super) active: Gauge,
    refused: [Counter; Refusal::ALL.len()],
    closed: [Counter; Outcome::ALL.len()],
    pub(super) to_node: Counter,
    pub(super) to_client: Counter,
    pub(super) accept_pauses: Counter,
}

impl ListenerMetrics {
    pub(super) fn refused(&self, reason: Refusal) -> &Counter {
        &self.refused[reason as usize]
    }

    pub(super) fn closed(&self, reason: Outcome) -> &Counter {
        &self.closed[reason as usize]
    }
}

/// What is counted by cluster.
#[derive(Debug)]
pub(super) struct ClusterMetrics {
    pub(super) held: Gauge,
    pub(super) hold_duration: Histogram,
    pub(super) hold_timeouts: Counter,
    pub(super) connect_duration: Histogram,
    pub(super) moved: Counter,
    nodes: Vec<Option<NodeMetrics>>,
    of_others: OfOthers,
}

/// Where nodes are counted that the settings do not have, or have no more: clients may meet them all the same.
#[derive(Debug)]
struct OfOthers {
    cluster: Arc<str>,
    sessions: Family<AtomicI64>,
    connect_failures: Family<AtomicU64>,
}

impl ClusterMetrics {
    /// Clients joined to a tenure's node.
    pub(super) fn sessions(&self, tenure: &Tenure) -> Gauge {
        let of_other = || self.of_others.sessions.with(&[&self.of_others.cluster, &tenure.name]);
        self.node(tenure).map_or_else(of_other, |node| node.sessions.clone())
    }

    /// Failed connects to a tenure's node.
    pub(super) fn connect_failures(&self, tenure: &Tenure, reason: ConnectFailure) -> Counter {
        if let Some(node) = self.node(tenure) {
            return node.connect_failures[reason as usize].clone();
        }
        let OfOthers { cluster, connect_failures, .. } = &self.of_others;
        connect_failures.with(&[cluster, &tenure.name, reason.as_str()])
    }

    fn node(&self, tenure: &Tenure) -> Option<&NodeMetrics> {
        self.nodes.get(tenure.node.0)?.as_ref()
    }
}

#[derive(Debug)]
struct NodeMetrics {
    sessions: Gauge,
    connect_failures: [Counter; ConnectFailure::ALL.len()],
}

/// A gauge that counts as long as this lives, whatever ends it.
#[derive(Debug)]
pub(super) struct Counted(Gauge);

impl Counted {
    pub(super) fn by(gauge: &Gauge) -> Self {
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
    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<Family<AtomicU64>, prometheus::Error> {
        Family::counters(self.0, &format!("{PREFIX}{name}"), help, labels)
    }

    fn gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<Family<AtomicI64>, prometheus::Error> {
        Family::gauges(self.0, &format!("{PREFIX}{name}"), help, labels)
    }

    fn histograms(&self, name: &str, help: &str, buckets: &[f64]) -> Result<HistogramVec, prometheus::Error> {
        let options = HistogramOpts::new(format!("{PREFIX}{name}"), help).buckets(buckets.to_vec());
        let histograms = HistogramVec::new(options, &["cluster"])?;
        self.0.register(Box::new(histograms.clone()))?;
        Ok(histograms)
    }
}
