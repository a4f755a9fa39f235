//! What the program needs to know, checked and typed: nothing later checks it again.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tracing::Level;

use super::address::HostPort;
use super::presets::Preset;
use crate::follow::{FateSettings, HoldThen};
use crate::leader::Policy;
use crate::probe::judge::Rules;
use crate::probe::tls::{Pin, SpiffeId, TrustDomain};
use crate::probe::{ClientFiles, Roots, Verify};
use crate::proxy::{Access, LogConnections, Proxies, Routes};
use crate::tenure::To;
use crate::wire::proxy_header::Version;

/// A whole configuration, defaults and presets filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Threads of the data plane; at least 1.
    pub workers: usize,
    /// Connections in all, held and relayed; at least 1.
    pub max_connections: usize,
    /// What is logged, and how.
    pub log: LogSettings,
    /// How long sessions may take to end by themselves at a stop (O4).
    pub shutdown_drain: Duration,
    /// How long sessions may stay with a process that has handed over to a new one (O3); `None`: as long as they like.
    pub upgrade_drain: Option<Duration>,
    /// Where metrics, health and status are served; `None`: nowhere.
    pub admin_bind: Option<SocketAddr>,
    /// The Unix socket on which the gate is controlled (O6), an absolute path; `None`: nowhere.
    pub admin_socket: Option<PathBuf>,
    /// Names that the admin listener may be asked by, besides addresses and names without a dot (O6).
    pub admin_hosts: Vec<String>,
    /// Where clients arrive, in the order of their names; at least one.
    pub listeners: Vec<Listener>,
    /// Where they may go, in the order of their names; at least one.
    pub clusters: Vec<Arc<Cluster>>,
}

/// The log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// For people or for machines.
    pub format: LogFormat,
    /// The least important level that is shown.
    pub level: Level,
    /// Which connections have a line when they end.
    pub connections: LogConnections,
}

/// What a line of the log looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where clients arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name.
    pub name: Arc<str>,
    /// The addresses to bind, at least one; an unspecified IPv6 address is dual-stack.
    pub bind: Vec<SocketAddr>,
    /// Where clients go whom no route takes: a place in [`Config::clusters`]. `None`: they are refused.
    pub cluster: Option<usize>,
    /// Where others go, by their `ClientHello`.
    pub routes: Routes,
    /// To which of a cluster's nodes.
    pub to: To,
    /// The names that clients use, each a DNS name or an IP address: looked at by `check --probe` alone.
    pub public_names: Vec<String>,
    /// Whose connections begin with a PROXY header; IPv4-mapped networks have become IPv4.
    pub proxies: Proxies,
    /// Who may come in (S8); IPv4-mapped networks have become IPv4.
    pub access: Access,
    /// Connections here (S8), at least 1; `None`: only bounded in all.
    pub max_connections: Option<usize>,
    /// Connections of one IPv4 address or IPv6 network of 64 bits (S8), at least 1.
    pub max_connections_per_source: Option<usize>,
}

/// The nodes of one raft group, and how they and their clients are treated.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Its name.
    pub name: Arc<str>,
    /// The preset that its defaults came from.
    pub preset: Preset,
    /// Its nodes in the order of their names, at least one; a node's place here is its `NodeId`.
    pub nodes: Vec<Node>,
    /// How old the leader's word may be on which a client is sent to it; zero: each client waits for a probe begun
    /// after it came. `None`: as old as the route lets it become (L7).
    pub max_age: Option<Duration>,
    /// How the leader is found.
    pub probe: Probe,
    /// What happens to clients while nobody leads (S2).
    pub hold: Hold,
    /// What becomes of sessions whose node leads no more (S5).
    pub fates: FateSettings,
    /// How long a drained session may take to end by itself (S5).
    pub drain: Duration,
    /// How nodes are dialled.
    pub connect: Connect,
    /// When quiet sessions end (S6).
    pub timeouts: Timeouts,
    /// How long after an answer of the name service nodes' names are looked up again.
    pub dns_refresh: Duration,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: Arc<str>,
    /// Where clients' bytes go; no other node of the cluster has it.
    pub address: HostPort,
    /// Where it is probed; no other node of the cluster has it.
    pub probe_address: HostPort,
    /// The name that its certificate has to bear, also sent as SNI: a DNS name or an IP address.
    pub server_name: String,
    /// The SPIFFE id that its certificate has to bear as well.
    pub spiffe_id: Option<SpiffeId>,
    /// Preferred among claims that have no order (L3); higher first.
    pub priority: i32,
}

/// How the leader of a cluster is found.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// Path and query.
    pub path: String,
    /// A method that may be sent without a body.
    pub method: String,
    /// The `Host` header; `None`: each node's own name and port.
    pub host: Option<String>,
    /// Further headers, in the order of their names.
    pub headers: Vec<(String, String)>,
    /// What an answer means.
    pub rules: Arc<Rules>,
    /// Timings and thresholds; the lease that follows from them cannot overflow.
    pub policy: Policy,
    /// How long a kept-alive connection is used before it is renewed (L6).
    pub renew: Duration,
    /// How nodes prove who they are; `None`: they are asked without TLS.
    pub tls: Option<Tls>,
}

/// How nodes prove who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// What is verified.
    pub verify: Verify,
    /// Whom to trust.
    pub roots: Roots,
    /// The keys to accept; not empty with [`Verify::Pin`], else empty.
    pub pins: Vec<Pin>,
    /// The trust domain that certificates have to be of as well.
    pub spiffe_trust_domain: Option<TrustDomain>,
    /// What the gate shows of itself.
    pub client: Option<ClientFiles>,
}

/// What happens to clients while nobody leads (S2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// How long after the cluster became leaderless they are held.
    pub timeout: Duration,
    /// How many may be held at once; 0 holds nobody.
    pub limit: usize,
    /// Where they go then.
    pub then: HoldThen,
}

/// How nodes are dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// How long a node may take to accept (S3).
    pub timeout: Duration,
    /// Whether it is dialled only when the client has said something (D10).
    pub on_first_byte: bool,
    /// How long the client may take to complete its opening where it speaks first; `None`: no limit but inactivity (S8).
    pub first_byte_timeout: Option<Duration>,
    /// The PROXY header that it is told first who its client is with; `None`: it is not told. Probes that go to the
    /// address that clients go to begin with one, too.
    pub send_proxy: Option<Version>,
    /// The gate's own addresses to connect clients from, in turn; none: the system chooses. None of them is mapped.
    pub source: Arc<[IpAddr]>,
}

/// When quiet sessions end (S6); `None`: never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Both directions open.
    pub idle: Option<Duration>,
    /// One direction closed.
    pub half_closed: Option<Duration>,
}
