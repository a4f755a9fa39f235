//! Connects to a node, from an address of this machine that is chosen here or by the system.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use rustix::io::Errno;
use socket2::{Domain, Socket};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::{reset_on_close, system};

/// The kernel chooses no lower port for a connection, whatever `net.ipv4.ip_local_port_range` says: others need rights.
const LOWEST_EPHEMERAL_PORT: u16 = 1024;

/// Who speaks first on a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstWord {
    /// Whoever connects, and what it has to say is at hand: the last packet of the handshake waits for it, so that the
    /// node gets both in one, and wakes up once.
    Ours,
    /// Perhaps the other side: it is to know of the connection at once.
    Anybodys,
}

/// Connects to `address`, from `source` if there is one; bytes written leave at once. With the fewest system calls (D7):
/// the kernel is asked how it went only where the poller says that something did go wrong.
///
/// # Errors
/// Why the socket or the connection cannot be had; [`is_source_exhausted`] tells whether another source may do.
pub async fn connect(
    address: SocketAddr,
    source: Option<IpAddr>,
    first_word: FirstWord,
) -> io::Result<TcpStream> {
    let socket = begin(address, source, first_word).map_err(|error| tell_way(address, error))?;
    let stream = TcpStream::from_std(socket.into())?;
    let ready = stream.ready(Interest::WRITABLE.add(Interest::ERROR)).await?;
    if ready.is_error() || ready.is_write_closed() {
        match stream.take_error()? {
            Some(error) => return Err(error),
            // It was made, and has ended already: whoever uses it finds out.
            None => return Ok(stream),
        }
    }
    if is_connected_to_itself(&stream, address)? {
        // Closed in the usual way, the port would be kept from the node for a minute.
        reset_on_close(&stream)?;
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

/// Whether the kernel chose the node's own port for this side. Where a node of this machine is down and its port is one
/// that the kernel gives to connections, TCP connects such a socket to itself (RFC 9293, section 3.5, simultaneous open).
fn is_connected_to_itself(stream: &TcpStream, address: SocketAddr) -> io::Result<bool> {
    Ok(address.port() >= LOWEST_EPHEMERAL_PORT && stream.local_addr()? == address)
}

/// Whether a connection failed because its source has no port left, or is no address of this machine.
pub fn is_source_exhausted(error: &io::Error) -> bool {
    // The one where the port is chosen at connect, the other where Linux chooses it before.
    matches!(Errno::from_io_error(error), Some(Errno::ADDRNOTAVAIL | Errno::ADDRINUSE))
}

/// The error of a connect, with one that stands for two things told apart: Linux says "address not available" where no
/// local port is left, and also where no interface has an address from which `address` could be reached, as where IPv6 is
/// off. The latter is no want that may pass, and is told as the network's.
pub fn tell_way(address: SocketAddr, error: io::Error) -> io::Error {
    tell_way_by(error, || has_way(address))
}

fn tell_way_by(error: io::Error, has_way: impl FnOnce() -> bool) -> io::Error {
    if Errno::from_io_error(&error) != Some(Errno::ADDRNOTAVAIL) || has_way() {
        return error;
    }
    let words = "no interface of this machine has an address from which to reach it; is IPv6 off here?";
    io::Error::new(io::ErrorKind::NetworkUnreachable, words)
}

/// Whether a packet could leave for there. A datagram's socket takes a port of its own kind, and sends nothing.
fn has_way(address: SocketAddr) -> bool {
    let any = match address {
        SocketAddr::V4(_) => IpAddr::from([0; 4]),
        SocketAddr::V6(_) => IpAddr::from([0_u16; 8]),
    };
    // Without a descriptor for it, nothing is known.
    UdpSocket::bind((any, 0)).and_then(|socket| socket.connect(address)).map_or_else(
        |error| {
            !matches!(
                Errno::from_io_error(&error),
                Some(Errno::ADDRNOTAVAIL | Errno::NETUNREACH | Errno::AFNOSUPPORT)
            )
        },
        |()| true,
    )
}

fn begin(address: SocketAddr, source: Option<IpAddr>, first_word: FirstWord) -> io::Result<Socket> {
    let socket = system::nonblocking_socket(Domain::for_address(address))?;
    if let Err(error) = set_up(&socket, first_word) {
        // It works without.
        tracing::debug!(%address, %error, "cannot set socket options");
    }
    if let Some(source) = source {
        if let Err(error) = system::choose_port_at_connect(&socket) {
            // It works without, as long as there are ports that nobody has.
            tracing::debug!(%source, %error, "cannot choose a port at connect");
        }
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    match socket.connect(&address.into()) {
        Err(error) if Errno::from_io_error(&error) != Some(Errno::INPROGRESS) => Err(error),
        _ => Ok(socket),
    }
}

fn set_up(socket: &Socket, first_word: FirstWord) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_out_of_band_inline(true)?;
    if first_word == FirstWord::Ours { system::delay_handshake_ack(socket) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l5_no_way_to_a_node_is_not_taken_for_want_of_ports() {
        let lack = || io::Error::from(Errno::ADDRNOTAVAIL);
        assert!(is_source_exhausted(&tell_way_by(lack(), || true)));
        let told = tell_way_by(lack(), || false);
        assert_eq!(told.kind(), io::ErrorKind::NetworkUnreachable);
        assert!(!is_source_exhausted(&told) && told.to_string().contains("IPv6 off"), "{told}");
        let refused = tell_way_by(Errno::CONNREFUSED.into(), || panic!("it was there"));
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert!(has_way(([127, 0, 0, 1], 1).into()));
    }
}
