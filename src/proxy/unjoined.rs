//! A connection that is not part of a session yet.

use std::ops::{Deref, DerefMut};

use tokio::net::TcpStream;

use crate::sockets;

/// A stream that is reset when dropped, so that its peer notices at once, unless it was joined to a session:
/// whatever ends a client's arrival early, nobody is left waiting.
#[derive(Debug)]
pub(super) struct Unjoined {
    stream: Option<TcpStream>,
    orderly: bool,
}

impl Unjoined {
    pub(super) fn new(stream: TcpStream) -> Self {
        Unjoined { stream: Some(stream), orderly: false }
    }

    /// From here on it is closed when dropped, as by a peer that is done.
    pub(super) fn keep_orderly(&mut self) {
        self.orderly = true;
    }

    /// The stream, to be part of a session.
    pub(super) fn join(mut self) -> TcpStream {
        self.stream.take().expect("only `join` takes the stream, and it consumes the holder")
    }
}

impl Deref for Unjoined {
    type Target = TcpStream;

    fn deref(&self) -> &TcpStream {
        self.stream.as_ref().expect("only `join` takes the stream, and it consumes the holder")
    }
}

impl DerefMut for Unjoined {
    fn deref_mut(&mut self) -> &mut TcpStream {
        self.stream.as_mut().expect("only `join` takes the stream, and it consumes the holder")
    }
}

impl Drop for Unjoined {
    fn drop(&mut self) {
        if let (Some(stream), false) = (&self.stream, self.orderly) {
            // If it fails, the peer has gone already.
            let _ = sockets::reset_on_close(stream);
        }
    }
}
