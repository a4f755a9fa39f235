//! The HTTP server: bounded in connections and in patience.

use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
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
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::sleep;

use super::doors::keep_open;
use super::events::{COME_AGAIN, Events, Subscription};
use super::hosts::Hosts;
use super::metrics::Metrics;
use super::pages::{self, Page};
use super::places::Place;
use crate::board::Board;

/// Connections served at once besides those of [`Events`]. For more, the longest idle give way ([`Places`]).
///
/// [`Places`]: super::places::Places
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
    hosts: Hosts,
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
        let hosts = Hosts::default();
        Ok(State { registry, board, events, metrics, hosts, dropped_lines: Box::new(dropped_lines) })
    }

    /// The same with names that the listener may be asked by, besides addresses and local names: `admin.hosts`.
    #[must_use]
    pub fn with_hosts(self, names: &[String]) -> Self {
        State { hosts: Hosts::new(names), ..self }
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
    keep_open(listener, MAX_CONNECTIONS, |stream, place| {
        serve_connection(stream, Reader(Arc::clone(&state)), place)
    })
    .await;
}

/// Tells those who have subscribed to events, wherever they did, until it is dropped. Run it once.
pub async fn tell(state: Arc<State>) {
    state.events.tell().await;
}

/// Who answers one client's requests.
pub(super) trait Respond: Send + Sync + 'static {
    /// The longest head of a request, and the most that an answer may keep waiting for its client to take it, in bytes.
    const MAX_BUFFER: usize;

    /// Answers at once, bit by bit, or after a while.
    fn respond(&self, request: Request<Incoming>, desk: &Desk)
    -> impl Future<Output = Response<Body>> + Send;
}

/// Where a client may subscribe to events, once.
pub(super) struct Desk(Mutex<Option<oneshot::Sender<Subscription>>>);

/// Answers what is asked of the listener, which only reads.
struct Reader(Arc<State>);

impl Respond for Reader {
    const MAX_BUFFER: usize = MAX_BUFFER;

    async fn respond(&self, request: Request<Incoming>, desk: &Desk) -> Response<Body> {
        match self.0.hosts.foreign_name(&request) {
            Some(host) => reply(pages::misdirected(&host)),
            None => read(&self.0, &request, desk),
        }
    }
}

/// Serves one client, until its connection has to give way to another. A subscriber to events gives its place back;
/// without one, a client cannot subscribe.
pub(super) async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    respond: impl Respond,
    place: Option<Place>,
) {
    let (subscribe, subscribed) = oneshot::channel();
    let place = place.map(Arc::new);
    let subscribe = place.is_some().then_some(subscribe);
    let mut connection = pin!(answer_all(stream, respond, subscribe, place.clone()));
    let evicted = async {
        match &place {
            Some(place) => place.evicted().await,
            None => pending().await,
        }
    };
    // A connection that breaks off or outlives its time is its client's business.
    let subscription = tokio::select! {
        _ = &mut connection => return,
        () = sleep(CONNECTION_LIFETIME) => return,
        () = evicted => return,
        Ok(subscription) = subscribed => subscription,
    };
    if let Some(place) = place {
        place.release();
    }
    tokio::select! {
        _ = connection => {}
        () = subscription.feed() => {}
    }
}

/// Answers one client's questions; the first for `/events` is handed to `subscribe`. Whoever cannot subscribe has his
/// connection closed after one answer.
async fn answer_all<R: Respond>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    respond: R,
    subscribe: Option<oneshot::Sender<Subscription>>,
    place: Option<Arc<Place>>,
) -> Result<(), hyper::Error> {
    let reused = subscribe.is_some();
    let shared = Arc::new((respond, Desk(Mutex::new(subscribe)), place));
    let service = service_fn(move |request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        async move {
            let (respond, desk, place) = &*shared;
            let in_progress = place.as_ref().map(|place| place.begin_request());
            let response = respond.respond(request, desk).await;
            drop(in_progress);
            // A client that sends many requests at once takes turns with all others.
            yield_now().await;
            Ok::<_, Infallible>(response)
        }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(R::MAX_BUFFER)
        .keep_alive(reused)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

/// An answer that is whole, or that grows.
pub(super) type Body = Either<Full<Bytes>, Channel<Bytes>>;

pub(super) fn reply(page: Page) -> Response<Body> {
    typed(Either::Left(Full::new(Bytes::from(page.body))), page.status, page.content_type)
}

fn typed<B>(body: B, status: StatusCode, content_type: &'static str) -> Response<B> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().extend(SAFETY.map(|(name, value)| (Some(name), value)));
    response
}

/// What can be read, wherever it was asked: at once, or bit by bit.
pub(super) fn read(state: &State, request: &Request<Incoming>, desk: &Desk) -> Response<Body> {
    if (request.method(), request.uri().path()) == (&Method::GET, "/events") {
        stream(&state.events, request, desk)
    } else {
        reply(pages::answer(state, request.method(), request.uri().path(), request.uri().query()))
    }
}

fn stream(events: &Arc<Events>, request: &Request<Incoming>, desk: &Desk) -> Response<Body> {
    let subscribe = desk.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    let last = request.headers().get("last-event-id").and_then(|id| id.to_str().ok());
    let subscribed = subscribe.and_then(|subscribe| {
        let (subscription, body) = events.subscribe(last)?;
        subscribe.send(subscription).ok()?;
        Some(body)
    });
    let Some(body) = subscribed else {
        let full = "all places for /events are taken; come again\n";
        let mut response = reply(Page::text(StatusCode::SERVICE_UNAVAILABLE, full));
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(COME_AGAIN));
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        return response;
    };
    let mut response = typed(Either::Right(body), StatusCode::OK, pages::EVENT_STREAM);
    // The connection has no other use after this.
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
