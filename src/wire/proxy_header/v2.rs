//! Version 2, binary (section 2.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Addresses, Beginning, Header, Malformed};

pub(super) const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and transport, length of the rest.
const FIXED: usize = SIGNATURE.len() + 4;
/// Longer headers are refused: what follows the addresses is skipped, but not without end. HAProxy's own buffers end here.
const LONGEST: usize = 16 * 1024;

const VERSION: u8 = 2;
const COMMAND_LOCAL: u8 = 0;
const COMMAND_PROXY: u8 = 1;
const UNSPEC: u8 = 0x00;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;
const UNIX_STREAM: u8 = 0x31;
/// Two paths of 108 bytes.
const UNIX_ADDRESSES: usize = 216;

/// Reads a header that begins with [`SIGNATURE`].
pub(super) fn parse(bytes: &[u8]) -> Result<Beginning, Malformed> {
    let rest = &bytes[SIGNATURE.len()..];
    let command = match rest.first() {
        None => return Ok(Beginning::Partial),
        Some(byte) if byte >> 4 != VERSION => return Err(Malformed::Version),
        Some(byte) => byte & 0x0f,
    };
    if command != COMMAND_LOCAL && command != COMMAND_PROXY {
        return Err(Malformed::Command);
    }
    // The proxy's own connection: its family is to be ignored.
    let family = rest.get(1).map(|family| if command == COMMAND_LOCAL { UNSPEC } else { *family });
    let Some(needed) = family.map(length_of_addresses).transpose()? else { return Ok(Beginning::Partial) };
    let Some(&[high, low]) = rest.get(2..4) else { return Ok(Beginning::Partial) };
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length < FIXED + needed || length > LONGEST {
        return Err(Malformed::Length);
    }
    let block = &bytes[FIXED..];
    let addresses = match family {
        Some(TCP_OVER_IPV4) => ends::<4>(block).map(Some),
        Some(TCP_OVER_IPV6) => ends::<16>(block).map(Some),
        _ => Some(None),
    };
    Ok(addresses.map_or(Beginning::Partial, |addresses| Beginning::Whole(Header { length, addresses })))
}

fn length_of_addresses(family: u8) -> Result<usize, Malformed> {
    match family {
        UNSPEC => Ok(0),
        TCP_OVER_IPV4 => Ok(2 * (4 + 2)),
        TCP_OVER_IPV6 => Ok(2 * (16 + 2)),
        UNIX_STREAM => Ok(UNIX_ADDRESSES),
        _ => Err(Malformed::Family),
    }
}

/// Both addresses, of `N` bytes each, then both ports; `None` if they have not arrived whole.
fn ends<const N: usize>(block: &[u8]) -> Option<Addresses>
where
    [u8; N]: Into<IpAddr>,
{
    let (source, rest) = block.split_first_chunk::<N>()?;
    let (destination, rest) = rest.split_first_chunk::<N>()?;
    let (from, rest) = rest.split_first_chunk::<2>()?;
    let to = rest.first_chunk::<2>()?;
    let end = |ip: [u8; N], port: [u8; 2]| SocketAddr::new(ip.into(), u16::from_be_bytes(port));
    Some(Addresses { source: end(*source, *from), destination: end(*destination, *to) })
}

/// Writes a header; the two addresses are of one family.
pub(super) fn write(addresses: Option<Addresses>) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    let Some(Addresses { source, destination }) = addresses else {
        header.extend([VERSION << 4 | COMMAND_LOCAL, UNSPEC, 0, 0]);
        return header;
    };
    let family = if source.is_ipv4() { TCP_OVER_IPV4 } else { TCP_OVER_IPV6 };
    let length: u8 = if source.is_ipv4() { 12 } else { 36 };
    header.extend([VERSION << 4 | COMMAND_PROXY, family, 0, length]);
    for end in [source, destination] {
        match end.ip() {
            IpAddr::V4(ip) => header.extend(Ipv4Addr::octets(&ip)),
            IpAddr::V6(ip) => header.extend(Ipv6Addr::octets(&ip)),
        }
    }
    for end in [source, destination] {
        header.extend(end.port().to_be_bytes());
    }
    header
}
