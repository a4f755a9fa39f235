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

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> SourceAddresses {
        SourceAddresses::new(&texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    fn in_turn(addresses: &SourceAddresses, node: &str) -> Vec<String> {
        addresses.in_turn(node.parse().unwrap()).map(|address| address.to_string()).collect()
    }

    #[test]
    fn each_has_its_turn_and_all_others_follow() {
        let addresses = addresses(&["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
        let turns = [(); 6].map(|()| in_turn(&addresses, "10.0.0.9:1"));
        for turn in &turns {
            let mut sorted = turn.clone();
            sorted.sort();
            assert_eq!(sorted, ["10.0.0.1", "10.0.0.2", "10.0.0.3"], "each once");
        }
        for first in ["10.0.0.1", "10.0.0.2", "10.0.0.3"] {
            assert_eq!(turns.iter().filter(|turn| turn[0] == first).count(), 2);
        }
    }

    #[test]
    fn a_node_is_connected_to_from_its_own_family() {
        let mixed = addresses(&["10.0.0.1", "2001:db8::1"]);
        assert_eq!(in_turn(&mixed, "10.0.0.9:1"), ["10.0.0.1"]);
        assert_eq!(in_turn(&mixed, "[2001:db8::9]:1"), ["2001:db8::1"]);
        assert_eq!(in_turn(&addresses(&["10.0.0.1"]), "[2001:db8::9]:1"), [""; 0]);
    }
}
