//! Which listening sockets are open, over all workers: one that is to be closed is so until all who wait there have been
//! served (O4).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::sockets::overlap;

/// All of them.
#[derive(Debug, Default)]
pub(super) struct OpenSockets {
    /// How many of each address.
    counts: Mutex<BTreeMap<SocketAddr, usize>>,
    /// Rung whenever the last one is closed.
    none: Notify,
}

/// One of them; to be dropped after it.
#[derive(Debug)]
pub(super) struct Open {
    all: Arc<OpenSockets>,
    address: SocketAddr,
}

impl OpenSockets {
    /// Counts one more at this address.
    pub(super) fn add(self: &Arc<Self>, address: SocketAddr) -> Open {
        *self.counts().entry(address).or_default() += 1;
        Open { all: Arc::clone(self), address }
    }

    /// Whether one is open that takes connections to this address, or to some of its.
    pub(super) fn has(&self, address: SocketAddr) -> bool {
        self.counts().keys().any(|open| overlap(*open, address))
    }

    /// Waits until none is open.
    pub(super) async fn emptied(&self) {
        loop {
            let rung = self.none.notified();
            if self.counts().is_empty() {
                return;
            }
            rung.await;
        }
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// What the socket is bound to.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut counts = self.all.counts();
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
        if counts.is_empty() {
            self.all.none.notify_waiters();
        }
    }
}
