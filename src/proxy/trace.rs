//! What is known of one connection for the log, and who its client is.

use std::cell::{Cell, OnceCell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

use super::generation::Cluster;
use super::outcome::Ending;
use crate::relay::Meter;
use crate::tenure::Tenure;
use crate::wire::proxy_header::Addresses;

/// What the log tells of a connection at its end, and the census before.
#[derive(Debug)]
pub(super) struct Trace {
    peer: SocketAddr,
    accepted: Instant,
    pub(super) held: Cell<Duration>,
    connect: Cell<Duration>,
    pub(super) moves: Cell<u32>,
    /// Whether the client's first words have been read.
    pub(super) has_words: Cell<bool>,
    local_port: Cell<Option<u16>>,
    node: RefCell<Option<Arc<str>>>,
    /// The cluster that it was sent to.
    cluster: OnceCell<Rc<Cluster>>,
    /// Whose connection it is, where a proxy has told. Boxed, for most come without.
    proxied: OnceCell<Box<Addresses>>,
}

impl Trace {
    pub(super) fn new(peer: SocketAddr) -> Self {
        Trace {
            // A dual-stack listener knows IPv4 clients by a mapped address; people do not.
            peer: SocketAddr::new(peer.ip().to_canonical(), peer.port()),
            accepted: Instant::now(),
            held: Cell::default(),
            connect: Cell::default(),
            moves: Cell::default(),
            has_words: Cell::default(),
            local_port: Cell::default(),
            node: RefCell::default(),
            cluster: OnceCell::new(),
            proxied: OnceCell::new(),
        }
    }

    /// Whose socket it is: the client's, or a proxy's.
    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Notes for whom the peer has come.
    pub(super) fn came_by_proxy(&self, addresses: Addresses) {
        // It is told once: a connection has one header.
        let _ = self.proxied.set(Box::new(addresses));
    }

    /// Who the client is.
    pub(super) fn client(&self) -> SocketAddr {
        self.proxied.get().map_or(self.peer, |proxied| proxied.source)
    }

    /// When it was accepted.
    pub(super) fn accepted(&self) -> Instant {
        self.accepted
    }

    /// The proxy that it came by.
    pub(super) fn via(&self) -> Option<SocketAddr> {
        self.proxied.get().map(|_| self.peer)
    }

    /// The two ends of the client's own connection; `stream` is the one to the gate.
    pub(super) fn addresses(&self, stream: &TcpStream) -> Addresses {
        if let Some(proxied) = self.proxied.get() {
            return **proxied;
        }
        // It cannot fail as long as the socket is there.
        let destination = stream.local_addr().unwrap_or(SocketAddr::new(self.peer.ip(), 0));
        Addresses { source: self.peer, destination }.canonical()
    }

    /// Notes where it is sent.
    pub(super) fn bound_for(&self, cluster: &Rc<Cluster>) {
        // It is sent somewhere once: a connection has one hello.
        let _ = self.cluster.set(Rc::clone(cluster));
    }

    /// Notes the connection to a node; the last one is told.
    pub(super) fn connected(&self, tenure: &Tenure, stream: &TcpStream, took: Duration) {
        self.connect.set(took);
        self.local_port.set(stream.local_addr().ok().map(|address| address.port()));
        *self.node.borrow_mut() = Some(Arc::clone(&tenure.name));
    }

    /// Whether a byte has come from either side.
    pub(super) fn has_bytes(&self, meter: &Meter) -> bool {
        self.has_words.get() || meter.to_node.get() > 0 || meter.to_client.get() > 0
    }

    /// Tells of the connection, at its end.
    pub(super) fn log(&self, listener: &str, meter: &Meter, ending: Ending) {
        let cluster = self.cluster.get();
        tracing::info!(
            %listener,
            client = %self.client(),
            // Left out where there is no proxy.
            via = self.via().map(tracing::field::display),
            // Left out where it was refused for what its hello says.
            cluster = cluster.map(|cluster| tracing::field::display(&cluster.settings.name)),
            // Left out where it never came to a node.
            node = self.node.borrow().as_deref(),
            local_port = self.local_port.get(),
            to_node = meter.to_node.get(),
            to_client = meter.to_client.get(),
            hold_ms = milliseconds(self.held.get()),
            connect_ms = milliseconds(self.connect.get()),
            duration_ms = milliseconds(self.accepted.elapsed()),
            moved = self.moves.get(),
            reason = ending.as_str(),
            "connection closed"
        );
    }
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
