//! What the parsers of a connection's first bytes hold for any bytes.

use std::net::SocketAddr;

use rustls::pki_types::ServerName;
use rustls::server::Acceptor;

use super::hello::names::{Names, Reading, read};
use super::hello::{OPENING_LIMIT, Opening, classify};
use super::proxy_header::{Addresses, Beginning, ENOUGH, Sign, Version, parse, sign, write};

/// Up to so many bytes are looked at cut behind each of them; of more, at some places only.
const CUT_EVERYWHERE: usize = 300;

/// A `ClientHello`: what is known of a beginning stays so, rustls agrees, and records make no difference.
pub fn client_hello(bytes: &[u8]) {
    let (mut known, mut committed) = (None, false);
    for len in lengths(bytes) {
        let (reading, opening) = (read(&bytes[..len]), classify(&bytes[..len]));
        assert!(known.as_ref().is_none_or(|known| *known == reading), "{reading:?} at {len}, not {known:?}");
        assert!(!committed || opening == Opening::Committed, "replayable again at {len}");
        known = known.or(Some(reading).filter(|reading| *reading != Reading::Incomplete));
        committed |= opening == Opening::Committed;
    }
    if let Some(handshake) = Handshake::of(bytes) {
        agrees_with_rustls(bytes, &handshake);
        records_make_no_difference(bytes, &handshake);
    }
}

/// Where bytes are cut to see what their beginnings are.
fn lengths(bytes: &[u8]) -> Vec<usize> {
    let step = bytes.len() / CUT_EVERYWHERE + 1;
    let last = bytes.len().saturating_sub(3);
    (0..last).step_by(step).chain(last..=bytes.len()).collect()
}

/// A message in whole TLS records, read as simply as can be.
struct Handshake {
    message: Vec<u8>,
    /// How many bytes its records take.
    records: usize,
}

impl Handshake {
    /// `None` if it is not whole, or of a version that rustls takes and nobody uses: it is ours to judge.
    fn of(bytes: &[u8]) -> Option<Self> {
        let (mut message, mut rest) = (Vec::new(), bytes);
        loop {
            let (header, behind) = rest.split_at_checked(5)?;
            let len = usize::from(u16::from_be_bytes([header[3], header[4]]));
            let [22, 3, ..] = header else { return None };
            message.extend_from_slice(behind.get(..len)?);
            rest = &behind[len..];
            if let [1, a, b, c, body @ ..] = message.as_slice()
                && body.len() >= usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c)
            {
                let [3, 1..=4, ..] = body else { return None };
                return Some(Handshake { message, records: bytes.len() - rest.len() });
            }
        }
    }

    /// Whether it has an extension for early data, or may have one.
    fn may_have_early_data(&self) -> bool {
        self.message.windows(2).any(|pair| pair == [0, 42])
    }
}

/// Whatever rustls accepts is a hello with the same names and, if that is all, an opening that can be sent again.
fn agrees_with_rustls(bytes: &[u8], handshake: &Handshake) {
    if handshake.records > OPENING_LIMIT {
        return;
    }
    let Some(expected) = judged(&bytes[..handshake.records]) else { return };
    let Reading::Hello(mut found) = read(bytes) else { panic!("rustls takes it: {expected:?}") };
    found.server_name = found.server_name.and_then(|name| as_rustls_has_it(&name));
    assert_eq!(found, expected);
    if !handshake.may_have_early_data() {
        let is_all = handshake.records == bytes.len();
        let expected = if is_all { Opening::Replayable } else { Opening::Committed };
        assert_eq!(classify(bytes), expected, "{} of {} bytes", handshake.records, bytes.len());
    }
}

/// What rustls reads of it, if it takes it.
pub(super) fn judged(bytes: &[u8]) -> Option<Names> {
    let mut acceptor = Acceptor::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        acceptor.read_tls(&mut rest).ok()?;
    }
    let accepted = acceptor.accept().ok()??;
    let hello = accepted.client_hello();
    Some(Names {
        server_name: hello.server_name().map(|name| name.as_bytes().to_vec()),
        alpn: hello.alpn().into_iter().flatten().map(<[u8]>::to_vec).collect(),
    })
}

/// rustls tells of names of the DNS alone, and in small letters.
pub(super) fn as_rustls_has_it(name: &[u8]) -> Option<Vec<u8>> {
    let text = str::from_utf8(name).ok().filter(|text| !text.ends_with('.'))?;
    matches!(ServerName::try_from(text), Ok(ServerName::DnsName(_))).then(|| name.to_ascii_lowercase())
}

/// In records of other lengths, the message says the same.
fn records_make_no_difference(bytes: &[u8], handshake: &Handshake) {
    let Handshake { message, records } = handshake;
    let len = 1 + usize::from(message.last().copied().unwrap_or_default());
    let torn: Vec<u8> = message.chunks(len).flat_map(record).collect();
    if torn.len() <= OPENING_LIMIT && *records <= OPENING_LIMIT {
        assert_eq!(read(&torn), read(&bytes[..*records]), "in records of {len} bytes");
        assert_eq!(classify(&torn), classify(&bytes[..*records]), "in records of {len} bytes");
    }
}

fn record(payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).expect("a short record").to_be_bytes();
    [&[22, 3, 1], &len[..], payload].concat()
}

/// A PROXY header: what is known of a beginning stays so, few bytes are enough, and what is read is written the same.
pub fn proxy_header(bytes: &[u8]) {
    let mut known = None;
    for len in lengths(bytes) {
        let (beginning, sign) = (parse(&bytes[..len]), sign(&bytes[..len]));
        assert!(known.is_none_or(|known| known == beginning), "{beginning:?} at {len}, not {known:?}");
        if beginning == Ok(Beginning::Partial) {
            assert!(len < ENOUGH, "waits for more than {len} bytes");
        } else {
            known = Some(beginning);
        }
        assert_eq!(sign == Sign::Other, beginning == Err(super::proxy_header::Malformed::Signature));
    }
    let Some(Ok(Beginning::Whole(header))) = known else { return };
    let Sign::Header(version) = sign(bytes) else { panic!("a header without a signature") };
    if version == Version::V1 {
        assert_eq!(header.addresses, by_words(&bytes[..header.length]));
    }
    let Some(addresses) = header.addresses else { return };
    for version in [Version::V1, Version::V2] {
        let written = write(version, Some(addresses));
        let Ok(Beginning::Whole(read)) = parse(&written) else { panic!("{written:?} is no header") };
        assert_eq!((read.length, read.addresses), (written.len(), Some(addresses)));
    }
}

/// What a line of version 1 says, read as simply as can be.
fn by_words(line: &[u8]) -> Option<Addresses> {
    let line = line.strip_suffix(b"\r\n").expect("a line ends by CR LF");
    let mut words = line.split(|byte| *byte == b' ').map(|word| str::from_utf8(word).unwrap_or_default());
    assert_eq!(words.next(), Some("PROXY"));
    let is_four = match words.next() {
        Some("UNKNOWN") => return None,
        protocol => protocol == Some("TCP4"),
    };
    let [source, destination, from, to] = [(); 4].map(|()| words.next().expect("four words"));
    let end = |ip: &str, port: &str| {
        let end = SocketAddr::new(ip.parse().expect("an address"), port.parse().expect("a port"));
        assert_eq!(end.is_ipv4(), is_four, "{end}");
        end
    };
    assert_eq!(words.next(), None, "a word too many");
    Some(Addresses { source: end(source, from), destination: end(destination, to) })
}
