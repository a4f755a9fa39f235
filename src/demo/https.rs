//! What a demo node serves on its one HTTPS port, as an OpenZiti controller would.
//!
//! - `GET /health-checks/controller/raft`: 200 from the leader, else 429, and OpenZiti's body.
//! - any other path below `/health-checks`: 200 from every node without a word about raft, which is the trap that
//!   OpenZiti sets for checks with a slip in their path.
//! - `GET /whoami`: the node's name, whether it leads, its term.
//! - `GET /echo` with `Upgrade: echo`: after the 101, bytes come back as they went.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, UPGRADE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::standing::{NAMES, Standing};

/// The protocol name of the echo upgrade.
pub(super) const ECHO: &str = "echo";

/// OpenZiti's limits.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);
const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(5);
/// How long to wait after `accept` failed, as it does while the process is out of descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

type Answer = Response<Full<Bytes>>;

/// What `/whoami` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WhoAmI {
    /// The node's name.
    pub(super) node: String,
    /// Whether it says that it leads.
    pub(super) leader: bool,
    /// Its term.
    pub(super) term: u64,
}

impl WhoAmI {
    /// Reads an answer, and finds the node's place among the nodes; `None` if it is no answer of theirs.
    pub(super) fn parse(body: &[u8]) -> Option<(usize, Self)> {
        let answer: Self = serde_json::from_slice(body).ok()?;
        let place = NAMES.iter().position(|name| *name == answer.node)?;
        Some((place, answer))
    }
}

/// What the endpoints have to know.
pub(super) struct Subject {
    /// The node's name.
    pub(super) name: &'static str,
    /// Asks the node's raft how it stands, now.
    pub(super) standing: Box<dyn Fn() -> Standing + Send + Sync>,
}

/// Serves for as long as the node lives.
pub(super) async fn serve(listener: TcpListener, tls: Arc<rustls::ServerConfig>, subject: Arc<Subject>) {
    let acceptor = TlsAcceptor::from(tls);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(converse(stream, acceptor.clone(), Arc::clone(&subject)))),
            Err(_) => sleep(ACCEPT_RETRY).await,
        }
    }
}

/// One connection. Whatever ends it, the client sees it end: there is nobody here to tell.
async fn converse(stream: TcpStream, acceptor: TlsAcceptor, subject: Arc<Subject>) {
    // Without it the answers merely come a little later.
    let _ = stream.set_nodelay(true);
    let Ok(Ok(tls)) = timeout(HANDSHAKE_DEADLINE, acceptor.accept(stream)).await else { return };
    let service = service_fn(move |request| {
        let answer = answer(request, &subject);
        async move { Ok::<_, Infallible>(answer) }
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(KEEP_ALIVE_IDLE)
        .serve_connection(TokioIo::new(tls), service)
        .with_upgrades()
        .await;
}

fn answer(request: Request<Incoming>, subject: &Subject) -> Answer {
    if request.uri().path() == "/echo" {
        return echo(request);
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return plain(StatusCode::METHOD_NOT_ALLOWED);
    }
    match request.uri().path() {
        "/health-checks/controller/raft" => raft_health((subject.standing)().leads),
        path if path.starts_with("/health-checks") => body(StatusCode::OK, &health()),
        "/whoami" => {
            let standing = (subject.standing)();
            let answer =
                WhoAmI { node: subject.name.to_owned(), leader: standing.leads, term: standing.term };
            body(StatusCode::OK, &answer)
        }
        _ => plain(StatusCode::NOT_FOUND),
    }
}

fn raft_health(leads: bool) -> Answer {
    let mut health = health();
    health["raft"] = json!({ "isLeader": leads, "isRaftEnabled": true });
    body(if leads { StatusCode::OK } else { StatusCode::TOO_MANY_REQUESTS }, &health)
}

fn health() -> Value {
    json!({ "data": { "checks": [{ "id": "bolt.read", "healthy": true }], "healthy": true }, "meta": {} })
}

fn echo(request: Request<Incoming>) -> Answer {
    if request.headers().get(UPGRADE).is_none_or(|protocol| protocol != ECHO) {
        return plain(StatusCode::UPGRADE_REQUIRED);
    }
    tokio::spawn(async move {
        if let Ok(upgraded) = hyper::upgrade::on(request).await {
            let (mut reader, mut writer) = tokio::io::split(TokioIo::new(upgraded));
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
            let _ = tokio::io::AsyncWriteExt::shutdown(&mut writer).await;
        }
    });
    let mut answer = plain(StatusCode::SWITCHING_PROTOCOLS);
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    answer.headers_mut().insert(UPGRADE, HeaderValue::from_static(ECHO));
    answer
}

fn body(status: StatusCode, content: &impl Serialize) -> Answer {
    let Ok(text) = serde_json::to_vec_pretty(content) else {
        return plain(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn plain(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}
