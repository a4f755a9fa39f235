//! How often a node is asked whether it still leads because it has failed a client (S3): at most once a backoff, whoever
//! it has failed, so that a data port that is dead while the probe port lives feeds no storm (L5).

use std::cell::Cell;

use tokio::time::Instant;

use super::choice::LONGEST_BACKOFF;

/// One worker's clients of one cluster.
#[derive(Debug, Default)]
pub(super) struct Inquiry {
    /// When one of them may ask next.
    next: Cell<Option<Instant>>,
}

impl Inquiry {
    /// Asks now if it may. Returns when whoever has no word by then may ask again.
    pub(super) fn ask(&self, now: Instant, ask: impl FnOnce()) -> Instant {
        if let Some(next) = self.next.get().filter(|next| now < *next) {
            return next;
        }
        ask();
        let next = now + LONGEST_BACKOFF;
        self.next.set(Some(next));
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l5_however_many_want_a_word_it_is_asked_for_once_a_backoff() {
        let (inquiry, began) = (Inquiry::default(), Instant::now());
        let mut asked = 0;
        for step in 0..1000 {
            let now = began + LONGEST_BACKOFF / 100 * step;
            let next = inquiry.ask(now, || asked += 1);
            assert!(next > now && next <= now + LONGEST_BACKOFF);
        }
        assert_eq!(asked, 10);
    }
}
