//! The data plane's figures of the moment, as far as they are shown to people: the very numbers of `/metrics`.

use prometheus::core::{AtomicI64, AtomicU64};
use serde::Serialize;

use crate::metrics::Family;

/// Where the figures are.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// Clients joined to a node, by cluster and node.
    pub sessions: Family<AtomicI64>,
    /// Clients that wait for a route, by cluster.
    pub held: Family<AtomicI64>,
    /// Connections at this moment, by listener.
    pub active: Family<AtomicI64>,
    /// Connections accepted, by listener.
    pub accepted: Family<AtomicU64>,
    /// Connections turned away, by listener and reason.
    pub refused: Family<AtomicU64>,
}

/// One listener's connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ListenerTraffic {
    /// Those that are there.
    pub active: i64,
    /// All that ever came.
    pub accepted: u64,
    /// Those of them that were turned away.
    pub refused: u64,
}

impl Traffic {
    /// One listener's connections.
    pub fn listener(&self, name: &str) -> ListenerTraffic {
        ListenerTraffic {
            active: self.active.sum_of(&[name]),
            accepted: self.accepted.sum_of(&[name]),
            refused: self.refused.sum_of(&[name]),
        }
    }
}
