//! The HTTP server: bounded in connections and in patience.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::metrics::Metrics;
use super::pages::{self, Page};
use super::reserve::Reserve;
use crate::board::Board;

/// Connections served at once; more wait in the kernel's queue.
pub(super) const MAX_CONNECTIONS: usize = 64;
/// How long a client may take to send its request's head.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one connection may be used in all, so that forgotten ones do not use up the places.
pub(super) const CONNECTION_LIFETIME: Duration = Duration::from_mins(5);
/// How long to wait after a failed accept: what fails then (no descriptors) does not mend at once.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// How long a client may take that is served with the last descriptors: the next one waits for them.
pub(super) const LAST_PLACE_LIFETIME: Duration = Duration::from_secs(1);

/// What the pages are made of.
pub struct State {
    pub(super) registry: Registry,
    pub(super) board: Arc<Board>,
    /// Metrics of the process as such.
    pub metrics: Metrics,
    dropped_lines: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl State {
    /// `dropped_lines` tells how many log lines have been dropped so far.
    ///
    /// # Errors
    /// If a metric's name is taken already, which is a defect of the program.
    pub fn new(
        registry: Registry,
        board: Arc<Board>,
        dropped_lines: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Result<Self, prometheus::Error> {
        let metrics = Metrics::register(&registry)?;
        Ok(State { registry, board, metrics, dropped_lines: Box::new(dropped_lines) })
    }

    /// Brings the counter up to the log's own count. All requests are answered by one thread, so
    /// two of them cannot count the same lines.
    pub(super) fn count_dropped_lines(&self) {
        let counter = &self.metrics.log_lines_dropped;
        counter.inc_by((self.dropped_lines)().saturating_sub(counter.get()));
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("board", &self.board).finish_non_exhaustive()
    }
}

/// Serves until it is dropped. Must run on a current-thread runtime (see [`State::metrics`]).
pub async fn serve(listener: TcpListener, state: Arc<State>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut reserve = Reserve::default();
    loop {
        reserve.fill(&listener);
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        if let Ok((stream, _)) = listener.accept().await {
            let connection = serve_connection(stream, Arc::clone(&state), Reuse::Kept);
            tokio::spawn(async move {
                // A connection that breaks off or outlives its time is its client's business.
                let _ = timeout(CONNECTION_LIFETIME, connection).await;
                drop(place);
            });
        } else {
            reserve.give_up();
            serve_from_the_reserve(&listener, &state).await;
            sleep(ACCEPT_PAUSE).await;
        }
    }
}

/// Serves one client with the descriptors that have just been given up, and nobody else meanwhile.
async fn serve_from_the_reserve(listener: &TcpListener, state: &Arc<State>) {
    // Tried once, without waiting: for want of descriptors an accept fails whether anybody is there or not.
    if let Ok(Ok((stream, _))) = timeout(Duration::ZERO, listener.accept()).await {
        let connection = serve_connection(stream, Arc::clone(state), Reuse::Closed);
        let _ = timeout(LAST_PLACE_LIFETIME, connection).await;
    }
}

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reuse {
    Kept,
    Closed,
}

async fn serve_connection(stream: TcpStream, state: Arc<State>, reuse: Reuse) -> Result<(), hyper::Error> {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = respond(&state, &request);
        async move { Ok::<_, Infallible>(response) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .keep_alive(reuse == Reuse::Kept)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

/// What this listener answers, which only reads.
pub(super) fn respond(state: &State, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    reply(pages::answer(state, request.method(), request.uri().path(), request.uri().query()))
}

pub(super) fn reply(page: Page) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(page.body)));
    *response.status_mut() = page.status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(page.content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
