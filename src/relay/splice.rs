//! Pipes through which the kernel moves bytes from socket to socket without their coming here: splice(2).
//!
//! Its three difficulties are answered by one habit each. "Would block" from a splice into a pipe means that the socket
//! has nothing *or* that the pipe is full: only empty pipes are filled (D9). A pipe that goes from one session to
//! another with a byte in it would show one client's data to another: each counts what it holds, and one that does not
//! hold nothing is closed. And before a byte of urgent data a splice says "would block" or "end of file", whatever is behind
//! it: neither is believed until the socket itself has been asked.
//!
//! Elsewhere than on Linux no pipe is ever granted, and everything is copied.

use std::io;
use std::task::{Context, Poll};

use tokio::net::TcpStream;

/// How many bytes a pipe is to take, the best first. Larger ones move more at a time: with pipes of 64 KiB splicing is slower than
/// copying through one warm buffer, with 256 KiB faster, with 1 MiB fastest.
pub(super) const CAPACITIES: [usize; 3] = [1 << 20, 1 << 19, 1 << 18];

#[cfg(any(not(target_os = "linux"), portable))]
pub(super) use elsewhere::Pipe;
#[cfg(all(target_os = "linux", not(portable)))]
pub(super) use linux::Pipe;

/// Whether an error of a splice means that these sockets or this kernel cannot be spliced, and nothing of the sockets.
pub(super) fn is_unsupported(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::INVAL | Errno::NOSYS | Errno::PERM | Errno::OPNOTSUPP))
}

#[cfg(all(target_os = "linux", not(portable)))]
mod linux {
    use std::os::fd::{AsFd, OwnedFd};
    use std::task::ready;

    use rustix::io::{ioctl_fionread, retry_on_intr};
    use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
    use tokio::io::Interest;

    use super::super::turn::BYTES_PER_TURN;
    use super::{Context, Poll, TcpStream, io};

    /// A pipe and how many bytes are in it.
    #[derive(Debug)]
    pub(in super::super) struct Pipe {
        reader: OwnedFd,
        writer: OwnedFd,
        capacity: usize,
        holds: usize,
    }

    impl Pipe {
        /// A pipe of the first of these capacities that the kernel grants.
        pub(in super::super) fn new(capacities: &[usize]) -> Option<Self> {
            let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
            let granted = capacities.iter().find_map(|&capacity| fcntl_setpipe_size(&writer, capacity).ok());
            Some(Pipe { reader, writer, capacity: granted?, holds: 0 })
        }

        /// How many bytes are in it.
        pub(in super::super) fn holds(&self) -> usize {
            self.holds
        }

        /// Takes in some of what `source` has; ready with how much that was. 0 means that a splice gets nothing, and that a
        /// read will tell more: the end of file, or bytes from urgent data on. The pipe has to be empty.
        pub(in super::super) fn poll_fill(
            &mut self,
            cx: &mut Context<'_>,
            source: &TcpStream,
        ) -> Poll<io::Result<usize>> {
            debug_assert_eq!(self.holds, 0, "a full pipe and an empty socket would look alike (D9)");
            let most = self.capacity.min(BYTES_PER_TURN);
            loop {
                ready!(source.poll_read_ready(cx))?;
                match source.try_io(Interest::READABLE, || transfer(source, &self.writer, most)) {
                    Ok(taken) => {
                        self.holds = taken;
                        return Poll::Ready(Ok(taken));
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock && has_bytes(source) => {
                        return Poll::Ready(Ok(0));
                    }
                    // Readiness is cleared by that: asked for once more, it leaves a waker.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
        }

        /// Lets `sink` take some of it; ready with how much that was. The pipe must not be empty.
        pub(in super::super) fn poll_drain(
            &mut self,
            cx: &mut Context<'_>,
            sink: &TcpStream,
        ) -> Poll<io::Result<usize>> {
            loop {
                ready!(sink.poll_write_ready(cx))?;
                match sink.try_io(Interest::WRITABLE, || transfer(&self.reader, sink, self.holds)) {
                    // The pipe has bytes: that none came is as if a write had taken none.
                    Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Ok(taken) => {
                        self.holds -= taken;
                        return Poll::Ready(Ok(taken));
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
        }

        /// What is in it, to be delivered in another way.
        pub(in super::super) fn take_out(&mut self) -> io::Result<Vec<u8>> {
            let mut bytes = vec![0; self.holds];
            let mut read = 0;
            while read < bytes.len() {
                match retry_on_intr(|| rustix::io::read(&self.reader, &mut bytes[read..]))? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    count => read += count,
                }
                self.holds = bytes.len() - read;
            }
            Ok(bytes)
        }
    }

    fn has_bytes(socket: &TcpStream) -> bool {
        ioctl_fionread(socket).is_ok_and(|count| count > 0)
    }

    fn transfer(from: impl AsFd, to: impl AsFd, most: usize) -> io::Result<usize> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        Ok(retry_on_intr(|| splice(&from, None, &to, None, most, flags))?)
    }
}

#[cfg(any(not(target_os = "linux"), portable))]
mod elsewhere {
    use super::{Context, Poll, TcpStream, io};

    /// There is none.
    #[derive(Debug)]
    pub(in super::super) enum Pipe {}

    impl Pipe {
        pub(in super::super) fn new(_: &[usize]) -> Option<Self> {
            None
        }

        pub(in super::super) fn holds(&self) -> usize {
            match *self {}
        }

        pub(in super::super) fn poll_fill(
            &mut self,
            _: &mut Context<'_>,
            _: &TcpStream,
        ) -> Poll<io::Result<usize>> {
            match *self {}
        }

        pub(in super::super) fn poll_drain(
            &mut self,
            _: &mut Context<'_>,
            _: &TcpStream,
        ) -> Poll<io::Result<usize>> {
            match *self {}
        }

        pub(in super::super) fn take_out(&mut self) -> io::Result<Vec<u8>> {
            match *self {}
        }
    }
}
