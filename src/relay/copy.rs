//! One direction of a relay: what the source says is read into the worker's buffer and written to
//! the sink at once; what the sink does not take is kept until it does.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::SharedBuffer;

/// How much one direction moves before the worker's other sessions have their turn: both together
/// move about 2 MiB a poll (D9: fairness counts bytes, not polls).
const BYTES_PER_POLL: usize = 1024 * 1024;

/// The most that is read from a connection after it has failed: more than any receive queue holds.
const SALVAGE_LIMIT: usize = 32 * 1024 * 1024;

/// Where one direction leads. Made anew for each poll.
pub(super) struct Path<'a, R, W> {
    pub(super) source: &'a mut R,
    pub(super) sink: &'a mut W,
    pub(super) buffer: &'a SharedBuffer,
    pub(super) delivered: &'a Cell<u64>,
}

/// Which end of a direction failed.
pub(super) enum Fault {
    Source(io::Error),
    Sink(io::Error),
}

/// What one direction remembers between polls.
#[derive(Debug, Default)]
pub(super) struct Direction {
    /// Boxed, as sessions mostly have none (D4: small).
    backlog: Option<Box<Backlog>>,
    phase: Phase,
}

/// Bytes that were read and that the sink has not taken yet.
struct Backlog {
    bytes: Vec<u8>,
    sent: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// The source may say more.
    #[default]
    Reading,
    /// The source has said its last; the sink may still have bytes to take, and does not know the end yet.
    Closing,
    /// The sink has everything, the end of file included.
    Ended,
}

impl Direction {
    /// Bytes to deliver before anything that is read.
    pub(super) fn keep(&mut self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.backlog = Some(Box::new(Backlog { bytes, sent: 0 }));
        }
    }

    /// How many bytes of memory it holds.
    #[cfg(test)]
    pub(super) fn owned(&self) -> usize {
        self.backlog.as_ref().map_or(0, |backlog| backlog.bytes.capacity())
    }

    /// The source will not be read any more: it has closed.
    pub(super) fn end_of_file(&mut self) {
        self.phase = Phase::Closing;
    }

    pub(super) fn source_has_closed(&self) -> bool {
        self.phase != Phase::Reading
    }

    pub(super) fn has_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// Moves bytes until the source has none, the sink takes none or others must have their turn; ready
    /// once the sink has everything. Unless `sink_stays` open for the other direction, its end of file is left to
    /// whoever closes it.
    pub(super) fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        path: &mut Path<'_, R, W>,
        sink_stays: bool,
    ) -> Poll<Result<(), Fault>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut moved = 0;
        loop {
            ready!(self.poll_deliver(cx, path))?;
            match self.phase {
                Phase::Reading if moved >= BYTES_PER_POLL => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Phase::Reading => moved += ready!(self.poll_copy(cx, path))?,
                Phase::Closing => {
                    if sink_stays {
                        ready!(Pin::new(&mut *path.sink).poll_shutdown(cx)).map_err(Fault::Sink)?;
                    }
                    self.phase = Phase::Ended;
                }
                Phase::Ended => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Passes on what the source had said before its connection failed, as far as the sink takes it at
    /// once, but no end of file: what is cut short must not look complete.
    pub(super) fn salvage<R, W>(&mut self, cx: &mut Context<'_>, path: &mut Path<'_, R, W>)
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut moved = 0;
        while let Poll::Ready(Ok(())) = self.poll_deliver(cx, path)
            && self.phase == Phase::Reading
            && moved < SALVAGE_LIMIT
            && let Poll::Ready(Ok(count)) = self.poll_copy(cx, path)
        {
            moved += count;
        }
    }

    /// Reads once and writes what came; the rest becomes the backlog. Ready with the number of bytes read.
    ///
    /// The caller goes on until this is pending, for only then has a waker been left. That costs no
    /// second `read` for nothing (D7): after a read that did not fill the buffer tokio knows the
    /// socket to be empty, and answers "pending" by itself.
    fn poll_copy<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        path: &mut Path<'_, R, W>,
    ) -> Poll<Result<usize, Fault>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut shared = path.buffer.0.borrow_mut();
        let mut read = ReadBuf::new(&mut shared);
        ready!(Pin::new(&mut *path.source).poll_read(cx, &mut read)).map_err(Fault::Source)?;
        let bytes = read.filled();
        if bytes.is_empty() {
            self.phase = Phase::Closing;
            return Poll::Ready(Ok(0));
        }
        let taken = write_now(cx, path.sink, bytes, path.delivered).map_err(Fault::Sink)?;
        if taken < bytes.len() {
            self.keep(bytes[taken..].to_vec());
        }
        Poll::Ready(Ok(bytes.len()))
    }

    /// Ready once the sink has taken the backlog, whose memory is then given back.
    fn poll_deliver<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        path: &mut Path<'_, R, W>,
    ) -> Poll<Result<(), Fault>>
    where
        W: AsyncWrite + Unpin,
    {
        let Some(backlog) = &mut self.backlog else { return Poll::Ready(Ok(())) };
        let taken =
            write_now(cx, path.sink, &backlog.bytes[backlog.sent..], path.delivered).map_err(Fault::Sink)?;
        backlog.sent += taken;
        if backlog.sent < backlog.bytes.len() {
            return Poll::Pending;
        }
        self.backlog = None;
        Poll::Ready(Ok(()))
    }
}

/// Writes until all is taken or the sink is full, which has then been asked to wake the task. Tells how
/// much was taken.
fn write_now<W>(cx: &mut Context<'_>, sink: &mut W, bytes: &[u8], delivered: &Cell<u64>) -> io::Result<usize>
where
    W: AsyncWrite + Unpin,
{
    let mut taken = 0;
    while taken < bytes.len() {
        match Pin::new(&mut *sink).poll_write(cx, &bytes[taken..]) {
            Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(count)) => {
                taken += count;
                delivered.set(delivered.get() + count as u64);
            }
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => break,
        }
    }
    Ok(taken)
}

impl fmt::Debug for Backlog {
    /// Leaves the bytes out: they belong to clients.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backlog").field("waiting", &(self.bytes.len() - self.sent)).finish_non_exhaustive()
    }
}
