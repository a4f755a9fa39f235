//! What `/status`, `/events` and the page tell: one picture of everything published, taken at one moment.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::Serialize;

use crate::board::{
    Board, BoardEvent, ClusterBoard, ClusterStatus, ListenerTraffic, NodeStatus, TenureStatus, VerdictStatus,
    wall_clock,
};

/// Everything, or what has changed of it.
#[derive(Debug, Serialize)]
pub(super) struct Snapshot {
    pub(super) version: &'static str,
    /// When the process began to serve (seconds since the Unix epoch, as all moments here).
    pub(super) started: f64,
    /// When this was taken.
    pub(super) now: f64,
    pub(super) ready: bool,
    /// Why it is not.
    pub(super) not_ready: Option<String>,
    /// Whether all clusters are here, with their histories; else those that have changed, without.
    pub(super) complete: bool,
    /// One for each bound address.
    pub(super) listeners: Vec<Listener>,
    /// By the listeners' names.
    pub(super) connections: BTreeMap<Arc<str>, ListenerTraffic>,
    pub(super) clusters: BTreeMap<Arc<str>, Cluster>,
}

/// One of a listener's addresses.
#[derive(Debug, Serialize)]
pub(super) struct Listener {
    pub(super) name: Arc<str>,
    pub(super) address: SocketAddr,
}

/// One cluster with its figures.
#[derive(Debug, Serialize)]
pub(super) struct Cluster {
    #[serde(flatten)]
    pub(super) status: Arc<ClusterStatus>,
    /// Whether it is configured no more, and is there only until its last session has ended.
    #[serde(skip_serializing_if = "is_false")]
    pub(super) leaving: bool,
    /// Clients that wait for a route.
    pub(super) held: i64,
    pub(super) nodes: Vec<Node>,
    #[serde(flatten)]
    pub(super) history: Option<History>,
}

/// One node with its figures.
#[derive(Debug, Serialize)]
pub(super) struct Node {
    #[serde(flatten)]
    pub(super) status: NodeStatus,
    /// Clients joined to it.
    pub(super) sessions: i64,
    /// What it counted as, and from when on; the first tells how far this reaches back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verdicts: Option<Vec<VerdictStatus>>,
}

/// What a cluster has lived through, oldest first.
#[derive(Debug, Serialize)]
pub(super) struct History {
    pub(super) tenures: Vec<TenureStatus>,
    pub(super) events: Vec<BoardEvent>,
}

/// How much of a cluster is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    Moment,
    WithHistory,
}

impl Snapshot {
    /// All there is.
    pub(super) fn whole(board: &Board) -> Self {
        let all = board.clusters().map(|(name, cluster)| {
            let status = cluster.status();
            (name, cluster, status)
        });
        Self::take(board, all, Depth::WithHistory)
    }

    /// Some clusters at this moment.
    pub(super) fn of(
        board: &Board,
        clusters: impl IntoIterator<Item = (Arc<str>, Arc<ClusterBoard>, Arc<ClusterStatus>)>,
    ) -> Self {
        Self::take(board, clusters, Depth::Moment)
    }

    fn take(
        board: &Board,
        clusters: impl IntoIterator<Item = (Arc<str>, Arc<ClusterBoard>, Arc<ClusterStatus>)>,
        depth: Depth,
    ) -> Self {
        let not_ready = board.not_ready();
        let listeners: Vec<_> = board.listeners().map(|(name, address)| Listener { name, address }).collect();
        let connections = listeners.iter().map(|listener| {
            let traffic = board.traffic().map(|traffic| traffic.listener(&listener.name));
            (Arc::clone(&listener.name), traffic.unwrap_or_default())
        });
        let clusters = clusters.into_iter();
        Snapshot {
            version: env!("CARGO_PKG_VERSION"),
            started: board.started(),
            now: wall_clock(),
            ready: not_ready.is_none(),
            not_ready,
            complete: depth == Depth::WithHistory,
            connections: connections.collect(),
            listeners,
            clusters: clusters
                .map(|(name, cluster, status)| {
                    let shown = of_cluster(board, &name, &cluster, status, depth);
                    (name, shown)
                })
                .collect(),
        }
    }
}

fn of_cluster(
    board: &Board,
    name: &str,
    cluster: &ClusterBoard,
    status: Arc<ClusterStatus>,
    depth: Depth,
) -> Cluster {
    let traffic = board.traffic();
    let history = (depth == Depth::WithHistory).then(|| cluster.history());
    let nodes = status.nodes.iter().map(|node| Node {
        sessions: traffic.map_or(0, |traffic| traffic.sessions.sum_of(&[name, &node.name])),
        verdicts: history.as_ref().map(|history| history.verdicts(&node.name).copied().collect()),
        status: node.clone(),
    });
    Cluster {
        leaving: cluster.is_leaving(),
        held: traffic.map_or(0, |traffic| traffic.held.sum_of(&[name])),
        nodes: nodes.collect(),
        history: history.as_ref().map(|history| History {
            tenures: history.tenures.iter().cloned().collect(),
            events: history.events.iter().cloned().collect(),
        }),
        status,
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_false(value: &bool) -> bool {
    !*value
}
