//! Rate limit for the log lines about one node: one that changes its verdict with every probe must not fill the log.

use std::time::Duration;

use tokio::time::Instant;

/// The number of lines of one node that are logged in a [`SPAN`].
const LINES: u32 = 20;
/// The time after which the count begins at zero again.
const SPAN: Duration = Duration::from_mins(1);

/// The lines of one node that are counted against its limit.
#[derive(Debug, Default)]
pub(super) struct LogLimit {
    began: Option<Instant>,
    logged: u32,
    suppressed: u64,
}

impl LogLimit {
    /// Counts a line that is due at `now`. Returns how many were suppressed since the last one, if this one may be logged.
    pub(super) fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.began.is_none_or(|began| began + SPAN <= now) {
            (self.began, self.logged) = (Some(now), 0);
        }
        if self.logged < LINES {
            self.logged += 1;
            Some(std::mem::take(&mut self.suppressed))
        } else {
            self.suppressed += 1;
            None
        }
    }

    /// Whether the next line of this minute will be suppressed.
    pub(super) fn is_spent(&self) -> bool {
        self.logged == LINES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s8_a_node_that_flaps_logs_twenty_lines_a_minute() {
        let (mut limit, start) = (LogLimit::default(), Instant::now());
        let admitted = |limit: &mut LogLimit, seconds: u64| {
            (0..20)
                .filter(|step| {
                    let at = start + Duration::from_secs(seconds) + Duration::from_millis(50 * step);
                    limit.admit(at).is_some()
                })
                .count()
        };
        assert_eq!((admitted(&mut limit, 0), admitted(&mut limit, 1), admitted(&mut limit, 59)), (20, 0, 0));
        assert!(limit.is_spent());
        assert_eq!(limit.admit(start + SPAN), Some(40), "how many there were in between");
        assert_eq!(limit.admit(start + SPAN), Some(0));
        assert!(!limit.is_spent());
    }
}
