//! Version 1, a line of text (section 2.1).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::{Addresses, Beginning, ENOUGH, Header, Malformed};

pub(super) const SIGNATURE: &[u8] = b"PROXY ";

/// Reads a line that begins with [`SIGNATURE`].
pub(super) fn parse(bytes: &[u8]) -> Result<Beginning, Malformed> {
    let shown = &bytes[..bytes.len().min(ENOUGH)];
    let end = shown.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
    let line = &shown[SIGNATURE.len()..end.unwrap_or(shown.len())];
    check_protocol(line, end.is_some())?;
    let Some(end) = end else {
        return if shown.len() < ENOUGH { Ok(Beginning::Partial) } else { Err(Malformed::TooLong) };
    };
    match shown[end..] {
        [b'\r', b'\n', ..] => {}
        [b'\r'] if shown.len() < ENOUGH => return Ok(Beginning::Partial),
        [b'\r'] => return Err(Malformed::TooLong),
        _ => return Err(Malformed::LineEnd),
    }
    Ok(Beginning::Whole(Header { length: end + 2, addresses: addresses(line)? }))
}

/// Finds out early that a line is about something else, although it has no end yet.
fn check_protocol(line: &[u8], is_whole: bool) -> Result<(), Malformed> {
    let known = |protocol: &[u8]| match line.strip_prefix(protocol) {
        Some(rest) => rest.first().is_none_or(|byte| *byte == b' '),
        None => !is_whole && protocol.starts_with(line),
    };
    let protocols: [&[u8]; 3] = [b"TCP4", b"TCP6", b"UNKNOWN"];
    if protocols.into_iter().any(known) { Ok(()) } else { Err(Malformed::Protocol) }
}

fn addresses(line: &[u8]) -> Result<Option<Addresses>, Malformed> {
    // Whatever an UNKNOWN line goes on with is to be ignored.
    if line.starts_with(b"UNKNOWN") {
        return Ok(None);
    }
    let line = str::from_utf8(line).map_err(|_| Malformed::Addresses)?;
    let mut words = line.split(' ');
    let read = match words.next() {
        Some("TCP4") => ends::<Ipv4Addr>(&mut words),
        _ => ends::<Ipv6Addr>(&mut words),
    };
    match (read, words.next()) {
        (Some(addresses), None) => Ok(Some(addresses)),
        _ => Err(Malformed::Addresses),
    }
}

fn ends<'w, A>(words: &mut impl Iterator<Item = &'w str>) -> Option<Addresses>
where
    A: FromStr + Into<std::net::IpAddr>,
{
    let source: A = words.next()?.parse().ok()?;
    let destination: A = words.next()?.parse().ok()?;
    let (from, to) = (port(words.next()?)?, port(words.next()?)?);
    Some(Addresses {
        source: SocketAddr::new(source.into(), from),
        destination: SocketAddr::new(destination.into(), to),
    })
}

/// Digits alone, without leading zeros, as the protocol has them.
fn port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

/// Writes a line; the two addresses are of one family.
pub(super) fn write(addresses: Option<Addresses>) -> Vec<u8> {
    let line = match addresses {
        None => "PROXY UNKNOWN\r\n".to_owned(),
        Some(Addresses { source, destination }) => format!(
            "PROXY {} {} {} {} {}\r\n",
            if source.is_ipv4() { "TCP4" } else { "TCP6" },
            source.ip(),
            destination.ip(),
            source.port(),
            destination.port(),
        ),
    };
    line.into_bytes()
}
