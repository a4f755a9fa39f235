//! Connects to a node, from an address of this machine that is chosen here or by the system.

use std::io;
use std::net::{IpAddr, SocketAddr};

use rustix::io::Errno;
use socket2::{Domain, Socket};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::system;

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
    let socket = begin(address, source, first_word)?;
    let stream = TcpStream::from_std(socket.into())?;
    let ready = stream.ready(Interest::WRITABLE.add(Interest::ERROR)).await?;
    if ready.is_error() || ready.is_write_closed() {
        match stream.take_error()? {
            Some(error) => return Err(error),
            // It was made, and has ended already: whoever uses it finds out.
            None => return Ok(stream),
        }
    }
    Ok(stream)
}

/// Whether a connection failed because its source has no port left, or is no address of this machine.
pub fn is_source_exhausted(error: &io::Error) -> bool {
    // The one where the port is chosen at connect, the other where Linux chooses it before.
    matches!(Errno::from_io_error(error), Some(Errno::ADDRNOTAVAIL | Errno::ADDRINUSE))
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
