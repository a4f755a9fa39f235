//! One connection to a node, and one request on it at a time, under one deadline (L6).

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONNECTION, TRANSFER_ENCODING};
use hyper::{Request, Response, Version};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout, timeout_at};

use super::dial::{Dial, Stream, Tcp};
use super::failure::{Failure, Phase};
use super::judge::{Rules, Wanted};
use super::tls::{Connector, Leaf, Peer};
use crate::intent::Certificate;
use crate::leader::ProbeFailure;
use crate::names::Address;
use crate::wire::proxy_header;

#[cfg(test)]
mod tests;

/// How many bytes of an answer's head may have been read without an end to it.
pub(super) const HEAD_LIMIT: usize = 16 * 1024;
/// How many bytes of an answer's body are read before it is given up.
pub(super) const BODY_LIMIT: usize = 64 * 1024;
/// How long the rest of a body may take that no rule looks at. The answer is known by then: a body that ends within this
/// time spares the next probe a connection.
const UNREAD_GRACE: Duration = Duration::from_millis(50);
/// How long a node may take to let us say goodbye.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// Where to ask, and what.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub(super) address: Address,
    pub(super) tls: Option<(Connector, Peer)>,
    pub(super) request: Request<Empty<Bytes>>,
    /// What an answer means, and so what of it has to be read.
    pub(super) rules: Arc<Rules>,
    /// The PROXY header that each connection begins with.
    send_proxy: Option<proxy_header::Version>,
    dial: Arc<dyn Dial>,
    /// Where the newest connection goes, if it could be made.
    pub(super) connected: Option<SocketAddr>,
    /// Where the next connection is to go before all others.
    pub(super) preferred: Option<SocketAddr>,
    /// Where it could not be made, or brought nothing, if that was the newest attempt.
    failed: Option<SocketAddr>,
}

/// The end of an exchange: a moment, whatever happens until then (L6).
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    pub(super) at: Instant,
    timeout: Duration,
}

impl Deadline {
    pub(super) fn after(began: Instant, timeout: Duration) -> Self {
        Deadline { at: began + timeout, timeout }
    }

    /// One for something else that begins now, which may take as long.
    pub(super) fn again(self, now: Instant) -> Self {
        Deadline::after(now, self.timeout)
    }

    /// One that leaves time for `others` that come after it.
    pub(super) fn shared_with(self, others: usize, now: Instant) -> Self {
        let share = self.at.saturating_duration_since(now)
            / u32::try_from(others).unwrap_or(u32::MAX).saturating_add(1);
        Deadline { at: now + share, ..self }
    }

    /// The same, if `limit` from now is not sooner.
    fn within(self, limit: Duration) -> Self {
        Deadline { at: self.at.min(Instant::now() + limit), ..self }
    }

    async fn bound<T>(self, phase: Phase, work: impl Future<Output = T>) -> Result<T, Failure> {
        timeout_at(self.at, work).await.map_err(|_| Failure::timeout(phase, self.timeout))
    }
}

/// An answer whose meaning can be judged.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
    /// Whether the node said that it will close the connection.
    pub(super) closes: bool,
}

/// An established connection. Dropping it says goodbye to the node in the background.
#[derive(Debug)]
pub(super) struct Connection {
    line: Line,
    pub(super) made: Instant,
    pub(super) certificate: Option<Arc<Certificate>>,
}

/// A connection's stream. Nodes are many, and exchanges short: what HTTP needs, buffers above all, is there while one
/// is under way and not in between.
enum Line {
    /// Between two exchanges.
    Resting(Box<dyn Stream>),
    /// In the middle of one.
    Speaking(Box<Speech>),
    /// Nothing can be asked on it any more.
    Ended(Option<Box<dyn Stream>>),
}

/// One exchange's HTTP.
struct Speech {
    connection: http1::Connection<TokioIo<Box<dyn Stream>>, Empty<Bytes>>,
    /// Without it, the connection would be taken for one that nobody wants any more.
    requests: SendRequest<Empty<Bytes>>,
    /// The connection has nothing more to do.
    over: bool,
}

/// What became of an attempt to connect, and the certificate presented in it.
pub(super) type Connected = (Result<Connection, Failure>, Option<Leaf>);

impl Endpoint {
    pub(super) fn new(
        address: Address,
        tls: Option<(Connector, Peer)>,
        request: Request<Empty<Bytes>>,
        rules: Arc<Rules>,
    ) -> Self {
        let dial = Arc::new(Tcp);
        Endpoint {
            address,
            tls,
            request,
            rules,
            send_proxy: None,
            dial,
            connected: None,
            preferred: None,
            failed: None,
        }
    }

    /// The same, with a PROXY header at the beginning of each connection: one that says that the gate speaks for itself.
    pub(super) fn introduced_by(self, send_proxy: Option<proxy_header::Version>) -> Self {
        Endpoint { send_proxy, ..self }
    }

    /// The same, with its connections made in another way.
    pub(super) fn over(self, dial: Arc<dyn Dial>) -> Self {
        Endpoint { dial, ..self }
    }

    /// Whether the newest connection goes to an address that the node no longer has.
    pub(super) fn is_outdated(&self) -> bool {
        self.connected.is_some_and(|address| !self.address.is_listed(address))
    }

    /// Notes that the newest connection was made, but brought no answer: the next one goes elsewhere, if it can.
    pub(super) fn note_failure(&mut self) {
        self.failed = self.connected.take();
    }

    /// Connects, with TLS where it is used. All of the node's addresses are tried in turn under the one deadline;
    /// where it ends, the next attempt goes on.
    pub(super) async fn connect(&mut self, deadline: Deadline) -> Connected {
        // A look-up that is late for this probe is no more than that: whatever is known now is used.
        let _ = timeout_at(deadline.at, self.address.looked_up()).await;
        self.connected = None;
        let mut outcome = (Err(Failure::dns(&self.address)), None);
        let mut turn = self.address.in_turn(self.failed);
        if let Some(preferred) = self.preferred.take() {
            turn.retain(|address| *address != preferred);
            turn.insert(0, preferred);
        }
        for address in turn {
            let attempt = self.connect_to(address, deadline).await;
            if attempt.0.is_ok() {
                (self.connected, self.failed) = (Some(address), None);
                return attempt;
            }
            self.failed = Some(address);
            if tells_more(&attempt, &outcome) {
                outcome = attempt;
            }
            if Instant::now() >= deadline.at {
                break;
            }
        }
        outcome
    }

    pub(super) async fn connect_to(&self, address: SocketAddr, deadline: Deadline) -> Connected {
        let stream = match self.dial(address, deadline).await {
            Ok(stream) => stream,
            Err(failure) => return (Err(failure), None),
        };
        let Some((connector, peer)) = &self.tls else {
            return (Ok(Connection::new(stream, None)), None);
        };
        let shaken = deadline.bound(Phase::Handshake, connector.handshake(peer, stream)).await;
        match shaken {
            Err(timeout) => (Err(timeout), None),
            Ok((result, leaf)) => {
                let connection = match result {
                    Ok(stream) => Ok(Connection::new(Box::new(stream), leaf.as_ref())),
                    Err(error) => Err(Failure::handshake(&error, leaf.as_ref(), &peer.name)),
                };
                (connection, leaf)
            }
        }
    }

    async fn dial(&self, address: SocketAddr, deadline: Deadline) -> Result<Box<dyn Stream>, Failure> {
        let dialling = async {
            let mut stream = self.dial.dial(address).await?;
            if let Some(version) = self.send_proxy {
                stream.write_all(&proxy_header::write(version, None)).await?;
            }
            Ok(stream)
        };
        let dialled = deadline.bound(Phase::Connect, dialling).await?;
        dialled.map_err(|error: io::Error| Failure::connect(address, &error))
    }
}

/// Which of two failures a probe reports: nothing tells less than that there is no address, and little less than
/// that one of several refused.
fn tells_more(newer: &Connected, older: &Connected) -> bool {
    let kind = |connected: &Connected| connected.0.as_ref().err().map(|failure| failure.kind);
    kind(newer) != Some(ProbeFailure::Refused) || kind(older) == Some(ProbeFailure::Dns)
}

impl Connection {
    pub(super) fn new(stream: Box<dyn Stream>, leaf: Option<&Leaf>) -> Self {
        let certificate = leaf.map(|leaf| Arc::clone(&leaf.certificate));
        Connection { line: Line::Resting(stream), made: Instant::now(), certificate }
    }

    /// Sends the request and waits for the answer's head.
    pub(super) async fn send(
        &mut self,
        request: &Request<Empty<Bytes>>,
        deadline: Deadline,
    ) -> Result<Response<Incoming>, Failure> {
        let Line::Resting(stream) = self.line.take() else { return Err(Failure::closed()) };
        let mut speech = Box::new(Speech::begin(stream).await);
        let answer = speech.requests.send_request(request.clone());
        self.line = Line::Speaking(speech);
        let head = deadline.bound(Phase::Head, self.line.until(answer)).await?;
        head.map_err(|error| Failure::http(&error))
    }

    /// Reads the body that belongs to a head, as far as these rules look at it. With it, the exchange is over.
    ///
    /// # Errors
    /// Of a body on which the verdict depends: it is too large, does not come in time, or is cut off. One that only ends
    /// by the connection's end, without TLS's own end, is whole if it is a whole JSON text.
    pub(super) async fn read(
        &mut self,
        head: Response<Incoming>,
        rules: &Rules,
        deadline: Deadline,
    ) -> Result<Answer, Failure> {
        let status = head.status().as_u16();
        let (closes, is_delimited) = (announces_close(&head), is_delimited(&head));
        let wanted = rules.wanted(status);
        let deadline = if wanted == Wanted::Nothing { deadline.within(UNREAD_GRACE) } else { deadline };
        let mut read = BytesMut::new();
        let body = collect(Limited::new(head.into_body(), BODY_LIMIT), &mut read);
        let end = deadline.bound(Phase::Body, self.line.until(body)).await;
        match end.and_then(|end| end.map_err(|error| Failure::http(&*error))) {
            Ok(()) => {
                self.line.rest();
                Ok(Answer { status, body: read.freeze(), closes })
            }
            Err(failure) if wanted == Wanted::ForVerdict => {
                let is_whole = failure.kind == ProbeFailure::Closed && !is_delimited && is_whole_json(&read);
                if is_whole { Ok(Answer { status, body: read.freeze(), closes: true }) } else { Err(failure) }
            }
            // What the connection may still bring would be taken for the next answer.
            Err(_) => Ok(Answer { status, body: Bytes::new(), closes: true }),
        }
    }

    /// Waits, between two exchanges, until the connection has ended.
    pub(super) async fn ended(&mut self) {
        if let Line::Resting(stream) = &mut self.line {
            // What a node says without being asked would be taken for the next answer.
            let mut byte = [0];
            let _ =
                poll_fn(|context| Pin::new(&mut *stream).poll_read(context, &mut ReadBuf::new(&mut byte)))
                    .await;
        }
    }
}

impl Drop for Connection {
    /// Closes it properly: nodes log connections that just vanish.
    fn drop(&mut self) {
        if let (Some(mut stream), Ok(runtime)) = (self.line.take().into_stream(), Handle::try_current()) {
            runtime.spawn(async move {
                let _ = timeout(CLOSE_GRACE, stream.shutdown()).await;
            });
        }
    }
}

impl Line {
    fn take(&mut self) -> Self {
        std::mem::replace(self, Line::Ended(None))
    }

    /// Moves the bytes of the exchange that is under way until this work with them is done.
    async fn until<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|context| {
            // First, so that what is on its way is moved before it is looked for.
            if let Line::Speaking(speech) = self
                && !speech.over
            {
                speech.over = speech.connection.poll_without_shutdown(context).is_ready();
            }
            work.as_mut().poll(context)
        })
        .await
    }

    /// The exchange that was under way is over.
    fn rest(&mut self) {
        *self = match self.take() {
            Line::Speaking(speech) => {
                let (over, parts) = (speech.over, speech.connection.into_parts());
                let stream = parts.io.into_inner();
                // More than the answer that was asked for: whatever it is, it would be taken for the next one.
                if over || !parts.read_buf.is_empty() {
                    Line::Ended(Some(stream))
                } else {
                    Line::Resting(stream)
                }
            }
            other => other,
        };
    }

    fn into_stream(self) -> Option<Box<dyn Stream>> {
        match self {
            Line::Resting(stream) => Some(stream),
            Line::Speaking(speech) => Some(speech.connection.into_parts().io.into_inner()),
            Line::Ended(stream) => stream,
        }
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Line::Resting(_) => "Resting",
            Line::Speaking(_) => "Speaking",
            Line::Ended(_) => "Ended",
        })
    }
}

impl Speech {
    async fn begin(stream: Box<dyn Stream>) -> Self {
        let (requests, connection) = http1::Builder::new()
            .max_buf_size(HEAD_LIMIT)
            .handshake(TokioIo::new(stream))
            .await
            .expect("for HTTP/1.1 there is nothing to agree on, hence nothing to fail");
        Speech { connection, requests, over: false }
    }
}

/// Whether the connection ends with this answer: by its version, by its word, or because its body has no
/// other end.
fn announces_close(response: &Response<Incoming>) -> bool {
    let mut connection = response.headers().get_all(CONNECTION).iter();
    let says_close = connection.any(|value| {
        let options = value.to_str().unwrap_or_default();
        options.split(',').any(|option| option.trim().eq_ignore_ascii_case("close"))
    });
    says_close || !is_delimited(response) || response.version() != Version::HTTP_11
}

/// Whether the body has another end than that of the connection.
fn is_delimited(response: &Response<Incoming>) -> bool {
    response.body().size_hint().exact().is_some() || response.headers().contains_key(TRANSFER_ENCODING)
}

/// Reads a body to its end; what came before an error has been read, too.
async fn collect(
    mut body: Limited<Incoming>,
    read: &mut BytesMut,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            read.extend_from_slice(&data);
        }
    }
    Ok(())
}

/// Whether this is a JSON text that nothing can have been cut off from: of a number, digits may be missing.
fn is_whole_json(text: &[u8]) -> bool {
    serde_json::from_slice(text).is_ok_and(|value: Value| !value.is_number())
}
