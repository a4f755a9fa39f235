//! A second connection for a probe whose answer is late (L4): a lost packet, or one connection that a firewall on the
//! way has forgotten, is not the node's silence.

use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use super::exchange::Deadline;
use super::link::{Exchange, Link};

#[cfg(test)]
mod tests;

/// How many answered probes earn a hedge: at the default interval, one a minute. A machine that is slow as a whole has
/// to be spared just then, and steady probing costs a node two handshakes a minute by renewal already.
const ANSWERS_A_HEDGE: u32 = 240;
/// How many hedges may be saved up.
const MOST_SAVED: u32 = 3;

/// A node's [`Link`], and the right to hedge on it.
#[derive(Debug)]
pub(super) struct HedgedLink {
    link: Link,
    budget: Budget,
}

impl HedgedLink {
    pub(super) fn new(link: Link) -> Self {
        HedgedLink { link, budget: Budget::default() }
    }

    /// See [`Link::is_reusable`].
    pub(super) fn is_reusable(&self, now: Instant) -> bool {
        self.link.is_reusable(now)
    }

    /// See [`Link::note_statement`].
    pub(super) fn note_statement(&mut self, is_statement: bool) {
        self.link.note_statement(is_statement);
    }

    /// See [`Link::lost`].
    pub(super) async fn lost(&mut self) {
        self.link.lost().await;
    }

    /// Asks as [`Link::exchange`] does. If there is no answer at `late_at`, asks once more over a new connection, under
    /// the same deadline, and takes the answer that comes first. The connection that brought it is kept.
    pub(super) async fn exchange(
        &mut self,
        deadline: Deadline,
        late_at: Instant,
        lost: impl Fn(),
    ) -> Exchange {
        let hedges = late_at < deadline.at && self.budget.allows();
        let mut spare = hedges.then(|| self.link.unconnected());
        let exchange = {
            let first = self.link.exchange(deadline, lost);
            tokio::pin!(first);
            match &mut spare {
                None => first.await,
                Some(spare) => tokio::select! {
                    biased;
                    exchange = &mut first => exchange,
                    () = is_late(late_at) => {
                        self.budget.spend();
                        // In a box of its own, for it is large and seldom needed.
                        race(first, Box::pin(spare.exchange(deadline, || ()))).await
                    }
                },
            }
        };
        if let Some(spare) = spare.filter(|_| exchange.hedged) {
            // The other connection is suspect, and goes with its link. Had it won, the half-made one would have gone:
            // finishing it would cost the node a handshake for nothing.
            self.link = spare;
        }
        self.budget.note(exchange.result.is_ok());
        exchange
    }
}

async fn is_late(late_at: Instant) {
    sleep_until(late_at).await;
    // If it was this process that stood still, the answer is here but has not been read.
    yield_now().await;
}

/// The first exchange of two that settles the matter; the other one is dropped, so that two answers never count.
async fn race(
    mut first: impl Future<Output = Exchange> + Unpin,
    mut second: impl Future<Output = Exchange> + Unpin,
) -> Exchange {
    let (first, second) = tokio::select! {
        biased;
        first = &mut first => {
            if first.settles() {
                return first;
            }
            (first, second.await)
        }
        second = &mut second => {
            if second.settles() {
                return Exchange { hedged: true, ..second };
            }
            (first.await, second)
        }
    };
    // The first knows better what became of the connection that worked so far.
    if second.result.is_ok() && first.result.is_err() { Exchange { hedged: true, ..second } } else { first }
}

/// How often a node may be asked twice at a time.
#[derive(Clone, Copy, Debug)]
struct Budget {
    saved: u32,
    /// Answers on the way to the next hedge.
    answers: u32,
    /// The newest probe had no answer: a process that stands still would only gather our hedges in its queue.
    silent: bool,
}

impl Default for Budget {
    fn default() -> Self {
        Budget { saved: MOST_SAVED, answers: 0, silent: false }
    }
}

impl Budget {
    fn allows(self) -> bool {
        self.saved > 0 && !self.silent
    }

    fn spend(&mut self) {
        self.saved = self.saved.saturating_sub(1);
    }

    fn note(&mut self, answered: bool) {
        self.silent = !answered;
        self.answers += u32::from(answered);
        if self.answers >= ANSWERS_A_HEDGE {
            self.answers = 0;
            self.saved = (self.saved + 1).min(MOST_SAVED);
        }
    }
}
