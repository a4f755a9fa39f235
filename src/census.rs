//! Who asks the data plane for its sessions, and has them cut: questions to all workers, answered by each between its
//! other work.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

/// Questions that may wait at a worker; who asks more waits.
const QUESTIONS: usize = 16;

/// Which sessions are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of the cluster of this name alone.
    pub cluster: Option<Arc<str>>,
    /// Joined to a node of this name alone.
    pub node: Option<Arc<str>>,
}

/// One session, or one client on its way to be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Where it arrived.
    pub listener: Arc<str>,
    /// Who it is.
    pub client: SocketAddr,
    /// Its cluster's name; `None` as long as its first bytes have to tell.
    pub cluster: Option<Arc<str>>,
    /// Whom it is joined to; `None` before it is.
    pub node: Option<Arc<str>>,
    /// The tenure that it was joined under.
    pub epoch: Option<u64>,
    /// How long it has been there.
    pub age: Duration,
    /// Bytes from the client to the node.
    pub to_node: u64,
    /// Bytes from the node to the client.
    pub to_client: u64,
    /// How far it is.
    pub state: State,
}

/// How far a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is on its way to a node: silent yet, dialling or opening.
    Arriving,
    /// It waits for a route.
    Held,
    /// It is joined to a node.
    Joined,
    /// It is joined, and has to end soon.
    Draining,
}

impl State {
    /// The word that people see.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Arriving => "arriving",
            State::Held => "held",
            State::Joined => "joined",
            State::Draining => "draining",
        }
    }
}

/// Some sessions, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// How many there are.
    pub total: usize,
    /// As many of them as were asked for.
    pub sessions: Vec<Session>,
}

/// A question to one worker, and where to answer it.
#[derive(Debug)]
pub enum Question {
    /// Which sessions are there? At most so many are to be told.
    List(Filter, usize, oneshot::Sender<Listing>),
    /// Cut these sessions. How many were there?
    Cut(Filter, oneshot::Sender<usize>),
    /// Does the worker work?
    Works(oneshot::Sender<()>),
}

/// Asks all workers; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Census(Vec<mpsc::Sender<Question>>);

/// A census and the ends from which so many workers take questions.
pub fn census(workers: usize) -> (Census, Vec<mpsc::Receiver<Question>>) {
    let (senders, receivers) = (0..workers).map(|_| mpsc::channel(QUESTIONS)).unzip();
    (Census(senders), receivers)
}

impl Census {
    /// The sessions that are meant, at most `limit` of them, and how many there are.
    pub async fn list(&self, filter: &Filter, limit: usize) -> Listing {
        let mut all = Listing::default();
        for listing in self.ask(|reply| Question::List(filter.clone(), limit, reply)).await {
            all.total += listing.total;
            let room = limit.saturating_sub(all.sessions.len());
            all.sessions.extend(listing.sessions.into_iter().take(room));
        }
        all
    }

    /// Resets the sessions that are meant, and returns how many there were.
    pub async fn cut(&self, filter: &Filter) -> usize {
        self.ask(|reply| Question::Cut(filter.clone(), reply)).await.into_iter().sum()
    }

    /// Waits until all workers have shown that they work: one that does not get to answer keeps this waiting. One that has
    /// ended is not waited for: it was told to, or else has raised an alarm.
    pub async fn works(&self) {
        self.ask(Question::Works).await;
    }

    /// Asks all workers at once. One that has ended has no sessions, and does not answer.
    async fn ask<T>(&self, question: impl Fn(oneshot::Sender<T>) -> Question) -> Vec<T> {
        let mut replies = Vec::new();
        for worker in &self.0 {
            let (reply, replied) = oneshot::channel();
            if worker.send(question(reply)).await.is_ok() {
                replies.push(replied);
            }
        }
        let mut answers = Vec::new();
        for replied in replies {
            answers.extend(replied.await);
        }
        answers
    }
}
