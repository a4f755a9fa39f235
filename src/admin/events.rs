//! `/events`: what changes, as server-sent events (HTML Living Standard, section 9.2).
//!
//! ```text
//! event: status   the JSON of /status: all of it at first, and when clusters have gone; then what has changed since,
//!                 without histories
//! event: change   one event of a cluster's history, as in /status, with `cluster`
//! : still here    every 15 s
//! ```
//!
//! Changes carry an id, after which a client that comes again goes on (`Last-Event-ID`) as far as they are kept. What
//! changes is written once for all who listen, at most every [`GAP`]. Whoever falls behind is told everything anew
//! instead of every step; whoever takes nothing for [`PATIENCE`] is let go.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use serde::Serialize;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, sleep, timeout};

#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;

use super::status::Snapshot;
use crate::board::{Board, BoardEvent, ClusterBoard, ClusterStatus};

/// How many may listen at once.
pub(super) const MAX_SUBSCRIBERS: usize = 64;
/// How long whoever finds all places taken should wait, in seconds.
pub(super) const COME_AGAIN: &str = "10";
/// How often there is something to read at least, so that neither side takes the other for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often figures are told that change all the time.
const PERIOD: Duration = Duration::from_secs(1);
/// The least time between two rounds: what happens meanwhile is told at once.
const GAP: Duration = Duration::from_millis(50);
/// How many rounds one may fall behind.
const ROUNDS_KEPT: usize = 4;
/// How long one may take nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where changes come from, and whoever wants to hear of them.
#[derive(Debug)]
pub(super) struct Events {
    board: Arc<Board>,
    rounds: broadcast::Sender<Arc<Round>>,
    places: Arc<Semaphore>,
    arrived: Notify,
    /// The newest change when the first came of those who listen: what follows is to be told.
    heard: AtomicU64,
}

/// What is told to all at once.
#[derive(Debug)]
struct Round {
    /// By their ids.
    changes: Vec<(u64, Bytes)>,
    status: Bytes,
}

/// One who listens.
#[derive(Debug)]
pub(super) struct Subscription {
    events: Arc<Events>,
    rounds: broadcast::Receiver<Arc<Round>>,
    body: Sender<Bytes>,
    /// The newest change that it knows, or that was there before it came.
    known: u64,
    _place: OwnedSemaphorePermit,
}

/// It has gone, or takes nothing.
struct Gone;

impl Events {
    pub(super) fn of(board: Arc<Board>) -> Self {
        let (rounds, _) = broadcast::channel(ROUNDS_KEPT);
        let places = Arc::new(Semaphore::new(MAX_SUBSCRIBERS));
        Events { board, rounds, places, arrived: Notify::new(), heard: AtomicU64::default() }
    }

    /// A place and the body that is written to it, once [`Subscription::feed`] runs; `None` if all are taken.
    pub(super) fn subscribe(
        self: &Arc<Self>,
        last_event_id: Option<&str>,
    ) -> Option<(Subscription, Channel<Bytes>)> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let (body, channel) = Channel::new(1);
        let newest = self.board.newest();
        let known = last_event_id.and_then(|id| self.known(id)).map_or(newest, |known| known.min(newest));
        if self.rounds.receiver_count() == 0 {
            self.heard.store(newest, Ordering::Relaxed);
        }
        let rounds = self.rounds.subscribe();
        self.arrived.notify_one();
        Some((Subscription { events: Arc::clone(self), rounds, body, known, _place: place }, channel))
    }

    /// Tells changes to whoever listens, until it is dropped; does nothing while nobody does.
    pub(super) async fn tell(&self) {
        let mut news = self.board.news();
        let mut told = Told::default();
        let mut period = interval(PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.rounds.receiver_count() == 0 {
                self.arrived.notified().await;
                news.mark_unchanged();
                // Not the newest by now: whoever has come may have looked at the histories before that.
                told = Told { last: self.heard.load(Ordering::Relaxed), ..Told::default() };
            }
            let all = tokio::select! {
                _ = news.changed() => false,
                _ = period.tick() => true,
            };
            if let Some(round) = self.round(&mut told, all) {
                // Nobody listens any more: so be it.
                let _ = self.rounds.send(Arc::new(round));
                sleep(GAP).await;
            }
        }
    }

    /// What there is to tell: of all clusters, or of those only in which something has happened.
    fn round(&self, told: &mut Told, all: bool) -> Option<Round> {
        // What comes in between is for the next round: of it only a part might be seen.
        let (after, newest) = (told.last, self.board.newest());
        let (mut changes, mut changed) = (Vec::new(), Vec::new());
        let clusters: Vec<_> = self.board.clusters().collect();
        let some_are_gone = told.forget_all_but(&clusters);
        for (name, cluster) in clusters {
            let before = changes.len();
            // The status is read last: it shows the consequences of all events that are told with it.
            let history = cluster.history();
            let events = history.events_after(after).take_while(|event| event.id <= newest);
            changes.extend(events.map(|event| self.change(&name, event)));
            drop(history);
            let status = cluster.status();
            if (all || changes.len() > before) && told.is_news(&name, &status) {
                changed.push((name, cluster, status));
            }
        }
        if changes.is_empty() && changed.is_empty() && !some_are_gone {
            return None;
        }
        changes.sort_unstable_by_key(|(id, _)| *id);
        told.last = newest;
        let status =
            if some_are_gone { Snapshot::whole(&self.board) } else { Snapshot::of(&self.board, changed) };
        let status = self.frame("status", None, &status);
        Some(Round { changes, status })
    }

    fn change(&self, cluster: &str, event: &BoardEvent) -> (u64, Bytes) {
        #[derive(Serialize)]
        struct Change<'a> {
            cluster: &'a str,
            #[serde(flatten)]
            event: &'a BoardEvent,
        }
        (event.id, self.frame("change", Some(event.id), &Change { cluster, event }))
    }

    /// One event: its name, its id if one may go on from it, and its data in one line.
    fn frame(&self, event: &str, id: Option<u64>, data: &impl Serialize) -> Bytes {
        let mut text = format!("event: {event}\n");
        if let Some(id) = id {
            let _ = writeln!(text, "id: {}-{id}", self.era());
        }
        text.push_str("data: ");
        match serde_json::to_string(data) {
            Ok(json) => text.push_str(&json),
            // It is made of texts and numbers: nothing that JSON could not hold.
            Err(error) => _ = write!(text, "{{\"error\":\"{error}\"}}"),
        }
        text.push_str("\n\n");
        text.into()
    }

    /// Tells the ids of this process from another's.
    fn era(&self) -> String {
        format!("{:x}", Duration::from_secs_f64(self.board.started().max(0.0)).as_millis())
    }

    /// The newest change that is known to whoever had this id last; none of this process's if it is another's.
    fn known(&self, last_event_id: &str) -> Option<u64> {
        let (era, id) = last_event_id.split_once('-')?;
        let id = id.parse().ok()?;
        Some(if era == self.era() { id } else { 0 })
    }
}

/// What has been told.
#[derive(Debug, Default)]
struct Told {
    /// The newest change.
    last: u64,
    /// Each cluster's status.
    statuses: BTreeMap<Arc<str>, Arc<ClusterStatus>>,
}

impl Told {
    /// Forgets the clusters that are not there any more; whether there were some.
    fn forget_all_but(&mut self, clusters: &[(Arc<str>, Arc<ClusterBoard>)]) -> bool {
        let before = self.statuses.len();
        self.statuses.retain(|told, _| clusters.iter().any(|(name, _)| name == told));
        self.statuses.len() < before
    }

    /// Whether this status has not been told yet; from now on it has.
    fn is_news(&mut self, cluster: &Arc<str>, status: &Arc<ClusterStatus>) -> bool {
        let before = self.statuses.insert(Arc::clone(cluster), Arc::clone(status));
        before.is_none_or(|before| !Arc::ptr_eq(&before, status))
    }
}

impl Subscription {
    /// Tells it everything, until it has gone or takes nothing.
    pub(super) async fn feed(mut self) {
        // Whoever has gone does not want to know.
        let _ = self.feed_while_there().await;
    }

    async fn feed_while_there(&mut self) -> Result<(), Gone> {
        self.send(Bytes::from_static(b"retry: 1000\n\n")).await?;
        self.start_anew().await?;
        let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        loop {
            tokio::select! {
                round = self.rounds.recv() => match round {
                    Ok(round) => self.take(&round).await?,
                    Err(RecvError::Lagged(_)) => self.start_anew().await?,
                    Err(RecvError::Closed) => return Ok(()),
                },
                _ = heartbeat.tick() => self.send(Bytes::from_static(b": still here\n\n")).await?,
            }
        }
    }

    /// Tells the whole status, and the changes before it that it does not know, as far as they are kept.
    async fn start_anew(&mut self) -> Result<(), Gone> {
        let events = Arc::clone(&self.events);
        let mut missed = Vec::new();
        for (name, cluster) in events.board.clusters() {
            missed
                .extend(cluster.history().events_after(self.known).map(|event| events.change(&name, event)));
        }
        missed.sort_unstable_by_key(|(id, _)| *id);
        // Whoever leaves before it has heard of them asks for them again: so the id is the one before them.
        self.send(events.frame("status", Some(self.known), &Snapshot::whole(&events.board))).await?;
        for (id, frame) in missed {
            self.tell(id, frame).await?;
        }
        Ok(())
    }

    async fn take(&mut self, round: &Round) -> Result<(), Gone> {
        for (id, frame) in &round.changes {
            self.tell(*id, frame.clone()).await?;
        }
        self.send(round.status.clone()).await
    }

    /// Tells a change that it may know already.
    async fn tell(&mut self, id: u64, frame: Bytes) -> Result<(), Gone> {
        if self.known < id {
            self.send(frame).await?;
            self.known = id;
        }
        Ok(())
    }

    async fn send(&mut self, frame: Bytes) -> Result<(), Gone> {
        match timeout(PATIENCE, self.body.send_data(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }
}

#[cfg(test)]
mod tests;
