//! How long something usually takes, and from when on it is late: pure.

use std::time::Duration;

/// Something is late after this many times what it usually takes.
const LATE_FACTOR: u32 = 4;
/// The weight of a new duration is one in this many, as in TCP's smoothed round-trip time.
const SMOOTHING: u32 = 8;

/// A duration smoothed over those seen so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usual(Option<Duration>);

impl Usual {
    /// Takes in how long it took this time.
    pub fn observe(&mut self, took: Duration) {
        self.0 = Some(match self.0 {
            None => took,
            Some(before) => (before * (SMOOTHING - 1) + took) / SMOOTHING,
        });
    }

    /// How long after its beginning it is late, and never before `floor`. Without any experience there is no telling.
    pub fn late_after(self, floor: Duration) -> Option<Duration> {
        self.0.map(|usual| (usual * LATE_FACTOR).max(floor))
    }

    /// This, or the other one where nothing was seen of this yet.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Usual(self.0.or(other.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn l5_late_is_four_times_the_usual_but_not_before_the_floor() {
        let mut usual = Usual::default();
        assert_eq!(usual.late_after(50 * MS), None);
        usual.observe(10 * MS);
        assert_eq!(usual.late_after(50 * MS), Some(50 * MS));
        usual.observe(90 * MS);
        assert_eq!(usual.late_after(50 * MS), Some(80 * MS), "(7 x 10 + 90) / 8 = 20");
    }

    #[test]
    fn l5_another_experience_counts_only_where_there_is_none() {
        let (mut known, mut other) = (Usual::default(), Usual::default());
        other.observe(30 * MS);
        assert_eq!(known.or(other).late_after(MS), Some(120 * MS));
        known.observe(10 * MS);
        assert_eq!(known.or(other).late_after(MS), Some(40 * MS));
    }
}
