//! Reads what a `ClientHello` says of where its client wants to go: the server's name (RFC 6066, section 3) and the
//! protocols to be spoken (RFC 7301). Pure: bytes in, answer out.
//!
//! A hello is read whatever comes with it: early data and bytes behind it do not matter here, as they do to S4. Where a
//! client hides its name (Encrypted `ClientHello`), the outer one is all that is to be seen.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::super::cursor::{Cursor, Stop};
use super::{
    LONGEST_HELLO, MESSAGE_CLIENT_HELLO, MESSAGE_HEADER, OPENING_LIMIT, RECORD_HEADER, SHORTEST_HELLO,
    extensions, record_header, split_at_most,
};

#[cfg(test)]
mod tests;

// RFC 6066, section 3, and RFC 7301, section 3.1.
const EXTENSION_SERVER_NAME: usize = 0;
const EXTENSION_ALPN: usize = 16;
const NAME_HOST: usize = 0;

/// What is known of a client by its first bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// They may be the beginning of a `ClientHello`: more have to come.
    Incomplete,
    /// They begin with this one.
    Hello(Names),
    /// They are something else, or a hello that nobody should rely on: torn lengths, an extension twice, or too long.
    Other,
}

/// What a `ClientHello` asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The server's name as it was sent, never empty; `None` if the client named none.
    pub server_name: Option<Vec<u8>>,
    /// The protocols that the client offers, in its order, none of them empty.
    pub alpn: Vec<Vec<u8>>,
}

/// Reads everything that a client has sent so far. Once it is not `Incomplete`, more bytes do not change it.
///
/// It starts anew at every call, but looks into the hello only when it is there as a whole.
pub fn read(bytes: &[u8]) -> Reading {
    let (kept, _) = split_at_most(bytes, OPENING_LIMIT);
    match first_message(kept).and_then(|message| names(&message)) {
        Ok(names) => Reading::Hello(names),
        Err(Stop::Short) if kept.len() < OPENING_LIMIT => Reading::Incomplete,
        Err(Stop::Short | Stop::Mismatch) => Reading::Other,
    }
}

/// The body of the `ClientHello` that the bytes begin with, out of its records.
fn first_message(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Stop> {
    let mut handshake: Cow<'_, [u8]> = Cow::Borrowed(&[]);
    let mut rest = bytes;
    loop {
        let payload_len = record_header(rest)?;
        let (payload, behind) = split_at_most(&rest[RECORD_HEADER..], payload_len);
        // The usual single record is not copied.
        if handshake.is_empty() {
            handshake = Cow::Borrowed(payload);
        } else {
            handshake.to_mut().extend_from_slice(payload);
        }
        match body_end(&handshake) {
            Ok(end) if end <= handshake.len() => return Ok(part_of(handshake, MESSAGE_HEADER, end)),
            Err(Stop::Mismatch) => return Err(Stop::Mismatch),
            Ok(_) | Err(Stop::Short) => rest = behind,
        }
    }
}

/// Where the message ends, by its header.
fn body_end(handshake: &[u8]) -> Result<usize, Stop> {
    let mut header = Cursor::new(handshake, MESSAGE_HEADER.saturating_sub(handshake.len()));
    header.number(1, MESSAGE_CLIENT_HELLO..=MESSAGE_CLIENT_HELLO)?;
    header.number(3, SHORTEST_HELLO..=LONGEST_HELLO).map(|len| MESSAGE_HEADER + len)
}

fn part_of(bytes: Cow<'_, [u8]>, start: usize, end: usize) -> Cow<'_, [u8]> {
    match bytes {
        Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[start..end]),
        Cow::Owned(bytes) => Cow::Owned(bytes[start..end].to_vec()),
    }
}

fn names(body: &[u8]) -> Result<Names, Stop> {
    let mut names = Names::default();
    let Some(mut extensions) = extensions(Cursor::new(body, 0))? else { return Ok(names) };
    let mut kinds = BTreeSet::new();
    while extensions.len() > 0 {
        let kind = extensions.number(2, 0..=0xffff)?;
        let content = extensions.vector(2, 0..=0xffff)?;
        // RFC 8446, section 4.2: no more than one of a kind. Which one would the node believe?
        if !kinds.insert(kind) {
            return Err(Stop::Mismatch);
        }
        match kind {
            EXTENSION_SERVER_NAME => names.server_name = server_name(content)?,
            EXTENSION_ALPN => names.alpn = protocols(content)?,
            _ => {}
        }
    }
    Ok(names)
}

/// The host's name in a `ServerNameList`, which may have one at most.
fn server_name(mut content: Cursor<'_>) -> Result<Option<Vec<u8>>, Stop> {
    let mut found = None;
    let mut list = only_list(&mut content)?;
    while list.len() > 0 {
        let kind = list.number(1, 0..=0xff)?;
        // Names of any kind begin with their length.
        let name = list.vector(2, 1..=0xffff)?.whole()?;
        if kind == NAME_HOST && found.replace(name.to_vec()).is_some() {
            return Err(Stop::Mismatch);
        }
    }
    Ok(found)
}

/// The names in a `ProtocolNameList`.
fn protocols(mut content: Cursor<'_>) -> Result<Vec<Vec<u8>>, Stop> {
    let mut found = Vec::new();
    let mut list = only_list(&mut content)?;
    while list.len() > 0 {
        found.push(list.vector(1, 1..=0xff)?.whole()?.to_vec());
    }
    Ok(found)
}

/// The list that is all of an extension's content, and not empty.
fn only_list<'a>(content: &mut Cursor<'a>) -> Result<Cursor<'a>, Stop> {
    let rest = content.len().saturating_sub(2);
    content.vector(2, rest.max(1)..=rest)
}
