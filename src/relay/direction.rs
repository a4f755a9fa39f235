//! One direction of a relay: what the source says is read into the worker's buffer, or into one of its pipes, and written
//! to the sink at once; what the sink does not take is kept until it does.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::Stream;
use super::closing::{is_ending, write_last};
use super::gear::{Gear, Lent, Parked, Rest};
use super::habit::Habit;
use super::splice::is_unsupported;
use super::turn::{BYTES_PER_TURN, end_turn};

/// The most that is read from a connection after it has failed: more than any receive queue holds.
const SALVAGE_LIMIT: usize = 32 * 1024 * 1024;

/// Where one direction leads. Made anew for each poll.
pub(super) struct Path<'a, R, W> {
    pub(super) source: &'a mut R,
    pub(super) sink: &'a mut W,
    pub(super) gear: &'a Gear,
    pub(super) delivered: &'a Cell<u64>,
}

/// Which end of a direction failed.
pub(super) enum Fault {
    Source(io::Error),
    Sink(io::Error),
}

impl<R: Stream, W: Stream> Path<'_, R, W> {
    /// Its two ends, if bytes can be spliced from the one to the other.
    fn sockets(&self) -> Option<(&TcpStream, &TcpStream)> {
        self.source.socket().zip(self.sink.socket())
    }
}

/// What one direction remembers between polls.
#[derive(Debug, Default)]
pub(super) struct Direction {
    /// Boxed, as sessions mostly have none (D4: small).
    backlog: Option<Box<Backlog>>,
    phase: Phase,
    habit: Habit,
    recheck: Recheck,
}

/// When the kernel is asked for bytes although the runtime knows of none.
///
/// After a read that did not fill its buffer, the runtime takes the socket to be empty. A read also ends short before a byte
/// of urgent data, with more behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Recheck {
    /// The runtime's word is enough (D7).
    #[default]
    Never,
    /// The next time.
    Once,
    /// Every time: the source has sent urgent data.
    Always,
}

/// What was read and the sink has not taken yet.
enum Backlog {
    Copied { bytes: Vec<u8>, sent: usize },
    Spliced(Parked),
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
            self.backlog = Some(Box::new(Backlog::Copied { bytes, sent: 0 }));
        }
    }

    /// How many bytes of memory it holds.
    #[cfg(test)]
    pub(super) fn owned(&self) -> usize {
        match self.backlog.as_deref() {
            Some(Backlog::Copied { bytes, .. }) => bytes.capacity(),
            Some(Backlog::Spliced(_)) | None => 0,
        }
    }

    /// Whether bytes of it wait in a pipe, or in what was made of one.
    #[cfg(all(test, target_os = "linux", not(portable)))]
    pub(super) fn is_parked(&self) -> bool {
        matches!(self.backlog.as_deref(), Some(Backlog::Spliced(_)))
    }

    /// Whether it splices.
    #[cfg(test)]
    pub(super) fn splices(&self) -> bool {
        self.habit.splices()
    }

    /// Whether it has bytes that the sink has not taken. The source is not read meanwhile, so it may have more.
    pub(super) fn has_backlog(&self) -> bool {
        self.backlog.is_some()
    }

    /// Has the next poll ask the source's socket for bytes that the runtime does not know of.
    pub(super) fn recheck(&mut self) {
        if self.recheck == Recheck::Never {
            self.recheck = Recheck::Once;
        }
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
        R: Stream,
        W: Stream,
    {
        let mut moved = 0;
        loop {
            ready!(self.poll_deliver(cx, path))?;
            match self.phase {
                Phase::Reading if moved >= BYTES_PER_TURN => {
                    end_turn(cx);
                    return Poll::Pending;
                }
                Phase::Reading => moved += ready!(self.poll_move(cx, path))?,
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
        R: Stream,
        W: Stream,
    {
        let mut moved = 0;
        while let Poll::Ready(Ok(())) = self.poll_deliver(cx, path)
            && self.phase == Phase::Reading
            && moved < SALVAGE_LIMIT
            && let Some(count) = self.copy_last_words(cx, path)
        {
            moved += count;
        }
    }

    /// Copies once from a source that has failed; nothing if there is nothing more. The runtime may not have heard yet of
    /// what has come, so the kernel itself is asked in the end.
    fn copy_last_words<R, W>(&mut self, cx: &mut Context<'_>, path: &mut Path<'_, R, W>) -> Option<usize>
    where
        R: Stream,
        W: Stream,
    {
        match self.poll_copy(cx, path) {
            Poll::Ready(copied) => copied.ok(),
            Poll::Pending => self.copy_unreported(cx, path).ok().flatten(),
        }
    }

    /// Moves once, in the way that suits what the source says. Ready with the number of bytes read; the caller goes on
    /// until this is pending, for only then has a waker been left.
    fn poll_move<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        path: &mut Path<'_, R, W>,
    ) -> Poll<Result<usize, Fault>>
    where
        R: Stream,
        W: Stream,
    {
        let moved = self.poll_move_reported(cx, path);
        if moved.is_ready() || self.recheck == Recheck::Never {
            return moved;
        }
        let found = self.copy_unreported(cx, path)?;
        self.recheck = match (self.recheck, found) {
            (Recheck::Once, None | Some(0)) => Recheck::Never,
            _ => Recheck::Always,
        };
        found.map_or(Poll::Pending, |count| Poll::Ready(Ok(count)))
    }

    /// Moves once what the runtime knows of.
    fn poll_move_reported<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        path: &mut Path<'_, R, W>,
    ) -> Poll<Result<usize, Fault>>
    where
        R: Stream,
        W: Stream,
    {
        if self.habit.splices() {
            if let Some((source, sink)) = path.sockets()
                && let Some(pipe) = path.gear.borrow_pipe()
            {
                match self.poll_splice(cx, pipe, source, sink, path.delivered) {
                    // Before urgent data, a splice has nothing either. Only a read tells that from the end of file.
                    Poll::Ready(Ok(0)) => {
                        return Poll::Ready(self.copy_unreported(cx, path).map(Option::unwrap_or_default));
                    }
                    Poll::Ready(Err(Fault::Source(error))) if is_unsupported(&error) => {
                        path.gear.renounce_pipes();
                    }
                    outcome => return outcome,
                }
            }
            self.habit.copy();
        }
        self.poll_copy(cx, path)
    }

    /// Splices once, through a pipe that is empty; what the sink does not take becomes the backlog, pipe and all. Ready with
    /// 0 where the source has to be read instead.
    fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        mut pipe: Lent,
        source: &TcpStream,
        sink: &TcpStream,
        delivered: &Cell<u64>,
    ) -> Poll<Result<usize, Fault>> {
        let count = ready!(pipe.poll_fill(cx, source)).map_err(Fault::Source)?;
        if count == 0 {
            return Poll::Ready(Ok(0));
        }
        self.habit.note_spliced(count);
        self.backlog = drain_now(cx, pipe, sink, delivered).map_err(Fault::Sink)?.map(Box::new);
        Poll::Ready(Ok(count))
    }

    /// Reads once and writes what came; the rest becomes the backlog.
    ///
    /// That it is called until it is pending costs no second `read` for nothing (D7): after a read that did not fill
    /// the buffer tokio knows the socket to be empty, and answers "pending" by itself.
    fn poll_copy<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        path: &mut Path<'_, R, W>,
    ) -> Poll<Result<usize, Fault>>
    where
        R: Stream,
        W: Stream,
    {
        path.gear.with_buffer(|buffer| {
            let mut read = ReadBuf::new(buffer);
            ready!(Pin::new(&mut *path.source).poll_read(cx, &mut read)).map_err(Fault::Source)?;
            let bytes = read.filled();
            if bytes.is_empty() {
                self.phase = Phase::Closing;
                return Poll::Ready(Ok(0));
            }
            self.habit.note_copied(bytes.len());
            let may_be_last = read.remaining() > 0;
            let taken = match path.sockets() {
                Some((source, sink)) if may_be_last && is_ending(source) => {
                    write_last(cx, sink, bytes).inspect(|taken| count(path.delivered, *taken))
                }
                _ => write_now(cx, path.sink, bytes, path.delivered),
            }
            .map_err(Fault::Sink)?;
            self.keep(bytes[taken..].to_vec());
            Poll::Ready(Ok(bytes.len()))
        })
    }

    /// Copies once what the source's socket has, whether the runtime has heard of it or not: the number of bytes, 0 at the end
    /// of file; `None` if there is nothing to read.
    fn copy_unreported<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        path: &mut Path<'_, R, W>,
    ) -> Result<Option<usize>, Fault>
    where
        R: Stream,
        W: Stream,
    {
        path.gear.with_buffer(|buffer| {
            let Some(socket) = path.source.socket() else { return Ok(None) };
            let count = match (&*SockRef::from(socket)).read(buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(Fault::Source(error)),
            };
            if count == 0 {
                self.phase = Phase::Closing;
            }
            let taken = write_now(cx, path.sink, &buffer[..count], path.delivered).map_err(Fault::Sink)?;
            self.keep(buffer[taken..count].to_vec());
            Ok(Some(count))
        })
    }

    /// Ready once the sink has taken the backlog, whose memory or pipe is then given back.
    fn poll_deliver<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        path: &mut Path<'_, R, W>,
    ) -> Poll<Result<(), Fault>>
    where
        R: Stream,
        W: Stream,
    {
        let Some(backlog) = self.backlog.take() else { return Poll::Ready(Ok(())) };
        let rest = match *backlog {
            Backlog::Copied { bytes, sent } => write_rest(cx, path, bytes, sent),
            Backlog::Spliced(parked) => match parked.retrieve().map_err(Fault::Sink)? {
                Rest::Piped(pipe) => {
                    let sink = path.sink.socket().expect("a direction that splices ends in a socket");
                    drain_now(cx, pipe, sink, path.delivered)
                }
                Rest::Copied(bytes) => {
                    self.habit.lose_pipe();
                    write_rest(cx, path, bytes, 0)
                }
            },
        }
        .map_err(Fault::Sink)?;
        self.backlog = rest.map(Box::new);
        if self.backlog.is_none() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

/// Lets the sink take what is in the pipe, until it is full and has been asked to wake the task. What it did not take
/// remains.
fn drain_now(
    cx: &mut Context<'_>,
    mut pipe: Lent,
    sink: &TcpStream,
    delivered: &Cell<u64>,
) -> io::Result<Option<Backlog>> {
    while pipe.holds() > 0 {
        match pipe.poll_drain(cx, sink) {
            Poll::Ready(Ok(moved)) => count(delivered, moved),
            Poll::Pending => return Ok(Some(Backlog::Spliced(pipe.park()))),
            Poll::Ready(Err(error)) if is_unsupported(&error) => {
                // Nothing is lost: what the sink will not have from a pipe it is sent in the old way.
                let bytes = pipe.take_out()?;
                cx.waker().wake_by_ref();
                return Ok(Some(Backlog::Copied { bytes, sent: 0 }));
            }
            Poll::Ready(Err(error)) => return Err(error),
        }
    }
    Ok(None)
}

/// Writes what is left of these bytes, as far as the sink takes it at once; what remains.
fn write_rest<R, W>(
    cx: &mut Context<'_>,
    path: &mut Path<'_, R, W>,
    bytes: Vec<u8>,
    sent: usize,
) -> io::Result<Option<Backlog>>
where
    W: AsyncWrite + Unpin,
{
    let sent = sent + write_now(cx, path.sink, &bytes[sent..], path.delivered)?;
    Ok((sent < bytes.len()).then_some(Backlog::Copied { bytes, sent }))
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
            Poll::Ready(Ok(written)) => {
                taken += written;
                count(delivered, written);
            }
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => break,
        }
    }
    Ok(taken)
}

fn count(delivered: &Cell<u64>, more: usize) {
    delivered.set(delivered.get() + more as u64);
}

impl fmt::Debug for Backlog {
    /// Leaves the bytes out: they belong to clients.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = match self {
            Backlog::Copied { bytes, sent } => bytes.len() - sent,
            Backlog::Spliced(parked) => parked.holds(),
        };
        f.debug_struct("Backlog").field("waiting", &waiting).finish_non_exhaustive()
    }
}
