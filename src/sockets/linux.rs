//! What sockets can do on Linux alone. `elsewhere` has the same by the means of other Unix systems.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use rustix::io::Errno;
use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};

/// A socket of TCP that never blocks, in one go.
pub(super) fn nonblocking_socket(domain: Domain) -> io::Result<Socket> {
    Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))
}

/// Has a port chosen that is free toward the other end, rather than one that is free altogether: so a source has as many
/// connections to each node as it has ports.
pub(super) fn choose_port_at_connect(socket: &Socket) -> io::Result<()> {
    use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
    setsockopt(socket, IpBindAddressNoPort, &true).map_err(io::Error::from)
}

/// An acknowledgement that is not quick is sent with the first bytes, or by itself after up to 200 ms: the kernel's
/// `TCP_DELACK_MAX`.
pub(super) fn delay_handshake_ack(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_quickack(false)
}

/// Makes a listening socket, which shares its port, one of `count`, between which the kernel spreads the connections.
/// `another` makes one that listens beside it.
pub(super) fn share(
    first: Socket,
    count: usize,
    another: impl Fn(SocketAddr) -> io::Result<Socket>,
) -> io::Result<Vec<Socket>> {
    let mut group = vec![first];
    // The first may have chosen the port.
    let address = group[0].local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
    while group.len() < count {
        group.push(another(address)?);
    }
    Ok(group)
}

/// Whether somebody listens: a connection is a stream socket, too.
pub(super) fn is_listener(socket: &Socket) -> bool {
    socket.is_listener().unwrap_or(false)
}

/// Whether an `accept` has failed by a network error that was pending on the new connection, and that others do not have.
pub(super) fn is_pending_network_error(errno: Errno) -> bool {
    errno == Errno::NONET
}

pub(super) fn ignore_newcomers(listener: &impl AsFd) -> io::Result<()> {
    SockRef::from(listener).attach_filter(&DROP_NEW_CONNECTIONS)
}

pub(super) fn heed_newcomers(listener: &impl AsFd) {
    // It fails where there is no filter.
    let _ = SockRef::from(listener).detach_filter();
}

/// Where a TCP header, at which the filter of a TCP socket begins to read, has its flags.
const FLAGS_OFFSET: u32 = 13;
const SYN: u32 = 0x02;
const ACK: u32 = 0x10;
const DROP: u32 = 0;
const KEEP: u32 = u32::MAX;

// Instructions of the classic packet filter, as in <linux/bpf_common.h>.
const LOAD_BYTE: u16 = 0x30;
const AND: u16 = 0x54;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

/// Drops a SYN without ACK: the first packet of a connection, and no other.
const DROP_NEW_CONNECTIONS: [SockFilter; 5] = [
    SockFilter::new(LOAD_BYTE, 0, 0, FLAGS_OFFSET),
    SockFilter::new(AND, 0, 0, SYN | ACK),
    SockFilter::new(JUMP_IF_EQUAL, 0, 1, SYN),
    SockFilter::new(RETURN, 0, 0, DROP),
    SockFilter::new(RETURN, 0, 0, KEEP),
];
