//! Asks a node at its other addresses while the connection that there is stays in use: make before break (L6).
//!
//! A name that stands for another machine, by a move or by a mistake, says nothing of the node yet. The node is followed to
//! another address when it makes a statement there, and not before.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::exchange::{Connection, Deadline, Endpoint};
use crate::leader::Verdict;

/// From the beginning of one attempt to that of the next.
const PAUSE: Duration = Duration::from_secs(1);

/// A node's scout: one attempt at a time, aborted when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Scout {
    attempt: Option<JoinHandle<Option<Found>>>,
    began: Option<Instant>,
}

/// An address at which the node makes a statement.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) address: SocketAddr,
    /// The connection, if it can be used again.
    pub(super) connection: Option<Connection>,
}

impl Scout {
    /// What the last attempt has found, if it has just ended.
    pub(super) async fn found(&mut self) -> Option<Found> {
        let attempt = self.attempt.take_if(|attempt| attempt.is_finished())?;
        // One that has panicked has found nothing; the hook has told of it.
        attempt.await.ok().flatten()
    }

    /// Begins to ask at these addresses, one after the other under one deadline, unless an attempt is in progress or the
    /// last one has begun a short while ago.
    pub(super) fn send(&mut self, endpoint: &Endpoint, elsewhere: Vec<SocketAddr>, deadline: Deadline) {
        let now = Instant::now();
        let is_due = self.began.is_none_or(|began| began + PAUSE <= now);
        if self.attempt.is_none() && is_due && !elsewhere.is_empty() {
            self.began = Some(now);
            self.attempt = Some(tokio::spawn(ask(endpoint.clone(), elsewhere, deadline.again(now))));
        }
    }

    /// Gives up: the node is where its name says.
    pub(super) fn call_back(&mut self) {
        *self = Scout::default();
    }
}

impl Drop for Scout {
    fn drop(&mut self) {
        if let Some(attempt) = &self.attempt {
            attempt.abort();
        }
    }
}

async fn ask(endpoint: Endpoint, elsewhere: Vec<SocketAddr>, deadline: Deadline) -> Option<Found> {
    for (place, address) in elsewhere.iter().enumerate() {
        let others = elsewhere.len() - place - 1;
        let found = ask_at(&endpoint, *address, deadline.shared_with(others, Instant::now())).await;
        if found.is_some() {
            return found;
        }
    }
    None
}

async fn ask_at(endpoint: &Endpoint, address: SocketAddr, deadline: Deadline) -> Option<Found> {
    let mut connection = endpoint.connect_to(address, deadline).await.0.ok()?;
    let head = connection.send(&endpoint.request, deadline).await.ok()?;
    let answer = connection.read(head, &endpoint.rules, deadline).await.ok()?;
    let verdict = endpoint.rules.judge(answer.status, &answer.body).verdict;
    matches!(verdict, Verdict::Leader | Verdict::Follower)
        .then(|| Found { address, connection: (!answer.closes).then_some(connection) })
}
