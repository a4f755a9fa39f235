//! One verifying TLS client: it trusts the scene's authority, asks for the public name and
//! knows each node by its certificate, so that whatever ends TLS in between is found out.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::certs::{Authority, PUBLIC_NAME};
use super::clock::Stamp;
use super::node::Node;
use super::wait::within_deadline;

/// How patient a client is: the connect timeout of OpenZiti's C SDK.
const PATIENCE: Duration = Duration::from_secs(15);

/// A TLS stream whose raw bytes are counted.
pub(crate) type Stream = tokio_rustls::client::TlsStream<Counted>;

/// What clients of a scene know.
#[derive(Clone)]
pub(crate) struct Trust {
    /// Whom they trust.
    pub(crate) config: Arc<ClientConfig>,
    /// The name that they verify.
    pub(crate) name: &'static str,
    /// Where they ask a node whether it leads.
    pub(crate) path: &'static str,
    /// The nodes' certificates.
    pub(crate) nodes: Arc<Vec<(String, CertificateDer<'static>)>>,
}

/// What one client lived through.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    /// Before it connected.
    pub(crate) started: Stamp,
    /// When it was over, well or badly.
    pub(crate) ended: Stamp,
    /// The node whose certificate it saw, if it got so far.
    pub(crate) node: Option<String>,
    /// How it went.
    pub(crate) outcome: Outcome,
}

/// How a visit went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Answered whole, by a node that says of itself what `leads` says.
    Served {
        /// Whether the node took itself for the leader when it answered.
        leads: bool,
    },
    /// It ended before a byte of any node had arrived: what a gate can and must prevent.
    Failed(String),
    /// It ended after that: what no proxy can mend if the node is dead.
    Interrupted(String),
}

impl Trust {
    /// Trust in this authority, and knowledge of these nodes' certificates.
    pub(crate) fn new(authority: &Authority, nodes: &[Node]) -> Self {
        let nodes = nodes.iter().map(|node| (node.name.clone(), node.identity.certificate.clone())).collect();
        Trust {
            config: authority.client_config(),
            name: PUBLIC_NAME,
            path: "/whoami",
            nodes: Arc::new(nodes),
        }
    }

    /// Connects and does TLS; whose certificate it was.
    pub(crate) async fn connect(&self, gate: SocketAddr) -> io::Result<(Stream, String)> {
        self.greet(TcpStream::connect(gate).await?).await
    }

    /// The same; `received` counts the raw bytes that arrive, also where it fails.
    pub(crate) async fn connect_counting(
        &self,
        gate: SocketAddr,
        received: &Arc<AtomicU64>,
    ) -> io::Result<(Stream, String)> {
        let stream = self.handshake(TcpStream::connect(gate).await?, Arc::clone(received)).await?;
        let node = self.node_of(&stream)?;
        Ok((stream, node))
    }

    /// Does TLS on a connection that is there already; whose certificate it was.
    pub(crate) async fn greet(&self, stream: TcpStream) -> io::Result<(Stream, String)> {
        let stream = self.handshake(stream, Arc::default()).await?;
        let node = self.node_of(&stream)?;
        Ok((stream, node))
    }

    /// One whole visit: connect, TLS, ask who it is, within the client's patience.
    pub(crate) async fn visit(&self, gate: SocketAddr) -> Visit {
        let started = Stamp::now();
        let received = Arc::new(AtomicU64::new(0));
        let mut node = None;
        let result = timeout(PATIENCE, self.ask(gate, Arc::clone(&received), &mut node)).await;
        let error = match result {
            Ok(Ok(leads)) => {
                return Visit { started, ended: Stamp::now(), node, outcome: Outcome::Served { leads } };
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("not done after {PATIENCE:?}"),
        };
        let outcome = match received.load(Ordering::Relaxed) {
            0 => Outcome::Failed(error),
            bytes => Outcome::Interrupted(format!("{error}, after {bytes} bytes")),
        };
        Visit { started, ended: Stamp::now(), node, outcome }
    }

    async fn ask(
        &self,
        gate: SocketAddr,
        received: Arc<AtomicU64>,
        node: &mut Option<String>,
    ) -> io::Result<bool> {
        let mut tls = self.handshake(TcpStream::connect(gate).await?, received).await?;
        let certified = node.insert(self.node_of(&tls)?);
        let request =
            format!("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.path, self.name);
        tls.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        tls.read_to_string(&mut answer).await?;
        let (_, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        let body: Value = serde_json::from_str(body)?;
        // The answer is there; how the connection ends is not part of the visit.
        let _ = tls.shutdown().await;
        // A test node says its name; of a real controller only the certificate tells.
        let who = body["node"].as_str().unwrap_or(certified);
        if who != certified {
            return Err(io::Error::other(format!("{who} answered under {certified}'s certificate")));
        }
        let leads = body["leads"].as_bool().or_else(|| body["raft"]["isLeader"].as_bool());
        leads.ok_or_else(|| io::Error::other(format!("not an answer: {body}")))
    }

    async fn handshake(&self, stream: TcpStream, received: Arc<AtomicU64>) -> io::Result<Stream> {
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(self.name).expect("a host name");
        TlsConnector::from(Arc::clone(&self.config)).connect(name, Counted { stream, received }).await
    }

    fn node_of(&self, tls: &Stream) -> io::Result<String> {
        let shown = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let node = self.nodes.iter().find(|(_, certificate)| Some(certificate) == shown);
        Ok(node.ok_or_else(|| io::Error::other("a certificate of no node"))?.0.clone())
    }
}

/// Sends one of the first lines that `node_process` knows.
pub(crate) async fn say(stream: &mut Stream, line: &str) -> io::Result<()> {
    stream.write_all(format!("{line}\n").as_bytes()).await?;
    stream.flush().await
}

/// Reads one line.
pub(crate) async fn hear(stream: &mut Stream) -> io::Result<String> {
    let mut line = String::new();
    BufReader::with_capacity(1, stream).read_line(&mut line).await?;
    Ok(line.trim_end().to_owned())
}

/// Ends the client's direction by TCP alone. TLS's own farewell is bytes to a gate: with it, a node would notice
/// the end even if the gate did not pass it on.
pub(crate) async fn half_close(stream: &mut Stream) -> io::Result<()> {
    stream.flush().await?;
    stream.get_mut().0.shutdown().await
}

/// Counts what arrives from the gate: with the first byte, a visit is in a node's hands.
pub(crate) struct Counted {
    stream: TcpStream,
    received: Arc<AtomicU64>,
}

impl Counted {
    /// Where this client connects from.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.stream.local_addr().expect("a connected socket has an address")
    }

    /// From now on, dropping it resets the connection.
    pub(crate) fn reset_on_drop(&self) {
        // Where that fails there is no connection any more.
        drop(self.stream.set_zero_linger());
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.received.fetch_add((buf.filled().len() - before) as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The session is reset.
pub(crate) async fn assert_reset(session: &mut Stream) {
    let end = within_deadline("the session's end", session.read(&mut [0])).await;
    assert_eq!(end.map_err(|error| error.kind()), Err(io::ErrorKind::ConnectionReset));
}

/// The session goes on: what is said to its node comes back.
pub(crate) async fn assert_echo(session: &mut Stream) {
    say(session, "word").await.unwrap();
    assert_eq!(within_deadline("the echo", hear(session)).await.unwrap(), "word");
}
