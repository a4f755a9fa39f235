//! Sees to it that no prober hangs (O5): one that begins no probe any more, though by its settings it long should have, is
//! told of, counted and begun anew.
//!
//! A prober has deadlines for all that it does, so that one which hangs is a defect: whatever it awaits has none, or is
//! never woken. What keeps the whole thread from going on is not seen here, but by the service manager's watchdog.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use prometheus::IntCounter;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

use super::overdue::{Patience, Seen};
use crate::intent::{Inbox, ProbeIds};
use crate::probe::{Settings, longest_turn};

/// How often the watch looks.
const TICK: Duration = Duration::from_secs(1);

/// The watch over all probers.
pub(super) struct Watch {
    watched: Mutex<Vec<(Weak<Watched>, Seen<Sign>)>>,
    hangs: IntCounter,
}

/// How often it has begun, and the newest probe that it has begun.
type Sign = (u64, u64);

/// One prober, as it is watched. It is no longer when its task has ended.
pub(super) struct Watched {
    settings: Arc<Settings>,
    patience: Patience,
    /// Of this prober alone: the ids that it takes are its signs of life. Verdicts are none, for a probe may have none: if
    /// this host has no descriptor for it, that is told, and does not get better by beginning anew.
    ids: Arc<ProbeIds>,
    /// Where it reports to.
    inbox: Inbox,
    begun: AtomicU64,
    hung: Notify,
}

impl Watch {
    pub(super) fn new(hangs: IntCounter) -> Self {
        Watch { watched: Mutex::default(), hangs }
    }

    /// Watches over one, too, as long as this is not dropped.
    pub(super) fn over(&self, watched: Watched) -> Arc<Watched> {
        let watched = Arc::new(watched);
        let known = &mut self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        known.push((Arc::downgrade(&watched), Seen::default()));
        watched
    }

    /// Looks again and again. Has to run where the probers do: their time is told by its ticks.
    pub(super) async fn keep(self: Arc<Self>) {
        let mut tick = interval(TICK);
        // However long this thread stood still: the probers have had no more than a moment of it.
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.look();
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn look(&self) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain_mut(|(watched, seen)| {
            let Some(watched) = watched.upgrade() else { return false };
            if seen.look(watched.sign(), watched.inbox.is_full(), watched.patience) {
                self.hangs.inc();
                watched.begin_anew();
            }
            true
        });
    }
}

impl Watched {
    /// A prober with these settings, which takes these ids and reports to this inbox.
    pub(super) fn new(settings: Arc<Settings>, ids: Arc<ProbeIds>, inbox: Inbox) -> Self {
        Watched {
            patience: Patience::with(longest_turn(&settings), TICK),
            settings,
            ids,
            inbox,
            begun: AtomicU64::default(),
            hung: Notify::new(),
        }
    }

    /// Waits until it hangs; to be called each time that it begins.
    pub(super) async fn hung(self: Arc<Self>) {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.hung.notified().await;
    }

    fn sign(&self) -> Sign {
        (self.begun.load(Ordering::Relaxed), self.ids.newest())
    }

    fn begin_anew(&self) {
        tracing::error!(
            cluster = %self.settings.cluster,
            node = %self.settings.node,
            last_probe = self.ids.newest(),
            patience = ?self.patience.time(TICK),
            "prober hangs, and begins anew: this is a defect, please report it with the lines before this one; if it comes \
             again, restart the gate when its clients can bear it"
        );
        // Nobody waits for it in the moment between two beginnings, and it is not to be told of this in the next.
        self.hung.notify_waiters();
    }
}

/// As its role is told.
impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "prober of {} in {}", self.settings.node, self.settings.cluster)
    }
}
