//! Recognises openings that a server forgets when the connection ends (S4): one TLS `ClientHello`
//! without early data, `PostgreSQL`'s `SSLRequest` or `GSSENCRequest`. Pure: bytes in, answer out.
//!
//! [`names`] reads what a hello says of where its client wants to go.

use std::borrow::Cow;

use super::cursor::{Cursor, Stop};

pub mod names;
#[cfg(test)]
mod tests;

/// What the client's bytes so far are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// A prefix of such an opening, or exactly one: the client may still be moved.
    Replayable,
    /// Anything else, or more: what was sent may have had an effect.
    Committed,
}

/// The most bytes that are kept of an opening.
pub const OPENING_LIMIT: usize = 16 * 1024;

/// Judges everything that a client has sent so far (S4). Once `Committed`, more bytes never make it `Replayable` again.
///
/// It starts anew at every call: an opening mostly comes in one or two pieces, and a client that
/// sends it byte by byte costs little, as only lengths are looked at.
pub fn classify(bytes: &[u8]) -> Opening {
    let is_opening = match bytes {
        [] => true,
        [CONTENT_HANDSHAKE, ..] => bytes.len() <= OPENING_LIMIT && is_client_hello(bytes),
        _ => POSTGRES_REQUESTS.iter().any(|request| request.starts_with(bytes)),
    };
    if is_opening { Opening::Replayable } else { Opening::Committed }
}

/// Whether the client has said all that it says before the server's answer, or more. A prefix is not whole.
pub fn is_whole(bytes: &[u8]) -> bool {
    match classify(bytes) {
        Opening::Committed => true,
        Opening::Replayable => match bytes.first() {
            Some(&CONTENT_HANDSHAKE) => !matches!(names::read(bytes), names::Reading::Incomplete),
            _ => bytes.len() == POSTGRES_REQUESTS[0].len(),
        },
    }
}

/// `SSLRequest` and `GSSENCRequest`: their length, then a protocol version that is none.
const POSTGRES_REQUESTS: [[u8; 8]; 2] =
    [[0x00, 0x00, 0x00, 0x08, 0x04, 0xd2, 0x16, 0x2f], [0x00, 0x00, 0x00, 0x08, 0x04, 0xd2, 0x16, 0x30]];

/// Whether a client of `PostgreSQL` asks for another session's query to be cancelled: a length, a protocol version that is
/// none, and a key. It has an effect, so it is no opening that a server forgets.
pub fn is_cancel_request(bytes: &[u8]) -> bool {
    const VERSION: [u8; 4] = [0x04, 0xd2, 0x16, 0x2e];
    let Some((length, rest)) = bytes.split_first_chunk() else { return false };
    rest.starts_with(&VERSION) && usize::try_from(u32::from_be_bytes(*length)) == Ok(bytes.len())
}

// TLS, RFC 8446: records in section 5.1, the handshake's messages in 4, the ClientHello in 4.1.2.
const CONTENT_HANDSHAKE: u8 = 22;
/// Versions of records that servers must take: any 3.x (RFC 5246, appendix E.1), which says nothing (RFC 8446, section 5.1).
const RECORD_VERSIONS: std::ops::RangeInclusive<usize> = 0x0300..=0x03ff;
/// Versions of the hello itself.
const HELLO_VERSIONS: std::ops::RangeInclusive<usize> = 0x0301..=0x0304;
const RECORD_HEADER: usize = 5;
const RECORD_LIMIT: usize = 1 << 14;
const MESSAGE_CLIENT_HELLO: usize = 1;
const MESSAGE_HEADER: usize = 4;
/// Version, random, an empty session id, one cipher suite, one compression method, no extensions.
const SHORTEST_HELLO: usize = 2 + 32 + 1 + (2 + 2) + (1 + 1);
const LONGEST_HELLO: usize = OPENING_LIMIT - RECORD_HEADER - MESSAGE_HEADER;
const EXTENSION_EARLY_DATA: usize = 42;

/// Whether `bytes` are a prefix of exactly one `ClientHello` without early data, as far as can be told.
fn is_client_hello(bytes: &[u8]) -> bool {
    let parsed = Records::parse(bytes).and_then(|records| check_client_hello(&records));
    parsed != Err(Stop::Mismatch)
}

/// The bytes of the handshake, out of their records.
struct Records<'a> {
    /// Those that have arrived.
    handshake: Cow<'a, [u8]>,
    /// How many the records that have begun carry at least.
    announced: usize,
}

impl<'a> Records<'a> {
    /// Unwraps all records that have begun.
    fn parse(bytes: &'a [u8]) -> Result<Self, Stop> {
        let mut records = Records { handshake: Cow::Borrowed(&[]), announced: 0 };
        let mut rest = bytes;
        while !rest.is_empty() {
            let payload_len = match record_header(rest) {
                Ok(len) => len,
                // A record that has begun carries at least a byte.
                Err(Stop::Short) => {
                    records.announced += 1;
                    break;
                }
                Err(Stop::Mismatch) => return Err(Stop::Mismatch),
            };
            let (payload, behind) = split_at_most(&rest[RECORD_HEADER..], payload_len);
            records.append(payload);
            records.announced += payload_len;
            rest = behind;
        }
        Ok(records)
    }

    /// The usual single record is not copied.
    fn append(&mut self, payload: &'a [u8]) {
        if self.handshake.is_empty() {
            self.handshake = Cow::Borrowed(payload);
        } else {
            self.handshake.to_mut().extend_from_slice(payload);
        }
    }
}

/// Reads the header of a record and tells how long its payload is.
fn record_header(bytes: &[u8]) -> Result<usize, Stop> {
    let mut header = Cursor::new(bytes, RECORD_HEADER.saturating_sub(bytes.len()));
    let handshake = usize::from(CONTENT_HANDSHAKE);
    header.number(1, handshake..=handshake)?;
    header.number(2, RECORD_VERSIONS)?;
    header.number(2, 1..=RECORD_LIMIT)
}

/// Checks that the records hold nothing but one `ClientHello`, and that it asks for no early data.
fn check_client_hello(records: &Records<'_>) -> Result<(), Stop> {
    let mut header = Cursor::new(&records.handshake, MESSAGE_HEADER.saturating_sub(records.handshake.len()));
    header.number(1, MESSAGE_CLIENT_HELLO..=MESSAGE_CLIENT_HELLO)?;
    // Whatever the records carry must be part of this message.
    let shortest = SHORTEST_HELLO.max(records.announced.saturating_sub(MESSAGE_HEADER));
    let len = header.number(3, shortest..=LONGEST_HELLO)?;

    let body = &records.handshake[MESSAGE_HEADER..];
    match extensions(Cursor::new(body, len - body.len()))? {
        Some(extensions) => check_extensions(extensions),
        None => Ok(()),
    }
}

/// Goes through the body of a `ClientHello` to its extensions; TLS 1.2 and before may do without.
fn extensions(mut hello: Cursor<'_>) -> Result<Option<Cursor<'_>>, Stop> {
    hello.number(2, HELLO_VERSIONS)?;
    let _random = hello.part(32)?;
    let _session_id = hello.vector(1, 0..=32)?;
    let cipher_suites = hello.vector(2, 2..=0xfffe)?;
    if cipher_suites.len() % 2 != 0 {
        return Err(Stop::Mismatch);
    }
    let _compression_methods = hello.vector(1, 1..=0xff)?;
    if hello.len() == 0 {
        return Ok(None);
    }
    let rest = hello.len().saturating_sub(2);
    hello.vector(2, rest..=rest).map(Some)
}

fn check_extensions(mut extensions: Cursor<'_>) -> Result<(), Stop> {
    while extensions.len() > 0 {
        let mut header = extensions.part(2 + 2)?;
        let kind = header.number(2, 0..=0xffff)?;
        if kind == EXTENSION_EARLY_DATA {
            return Err(Stop::Mismatch);
        }
        let len = header.number(2, 0..=extensions.len())?;
        let _content = extensions.part(len)?;
    }
    Ok(())
}

fn split_at_most(bytes: &[u8], len: usize) -> (&[u8], &[u8]) {
    bytes.split_at(len.min(bytes.len()))
}
