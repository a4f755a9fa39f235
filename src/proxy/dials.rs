//! Connects under way to one cluster's nodes, watched for such as take unusually long (L5).
//!
//! One watcher looks at all of them: a timer for each would cost every connect a system call, since the runtime has to be
//! woken for one that is due before all others.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use slab::Slab;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::intent::{Inbox, Suspicion};
use crate::leader::NodeId;
use crate::usual::Usual;

/// No connect is late before this: a probe takes about as long to find out more.
const LATE: Duration = Duration::from_millis(50);

/// One worker's connects to the nodes of one cluster.
#[derive(Debug, Default)]
pub(super) struct Dials {
    under_way: RefCell<Slab<UnderWay>>,
    usual: Cell<Usual>,
    /// Rung at each beginning.
    begun: Notify,
}

#[derive(Debug)]
struct UnderWay {
    node: NodeId,
    began: Instant,
    /// Whether somebody was told that it is late.
    told: bool,
}

/// A connect under way, until dropped.
#[derive(Debug)]
pub(super) struct Dial {
    dials: Rc<Dials>,
    place: usize,
}

impl Dials {
    /// A connect to this node begins.
    pub(super) fn begin(self: &Rc<Self>, node: NodeId, began: Instant) -> Dial {
        let place = self.under_way.borrow_mut().insert(UnderWay { node, began, told: false });
        self.begun.notify_one();
        Dial { dials: Rc::clone(self), place }
    }

    /// Raises a signal for each connect that takes unusually long, once; for as long as the worker lives.
    pub(super) async fn watch(self: Rc<Self>, inbox: Inbox) {
        loop {
            self.begun.notified().await;
            // Whatever begins while this waits is late no sooner than what it waits for.
            while let Some(due) = self.next_late() {
                sleep_until(due).await;
                self.tell(Instant::now(), &inbox);
            }
        }
    }

    /// When the next connect is late that nobody was told of. Without any experience there is no telling.
    fn next_late(&self) -> Option<Instant> {
        let after = self.usual.get().late_after(LATE)?;
        let under_way = self.under_way.borrow();
        let untold = under_way.iter().filter(|(_, dial)| !dial.told);
        untold.map(|(_, dial)| dial.began + after).min()
    }

    fn tell(&self, now: Instant, inbox: &Inbox) {
        let Some(after) = self.usual.get().late_after(LATE) else { return };
        for (_, dial) in self.under_way.borrow_mut().iter_mut() {
            if !dial.told && dial.began + after <= now {
                dial.told = true;
                inbox.signal(dial.node, Suspicion::ConnectLate);
            }
        }
    }
}

impl Dial {
    /// It was made, and took so long.
    pub(super) fn made(self, took: Duration) {
        let mut usual = self.dials.usual.get();
        usual.observe(took);
        self.dials.usual.set(usual);
    }
}

impl Drop for Dial {
    fn drop(&mut self) {
        self.dials.under_way.borrow_mut().remove(self.place);
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::LocalSet;
    use tokio::time::advance;

    use super::*;
    use crate::intent::{Input, inbox};

    const MS: Duration = Duration::from_millis(1);

    /// Lets the watcher act on what has happened.
    async fn settle() {
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn l5_each_late_connect_is_told_of_once() {
        let (inbox, mut inputs) = inbox();
        let dials = Rc::new(Dials::default());
        let mut told = async || {
            settle().await;
            let mut nodes = Vec::new();
            while let Ok(Input::Signal(signal)) = inputs.try_recv() {
                assert_eq!(signal.suspicion, Suspicion::ConnectLate);
                nodes.push(signal.node.0);
            }
            nodes
        };
        let script = async {
            // Nothing is known yet of what is usual.
            let first = dials.begin(NodeId(0), Instant::now());
            advance(1000 * MS).await;
            assert!(told().await.is_empty());
            first.made(20 * MS);
            let slow = dials.begin(NodeId(1), Instant::now());
            settle().await;
            advance(79 * MS).await;
            let quick = dials.begin(NodeId(2), Instant::now());
            assert!(told().await.is_empty());
            advance(2 * MS).await;
            assert_eq!(told().await, [1], "four times the usual 20 ms have passed");
            drop(quick);
            advance(1000 * MS).await;
            assert!(told().await.is_empty(), "it was told before, and the other one has ended");
            drop(slow);
        };
        let local = LocalSet::new();
        local.spawn_local(Rc::clone(&dials).watch(inbox));
        local.run_until(script).await;
    }
}
