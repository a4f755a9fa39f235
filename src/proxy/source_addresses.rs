//! The gate's own addresses that it connects to nodes from (`connect.source`): one after the other, so that one node can
//! have more connections than one address has ports.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpStream;

use crate::sockets::{self, FirstWord};

/// One worker's turn among the addresses.
#[derive(Debug)]
pub(super) struct SourceAddresses {
    addresses: Arc<[IpAddr]>,
    next: Cell<usize>,
    /// Whether somebody was told that there is none of a node's family.
    told: Cell<bool>,
}

impl SourceAddresses {
    /// The workers begin at different ones, so that they do not all take the same.
    pub(super) fn new(addresses: &Arc<[IpAddr]>) -> Self {
        SourceAddresses {
            addresses: Arc::clone(addresses),
            next: Cell::new(fastrand::usize(..1 << 16)),
            told: Cell::new(false),
        }
    }

    /// Connects from the address whose turn it is, of the node's family. If that one has no port left, or is none of
    /// this machine's any more, from another one: each is tried once.
    ///
    /// # Errors
    /// Why the connection cannot be had; that of the last address, if all were of no use.
    pub(super) async fn connect(&self, node: SocketAddr, first_word: FirstWord) -> io::Result<TcpStream> {
        if self.addresses.is_empty() {
            return sockets::connect(node, None, first_word).await;
        }
        let mut outcome = Err(io::Error::from(io::ErrorKind::AddrNotAvailable));
        for source in self.in_turn(node) {
            outcome = sockets::connect(node, Some(source), first_word).await;
            if !outcome.as_ref().is_err_and(sockets::is_source_exhausted) {
                return outcome;
            }
        }
        self.tell_if_none(node);
        outcome
    }

    /// Those of the node's family, the one first whose turn it is.
    fn in_turn(&self, node: SocketAddr) -> impl Iterator<Item = IpAddr> + '_ {
        let usable = move |address: &&IpAddr| address.is_ipv4() == node.is_ipv4();
        let count = self.addresses.iter().filter(usable).count();
        let turn = self.next.get();
        self.next.set(turn.wrapping_add(1));
        self.addresses.iter().filter(usable).copied().cycle().skip(turn % count.max(1)).take(count)
    }

    fn tell_if_none(&self, node: SocketAddr) {
        let has_none = self.in_turn(node).next().is_none();
        if has_none && !self.told.replace(true) {
            let family = if node.is_ipv4() { "IPv4" } else { "IPv6" };
            tracing::warn!(
                %node,
                "connect.source has no {family} address to connect from; add one, or no client reaches this node"
            );
        }
    }
}
