//! What one node's prober has to know; made by `config`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::judge::Rules;
use super::tls::{Pin, SpiffeId, TrustDomain};
use crate::leader::NodeId;
use crate::names::Address;
use crate::wire::proxy_header::Version;

/// One node's prober.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// The node's name.
    pub node: Arc<str>,
    /// The node's place in the cluster.
    pub id: NodeId,
    /// Where the leader endpoint is.
    pub address: Address,
    /// The PROXY header that each connection begins with, where nobody is served without one.
    pub send_proxy: Option<Version>,
    /// TLS, or `None` for plain HTTP.
    pub tls: Option<TlsSettings>,
    /// What to ask.
    pub request: Request,
    /// What the answer means.
    pub rules: Arc<Rules>,
    /// Steady distance between probes.
    pub interval: Duration,
    /// Distance between probes at a fast pace (L5).
    pub fast_interval: Duration,
    /// The one deadline over connect, TLS and HTTP (L6).
    pub timeout: Duration,
    /// How long a kept-alive connection is used before it is renewed (L6).
    pub renew: Duration,
}

/// The HTTP request of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The `Host` header.
    pub host: String,
    /// Further headers, in order.
    pub headers: Vec<(String, String)>,
}

/// How the node proves who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// What is verified of its certificate.
    pub verify: Verify,
    /// Whom to trust.
    pub roots: Roots,
    /// The name sent as SNI, and the one to verify: a DNS name or an IP address.
    pub server_name: String,
    /// The keys that are accepted with [`Verify::Pin`]; else not looked at.
    pub pins: Vec<Pin>,
    /// The trust domain that a chain must vouch for, too.
    pub spiffe_trust_domain: Option<TrustDomain>,
    /// The id that a chain must vouch for, too.
    pub spiffe_id: Option<SpiffeId>,
    /// What the gate shows of itself.
    pub client: Option<ClientFiles>,
}

impl TlsSettings {
    /// Without pins, SPIFFE and client certificate.
    pub fn new(verify: Verify, roots: Roots, server_name: impl Into<String>) -> Self {
        TlsSettings {
            verify,
            roots,
            server_name: server_name.into(),
            pins: Vec::new(),
            spiffe_trust_domain: None,
            spiffe_id: None,
            client: None,
        }
    }
}

/// The PEM files of a client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFiles {
    /// The certificate, and then those that vouch for it.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// What is verified of a node's certificate. The handshake's signature is verified in every mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Chain, validity and name.
    Full,
    /// Chain and validity; any name.
    Chain,
    /// The key alone: it has to be one of the pins.
    Pin,
    /// Nothing: anybody on the path can claim leadership. Said loudly at start.
    None,
}

/// Where trusted certificates come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// The system's store.
    System,
    /// A PEM file, of one certificate or many.
    File(PathBuf),
}
