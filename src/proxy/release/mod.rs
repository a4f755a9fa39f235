//! Lets a crowd go to its node no faster than the node takes it (S2): a herd would make a fresh leader miss its
//! probes, lose the route and gather the next crowd.
//!
//! Only who was held, or is moved (S4), queues here. Clients that come later do not: they come at the pace at which
//! clients come, which the node has to bear anyway, and behind a crowd that drains slower than they come they would
//! wait for ever. Nor can they starve the crowd: it has places that they do not take, and patience gives these back.

mod window;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::tenure::Tenure;
use window::Window;

/// Openings that a node whose pace is unknown gets at once, over all workers. Handshakes made side by side are all done
/// at the end: fewer let the first client be served sooner, and prompt answers soon let more go.
const AT_FIRST: usize = 4;
/// The same for one that has answered nobody yet, each time that patience with it is over: it may never answer, as in
/// protocols in which only clients speak.
const UNANSWERED: usize = 16;

/// One worker's crowd of one cluster.
#[derive(Debug)]
pub(super) struct Release {
    window: RefCell<Window>,
    /// Rung once for each place that is free and wanted.
    turn: Notify,
    /// How many wait for it.
    waiting: Cell<usize>,
}

impl Release {
    /// One of as many as there are workers: they share what a node gets at once.
    pub(super) fn new(workers: usize) -> Rc<Self> {
        let share = |total: usize| (total / workers.max(1)).max(1);
        let window = Window::new(share(AT_FIRST), share(UNANSWERED));
        Rc::new(Release { window: RefCell::new(window), turn: Notify::new(), waiting: Cell::default() })
    }

    /// Lets one client of a crowd go.
    ///
    /// # Errors
    /// Until when to wait for a [`turn`](Self::turn) before asking again.
    pub(super) fn let_go(self: &Rc<Self>, tenure: &Tenure, now: Instant) -> Result<Released, Instant> {
        let number = self.window.borrow_mut().let_go((tenure.epoch, tenure.address), now)?;
        Ok(Released { number, release: Rc::clone(self) })
    }

    /// Waits until it may be worth asking again; whoever waits longest is first.
    pub(super) async fn turn(&self) {
        let _waiting = Waiting::among(&self.waiting);
        self.turn.notified().await;
    }

    fn ring(&self) {
        // A window that has grown wide has far more places than there are clients.
        for _ in 0..self.window.borrow().free().min(self.waiting.get()) {
            self.turn.notify_one();
        }
    }
}

/// A client that waits for its turn, until dropped.
struct Waiting<'r>(&'r Cell<usize>);

impl<'r> Waiting<'r> {
    fn among(waiting: &'r Cell<usize>) -> Self {
        waiting.set(waiting.get() + 1);
        Waiting(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// A client that was let go and has no answer yet. Dropped, it gives its place back and says nothing of the node.
#[derive(Debug)]
pub(super) struct Released {
    number: u64,
    release: Rc<Release>,
}

impl Released {
    /// The node's first byte is there.
    pub(super) fn answered(self) {
        self.release.window.borrow_mut().answered(self.number, Instant::now());
    }
}

impl Drop for Released {
    fn drop(&mut self) {
        self.release.window.borrow_mut().forget(self.number);
        self.release.ring();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::{Pin, pin};
    use std::sync::Arc;
    use std::task::Poll;

    use super::*;
    use crate::leader::NodeId;
    use crate::tenure::channel;

    async fn has_come(turn: &mut Pin<&mut impl Future<Output = ()>>) -> bool {
        poll_fn(|cx| Poll::Ready(turn.as_mut().poll(cx).is_ready())).await
    }

    #[tokio::test]
    async fn s2_places_are_rung_for_those_who_wait_and_for_nobody_else() {
        let release = Release::new(1);
        release.ring();
        let mut one = pin!(release.turn());
        assert!(!has_come(&mut one).await, "nobody waited");
        {
            let mut other = pin!(release.turn());
            assert!(!has_come(&mut other).await);
            assert_eq!(release.waiting.get(), 2);
            release.ring();
            assert!(has_come(&mut one).await && has_come(&mut other).await);
        }
        assert_eq!(release.waiting.get(), 0, "whose turn has come waits no more");
    }

    #[tokio::test(start_paused = true)]
    async fn s2_who_ends_without_an_answer_gives_its_place_to_the_next() {
        let (release, now) = (Release::new(1), Instant::now());
        let (mut writer, _) = channel(now, Arc::default());
        let tenure = writer.lead(NodeId(0), "a".into(), ([127, 0, 0, 1], 1).into(), now);
        let mut released: Vec<_> = (0..AT_FIRST).map(|_| release.let_go(&tenure, now).unwrap()).collect();
        assert!(release.let_go(&tenure, now).is_err());
        let mut turn = pin!(release.turn());
        assert!(!has_come(&mut turn).await);
        released.pop();
        assert!(has_come(&mut turn).await);
        assert!(release.let_go(&tenure, now).is_ok());
    }
}
