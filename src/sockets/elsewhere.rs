//! What sockets can do on Unix systems other than Linux. `linux` has the same by its own means.

#![expect(clippy::unnecessary_wraps, reason = "they are as on Linux, where they may fail")]

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

/// A socket of TCP that never blocks.
pub(super) fn nonblocking_socket(domain: Domain) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The port is chosen when the source is bound: a source has as many connections altogether as it has ports.
pub(super) fn choose_port_at_connect(_: &Socket) -> io::Result<()> {
    Ok(())
}

/// The handshake ends when the kernel wants it.
pub(super) fn delay_handshake_ack(_: &Socket) -> io::Result<()> {
    Ok(())
}

/// `SO_REUSEPORT` spreads nothing here, so all `count` are one socket, and whoever accepts first has the client.
pub(super) fn share(
    first: Socket,
    count: usize,
    _another: impl Fn(SocketAddr) -> io::Result<Socket>,
) -> io::Result<Vec<Socket>> {
    let mut group = vec![first];
    while group.len() < count {
        group.push(group[0].try_clone()?);
    }
    Ok(group)
}

/// Whether somebody listens: a connection is a stream socket, too. Not every system answers the question itself
/// (`SO_ACCEPTCONN`), but a listener has no peer.
pub(super) fn is_listener(socket: &Socket) -> bool {
    socket.peer_addr().is_err_and(|error| Errno::from_io_error(&error) == Some(Errno::NOTCONN))
}

/// No `accept` fails so.
pub(super) fn is_pending_network_error(_: Errno) -> bool {
    false
}

pub(super) fn ignore_newcomers(_: &impl AsFd) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no filter for a socket"))
}

pub(super) fn heed_newcomers(_: &impl AsFd) {}
