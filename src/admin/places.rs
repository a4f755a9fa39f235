//! The places of one door, and which connection gives way when all of them are taken (O6).
//!
//! An idle connection costs its client nothing. If idle connections kept their places, a few dozen of them would silence
//! the health checks, and an orchestrator would then end a gate that serves. So a new connection always gets a place:
//! the connection that has been idle for longest is closed for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

#[cfg(test)]
mod tests;

/// How long a client has for its first request before its connection counts as idle.
const ARRIVAL: Duration = Duration::from_secs(1);
/// How long the next client waits after a connection was closed that was within [`ARRIVAL`]. So a crowd that comes at
/// once leaves each client this long times the number of places for its first request.
const ARRIVAL_PAUSE: Duration = Duration::from_millis(1);

/// As many places as connections may be served at once.
#[derive(Debug)]
pub(super) struct Places {
    count: usize,
    taken: Mutex<Taken>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    /// By their numbers, which are given in the order of arrival.
    connections: BTreeMap<u64, Connection>,
    next: u64,
}

/// A connection that has a place.
#[derive(Debug)]
struct Connection {
    /// When its last request came or was answered; before the first, when it was accepted.
    active: Instant,
    /// Requests for which an answer is being made.
    in_progress: usize,
    has_asked: bool,
    evicted: Arc<Notify>,
}

/// One connection's place. Dropped, it is free again.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    evicted: Arc<Notify>,
}

/// A request for which an answer is being made: until this is dropped, its connection is not idle.
#[derive(Debug)]
pub(super) struct InProgress<'p>(&'p Place);

/// Whose place a new connection gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    /// A place that was free, or that of an idle connection.
    Free,
    /// That of a connection which might still have asked.
    OfNewcomer,
}

impl Connection {
    fn is_arriving(&self) -> bool {
        !self.has_asked && self.active.elapsed() < ARRIVAL
    }
}

impl Places {
    pub(super) fn new(count: usize) -> Arc<Self> {
        Arc::new(Places { count, taken: Mutex::default(), freed: Notify::new() })
    }

    /// A place, if need be that of the connection that has been idle for longest; a connection within [`ARRIVAL`] gives
    /// way last. Waits while every connection has a request in progress.
    pub(super) async fn take(self: &Arc<Self>) -> Place {
        loop {
            match self.make_room() {
                Some(Room::Free) => return self.enter(),
                Some(Room::OfNewcomer) => {
                    sleep(ARRIVAL_PAUSE).await;
                    return self.enter();
                }
                None => self.freed.notified().await,
            }
        }
    }

    /// Evicts a connection if all places are taken; `None` if there is none to evict.
    fn make_room(&self) -> Option<Room> {
        let mut taken = self.lock();
        if taken.connections.len() < self.count {
            return Some(Room::Free);
        }
        let idle = taken.connections.iter().filter(|(_, connection)| connection.in_progress == 0);
        let rank = |connection: &Connection| (connection.is_arriving(), connection.active);
        let number = *idle.min_by_key(|(_, connection)| rank(connection))?.0;
        let evicted = taken.connections.remove(&number)?;
        evicted.evicted.notify_one();
        Some(if evicted.is_arriving() { Room::OfNewcomer } else { Room::Free })
    }

    fn enter(self: &Arc<Self>) -> Place {
        let mut taken = self.lock();
        let (number, evicted) = (taken.next, Arc::new(Notify::new()));
        taken.next += 1;
        let connection = Connection {
            active: Instant::now(),
            in_progress: 0,
            has_asked: false,
            evicted: Arc::clone(&evicted),
        };
        taken.connections.insert(number, connection);
        Place { places: Arc::clone(self), number, evicted }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits until the connection has to give way to a new one.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }

    /// A request has come.
    pub(super) fn begin_request(&self) -> InProgress<'_> {
        self.update(|connection| {
            connection.in_progress += 1;
            connection.has_asked = true;
        });
        InProgress(self)
    }

    /// Frees the place before the connection ends.
    pub(super) fn release(&self) {
        if self.places.lock().connections.remove(&self.number).is_some() {
            self.places.freed.notify_one();
        }
    }

    fn update(&self, change: impl FnOnce(&mut Connection)) {
        if let Some(connection) = self.places.lock().connections.get_mut(&self.number) {
            connection.active = Instant::now();
            change(connection);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.release();
    }
}

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        self.0.update(|connection| connection.in_progress = connection.in_progress.saturating_sub(1));
        self.0.places.freed.notify_one();
    }
}
