//! Whether operators' orders are taken (L10): not while another process takes over, which may have been told already what
//! is in force, and would never hear of them (O3).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{RwLock, RwLockReadGuard};

/// The way of all orders to their clusters; clones are one.
#[derive(Clone, Debug, Default)]
pub struct Orders(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    closed: AtomicBool,
    /// Read-locked by each order until it has been carried out, or refused.
    under_way: RwLock<()>,
}

impl Orders {
    /// None is taken from now on. Returns once those that were have been carried out, or refused.
    pub async fn close(&self) {
        self.0.closed.store(true, Ordering::SeqCst);
        let _ = self.0.under_way.write().await;
    }

    /// They are taken again.
    pub fn open(&self) {
        self.0.closed.store(false, Ordering::SeqCst);
    }

    /// Takes one, which is under way until this is dropped; `None` if none is taken.
    pub(super) async fn take(&self) -> Option<RwLockReadGuard<'_, ()>> {
        let under_way = self.0.under_way.read().await;
        // Looked at last: either whoever closes waits for this one, or this one sees that.
        (!self.0.closed.load(Ordering::SeqCst)).then_some(under_way)
    }
}
