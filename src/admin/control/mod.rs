//! Control over HTTP/1.1 on a Unix socket, which its owner alone can reach (O6): all that the admin listener answers,
//! the list of sessions, and an operator's commands (L10).
//!
//! ```text
//! asked      what a request asks for: pure        carry_out  does it
//! answer     what is said about it, as JSON
//! ```

mod answer;
mod asked;
mod carry_out;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::doors::keep_open;
use super::server::{CONNECTION_LIFETIME, HEAD_TIMEOUT, State, reply, respond};
use crate::census::Census;
use crate::intent::Inboxes;
use answer::Answer;

/// Connections served at once; more wait in the kernel's queue.
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

/// Where it is said what came of a request, in words either way.
pub type Reply = oneshot::Sender<Result<String, String>>;

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
        let connection = serve_connection(stream, Arc::clone(&control));
        async move {
            // A connection that breaks off or outlives its time is its client's business.
            let _ = timeout(CONNECTION_LIFETIME, connection).await;
            drop(place);
        }
    })
    .await;
}

async fn serve_connection(stream: UnixStream, control: Arc<Control>) -> Result<(), hyper::Error> {
    let caller = Caller::of(&stream);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let control = Arc::clone(&control);
        async move { Ok::<_, Infallible>(control.respond(caller, &request).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

impl Control {
    async fn respond(&self, caller: Caller, request: &hyper::Request<Incoming>) -> Response<Full<Bytes>> {
        let uri = request.uri();
        let answer = match asked::parse(request.method(), uri.path(), uri.query()) {
            Ok(None) => return respond(&self.state, request),
            Ok(Some(asked)) => timeout(PATIENCE, self.carry_out(caller, &asked)).await.unwrap_or_else(|_| {
                Answer::error(
                    StatusCode::GATEWAY_TIMEOUT,
                    "there was no end to it; it may still be carried out: look at the status, then ask again",
                )
            }),
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
