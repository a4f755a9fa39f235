//! Says in the log that clients are refused because a bound is reached (S8), and not for each of them.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::outcome::Refusal;

/// A bound is warned of this often at most, whatever the number of clients that it refuses.
const WARN_EVERY: Duration = Duration::from_mins(1);

/// The warnings of one listener, over all workers.
#[derive(Debug, Default)]
pub(super) struct RefusalWarnings(Mutex<[Warning; Refusal::ALL.len()]>);

/// The rate limiter of one reason.
#[derive(Clone, Copy, Debug, Default)]
struct Warning {
    last: Option<Instant>,
    /// Refusals since then, and before the next warning.
    unreported: u64,
}

impl RefusalWarnings {
    /// Counts a refusal, and warns of it if its reason is a bound that was not warned of for a while.
    pub(super) fn count(&self, listener: &str, refusal: Refusal) {
        let Some(advice) = advice(refusal) else { return };
        if let Some(refused) = self.due(refusal, Instant::now()) {
            tracing::warn!(%listener, reason = refusal.as_str(), refused, "clients are refused: {advice}");
        }
    }

    /// How many clients to report now; `None` if it is too early.
    fn due(&self, refusal: Refusal, now: Instant) -> Option<u64> {
        let mut warnings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        warnings[refusal as usize].due(now)
    }
}

impl Warning {
    fn due(&mut self, now: Instant) -> Option<u64> {
        self.unreported += 1;
        if self.last.is_some_and(|last| now < last + WARN_EVERY) {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.unreported))
    }
}

/// What to do about a bound that is reached; `None` for reasons that are no bound.
fn advice(refusal: Refusal) -> Option<impl fmt::Display> {
    match refusal {
        Refusal::Limit => Some(
            "max_connections is reached, in all or at this listener; raise it, and the limit of descriptors \
             (LimitNOFILE, ulimit -Hn) if that is what bounds it",
        ),
        Refusal::SourceLimit => Some(
            "a source has max_connections_per_source already; raise it if that source is a proxy or a NAT",
        ),
        Refusal::HoldLimit => {
            Some("hold.limit clients wait for a leader already; raise it, or find out why there is no leader")
        }
        Refusal::Denied | Refusal::RejectedName | Refusal::ProxyHeader => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s8_a_bound_is_warned_of_at_once_and_then_rarely() {
        let (warnings, start) = (RefusalWarnings::default(), Instant::now());
        assert_eq!(warnings.due(Refusal::Limit, start), Some(1));
        for _ in 0..7 {
            assert_eq!(warnings.due(Refusal::Limit, start + WARN_EVERY / 2), None);
        }
        assert_eq!(warnings.due(Refusal::SourceLimit, start), Some(1), "each reason by itself");
        assert_eq!(warnings.due(Refusal::Limit, start + WARN_EVERY), Some(8));
        assert_eq!(warnings.due(Refusal::Limit, start + WARN_EVERY), None);
    }

    #[test]
    fn s8_only_bounds_are_warned_of() {
        let warned = |refusal: &Refusal| advice(*refusal).is_some();
        let bounds: Vec<_> = Refusal::ALL.into_iter().filter(warned).collect();
        assert_eq!(bounds, [Refusal::Limit, Refusal::SourceLimit, Refusal::HoldLimit]);
    }
}
