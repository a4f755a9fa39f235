//! How many clients may be on their way to a node without an answer yet, decided without IO: slow start, as of TCP,
//! and like it the window follows what the answers' delay says of the queue at the other end.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

/// An answer that was delayed by no more than this, compared with the quickest, opens the window; by more than twice
/// this, it narrows it. Well below what a probe may take, for a probe waits in the same queue.
const SLACK: Duration = Duration::from_millis(50);
/// How long a place is kept for a node that does not answer: at first, and at most. In between it is a few times what
/// answers take, so that a slow node is not taken for a silent protocol.
const PATIENCE: Duration = Duration::from_millis(250);
const LONGEST_PATIENCE: Duration = Duration::from_secs(1);
const TIMES_AN_ANSWER: u32 = 4;
/// What was known of a node's pace is forgotten after this.
const AT_REST: Duration = Duration::from_secs(1);

/// Whose pace it is: a tenure's epoch, and the address, since all stand-ins share an epoch.
pub(super) type Target = (u64, SocketAddr);

/// The window of one target.
#[derive(Debug)]
pub(super) struct Window {
    /// How many places it has at first, and at least.
    start: usize,
    /// How many it has once nobody was answered in time.
    in_the_dark: usize,
    size: usize,
    patience: Duration,
    quickest: Option<Duration>,
    /// Who was let go and has no answer yet, the oldest first, by number and moment.
    unanswered: VecDeque<(u64, Instant)>,
    next: u64,
    target: Option<Target>,
    last_used: Option<Instant>,
}

impl Window {
    /// Of `start` places at first, and of `in_the_dark` after each patience without an answer; at least one each.
    pub(super) fn new(start: usize, in_the_dark: usize) -> Self {
        Window {
            start,
            in_the_dark,
            size: start,
            patience: PATIENCE,
            quickest: None,
            unanswered: VecDeque::new(),
            next: 0,
            target: None,
            last_used: None,
        }
    }

    /// Takes a place and returns its number.
    ///
    /// # Errors
    /// When the next place is free at the latest.
    pub(super) fn let_go(&mut self, target: Target, now: Instant) -> Result<u64, Instant> {
        let rested = self.last_used.is_none_or(|last| now.saturating_duration_since(last) > AT_REST);
        if self.target != Some(target) || (rested && self.unanswered.is_empty()) {
            self.start_over(target);
        }
        self.give_up_waiting(now);
        match self.unanswered.front() {
            Some((_, since)) if self.free() == 0 => Err(*since + self.patience),
            _ => {
                let number = self.next;
                self.next += 1;
                self.unanswered.push_back((number, now));
                self.last_used = Some(now);
                Ok(number)
            }
        }
    }

    /// The place with this number was answered. Nothing happens if it is no longer kept.
    pub(super) fn answered(&mut self, number: u64, now: Instant) {
        let Some(since) = self.forget(number) else { return };
        let took = now.saturating_duration_since(since);
        let quickest = self.quickest.map_or(took, |quickest| quickest.min(took));
        let delay = took.saturating_sub(quickest);
        if delay <= SLACK {
            self.size += 1;
        } else if delay > SLACK * 2 {
            self.size = (self.size - 1).max(self.start);
        }
        self.quickest = Some(quickest);
        self.patience = (took * TIMES_AN_ANSWER).clamp(PATIENCE, LONGEST_PATIENCE);
        self.last_used = Some(now);
    }

    /// Gives a place back without an answer; returns since when it was taken, if it was still kept.
    pub(super) fn forget(&mut self, number: u64) -> Option<Instant> {
        let place = self.unanswered.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        self.unanswered.remove(place).map(|(_, since)| since)
    }

    /// How many places are free.
    pub(super) fn free(&self) -> usize {
        self.size.saturating_sub(self.unanswered.len())
    }

    fn start_over(&mut self, target: Target) {
        // Numbers go on: those of another target's clients must not be taken for this one's.
        *self = Window { target: Some(target), next: self.next, ..Window::new(self.start, self.in_the_dark) };
    }

    /// No answer in time: either nobody is going to say anything, or the node has more than it can do. Nobody can tell,
    /// so the crowd goes on, but in small parts and less and less often.
    fn give_up_waiting(&mut self, now: Instant) {
        let overdue = self.unanswered.partition_point(|(_, since)| *since + self.patience <= now);
        if overdue > 0 {
            self.unanswered.drain(..overdue);
            self.size = self.in_the_dark;
            self.patience = (self.patience * 2).min(LONGEST_PATIENCE);
        }
    }
}

#[cfg(test)]
mod tests;
