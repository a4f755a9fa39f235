//! What the data plane has to know; made by `config`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::access::Access;
use super::proxy_header::Proxies;
use super::routes::Routes;
use crate::tenure::To;
use crate::wire::proxy_header::Version;

/// The whole data plane.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many worker threads; at least 1.
    pub workers: usize,
    /// Connections in all, held and relayed.
    pub max_connections: usize,
    /// Pipes of one worker for sessions that move much at a time (D3); each takes two descriptors. 0: they are copied.
    pub pipes: usize,
    /// Which connections have a line in the log when they end.
    pub log_connections: LogConnections,
    /// Where clients arrive.
    pub listeners: Vec<ListenerSettings>,
    /// Where they may go.
    pub clusters: Vec<ClusterSettings>,
}

/// Which connections have a line in the log when they end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogConnections {
    /// None.
    None,
    /// Those on which a byte has come: neither balancers' checks nor port scans.
    Useful,
    /// All.
    All,
}

/// One listener.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    /// Its name.
    pub name: Arc<str>,
    /// The addresses it is bound to.
    pub bind: Vec<SocketAddr>,
    /// The cluster that clients go to whom no route takes: a place in [`Settings::clusters`]. `None`: they are refused.
    pub cluster: Option<usize>,
    /// Where others go, by their `ClientHello`.
    pub routes: Routes,
    /// Whose connections begin with a PROXY header; the client is then whom it names, also for what follows here.
    pub proxies: Proxies,
    /// To which of a cluster's nodes.
    pub to: To,
    /// Who may come in.
    pub access: Access,
    /// Connections at this listener, held and relayed (S8); `None`: only bounded in all.
    pub max_connections: Option<usize>,
    /// Connections of one IPv4 address or IPv6 network of 64 bits (S8).
    pub max_connections_per_source: Option<usize>,
}

impl ListenerSettings {
    /// Every cluster that its clients may go to; some may be told twice.
    pub(super) fn clusters(&self) -> impl Iterator<Item = usize> {
        self.cluster.into_iter().chain(self.routes.table.iter().filter_map(|route| route.target.cluster()))
    }
}

/// How clients of one cluster are treated.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterSettings {
    /// The cluster's name.
    pub name: Arc<str>,
    /// The names of its nodes, in the order of their `NodeId`s; `None` for one that is not there any more.
    pub nodes: Vec<Option<Arc<str>>>,
    /// How long after the cluster became leaderless a client is held (S2).
    pub hold_timeout: Duration,
    /// How old the leader's word may be on which a client goes to it; zero: each client waits for a probe begun after
    /// it came. `None`: as old as the route lets it become (L7).
    pub max_age: Option<Duration>,
    /// How many clients may be held at once, over all workers (S2).
    pub hold_limit: usize,
    /// How long a node may take to accept (S3).
    pub connect_timeout: Duration,
    /// Whether the node is dialled only when the client has said something (D10).
    pub on_first_byte: bool,
    /// How long a client that has to speak first may take to complete its opening; `None`: as long as it is not idle.
    pub first_byte_timeout: Option<Duration>,
    /// The PROXY header that the node is told first who its client is with; `None`: it is not told.
    pub send_proxy: Option<Version>,
    /// The gate's own addresses to connect from, in turn; none: the system chooses.
    pub source: Arc<[IpAddr]>,
    /// Inactivity after which a session ends (S6); `None`: never.
    pub idle: Option<Duration>,
    /// Inactivity after which a half-closed session ends (S6); `None`: never.
    pub half_closed: Option<Duration>,
    /// How long a drained session may take to end by itself (S5).
    pub drain: Duration,
}
