//! Whether a tenure's node takes clients, as all workers together have found out.

use std::fmt;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::Tenure;

/// Why a client was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unserved {
    /// The node's host refused or reset the connection.
    Refused,
    /// There is no way there.
    Unreachable,
    /// The connection was not accepted in time.
    Timeout,
    /// The connection was accepted, and ended before its first byte.
    ClosedEarly,
    /// This machine has no port for another connection to that address.
    NoPort,
    /// This machine lets the gate open no more descriptors.
    NoDescriptor,
    /// This machine refuses the connection for another reason, such as memory or permission.
    NoMeans,
}

/// What every client has met since one was last taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failing {
    /// When the first of them was not taken.
    pub since: Instant,
    /// When the newest of them was not taken.
    pub newest: Instant,
    /// How often that was.
    pub failures: u32,
    /// Why the newest of them was not taken.
    pub cause: Unserved,
}

/// In words, with what to do.
impl fmt::Display for Unserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unserved::Refused => "connection refused; does its service for clients run, and listen on this port?",
            Unserved::Unreachable => "there is no way to it; check the address, routes and firewalls",
            Unserved::Timeout => {
                "not accepted within connect.timeout; does a firewall drop packets, or is its service overloaded?"
            }
            Unserved::ClosedEarly => "it accepts connections and ends them before their first byte",
            Unserved::NoPort => {
                "this machine has no port left for connections to it, so the cause is here and not at the node; give \
                 connect.source more addresses, or widen net.ipv4.ip_local_port_range"
            }
            Unserved::NoDescriptor => {
                "this machine lets the gate open no more descriptors, so the cause is here and not at the node; raise \
                 the limit (LimitNOFILE=) or lower max_connections"
            }
            Unserved::NoMeans => {
                "this machine refuses the connection (memory, permission, or connect.source), so the cause is here and \
                 not at the node"
            }
        })
    }
}

impl Tenure {
    /// What every client has met since one was last taken; `None` if the last one was taken.
    pub fn failing(&self) -> Option<Failing> {
        if !self.is_failing_clients.load(Ordering::Acquire) {
            return None;
        }
        *self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a client was not taken, and why.
    pub fn note_unserved(&self, now: Instant, cause: Unserved) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, failures) = failing.map_or((now, 0), |before| (before.since, before.failures));
        *failing = Some(Failing { since, newest: now, failures: failures.saturating_add(1), cause });
        self.is_failing_clients.store(true, Ordering::Release);
    }

    /// Notes that a client's connection was accepted. That alone says little of a node that accepts and closes.
    pub fn note_accepted(&self) {
        if self.failing().is_some_and(|failing| failing.cause != Unserved::ClosedEarly) {
            self.note_served();
        }
    }

    /// Notes that a client was taken.
    pub fn note_served(&self) {
        // Not written to where it says so already: all workers share it.
        if self.is_failing_clients.load(Ordering::Acquire) {
            *self.failing.lock().unwrap_or_else(PoisonError::into_inner) = None;
            self.is_failing_clients.store(false, Ordering::Release);
        }
    }

    /// Where a client goes that this tenure's node has not taken within `hold.timeout` (S2), if anywhere.
    pub fn instead(&self) -> Option<std::sync::Arc<Tenure>> {
        self.instead.load_full()
    }
}
