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
}

impl Drop for Approach {
    fn drop(&mut self) {
        self.0.approaching.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Tenure {
    /// How many readers are on their way to its node.
    pub fn approaching(&self) -> usize {
        self.approaching.load(Ordering::Relaxed)
    }
}
