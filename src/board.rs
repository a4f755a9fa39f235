//! What is published for people to read: each cluster's status, and whether the gate is ready.
//!
//! `follow` writes, `admin` reads; nothing decides by what stands here.

mod event;
mod history;
mod traffic;

pub use event::{BoardEvent, Happened, OrderCause, Silence};
pub use history::{History, TenureStatus, VerdictStatus};
pub use traffic::{ListenerTraffic, Traffic};

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, ArcSwapOption};
use serde::Serialize;
use tokio::sync::watch;

use crate::intent::{Certificate, NodeId};

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
    /// Where clients go whose hold is over, while there is no route or its node takes no clients (S2).
    pub stand_in: Option<Arc<str>>,
    /// When the route, or the leaderless time, began (seconds since the Unix epoch).
    pub since: f64,
    /// How many nodes claim to lead.
    pub claims: usize,
    /// How often the route went to another node, or to one after none.
    pub leader_changes: u64,
    /// Alarms in force (L8), by name.
    pub alarms: Vec<&'static str>,
    /// Why the leader takes no clients, with its name and address, while the alarm `not_serving` is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_serving: Option<Arc<str>>,
    /// The nodes, in the order of their names; shown with what else is known of each.
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
    /// Which it is among all that the cluster has had.
    #[serde(skip)]
    pub id: NodeId,
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

/// Numbers the events of a process, and tells who waits for news that there is some.
#[derive(Debug, Default)]
struct Bell {
    /// Kept locked until an event is in its history: so all up to the last are in theirs.
    last: Mutex<u64>,
    /// The newest event whose consequences are published.
    rung: watch::Sender<u64>,
}

impl Bell {
    fn last(&self) -> MutexGuard<'_, u64> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        let last = *self.last();
        self.rung.send_replace(last);
    }
}

/// The published side of one cluster.
#[derive(Debug, Default)]
pub struct ClusterBoard {
    status: ArcSwap<ClusterStatus>,
    history: Mutex<History>,
    /// Whether something was noted since the status was published.
    noted: AtomicBool,
    /// Whether it is configured no more, and shown until its last session has ended (O2).
    leaving: AtomicBool,
    bell: Arc<Bell>,
}

impl ClusterBoard {
    /// The cluster has these nodes from now on.
    pub fn begin(&self, nodes: impl Iterator<Item = Arc<str>>) {
        self.history().begin(wall_clock(), nodes);
    }

    /// Replaces the status; whoever waits for news is told if something was noted before.
    pub fn publish(&self, status: ClusterStatus) {
        self.status.store(Arc::new(status));
        if self.noted.swap(false, Ordering::Relaxed) {
            self.bell.ring();
        }
    }

    /// The newest status.
    pub fn status(&self) -> Arc<ClusterStatus> {
        self.status.load_full()
    }

    /// Notes whether the cluster is configured no more, and is there only until its last session has ended (O2).
    pub fn set_leaving(&self, leaving: bool) {
        self.leaving.store(leaving, Ordering::Relaxed);
    }

    /// Whether it is.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// Adds to the history. Its consequences are published next.
    pub fn note(&self, what: Happened) {
        let mut last = self.bell.last();
        *last += 1;
        self.history().take(BoardEvent { id: *last, at: wall_clock(), what });
        drop(last);
        self.noted.store(true, Ordering::Relaxed);
    }

    /// What the cluster has lived through. Nothing else can be noted while it is looked at: be brief.
    pub fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything published.
#[derive(Debug, Default)]
pub struct Board {
    clusters: ArcSwap<Vec<(Arc<str>, Arc<ClusterBoard>)>>,
    bell: Arc<Bell>,
    /// When the process began to serve (seconds since the Unix epoch).
    started: f64,
    traffic: OnceLock<Traffic>,
    /// Listeners and their addresses, once all are bound.
    bound: ArcSwapOption<Vec<(Arc<str>, SocketAddr)>>,
    /// Whether it was ready once, or the process before it: what a reload or an upgrade adds does not change that.
    was_ready: AtomicBool,
    draining: AtomicBool,
}

impl Board {
    /// A board with a place for each of these clusters.
    pub fn new(clusters: impl IntoIterator<Item = Arc<str>>) -> Self {
        let board = Board { started: wall_clock(), ..Board::default() };
        board.set_clusters(clusters);
        board
    }

    /// From now on there are these clusters, in this order; what is known of those that stay is kept.
    pub fn set_clusters(&self, names: impl IntoIterator<Item = Arc<str>>) {
        let new = || Arc::new(ClusterBoard { bell: Arc::clone(&self.bell), ..ClusterBoard::default() });
        let with_board = |name: Arc<str>| {
            let board = self.cluster(&name).unwrap_or_else(new);
            (name, board)
        };
        self.clusters.store(Arc::new(names.into_iter().map(with_board).collect()));
    }

    /// When the process began to serve (seconds since the Unix epoch).
    pub fn started(&self) -> f64 {
        self.started
    }

    /// The id of the newest event, whenever there is another and what follows from it is published.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.bell.rung.subscribe()
    }

    /// The id of the newest event. All up to it are in their clusters' histories.
    pub fn newest(&self) -> u64 {
        *self.bell.last()
    }

    /// Says where the data plane's figures are.
    pub fn set_traffic(&self, traffic: Traffic) {
        // The data plane starts once in a process's life; a second call would say the same.
        let _ = self.traffic.set(traffic);
    }

    /// The data plane's figures, once it is there.
    pub fn traffic(&self) -> Option<&Traffic> {
        self.traffic.get()
    }

    /// The clusters by name as they are now, in the order of the configuration.
    pub fn clusters(&self) -> impl Iterator<Item = (Arc<str>, Arc<ClusterBoard>)> + use<> {
        Vec::clone(&self.clusters.load()).into_iter()
    }

    /// One cluster.
    pub fn cluster(&self, name: &str) -> Option<Arc<ClusterBoard>> {
        let clusters = self.clusters.load();
        clusters.iter().find_map(|(known, board)| (**known == *name).then(|| Arc::clone(board)))
    }

    /// Notes that every listener is bound and accepts, and where; said again after each change.
    pub fn set_bound(&self, listeners: Vec<(Arc<str>, SocketAddr)>) {
        self.bound.store(Some(Arc::new(listeners)));
    }

    /// The listeners with the addresses they are bound to; none before all are.
    pub fn listeners(&self) -> impl Iterator<Item = (Arc<str>, SocketAddr)> {
        self.bound.load_full().map_or_else(Vec::new, Arc::unwrap_or_clone).into_iter()
    }

    /// Notes that the gate goes on for one that was ready (O3), and so is ready itself whatever it has yet to find out. It
    /// must not be asked before its listeners are bound.
    pub fn set_ready(&self) {
        self.was_ready.store(true, Ordering::Release);
    }

    /// Notes that the gate is about to stop; it is not ready any more.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Why the gate is not ready, if it is not: bound, first round of probes done, not draining. Once it is ready, only
    /// draining ends that: clients of a cluster that a reload, or an upgrade, adds are held until it is known, as others
    /// are (S2).
    pub fn not_ready(&self) -> Option<String> {
        if self.draining.load(Ordering::Acquire) {
            return Some("draining".to_owned());
        }
        if self.was_ready.load(Ordering::Acquire) {
            return None;
        }
        if self.bound.load().is_none() {
            return Some("listeners are not bound yet".to_owned());
        }
        let waiting = self.clusters().find(|(_, board)| !board.status().first_round_done);
        self.was_ready.store(waiting.is_none(), Ordering::Release);
        waiting.map(|(name, _)| format!("cluster {name}: the first round of probes is not done"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_is_told_once_what_follows_from_it_is_published() {
        let board = Board::new(["a".into(), "b".into()]);
        let mut news = board.news();
        let [a, b] = ["a", "b"].map(|name| board.cluster(name).unwrap());
        a.publish(ClusterStatus::default());
        assert!(!news.has_changed().unwrap(), "a status alone is no news");
        a.note(Happened::AlarmRaised { alarm: "conflict" });
        assert!(!news.has_changed().unwrap(), "the status does not show it yet");
        a.publish(ClusterStatus::default());
        assert_eq!((news.has_changed().unwrap(), *news.borrow_and_update()), (true, 1));
        b.note(Happened::AlarmRaised { alarm: "conflict" });
        b.publish(ClusterStatus::default());
        assert_eq!(*news.borrow_and_update(), 2, "ids grow over all clusters");
    }

    #[test]
    fn o3_a_gate_that_goes_on_for_one_that_was_ready_is_ready_whatever_it_has_yet_to_find_out() {
        let board = Board::new(["a".into()]);
        assert!(board.not_ready().is_some());
        board.set_ready();
        assert_eq!(board.not_ready(), None);
        board.set_draining();
        assert_eq!(board.not_ready().as_deref(), Some("draining"));
    }
}
