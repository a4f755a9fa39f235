//! Readers on their way to a node, counted over all workers: those who come meanwhile are to know of them, and the
//! node's sessions do not have them yet.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Tenure;

/// A reader on its way to a tenure's node, counted until dropped.
#[derive(Debug)]
pub struct Approach(Arc<Tenure>);

impl Approach {
    /// Counts one more.
    pub fn to(tenure: &Arc<Tenure>) -> Self {
        // Nothing else is told by the number, so it orders nothing.
        tenure.approaching.fetch_add(1, Ordering::Relaxed);
        Approach(Arc::clone(tenure))
    }

    /// Where the reader goes.
    pub fn tenure(&self) -> &Arc<Tenure> {
        &self.0
    }

    /// The node has accepted it, or has not, and not for want of anything here.
    pub fn ends(self, accepted: bool) {
        // Not written to where it says so already: all workers share it.
        if self.0.failing.load(Ordering::Relaxed) == accepted {
            self.0.failing.store(!accepted, Ordering::Relaxed);
        }
    }
}

impl Drop for Approach {
    fn drop(&mut self) {
        self.0.approaching.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Tenure {
    /// Whether the last reader whose way to its node has ended was not accepted.
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// How many readers are on their way to its node.
    pub fn approaching(&self) -> usize {
        self.approaching.load(Ordering::Relaxed)
    }
}
