//! Socket options of every connection, and what errors of the socket calls mean.
//!
//! `TCP_USER_TIMEOUT` is left alone on purpose. Linux also ends by it a connection whose peer answers but
//! keeps its window closed that long, as a server does that waits for a lock in the middle of an upload, or a
//! client behind a pager. Short enough to help, it would cut what works without the gate. A node that dies
//! is found by its probes within a second, an idle dead peer by keepalive, a dead peer that owes
//! an acknowledgement by the kernel's own retries (about 15 minutes), and inactivity bounds the rest (S6).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use socket2::{SockRef, TcpKeepalive};

use super::connect::is_source_exhausted;
use super::system;

/// An idle connection is asked for a sign of life after a minute (well before the firewalls and balancers on
/// the way forget it: the strictest common ones take four minutes), and given up after four questions
/// 15 s apart: a dead peer costs two minutes, and outages shorter than one minute cost nothing.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_mins(1))
    .with_interval(Duration::from_secs(15))
    .with_retries(4);

/// Sets what every connection has: bytes leave at once (`TCP_NODELAY`: whoever wrote them decided so), urgent data is read
/// in its place among all others (`SO_OOBINLINE`: else it would be lost), dead peers are noticed. For listeners, from which the connections of clients inherit it ([`bind`](super::bind)). Those toward
/// nodes get the first two when they are made ([`connect`](super::connect)), the last when they last ([`keep_alive`]).
///
/// # Errors
/// Those of `setsockopt`; the connection works without, so the caller may go on.
pub fn tune(socket: &impl AsFd) -> io::Result<()> {
    let reference = SockRef::from(socket);
    reference.set_tcp_nodelay(true)?;
    reference.set_out_of_band_inline(true)?;
    keep_alive(socket)
}

/// Has the kernel notice if the peer of an idle connection is dead. Four system calls, so connections that do not last
/// are spared it (D7).
///
/// # Errors
/// Those of `setsockopt`; the connection works without, so the caller may go on.
pub fn keep_alive(socket: &impl AsFd) -> io::Result<()> {
    SockRef::from(socket).set_tcp_keepalive(&KEEPALIVE)
}

/// Makes the coming close of `socket` a reset (S6: a reset arrives as a reset); what was not sent yet is dropped.
///
/// # Errors
/// Those of `setsockopt`; the close will then be an orderly one.
pub fn reset_on_close(socket: &impl AsFd) -> io::Result<()> {
    SockRef::from(socket).set_linger(Some(Duration::ZERO))
}

/// Whether a `socket`, `bind` or `connect` failed for want of something of this machine: descriptors,
/// memory, local ports. It says nothing about the node, so it is never a signal (L5).
pub fn is_local_exhaustion(error: &io::Error) -> bool {
    is_source_exhausted(error)
        || Errno::from_io_error(error).is_some_and(|errno| is_exhaustion(errno) || errno == Errno::AGAIN)
}

/// What to do after `accept` has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptError {
    /// That one connection is gone from the queue: take the next at once.
    Retry,
    /// It would fail again at once: wait a little, so as not to spin.
    Pause,
}

/// Judges an error of `accept`. One that is not known to have cost its connection is met with a pause.
pub fn classify_accept_error(error: &io::Error) -> AcceptError {
    match Errno::from_io_error(error) {
        // Linux passes on network errors already pending on the new connection (accept(2), "Error handling").
        Some(
            Errno::CONNABORTED
            | Errno::CONNRESET
            | Errno::INTR
            | Errno::PROTO
            | Errno::NOPROTOOPT
            | Errno::OPNOTSUPP
            | Errno::NETDOWN
            | Errno::NETUNREACH
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
            | Errno::PERM
            | Errno::TIMEDOUT,
        ) => AcceptError::Retry,
        Some(errno) if system::is_pending_network_error(errno) => AcceptError::Retry,
        _ => AcceptError::Pause,
    }
}

/// Whether the process may have `count` descriptors more, found out by having them for a moment: duplicates of `any`.
///
/// # Errors
/// That of the first which cannot be had (EMFILE, as a rule).
pub fn try_descriptors(any: &impl AsFd, count: usize) -> io::Result<()> {
    let places: io::Result<Vec<OwnedFd>> = (0..count).map(|_| any.as_fd().try_clone_to_owned()).collect();
    places.map(drop)
}

fn is_exhaustion(errno: Errno) -> bool {
    matches!(errno, Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
}
