//! When a node is asked whether it still leads because it has failed a client (S3): only if it is not asked soon anyway,
//! and seldom, whoever it has failed, so that a data port that is dead while the probe port lives feeds no storm (L5).

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

use super::choice::LONGEST_BACKOFF;

/// How long a word is awaited that nobody has asked for. At the usual interval it comes sooner.
const PATIENCE: Duration = LONGEST_BACKOFF.saturating_mul(2);

/// One worker's clients of one cluster.
#[derive(Debug, Default)]
pub(super) struct Inquiry {
    /// When one of them may ask next.
    next: Cell<Option<Instant>>,
}

impl Inquiry {
    /// Asks now for whoever has waited for a word since `since`, if it is time. Returns when whoever has none by then
    /// may ask again.
    pub(super) fn ask(&self, now: Instant, since: Instant, ask: impl FnOnce()) -> Instant {
        let due = self.next.get().max(Some(since + PATIENCE)).filter(|due| now < *due);
        due.unwrap_or_else(|| {
            ask();
            self.next.set(Some(now + PATIENCE));
            now + PATIENCE
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(5);

    #[test]
    fn l5_however_many_want_a_word_it_is_asked_for_now_and_then() {
        let (inquiry, began) = (Inquiry::default(), Instant::now());
        let mut asked = 0;
        for step in 0..1000 {
            let now = began + STEP * step;
            let next = inquiry.ask(now, began, || asked += 1);
            assert!(next > now && next <= now + PATIENCE);
        }
        assert_eq!(asked, 9);
    }

    #[test]
    fn l5_a_word_that_comes_by_itself_is_not_asked_for() {
        let (inquiry, began) = (Inquiry::default(), Instant::now());
        for step in 0..1000 {
            let now = began + STEP * step;
            // The node is probed, and fails somebody again, each quarter of a second.
            let failed = began + STEP * (step / 50 * 50);
            inquiry.ask(now, failed, || panic!("asked after {:?}", now - failed));
        }
    }
}
