//! The load: a new client every few milliseconds, and a few long sessions, all through the gate.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::client::{Client, DEADLINE};
use super::ledger::Ledger;
use super::standing::{Condition, Standing};

/// A new client comes this often.
pub(super) const PACE: Duration = Duration::from_millis(10);
/// How many may be under way: each costs four descriptors of this process, of which there may be 1024.
const AT_ONCE: usize = 200;
/// How many long sessions there are.
const SESSIONS: usize = 3;
/// How often each of them sends, and how soon a lost one is replaced.
const SESSION_PACE: Duration = Duration::from_millis(250);

/// The ledger, shared by all clients.
#[derive(Clone)]
pub(super) struct Books {
    ledger: Arc<Mutex<Ledger>>,
    changed: Arc<Notify>,
}

impl Books {
    /// Opens them.
    pub(super) fn open() -> Self {
        Books { ledger: Arc::new(Mutex::new(Ledger::new(Instant::now()))), changed: Arc::default() }
    }

    /// The ledger, for a moment.
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something can be found in the ledger.
    pub(super) async fn until<T>(&self, find: impl Fn(&Ledger) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            if let Some(found) = find(&self.ledger()) {
                return found;
            }
            changed.await;
        }
    }
}

/// Everything a client needs.
#[derive(Clone)]
pub(super) struct Load {
    /// Whom to trust.
    pub(super) client: Client,
    /// Where the gate listens.
    pub(super) gate: SocketAddr,
    /// Where the outcome is noted.
    pub(super) books: Books,
    /// The truth about the nodes.
    pub(super) standings: watch::Receiver<Vec<Standing>>,
}

impl Load {
    /// Sends clients until `stop`, then waits for those under way.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut clients = JoinSet::new();
        let mut ticks = interval(PACE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                Some(_) = clients.join_next() => continue,
                // Whoever could say "stop" being gone is as good as saying it.
                _ = stop.wait_for(|stop| *stop) => break,
            }
            match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => {
                    let load = self.clone();
                    clients.spawn(async move {
                        load.one_client().await;
                        drop(place);
                    });
                }
                Err(_) => self.books.ledger().record_postponed(),
            }
        }
        while clients.join_next().await.is_some() {}
    }

    async fn one_client(self) {
        let term = newest_led_term(&self.standings.borrow());
        let ticket = self.books.ledger().set_out(Instant::now());
        let report = self.client.ask(self.gate, "/whoami").await;
        self.books.ledger().record(ticket, &report, term);
        self.books.changed.notify_waiters();
    }

    /// Keeps long sessions going; a lost one is opened anew. They end when this is dropped.
    pub(super) async fn keep_sessions(self) {
        let mut sessions = JoinSet::new();
        for _ in 0..SESSIONS {
            sessions.spawn(self.clone().keep_session());
        }
        while sessions.join_next().await.is_some() {}
    }

    async fn keep_session(self) {
        loop {
            let opened = Instant::now();
            // One that cannot be opened is no session: the short clients tell of those.
            if let Ok((node, mut stream)) = self.client.open_echo(self.gate).await {
                self.books.ledger().session_opened();
                let why = talk(&mut stream).await;
                let mut ledger = self.books.ledger();
                let excused = ledger.excuses(node, opened, Instant::now());
                ledger.session_ended(excused, opened, &why);
            }
            sleep(SESSION_PACE).await;
        }
    }
}

/// Sends and expects it back, until that fails; says how.
async fn talk(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> String {
    for number in 0_u64.. {
        let message = number.to_be_bytes();
        let mut back = [0; 8];
        let round = async {
            stream.write_all(&message).await?;
            stream.flush().await?;
            stream.read_exact(&mut back).await
        };
        match timeout(DEADLINE, round).await {
            Ok(Ok(_)) if back == message => sleep(SESSION_PACE).await,
            Ok(Ok(_)) => return "something else came back than was sent".to_owned(),
            Ok(Err(error)) => return error.to_string(),
            Err(_) => return format!("no echo within {} s", DEADLINE.as_secs()),
        }
    }
    "it was never to end".to_owned()
}

/// The newest term in which a running node says that it leads.
fn newest_led_term(all: &[Standing]) -> u64 {
    let led = all.iter().filter(|node| node.condition == Condition::Up && node.leads);
    led.map(|node| node.term).max().unwrap_or(0)
}
