//! One TLS client: a new connection, a verified certificate, one question.
//!
//! It notes when the first byte of whoever answers reached it, below TLS: up to there a proxy may still move the
//! client to another node, from there on nobody can (S4).

use std::error::Error;
use std::io::{self, ErrorKind};
use std::iter::successors;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{CONNECTION, HOST, HeaderValue, UPGRADE};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certs::PUBLIC_NAME;
use super::https::{ECHO, WhoAmI};

/// The patience of OpenZiti's own clients.
pub(super) const DEADLINE: Duration = Duration::from_secs(15);
/// More than any answer of a demo node.
const LONGEST_ANSWER: usize = 64 * 1024;

/// Why a client has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// The connection could not be made, or broke, or TLS did not like what came.
    #[error("{}", in_words(.0))]
    Connection(#[from] io::Error),
    /// It broke in the midst of HTTP, or the answer is no HTTP.
    #[error("{}", connection_error(.0).map_or_else(|| .0.to_string(), in_words))]
    Http(#[from] hyper::Error),
    /// The answer is not the one expected.
    #[error("unexpected answer: {0}")]
    Answer(String),
    /// The deadline passed.
    #[error("no answer within {} s", DEADLINE.as_secs())]
    Timeout,
}

impl ClientError {
    /// Whether the other side went away or fell silent, rather than said something wrong.
    pub(super) fn is_loss(&self) -> bool {
        match self {
            ClientError::Connection(error) => is_disconnect(error),
            ClientError::Http(error) => match connection_error(error) {
                Some(error) => is_disconnect(error),
                // Nobody here cancels a request: it is cancelled when the connection ends before it was sent.
                None => error.is_incomplete_message() || error.is_canceled(),
            },
            ClientError::Answer(_) => false,
            ClientError::Timeout => true,
        }
    }
}

/// The connection's own error, however deep below HTTP's it lies.
fn connection_error(error: &hyper::Error) -> Option<&io::Error> {
    successors(error.source(), |error| (*error).source()).find_map(|error| error.downcast_ref())
}

fn is_disconnect(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe
            | ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::UnexpectedEof
    )
}

fn in_words(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        ErrorKind::ConnectionReset => "connection reset".to_owned(),
        ErrorKind::UnexpectedEof => "connection closed".to_owned(),
        _ => error.to_string(),
    }
}

/// What came of one client, and when.
#[derive(Debug)]
pub(super) struct Report {
    /// When it began to connect.
    pub(super) started: Instant,
    /// When the first byte of its node reached it.
    pub(super) first_byte: Option<Instant>,
    /// When it had its answer, or knew that it would not get one.
    pub(super) ended: Instant,
    /// Status and body of the answer.
    pub(super) answer: Result<(StatusCode, Bytes), ClientError>,
}

/// Makes connections that trust only the demo's nodes.
#[derive(Clone)]
pub(super) struct Client(TlsConnector);

impl Client {
    /// A client with these roots.
    pub(super) fn new(tls: Arc<rustls::ClientConfig>) -> Self {
        Client(TlsConnector::from(tls))
    }

    /// Asks one question on a connection of its own, within [`DEADLINE`].
    pub(super) async fn ask(&self, address: SocketAddr, path: &str) -> Report {
        let started = Instant::now();
        let first_byte = Arc::new(OnceLock::new());
        let answer = match timeout(DEADLINE, self.exchange(address, path, &first_byte)).await {
            Ok(answer) => answer,
            Err(_) => Err(ClientError::Timeout),
        };
        Report { started, first_byte: first_byte.get().copied(), ended: Instant::now(), answer }
    }

    async fn exchange(
        &self,
        address: SocketAddr,
        path: &str,
        first_byte: &Arc<OnceLock<Instant>>,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let stream = self.connect(address, Arc::clone(first_byte)).await?;
        exchange_on(stream, path).await
    }

    /// Opens an echo session, within [`DEADLINE`], with the node that it names by its place: what is written comes
    /// back.
    pub(super) async fn open_echo(
        &self,
        address: SocketAddr,
    ) -> Result<(usize, impl AsyncRead + AsyncWrite + Unpin + use<>), ClientError> {
        let opening = async {
            let stream = self.connect(address, Arc::default()).await?;
            let (mut requests, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection.with_upgrades());
            let response = requests.send_request(request("/whoami", "keep-alive")?).await?;
            let answer = response.into_body().collect().await?.to_bytes();
            let (node, _) =
                WhoAmI::parse(&answer).ok_or_else(|| ClientError::Answer("no node's".to_owned()))?;
            let mut request = request("/echo", "upgrade")?;
            request.headers_mut().insert(UPGRADE, HeaderValue::from_static(ECHO));
            let response = requests.send_request(request).await?;
            if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                return Err(ClientError::Answer(response.status().to_string()));
            }
            Ok((node, TokioIo::new(hyper::upgrade::on(response).await?)))
        };
        timeout(DEADLINE, opening).await.unwrap_or(Err(ClientError::Timeout))
    }

    async fn connect(
        &self,
        address: SocketAddr,
        first_byte: Arc<OnceLock<Instant>>,
    ) -> Result<TlsStream<Witness>, ClientError> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(PUBLIC_NAME).map_err(io::Error::other)?;
        Ok(self.0.connect(name, Witness { stream, first_byte }).await?)
    }
}

/// Asks one question on a connection that is made, whatever it is made of.
async fn exchange_on(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    path: &str,
) -> Result<(StatusCode, Bytes), ClientError> {
    let (mut requests, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async {
        let response = requests.send_request(request(path, "close")?).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
        match body {
            Ok(body) => Ok((status, body.to_bytes())),
            Err(error) => Err(match error.downcast::<hyper::Error>() {
                Ok(error) => ClientError::Http(*error),
                Err(error) => ClientError::Answer(error.to_string()),
            }),
        }
    };
    let mut exchange = pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        ended = connection => {
            let answer = exchange.await;
            match (answer, ended) {
                // An exchange that had not begun is merely cancelled: why is known to the connection alone.
                (Err(ClientError::Http(_)), Err(why)) => Err(ClientError::Http(why)),
                (answer, _) => answer,
            }
        }
    }
}

fn request(path: &str, connection: &'static str) -> Result<Request<Empty<Bytes>>, ClientError> {
    Request::get(path)
        .header(HOST, PUBLIC_NAME)
        .header(CONNECTION, connection)
        .body(Empty::new())
        .map_err(|error| ClientError::Answer(error.to_string()))
}

/// A connection that notes when the first byte came.
struct Witness {
    stream: TcpStream,
    first_byte: Arc<OnceLock<Instant>>,
}

impl AsyncRead for Witness {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(pin!(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.first_byte.get_or_init(Instant::now);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Witness {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        pin!(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
