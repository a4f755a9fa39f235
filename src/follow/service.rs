//! Whether the leader takes clients: pure, from what the data plane has met.

use std::time::Duration;

use tokio::time::Instant;

use crate::tenure::Failing;

/// For how long nobody may have been taken before people are told.
const SPAN: Duration = Duration::from_secs(2);
/// How often clients may have failed before people are told.
const FAILURES: u32 = 3;
/// How old the newest failure may be: without clients nothing is known.
const MEMORY: Duration = Duration::from_mins(1);

/// Whether the route's node takes no clients although it says that it leads. `confirmed` is the begin of the probe that
/// brought its newest statement: one that has died makes none, and is another matter.
pub(super) fn takes_none(failing: Failing, confirmed: Instant, now: Instant) -> bool {
    FAILURES <= failing.failures
        && failing.since + SPAN <= failing.newest
        && failing.since + SPAN <= confirmed
        && now < failing.newest + MEMORY
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenure::Unserved;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn l8_a_leader_that_goes_on_leading_takes_none_after_a_while() {
        let since = Instant::now();
        let after = |failures, newest: u32, confirmed: u32, now: u32| {
            let failing = Failing { since, newest: since + newest * MS, failures, cause: Unserved::Refused };
            takes_none(failing, since + confirmed * MS, since + now * MS)
        };
        assert!(after(3, 2000, 2000, 2100));
        assert!(!after(2, 2000, 2000, 2100), "two clients are no evidence");
        assert!(!after(9, 1999, 2000, 2100), "it may take the next one");
        assert!(!after(9, 2000, 1999, 2100), "it has died, and is about to lose the route");
        assert!(after(9, 9000, 68_000, 68_999));
        assert!(!after(9, 9000, 69_000, 69_000), "nobody has tried for a minute");
    }
}
