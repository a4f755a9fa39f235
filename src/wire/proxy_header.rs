//! The PROXY protocol's header, versions 1 and 2: who has connected to a proxy, told by it in front of the client's
//! bytes (<https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>, the sections are cited). Pure: bytes in,
//! answer out.
//!
//! Our own rather than the crate `proxy-header` (0.1.3), which waits for 16 bytes before it looks at a signature, takes
//! lines of version 1 that are too long or have a wrong port or separator, takes datagrams for streams, and refuses a
//! LOCAL header without addresses: what is to be refused has to be refused at once, and nothing else.

mod v1;
mod v2;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

/// So many bytes always are enough to tell what a header says, or that it is none: the longest line of version 1
/// (section 2.1). Of version 2 that is the part with the addresses; more may follow it.
pub const ENOUGH: usize = 107;

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// The two ends of the client's own connection. In a header both are of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The client.
    pub source: SocketAddr,
    /// What it connected to.
    pub destination: SocketAddr,
}

impl Addresses {
    /// With IPv4 addresses as such, however they were written: a dual-stack listener knows them by mapped ones.
    #[must_use]
    pub fn canonical(self) -> Self {
        let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        Addresses { source: canonical(self.source), destination: canonical(self.destination) }
    }
}

/// A header, as far as it concerns a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// How many bytes it has; of version 2 perhaps more than have been looked at. The client's own begin behind it.
    pub length: usize,
    /// Whose connection it is; `None` if the proxy speaks for itself (LOCAL), or has no such addresses to tell (UNKNOWN,
    /// UNSPEC, Unix sockets): then the connection's own count (sections 2.1 and 2.2).
    pub addresses: Option<Addresses>,
}

/// What the bytes that a connection begins with are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// The beginning of a header, all of them; more is needed.
    Partial,
    /// A header, and perhaps more.
    Whole(Header),
}

/// Why something is no header that could be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It begins otherwise.
    #[error("what came is no PROXY header")]
    Signature,
    /// Version 1: there is no end of line where the longest one ends.
    #[error("the line is longer than 107 bytes")]
    TooLong,
    /// Version 1: the line does not end by CR and LF.
    #[error("the line does not end by CR LF")]
    LineEnd,
    /// Version 1: it speaks of something else than TCP4, TCP6 or UNKNOWN.
    #[error("its protocol is none of TCP4, TCP6 and UNKNOWN")]
    Protocol,
    /// Version 1: there are not two addresses of the protocol and two ports, each behind one space.
    #[error("its addresses or ports are malformed")]
    Addresses,
    /// It claims another version than 2.
    #[error("its version is not 2")]
    Version,
    /// Version 2: neither LOCAL nor PROXY.
    #[error("its command is neither LOCAL nor PROXY")]
    Command,
    /// Version 2: a family or transport that is not defined, or datagrams.
    #[error("its address family is not one of a stream")]
    Family,
    /// Version 2: too short for its addresses, or longer than anybody needs.
    #[error("its length does not fit")]
    Length,
}

/// Reads what a connection begins with. Whatever else there is behind [`ENOUGH`] bytes need not be shown.
///
/// # Errors
/// Why it is no header, as soon as that can be told.
pub fn parse(bytes: &[u8]) -> Result<Beginning, Malformed> {
    match sign(bytes) {
        Sign::Other => Err(Malformed::Signature),
        Sign::Perhaps => Ok(Beginning::Partial),
        Sign::Header(Version::V1) => v1::parse(bytes),
        Sign::Header(Version::V2) => v2::parse(bytes),
    }
}

/// Whether bytes begin as a header does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// They do not.
    Other,
    /// They are too few to tell, perhaps none at all.
    Perhaps,
    /// They do.
    Header(Version),
}

/// How many bytes are enough for [`sign`].
pub const SIGNATURE: usize = v2::SIGNATURE.len();

/// Judges the first bytes of a connection.
pub fn sign(bytes: &[u8]) -> Sign {
    let signatures: [(&[u8], Version); 2] = [(v1::SIGNATURE, Version::V1), (v2::SIGNATURE, Version::V2)];
    for (signature, version) in signatures {
        if bytes.starts_with(signature) {
            return Sign::Header(version);
        }
        if signature.starts_with(bytes) {
            return Sign::Perhaps;
        }
    }
    Sign::Other
}

/// Writes a header; without addresses, one of a connection that the gate makes for itself. Where the two ends are of
/// different families, the IPv4 one becomes a mapped IPv6 address, for a header has one family.
pub fn write(version: Version, addresses: Option<Addresses>) -> Vec<u8> {
    let addresses = addresses.map(of_one_family);
    match version {
        Version::V1 => v1::write(addresses),
        Version::V2 => v2::write(addresses),
    }
}

fn of_one_family(addresses: Addresses) -> Addresses {
    let Addresses { source, destination } = addresses;
    if source.is_ipv4() == destination.is_ipv4() {
        return addresses;
    }
    Addresses { source: mapped(source), destination: mapped(destination) }
}

fn mapped(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    SocketAddr::new(ip.into(), address.port())
}
