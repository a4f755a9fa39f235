//! The HTTP server: bounded in connections and in patience.

use std::cell::Cell;
use std::convert::Infallible;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::channel::Channel;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue,
    REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::Registry;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::sleep;

use super::doors::keep_open;
use super::events::{COME_AGAIN, Events, Subscription};
use super::metrics::Metrics;
use super::pages::{self, Page};
use crate::board::Board;

/// Connections served at once besides those of [`Events`]; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 64;
/// How long a client may take to send its request's head.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one connection may be used in all, so that forgotten ones do not use up the places.
pub(super) const CONNECTION_LIFETIME: Duration = Duration::from_mins(5);
/// What an answer may keep waiting for its client to take it, in bytes.
const MAX_BUFFER: usize = 64 * 1024;
/// What belongs to the page is its own files only; nothing may show it within another page, or learn where one was.
const SAFETY: [(HeaderName, HeaderValue); 3] = [
    (
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];

/// What the pages are made of.
pub struct State {
    pub(super) registry: Registry,
    pub(super) board: Arc<Board>,
    events: Arc<Events>,
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
        let events = Arc::new(Events::of(Arc::clone(&board)));
        Ok(State { registry, board, events, metrics, dropped_lines: Box::new(dropped_lines) })
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
pub async fn serve(listener: Arc<TcpListener>, state: Arc<State>) {
    tokio::select! {
        () = keep_open(listener, MAX_CONNECTIONS, |stream, place| serve_connection(stream, Arc::clone(&state), place)) => {}
        () = state.events.tell() => {}
    }
}

/// Serves one client. Only as long as it asks questions does it take one of the places for that; without one it cannot
/// subscribe.
async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    state: Arc<State>,
    place: Option<OwnedSemaphorePermit>,
) {
    let (subscribe, subscribed) = oneshot::channel();
    let mut connection = pin!(answer_all(stream, state, place.is_some().then_some(subscribe)));
    // A connection that breaks off or outlives its time is its client's business.
    let subscription = tokio::select! {
        _ = &mut connection => return,
        () = sleep(CONNECTION_LIFETIME) => return,
        Ok(subscription) = subscribed => subscription,
    };
    drop(place);
    tokio::select! {
        _ = connection => {}
        () = subscription.feed() => {}
    }
}

/// Answers one client's questions; the first for `/events` is handed to `subscribe`. Whoever cannot subscribe has his
/// connection closed after one answer.
async fn answer_all(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    state: Arc<State>,
    subscribe: Option<oneshot::Sender<Subscription>>,
) -> Result<(), hyper::Error> {
    let reused = subscribe.is_some();
    let subscribe = Cell::new(subscribe);
    let service = service_fn(move |request: Request<Incoming>| {
        let response = respond_or_stream(&state, &request, &subscribe);
        async move { Ok::<_, Infallible>(response) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_BUFFER)
        .keep_alive(reused)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

type Body = Either<Full<Bytes>, Channel<Bytes>>;

/// What is answered at once, wherever it was asked.
pub(super) fn respond(state: &State, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    reply(pages::answer(state, request.method(), request.uri().path(), request.uri().query()))
}

pub(super) fn reply(page: Page) -> Response<Full<Bytes>> {
    typed(Full::new(Bytes::from(page.body)), page.status, page.content_type)
}

fn typed<B>(body: B, status: StatusCode, content_type: &'static str) -> Response<B> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().extend(SAFETY.map(|(name, value)| (Some(name), value)));
    response
}

/// What this listener answers, which only reads: at once, or bit by bit.
fn respond_or_stream(
    state: &State,
    request: &Request<Incoming>,
    subscribe: &Cell<Option<oneshot::Sender<Subscription>>>,
) -> Response<Body> {
    if (request.method(), request.uri().path()) == (&Method::GET, "/events") {
        stream(&state.events, request, subscribe.take())
    } else {
        respond(state, request).map(Either::Left)
    }
}

fn stream(
    events: &Arc<Events>,
    request: &Request<Incoming>,
    subscribe: Option<oneshot::Sender<Subscription>>,
) -> Response<Body> {
    let last = request.headers().get("last-event-id").and_then(|id| id.to_str().ok());
    let subscribed = subscribe.and_then(|subscribe| {
        let (subscription, body) = events.subscribe(last)?;
        subscribe.send(subscription).ok()?;
        Some(body)
    });
    let Some(body) = subscribed else {
        let full = "all places for /events are taken; come again\n";
        let mut response = reply(Page::text(StatusCode::SERVICE_UNAVAILABLE, full)).map(Either::Left);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(COME_AGAIN));
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        return response;
    };
    let mut response = typed(Either::Right(body), StatusCode::OK, pages::EVENT_STREAM);
    // The connection has no other use after this.
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
