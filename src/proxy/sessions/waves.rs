//! Ends many sessions in waves (S5): their clients come again, and are not to come all at one moment.

use std::time::Duration;

use super::super::outcome::Outcome;
use super::{Entry, Key, Sessions};

/// How many sessions are ended at once, and the longest pause before the next so many.
pub(super) const WAVE: usize = 256;
const WAVE_PAUSE: Duration = Duration::from_millis(3);

impl Sessions {
    /// Ends connections in waves, each only if it is still `to_be_cut` when its turn comes; returns how many were.
    pub(super) async fn cut(
        &self,
        keys: &[Key],
        outcome: Outcome,
        mut to_be_cut: impl FnMut(&mut Entry) -> bool,
    ) -> usize {
        let mut count = 0;
        for wave in keys.chunks(WAVE) {
            for &key in wave {
                self.with(key, |entry| {
                    if to_be_cut(entry) {
                        entry.end(outcome);
                        count += 1;
                    }
                });
            }
            tokio::time::sleep(WAVE_PAUSE.mul_f64(fastrand::f64())).await;
        }
        count
    }
}
