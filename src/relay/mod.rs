//! Moves bytes between a client and a node until both directions are done.
//!
//! It knows nothing of leaders, tenures or timeouts: whoever drives the future reads the [`Meter`]
//! and drops the relay when it has to end.

mod closing;
mod direction;
mod gear;
mod habit;
mod pipes;
mod splice;
#[cfg(test)]
mod tests;
mod turn;

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use direction::{Direction, Fault, Path};
pub use gear::Gear;

/// One of the two ends of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Who connected to the gate.
    Client,
    /// Whom the gate connected to.
    Node,
}

/// What a relay counts while it runs; shared with the table of sessions, which tells activity by
/// looking whether the sum has moved (D8: no clock in the hot path).
#[derive(Debug, Default)]
pub struct Meter {
    /// Bytes written to the node.
    pub to_node: Cell<u64>,
    /// Bytes written to the client.
    pub to_client: Cell<u64>,
    /// Whether one direction has ended, its end of file passed on, and the other has not (S6).
    pub half_closed: Cell<bool>,
    /// Whether the client's opening is complete: from then on it is the node's turn (S4).
    pub opening_complete: Cell<bool>,
}

/// What a relay can join to another of its kind.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// The socket that this is, if nothing stands between its bytes and those that are read and written here: then the
    /// kernel may move them by itself.
    fn socket(&self) -> Option<&TcpStream> {
        None
    }
}

impl Stream for TcpStream {
    fn socket(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

/// How a relay ended.
#[derive(Debug)]
pub enum End {
    /// Both directions reached their end of file and delivered everything; `first` closed first.
    /// Dropping the relay says the last end of file: closing does it, so no `shutdown` is spent on it (D7).
    Closed {
        /// Who closed first.
        first: Side,
    },
    /// A read or write failed, a reset among them; the other side is to be reset too (S6). It has
    /// been given what the failed side said before, as far as it took it at once (S7).
    Failed {
        /// Whose connection failed.
        side: Side,
        /// How.
        error: io::Error,
    },
}

/// Joins two streams. Poll it (by `&mut`, it is `Unpin`) until it ends; dropping it drops both streams.
///
/// What is read goes through the worker's [`Gear`], its buffer or one of its pipes, and is written at once. Only what the
/// other side does not take is kept, never more than one buffer's or pipe's worth, and nothing more is read in that
/// direction until it is delivered: an idle session owns no bytes, a slow reader bounded ones (D2, S8).
///
/// The streams must not hold back what is written to them: the relay never flushes, as sockets need none.
/// While a direction is not being read (its reader is slow, or its end of file has come), a reset of its
/// source shows only once something is written to it: inactivity (S6) bounds that.
#[derive(Debug)]
pub struct Relay<C, N> {
    client: C,
    node: N,
    gear: Gear,
    meter: Rc<Meter>,
    to_node: Direction,
    to_client: Direction,
    first_closed: Option<Side>,
}

impl<C, N> Relay<C, N>
where
    C: Stream,
    N: Stream,
{
    /// A relay between two fresh streams.
    pub fn new(client: C, node: N, gear: Gear, meter: Rc<Meter>) -> Self {
        Relay {
            client,
            node,
            gear,
            meter,
            to_node: Direction::default(),
            to_client: Direction::default(),
            first_closed: None,
        }
    }

    /// Bytes of the node, read before the relay began, that the client has still to get.
    #[must_use]
    pub fn with_pending_to_client(mut self, bytes: Vec<u8>) -> Self {
        self.to_client.keep(bytes);
        self
    }

    /// Bytes of the client, read before the relay began, that the node has still to get.
    #[must_use]
    pub fn with_pending_to_node(mut self, bytes: Vec<u8>) -> Self {
        self.to_node.keep(bytes);
        self
    }

    /// The client's end of file was already read: pass it on to the node once all is delivered.
    #[must_use]
    pub fn with_client_closed(mut self) -> Self {
        self.to_node.end_of_file();
        self.first_closed = Some(Side::Client);
        self
    }

    /// The stream to the node.
    pub fn node(&self) -> &N {
        &self.node
    }

    /// Whether one side has sent bytes that the other has not taken, so that a close now would lose them (S7).
    pub fn has_backlog(&self) -> bool {
        self.to_node.has_backlog() || self.to_client.has_backlog()
    }

    /// Has the next poll look for bytes that the runtime does not know of: those behind urgent data (S7). To be called once
    /// whenever the session has become quiet.
    pub fn recheck(&mut self) {
        self.to_node.recheck();
        self.to_client.recheck();
    }

    /// Both streams, to reset them.
    pub fn into_streams(self) -> (C, N) {
        (self.client, self.node)
    }

    fn poll_to_node(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let sink_stays = !self.to_client.has_ended();
        let (to_node, mut path) = self.split_to_node();
        let outcome = to_node.poll(cx, &mut path, sink_stays);
        self.note_first_closed(Side::Client, self.to_node.source_has_closed());
        outcome.map_err(|fault| Broken::new(Side::Client, Side::Node, fault))
    }

    fn poll_to_client(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let sink_stays = !self.to_node.has_ended();
        let (to_client, mut path) = self.split_to_client();
        let outcome = to_client.poll(cx, &mut path, sink_stays);
        self.note_first_closed(Side::Node, self.to_client.source_has_closed());
        outcome.map_err(|fault| Broken::new(Side::Node, Side::Client, fault))
    }

    fn note_first_closed(&mut self, side: Side, has_closed: bool) {
        if has_closed {
            self.first_closed.get_or_insert(side);
        }
    }

    /// Ends the relay because `side` failed. What the other side had for it is lost; what it said itself
    /// before, its last words perhaps why it failed, is passed on (S7).
    fn fail(&mut self, cx: &mut Context<'_>, Broken { side, error }: Broken) -> End {
        let survivor = match side {
            Side::Client => {
                let (to_node, mut path) = self.split_to_node();
                to_node.salvage(cx, &mut path);
                self.node.socket()
            }
            Side::Node => {
                let (to_client, mut path) = self.split_to_client();
                to_client.salvage(cx, &mut path);
                self.client.socket()
            }
        };
        if let Some(socket) = survivor {
            // Sends what was held back for an end of file that does not come. If it fails, nobody is there to get it.
            let _ = socket.set_nodelay(true);
        }
        End::Failed { side, error }
    }

    fn split_to_node(&mut self) -> (&mut Direction, Path<'_, C, N>) {
        let path = Path {
            source: &mut self.client,
            sink: &mut self.node,
            gear: &self.gear,
            delivered: &self.meter.to_node,
        };
        (&mut self.to_node, path)
    }

    fn split_to_client(&mut self) -> (&mut Direction, Path<'_, N, C>) {
        let path = Path {
            source: &mut self.node,
            sink: &mut self.client,
            gear: &self.gear,
            delivered: &self.meter.to_client,
        };
        (&mut self.to_client, path)
    }
}

impl<C, N> Future for Relay<C, N>
where
    C: Stream,
    N: Stream,
{
    type Output = End;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<End> {
        let relay = self.get_mut();
        // Both are polled every time: whichever is not ready has then left its waker.
        if let Poll::Ready(Err(broken)) = relay.poll_to_node(cx) {
            return Poll::Ready(relay.fail(cx, broken));
        }
        if let Poll::Ready(Err(broken)) = relay.poll_to_client(cx) {
            return Poll::Ready(relay.fail(cx, broken));
        }
        let (to_node, to_client) = (relay.to_node.has_ended(), relay.to_client.has_ended());
        relay.meter.half_closed.set(to_node != to_client);
        match relay.first_closed {
            Some(first) if to_node && to_client => Poll::Ready(End::Closed { first }),
            _ => Poll::Pending,
        }
    }
}

/// Whose connection failed, and how.
struct Broken {
    side: Side,
    error: io::Error,
}

impl Broken {
    fn new(source: Side, sink: Side, fault: Fault) -> Self {
        match fault {
            Fault::Source(error) => Broken { side: source, error },
            Fault::Sink(error) => Broken { side: sink, error },
        }
    }
}
