//! Readers on their way to a node, counted over all workers: those who come meanwhile are to know of them, and the
//! node's sessions do not have them yet. And what came of those before them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::Tenure;

/// How long a node that has failed a reader is spared the next, who has another to go to.
const SPARED: Duration = Duration::from_secs(1);

/// A reader on its way to a tenure's node, counted until dropped.
#[derive(Debug)]
pub struct Approach(Arc<Tenure>);

/// A reader that its node has accepted; it has not had a byte yet.
#[derive(Debug)]
pub struct Trial(Arc<Tenure>);

impl Approach {
    /// Counts one more.
    pub fn to(tenure: &Arc<Tenure>, now: Instant) -> Self {
        // Nothing else is told by the number, so it orders nothing.
        tenure.approaching.fetch_add(1, Ordering::Relaxed);
        if tenure.is_failing() {
            // It tries the node for all others.
            tenure.spare(now);
        }
        Approach(Arc::clone(tenure))
    }

    /// Where the reader goes.
    pub fn tenure(&self) -> &Arc<Tenure> {
        &self.0
    }

    /// The node has accepted it. That alone says little: a port may accept and close.
    pub fn accepted(self) -> Trial {
        Trial(Arc::clone(&self.0))
    }

    /// The node has not accepted it, and not for want of anything here.
    pub fn failed(self, now: Instant) {
        self.0.spare(now);
    }
}

impl Drop for Approach {
    fn drop(&mut self) {
        self.0.approaching.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Trial {
    /// The node has said something.
    pub fn answered(self) {
        // Not written to where it says so already: all workers share it.
        if self.0.is_failing() {
            self.0.spared_until.store(0, Ordering::Relaxed);
        }
    }

    /// The node has ended the connection, and had said nothing.
    pub fn failed(self, now: Instant) {
        self.0.spare(now);
    }
}

impl Tenure {
    /// Whether its node is to be tried by a reader that has another to go to: if it has failed one, by nobody for a
    /// second, then by one at a time. It has the fewest sessions of all, so that each would go there first.
    pub fn may_be_tried(&self, now: Instant) -> bool {
        let over = self.spared_until.load(Ordering::Relaxed) <= self.nanos(now);
        !self.is_failing() || (over && self.approaching() == 0)
    }

    /// How many readers are on their way to its node.
    pub fn approaching(&self) -> usize {
        self.approaching.load(Ordering::Relaxed)
    }

    /// Whether the last reader of whom anything was heard was failed.
    fn is_failing(&self) -> bool {
        self.spared_until.load(Ordering::Relaxed) > 0
    }

    fn spare(&self, now: Instant) {
        self.spared_until.store(self.nanos(now + SPARED), Ordering::Relaxed);
    }
}
