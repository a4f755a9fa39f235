//! Binds listening sockets (O3).

use std::io;
use std::net::{SocketAddr, TcpListener};

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use super::advice::{SHOW_ADDRESSES, how_to_open, who_listens};
use super::system;
use super::tune::tune;

/// How many connections may wait to be accepted. The kernel lowers it to `net.core.somaxconn`, whose
/// default is this same number: the operator's to raise or lower.
const BACKLOG: i32 = 4096;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody listens there already.
    #[error(
        "cannot listen on {address}: something already does, perhaps another raftgate, or another address of \
         this configuration ([::] takes the IPv4 port too); {} shows what, stop it or choose another port",
        who_listens(address.port())
    )]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// The service manager listens there, at an address that is not quite the same.
    #[error(
        "cannot listen on {address}: the service manager keeps {held} open, which it has passed to the gate; name that \
         address, or let its socket unit have ListenStream={address} and restart both, the socket first"
    )]
    HeldElsewhere {
        /// The address.
        address: SocketAddr,
        /// What is in its way.
        held: SocketAddr,
    },
    /// The port is reserved.
    #[error(
        "cannot listen on {address}: this user may not open port {port}; {}",
        how_to_open(address.port()),
        port = address.port()
    )]
    PermissionDenied {
        /// The address.
        address: SocketAddr,
    },
    /// The machine has no such address.
    #[error(
        "cannot listen on {address}: no interface of this machine has the address {ip}; `{SHOW_ADDRESSES}` shows \
         those it has; bind one of them, or 0.0.0.0 or [::] for all",
        ip = address.ip()
    )]
    NotAvailable {
        /// The address.
        address: SocketAddr,
    },
    /// The machine does not speak this kind of address.
    #[error(
        "cannot listen on {address}: IPv6 is off on this machine; bind an IPv4 address, or 0.0.0.0 for all"
    )]
    NoIpv6 {
        /// The address.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("cannot listen on {address}: {source}")]
    Other {
        /// The address.
        address: SocketAddr,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// Binds `count` (at least one) listeners to `address`, between which the kernel spreads the connections:
/// non-blocking, closed on exec, with the options that connections of clients shall have, which they inherit.
/// Port 0 means any free port, the same for all. An unspecified IPv6 address takes IPv4 connections too.
///
/// The first listener is opened without `SO_REUSEPORT`, and shares its port only once it listens: so a
/// second gate, or whatever else is there, is an error rather than a silent companion (O3), and two that
/// start in the same moment cannot both win.
///
/// # Errors
/// [`BindError`], nothing staying bound.
pub fn bind(address: SocketAddr, count: usize) -> Result<Vec<TcpListener>, BindError> {
    bind_group(address, count, false)
}

/// The same beside sockets of this gate that share the port from the start, such as those of 0.0.0.0, which are about to
/// be closed. Only a socket of the same user that shares its port, too, is not in the way.
///
/// # Errors
/// As [`bind`].
pub fn bind_beside(address: SocketAddr, count: usize) -> Result<Vec<TcpListener>, BindError> {
    bind_group(address, count, true)
}

/// Whether this machine speaks IPv6 at all.
pub fn has_ipv6() -> bool {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP));
    // What else may be wrong, such as a want of descriptors, says nothing of that.
    socket.map_or_else(|error| Errno::from_io_error(&error) != Some(Errno::AFNOSUPPORT), |_| true)
}

/// The number of an interface of this machine, if it has one of this name.
pub fn interface_index(name: &str) -> Option<u32> {
    let is_name = !name.is_empty() && !name.contains(['/', '\0']) && name != "..";
    let file = is_name.then(|| format!("/sys/class/net/{name}/ifindex"))?;
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn bind_group(address: SocketAddr, count: usize, beside: bool) -> Result<Vec<TcpListener>, BindError> {
    if address.is_ipv4() && address.ip().is_unspecified() && !has_ipv6() {
        tracing::info!(%address, "IPv6 is off on this machine: only IPv4 clients can connect");
    }
    let mut listeners = open_group(address, count, beside).map_err(|error| BindError::new(address, error))?;
    Ok(listeners.drain(..).map(TcpListener::from).collect())
}

fn open_group(address: SocketAddr, count: usize, beside: bool) -> io::Result<Vec<Socket>> {
    let first = open(address, beside)?;
    // For the others of its group, and for who is to be beside it.
    first.set_reuse_port(true)?;
    system::share(first, count, |address| open(address, true))
}

fn open(address: SocketAddr, shares_port: bool) -> io::Result<Socket> {
    let socket = new_socket(address)?;
    socket.set_reuse_port(shares_port)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

fn new_socket(address: SocketAddr) -> io::Result<Socket> {
    // socket2 sets close-on-exec by itself.
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    // Connections of a former process that linger in TIME_WAIT do not keep the port.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    tune(&socket)?;
    Ok(socket)
}

impl BindError {
    fn new(address: SocketAddr, source: io::Error) -> Self {
        match Errno::from_io_error(&source) {
            Some(Errno::ADDRINUSE) => BindError::InUse { address },
            Some(Errno::ACCESS | Errno::PERM) => BindError::PermissionDenied { address },
            Some(Errno::AFNOSUPPORT) if address.is_ipv6() => BindError::NoIpv6 { address },
            Some(Errno::ADDRNOTAVAIL) => BindError::NotAvailable { address },
            _ => BindError::Other { address, source },
        }
    }
}
