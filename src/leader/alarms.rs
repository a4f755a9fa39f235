//! Which alarms are in force (L8), each raised and cleared once.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Alarm;

/// The route flaps when it changes this often ...
const FLAPPING_CHANGES: usize = 4;
/// ... within this time; it stops flapping once it has not changed for as long.
const FLAPPING_SPAN: Duration = Duration::from_secs(10);

/// The alarms in force.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    raised: Vec<Alarm>,
    /// The newest changes of the route, oldest first.
    changes: VecDeque<Instant>,
}

impl Alarms {
    /// Notes whether an alarm is in force; returns whether that is new.
    pub(super) fn set(&mut self, alarm: Alarm, in_force: bool) -> bool {
        let was = self.raised.contains(&alarm);
        if in_force && !was {
            self.raised.push(alarm);
        } else if was && !in_force {
            self.raised.retain(|raised| *raised != alarm);
        }
        was != in_force
    }

    /// Notes that the route changed.
    pub(super) fn note_change(&mut self, now: Instant) {
        if self.changes.len() == FLAPPING_CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back(now);
    }

    /// Whether the route changes again and again.
    pub(super) fn is_flapping(&self, now: Instant) -> bool {
        let (Some(oldest), Some(newest)) = (self.changes.front(), self.changes.back()) else { return false };
        let often = self.changes.len() == FLAPPING_CHANGES && newest.duration_since(*oldest) <= FLAPPING_SPAN;
        now < *newest + FLAPPING_SPAN && (often || self.raised.contains(&Alarm::Flapping))
    }

    /// When flapping ends, if the route changes no more.
    pub(super) fn calm_at(&self) -> Option<Instant> {
        let newest = self.changes.back()?;
        self.raised.contains(&Alarm::Flapping).then_some(*newest + FLAPPING_SPAN)
    }
}
