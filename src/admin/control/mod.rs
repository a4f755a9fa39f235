//! Control over HTTP/1.1 on a Unix socket, which its owner alone can reach (O6): all that the admin listener answers,
//! the list of sessions, and an operator's commands (L10).
//!
//! ```text
//! asked      what a request asks for: pure        carry_out  does it
//! answer     what is said about it, as JSON          orders     whether any are taken
//! ```

mod answer;
mod asked;
mod carry_out;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;
mod orders;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Response, StatusCode};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::doors::keep_open;
use super::server::{Body, Desk, Respond, State, read, reply, serve_connection};
use crate::census::Census;
use crate::intent::Inboxes;
use answer::Answer;
pub use orders::Orders;

/// Connections served at once. For more, the longest idle give way; while all carry out commands, they wait in the
/// kernel's queue.
const MAX_CONNECTIONS: usize = 16;
/// The longest request's head, in bytes; bodies are not read.
const LONGEST_HEAD: usize = 16 * 1024;
/// How long a command may take: to cut a hundred thousand sessions in waves takes a few seconds, and a new process has
/// half a minute until it serves.
const PATIENCE: Duration = Duration::from_secs(36);

/// The strings that an operator's commands pull.
#[derive(Clone, Debug)]
pub struct Controls {
    /// Where each cluster's commands go.
    pub inboxes: Inboxes,
    /// Whether any are taken.
    pub orders: Orders,
    /// Where to ask for sessions.
    pub census: Census,
    /// Where to ask for what concerns the process as a whole.
    pub requests: mpsc::Sender<Request>,
}

/// What is asked of the process as a whole, and where to say what came of it, or why nothing did.
#[derive(Debug)]
pub enum Request {
    /// To read its configuration again (O2).
    Reload(Reply),
    /// To hand over to a new process (O3).
    Upgrade(Reply),
}

/// Where it is said what came of a request, in words either way. Who asks by a signal is told nothing.
#[derive(Debug, Default)]
pub struct Reply(Option<oneshot::Sender<Result<String, String>>>);

impl Reply {
    /// One, and where it is heard; an error there means that nobody will say anything.
    pub fn channel() -> (Self, oneshot::Receiver<Result<String, String>>) {
        let (reply, replied) = oneshot::channel();
        (Reply(Some(reply)), replied)
    }

    /// Says it. Whoever has gone does not want to know.
    pub fn say(self, outcome: Result<String, String>) {
        let _ = self.0.map(|reply| reply.send(outcome));
    }
}

/// What all connections share.
struct Control {
    state: Arc<State>,
    controls: Controls,
}

/// Whoever is at the other end of the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Caller {
    uid: Option<u32>,
    pid: Option<i32>,
}

/// Serves until it is dropped. Must run on the same current-thread runtime as [`serve`](super::serve).
pub async fn serve_control(listener: Arc<UnixListener>, state: Arc<State>, controls: Controls) {
    let control = Arc::new(Control { state, controls });
    keep_open(listener, MAX_CONNECTIONS, |stream, place| {
        let caller = Caller::of(&stream);
        serve_connection(stream, Counter { control: Arc::clone(&control), caller }, place)
    })
    .await;
}

/// Serves one caller.
struct Counter {
    control: Arc<Control>,
    caller: Caller,
}

impl Respond for Counter {
    const MAX_BUFFER: usize = LONGEST_HEAD;

    async fn respond(&self, request: hyper::Request<Incoming>, desk: &Desk) -> Response<Body> {
        let Counter { control, caller } = self;
        let uri = request.uri();
        let answer = match asked::parse(request.method(), uri.path(), uri.query()) {
            Ok(None) => return read(&control.state, &request, desk),
            Ok(Some(asked)) => {
                timeout(PATIENCE, control.carry_out(*caller, &asked)).await.unwrap_or_else(|_| {
                    Answer::error(
                        StatusCode::GATEWAY_TIMEOUT,
                        "there was no end to it; it may still be carried out: look at the status, then ask again",
                    )
                })
            }
            Err(answer) => answer,
        };
        reply(answer.into_page())
    }
}

impl Caller {
    fn of(stream: &UnixStream) -> Self {
        let credentials = stream.peer_cred().ok();
        Caller {
            uid: credentials.as_ref().map(tokio::net::unix::UCred::uid),
            pid: credentials.and_then(|credentials| credentials.pid()),
        }
    }
}
