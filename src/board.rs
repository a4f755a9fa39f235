//! What is published for people to read: each cluster's status, and whether the gate is ready.
//!
//! `follow` writes, `admin` reads; nothing decides by what stands here.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use serde::Serialize;

use crate::intent::Certificate;

/// How many of a cluster's newest events are kept.
const EVENTS_KEPT: usize = 256;

/// Wall-clock time, in seconds since the Unix epoch: for people and time series, never for decisions (L9).
pub fn wall_clock() -> f64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the wall clock, for display only"
    )]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
}

/// One cluster, as shown.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ClusterStatus {
    /// The route's node.
    pub leader: Option<Arc<str>>,
    /// The route's epoch.
    pub epoch: Option<u64>,
    /// Where clients go whose hold is over, while there is no route (S2).
    pub stand_in: Option<Arc<str>>,
    /// When the route, or the leaderless time, began (seconds since the Unix epoch).
    pub since: f64,
    /// How many nodes claim to lead.
    pub claims: usize,
    /// How often the route went to another node, or to one after none.
    pub leader_changes: u64,
    /// Alarms in force (L8), by name.
    pub alarms: Vec<&'static str>,
    /// The nodes, in the order of their names. Whoever shows them adds what they have to do.
    #[serde(skip)]
    pub nodes: Vec<NodeStatus>,
    /// For each kind of readers that some listener has: the names of the nodes that they go to.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub readers: BTreeMap<&'static str, Vec<Arc<str>>>,
    /// Whether every node has been probed at least once.
    pub first_round_done: bool,
}

/// One node, as shown.
#[derive(Clone, Debug, Serialize)]
pub struct NodeStatus {
    /// Its name.
    pub name: Arc<str>,
    /// Where clients' bytes go.
    pub address: Arc<str>,
    /// What it counts as.
    pub state: &'static str,
    /// What an operator has ordered for it (L10): `drain` or `pin`.
    #[serde(rename = "override")]
    pub overridden: Option<&'static str>,
    /// What the newest probe saw, in words.
    pub detail: Arc<str>,
    /// The newest probe's duration in milliseconds.
    pub latency_ms: Option<f64>,
    /// When the newest verdict arrived (seconds since the Unix epoch).
    pub last_verdict: Option<f64>,
    /// The certificate that it presented to the probe.
    pub certificate: Option<Arc<Certificate>>,
}

/// One thing that happened, as shown.
#[derive(Clone, Debug, Serialize)]
pub struct BoardEvent {
    /// Seconds since the Unix epoch.
    pub at: f64,
    /// What happened, in words.
    pub message: String,
}

/// The published side of one cluster.
#[derive(Debug, Default)]
pub struct ClusterBoard {
    status: ArcSwap<ClusterStatus>,
    events: Mutex<VecDeque<BoardEvent>>,
}

impl ClusterBoard {
    /// Replaces the status.
    pub fn publish(&self, status: ClusterStatus) {
        self.status.store(Arc::new(status));
    }

    /// The newest status.
    pub fn status(&self) -> Arc<ClusterStatus> {
        self.status.load_full()
    }

    /// Adds to the ring of events; the oldest makes room.
    pub fn note(&self, message: String) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() == EVENTS_KEPT {
            events.pop_front();
        }
        events.push_back(BoardEvent { at: wall_clock(), message });
    }

    /// The events kept, oldest first.
    pub fn events(&self) -> Vec<BoardEvent> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// Everything published.
#[derive(Debug, Default)]
pub struct Board {
    clusters: Vec<(Arc<str>, Arc<ClusterBoard>)>,
    /// Listeners and their addresses, once all are bound.
    bound: OnceLock<Vec<(Arc<str>, SocketAddr)>>,
    draining: AtomicBool,
}

impl Board {
    /// A board with a place for each of these clusters.
    pub fn new(clusters: impl IntoIterator<Item = Arc<str>>) -> Self {
        Board {
            clusters: clusters.into_iter().map(|name| (name, Arc::default())).collect(),
            ..Board::default()
        }
    }

    /// The clusters by name, in the order of the configuration.
    pub fn clusters(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<ClusterBoard>)> {
        self.clusters.iter().map(|(name, board)| (name, board))
    }

    /// One cluster.
    pub fn cluster(&self, name: &str) -> Option<&Arc<ClusterBoard>> {
        self.clusters().find_map(|(n, board)| (&**n == name).then_some(board))
    }

    /// Notes that every listener is bound and accepts, and where.
    pub fn set_bound(&self, listeners: Vec<(Arc<str>, SocketAddr)>) {
        // Listeners are bound once in a process's life; a second call would say the same.
        let _ = self.bound.set(listeners);
    }

    /// The listeners with the addresses they are bound to; none before all are.
    pub fn listeners(&self) -> impl Iterator<Item = (Arc<str>, SocketAddr)> {
        self.bound.get().into_iter().flatten().cloned()
    }

    /// Notes that the gate is about to stop; it is not ready any more.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Why the gate is not ready, if it is not: bound, first round of probes done, not draining.
    pub fn not_ready(&self) -> Option<String> {
        if self.draining.load(Ordering::Acquire) {
            return Some("draining".to_owned());
        }
        if self.bound.get().is_none() {
            return Some("listeners are not bound yet".to_owned());
        }
        self.clusters()
            .find(|(_, board)| !board.status().first_round_done)
            .map(|(name, _)| format!("cluster {name}: the first round of probes is not done"))
    }
}
