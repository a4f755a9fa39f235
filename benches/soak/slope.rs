//! How fast something grows: a straight line through its samples, by least squares (pure; `tests/blackbox/soak_bench.rs`
//! tests it).

/// A line's slope and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Slope {
    /// In the samples' unit a minute.
    pub(crate) per_minute: f64,
    /// Its standard error, as if the samples were independent of one another.
    pub(crate) error: f64,
    /// How many minutes it goes on.
    pub(crate) minutes: f64,
}

impl Slope {
    /// The slope of samples (seconds, value); nothing of fewer than three, or of one moment alone.
    pub(crate) fn of(samples: &[(f64, f64)]) -> Option<Self> {
        let count = u32::try_from(samples.len()).ok().map(f64::from)?;
        if count < 3.0 {
            return None;
        }
        let mean = |of: fn(&(f64, f64)) -> f64| samples.iter().map(of).sum::<f64>() / count;
        let (middle, level) = (mean(|sample| sample.0), mean(|sample| sample.1));
        let spread: f64 = samples.iter().map(|(at, _)| (at - middle).powi(2)).sum();
        if spread <= 0.0 {
            return None;
        }
        let together: f64 = samples.iter().map(|(at, value)| (at - middle) * (value - level)).sum();
        let slope = together / spread;
        let rest: f64 =
            samples.iter().map(|(at, value)| (value - level - slope * (at - middle)).powi(2)).sum();
        let error = (rest / (count - 2.0) / spread).sqrt();
        let moments = || samples.iter().map(|sample| sample.0);
        let minutes = (moments().fold(f64::MIN, f64::max) - moments().fold(f64::MAX, f64::min)) / 60.0;
        Some(Slope { per_minute: 60.0 * slope, error: 60.0 * error, minutes })
    }

    /// Whether it grows: faster than `pace` a minute, and by more than `settling` in all, even where the truth is lower by
    /// three standard errors.
    pub(crate) fn is_growth(self, pace: f64, settling: f64) -> bool {
        let least = self.per_minute - 3.0 * self.error;
        least > pace && least * self.minutes > settling
    }
}
