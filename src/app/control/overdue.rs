//! Who is overdue: whoever has given no sign of life for far longer than its settings allow. Pure: time is told in ticks
//! of the watch, which go on only while the thread of the probers does. One that stood still, with all its process or for
//! want of a core, has not ticked, and nobody is overdue for that.

use std::time::Duration;

/// A prober may take so many of its longest turns for one.
const TURNS: u32 = 4;
/// It is never given fewer ticks than these.
const LEAST: u32 = 5;

/// How many ticks one may go without a sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patience(u32);

impl Patience {
    /// With whom a turn takes so long at most; the watch ticks once every `tick` at most.
    pub(super) fn with(longest_turn: Duration, tick: Duration) -> Self {
        let ticks = longest_turn.saturating_mul(TURNS).as_nanos().div_ceil(tick.as_nanos().max(1));
        Patience(u32::try_from(ticks).unwrap_or(u32::MAX).max(LEAST))
    }

    /// How long that is at least.
    pub(super) fn time(self, tick: Duration) -> Duration {
        tick.saturating_mul(self.0)
    }
}

/// What the watch has seen of one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen<S> {
    /// Another one than before is a sign of life.
    sign: S,
    /// Since then.
    ticks: u32,
}

impl<S: PartialEq> Seen<S> {
    /// Takes in what is seen at a tick. Returns whether it is overdue: then it has as much time again, to begin anew. Of
    /// one that is `excused`, for it waits for another, nothing is expected.
    pub(super) fn look(&mut self, sign: S, excused: bool, Patience(most): Patience) -> bool {
        self.ticks = if excused || sign != self.sign { 0 } else { self.ticks.saturating_add(1) };
        self.sign = sign;
        let overdue = self.ticks >= most;
        if overdue {
            self.ticks = 0;
        }
        overdue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// The ticks, counted from 1, at which one is overdue that shows these signs.
    fn overdue(most: u32, signs: &[(u64, bool)]) -> Vec<usize> {
        let mut seen = Seen::default();
        let looks = signs.iter().map(|(sign, excused)| seen.look(*sign, *excused, Patience(most)));
        let numbered = looks.enumerate().filter(|(_, overdue)| *overdue);
        numbered.map(|(tick, _)| tick + 1).collect()
    }

    #[test]
    fn o5_patience_is_four_of_the_longest_turns_and_never_under_five_ticks() {
        for (turn, tick, ticks) in [
            (1500 * MS, 1000 * MS, 6),
            (1501 * MS, 1000 * MS, 7),
            (275 * MS, 1000 * MS, 5),
            (Duration::ZERO, 1000 * MS, 5),
            (Duration::from_hours(1), 1000 * MS, 4 * 3600),
            (Duration::from_hours(365 * 24), 1000 * MS, 4 * 365 * 24 * 3600),
            (Duration::MAX, Duration::ZERO, u32::MAX),
        ] {
            assert_eq!(Patience::with(turn, tick), Patience(ticks), "{turn:?} in ticks of {tick:?}");
        }
    }

    #[test]
    fn o5_who_shows_the_same_sign_for_too_many_ticks_is_overdue_and_then_not_at_once_again() {
        let same = [(7, false); 10];
        assert_eq!(overdue(4, &same), [5, 9], "the first look is a sign by itself");
        assert_eq!(overdue(4, &[(0, false); 5]), [4], "but none that has never begun");
        assert_eq!(overdue(10, &same), [0; 0]);
    }

    #[test]
    fn o5_each_sign_of_life_begins_the_time_anew() {
        let sign = |tick: u64| (tick / 4, false);
        let alive: Vec<_> = (4..40).map(sign).collect();
        assert_eq!(overdue(4, &alive), [0; 0]);
        assert_eq!(overdue(3, &alive[..8]), [4, 8], "one tick less, and it would be too late");
    }

    #[test]
    fn o5_who_waits_for_another_is_not_overdue_and_has_all_its_time_afterwards() {
        let mut looks = vec![(7, false); 4];
        looks.extend([(7, true); 20]);
        looks.extend([(7, false); 4]);
        assert_eq!(overdue(4, &looks), [28]);
    }
}
