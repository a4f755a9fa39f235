//! Moves bytes between a client and a node until both directions are done.
//!
//! It knows nothing of leaders, tenures or timeouts: whoever drives the future reads the [`Meter`]
//! and drops the relay when it has to end.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

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
    /// Whether one direction has ended and the other has not (S6).
    pub half_closed: Cell<bool>,
}

/// The buffer that all sessions of one worker read into (D2). No await, no callback while it is borrowed.
#[derive(Clone, Debug)]
pub struct SharedBuffer(Rc<RefCell<Box<[u8]>>>);

impl SharedBuffer {
    /// A buffer of `size` bytes.
    pub fn new(size: usize) -> Self {
        SharedBuffer(Rc::new(RefCell::new(vec![0; size].into_boxed_slice())))
    }
}

/// How a relay ended.
#[derive(Debug)]
pub enum End {
    /// Both directions reached their end of file and delivered everything; `first` closed first.
    Closed {
        /// Who closed first.
        first: Side,
    },
    /// A read or write failed, a reset among them; the other side is to be reset too (S6).
    Failed {
        /// Whose connection failed.
        side: Side,
        /// How.
        error: io::Error,
    },
}

/// Joins two streams. Poll it (by `&mut`, it is `Unpin`) until it ends; dropping it drops both streams.
#[derive(Debug)]
pub struct Relay<C, N> {
    client: C,
    node: N,
    buffer: SharedBuffer,
    meter: Rc<Meter>,
}

impl<C, N> Relay<C, N>
where
    C: AsyncRead + AsyncWrite + Unpin,
    N: AsyncRead + AsyncWrite + Unpin,
{
    /// A relay between two fresh streams.
    pub fn new(client: C, node: N, buffer: SharedBuffer, meter: Rc<Meter>) -> Self {
        Relay { client, node, buffer, meter }
    }

    /// Bytes of the node, read before the relay began, that the client has still to get.
    #[must_use]
    pub fn with_pending_to_client(self, bytes: Vec<u8>) -> Self {
        drop(bytes);
        self
    }

    /// Bytes of the client, read before the relay began, that the node has still to get.
    #[must_use]
    pub fn with_pending_to_node(self, bytes: Vec<u8>) -> Self {
        drop(bytes);
        self
    }

    /// The client's end of file was already read: pass it on to the node once all is delivered.
    #[must_use]
    pub fn with_client_closed(self) -> Self {
        self
    }

    /// Both streams, to reset them.
    pub fn into_streams(self) -> (C, N) {
        (self.client, self.node)
    }
}

impl<C, N> Future for Relay<C, N>
where
    C: AsyncRead + AsyncWrite + Unpin,
    N: AsyncRead + AsyncWrite + Unpin,
{
    type Output = End;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<End> {
        let _ = (&self.buffer.0, &self.meter);
        Poll::Pending
    }
}
