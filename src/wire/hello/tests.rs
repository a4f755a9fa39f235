//! Hellos as rustls makes them, whole, cut and torn into records; and everything that is none.

use std::sync::Arc;

use proptest::prelude::*;
use rustls::client::ClientConnection;
use rustls::server::Acceptor;
use rustls::{ClientConfig, RootCertStore};

use super::Opening::{Committed, Replayable};
use super::*;

/// A hello of rustls, with the post-quantum key share that makes it longer than a segment, or without.
pub(super) fn real_hello(post_quantum: bool) -> Vec<u8> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    if !post_quantum {
        provider.kx_groups = vec![rustls::crypto::aws_lc_rs::kx_group::X25519];
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = "ctrl.example.org".try_into().unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    assert_eq!(hello.len() > 1200, post_quantum, "{} bytes", hello.len());
    hello
}

/// The least hello there is: no session id, one cipher suite, no extensions field at all.
pub(super) fn bare_handshake() -> Vec<u8> {
    let mut handshake = vec![1, 0, 0, 41, 3, 3];
    handshake.extend([7; 32]);
    handshake.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
    handshake
}

/// That hello with extensions: their kinds, each with two bytes of content.
pub(super) fn handshake_with_extensions(kinds: &[u16]) -> Vec<u8> {
    let mut handshake = bare_handshake();
    handshake.extend(u16::try_from(kinds.len() * 6).unwrap().to_be_bytes());
    for kind in kinds {
        handshake.extend(kind.to_be_bytes());
        handshake.extend([0, 2, 9, 9]);
    }
    set_handshake_len(&mut handshake);
    handshake
}

pub(super) fn set_handshake_len(handshake: &mut [u8]) {
    let len = u32::try_from(handshake.len() - 4).unwrap().to_be_bytes();
    handshake[1..4].copy_from_slice(&len[1..]);
}

/// Wraps handshake bytes into records of at most `fragment` bytes.
pub(super) fn in_records(handshake: &[u8], fragment: usize) -> Vec<u8> {
    handshake.chunks(fragment).flat_map(|payload| record([3, 1], payload)).collect()
}

pub(super) fn record(version: [u8; 2], payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [&[22], &version[..], &len, payload].concat()
}

fn assert_every_prefix_is_replayable_and_every_suffix_commits(opening: &[u8]) {
    for len in 0..=opening.len() {
        assert_eq!(classify(&opening[..len]), Replayable, "the first {len} of {} bytes", opening.len());
    }
    for next in 0..=u8::MAX {
        assert_eq!(classify(&[opening, &[next]].concat()), Committed, "followed by {next:#04x}");
    }
}

#[test]
fn s4_a_hello_is_replayable_until_a_byte_follows_it() {
    for post_quantum in [false, true] {
        assert_every_prefix_is_replayable_and_every_suffix_commits(&real_hello(post_quantum));
    }
    assert_every_prefix_is_replayable_and_every_suffix_commits(&in_records(&bare_handshake(), 9999));
    let no_extensions = handshake_with_extensions(&[]);
    assert_every_prefix_is_replayable_and_every_suffix_commits(&in_records(&no_extensions, 9999));
}

#[test]
fn s4_a_hello_may_be_torn_into_records_of_any_size() {
    let (short, long) = (real_hello(false), real_hello(true));
    for (hello, fragment) in
        [(&short, 1), (&short, 2), (&short, 3), (&short, 4), (&short, 5), (&long, 37), (&long, 1000)]
    {
        let torn = in_records(&hello[RECORD_HEADER..], fragment);
        assert_every_prefix_is_replayable_and_every_suffix_commits(&torn);
    }
}

#[test]
fn s4_a_postgres_request_is_replayable_until_a_byte_follows_it() {
    for last in [0x2f, 0x30] {
        let request = [0, 0, 0, 8, 4, 0xd2, 0x16, last];
        assert_every_prefix_is_replayable_and_every_suffix_commits(&request);
    }
    // CancelRequest, which acts, and a plain StartupMessage.
    assert_eq!(classify(&[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2e]), Committed);
    assert_eq!(classify(&[0, 0, 0, 16]), Committed);
    assert_eq!(classify(&[0, 0, 0, 84, 0, 3, 0, 0]), Committed);
}

#[test]
fn s4_early_data_commits_from_the_byte_that_tells_it() {
    let kinds = [43, 0x2a00, 42, 51];
    let handshake = handshake_with_extensions(&kinds);
    let third_extension = bare_handshake().len() + 2 + 2 * 6;
    for fragment in [1, 7, 9999] {
        let hello = in_records(&handshake, fragment);
        // Each fragment so far put a header before its bytes.
        let tells = |handshake_len: usize| handshake_len + RECORD_HEADER * handshake_len.div_ceil(fragment);
        for len in 0..=hello.len() {
            let expected = if len < tells(third_extension + 2) { Replayable } else { Committed };
            assert_eq!(classify(&hello[..len]), expected, "{len} bytes in records of {fragment}");
        }
    }
    assert_eq!(classify(&in_records(&handshake_with_extensions(&[43, 51]), 9999)), Replayable);
}

#[test]
fn s4_what_is_no_hello_commits_at_its_first_wrong_byte() {
    let handshake = handshake_with_extensions(&[43, 51]);
    let commits_at = |bytes: &[u8]| (0..=bytes.len()).find(|&len| classify(&bytes[..len]) == Committed);
    assert_eq!(commits_at(b"GET / HTTP/1.1\r\n"), Some(1));
    assert_eq!(commits_at(&[21, 3, 1, 0, 2, 2, 40]), Some(1), "an alert");
    assert_eq!(commits_at(&record([2, 0xff], &handshake)), Some(2), "no TLS");
    assert_eq!(commits_at(&record([4, 0], &handshake)), Some(2), "no TLS");
    for minor in 0..=u8::MAX {
        assert_eq!(commits_at(&record([3, minor], &handshake)), None, "a record of version 3.{minor}");
    }
    for (version, told) in [([3, 0], 2), ([3, 5], 2), ([2, 3], 1)] {
        let mut handshake = handshake.clone();
        handshake[4..6].copy_from_slice(&version);
        let at = RECORD_HEADER + MESSAGE_HEADER + told;
        assert_eq!(commits_at(&record([3, 1], &handshake)), Some(at), "a hello of version {version:?}");
    }
    assert_eq!(commits_at(&[22, 3, 1, 0x40, 0]), None);
    assert_eq!(commits_at(&[22, 3, 1, 0x40, 1]), Some(5), "a record over the limit");
    assert_eq!(commits_at(&[22, 3, 1, 0x41]), Some(4), "a record over the limit, whatever comes");
    assert_eq!(commits_at(&record([3, 1], &[])), Some(5), "an empty record");
    assert_eq!(commits_at(&record([3, 1], &[2, 0, 0, 41])), Some(6), "a ServerHello");
    assert_eq!(commits_at(&record([3, 1], &[1, 1, 0, 0])), Some(7), "too long to be kept");
    assert_eq!(commits_at(&record([3, 1], &[1, 0, 0, 40])), Some(9), "too short for a hello");
}

/// Changes one byte of a hello; it commits where that byte, at the latest, can be told to be wrong.
#[test]
fn s4_lengths_that_disagree_commit() {
    let good = handshake_with_extensions(&[43, 51]);
    assert_eq!(classify(&in_records(&good, 9999)), Replayable);
    let session_id_len = 4 + 2 + 32;
    let suites_len = session_id_len + 2;
    let compression_len = suites_len + 3;
    let extensions_len = compression_len + 3;
    let first_extension_len = extensions_len + 4;
    let changes = [
        ("handshake one longer", 3, good[3] + 1),
        ("handshake one shorter", 3, good[3] - 1),
        ("a session id over 32 bytes", session_id_len, 33),
        ("no cipher suite", suites_len, 0),
        ("half a cipher suite", suites_len, 3),
        ("no compression method", compression_len, 0),
        ("extensions one longer", extensions_len, good[extensions_len] + 1),
        ("extensions one shorter", extensions_len, good[extensions_len] - 1),
        ("an extension beyond the last", first_extension_len, 99),
        ("an extension that leaves one byte", first_extension_len, 7),
    ];
    for (what, at, value) in changes {
        let mut handshake = good.clone();
        handshake[at] = value;
        assert_eq!(classify(&in_records(&handshake, 9999)), Committed, "{what}");
    }
}

#[test]
fn s4_a_record_that_announces_more_than_the_hello_commits_before_it_comes() {
    let mut longer = in_records(&bare_handshake(), 9999);
    longer[4] += 1;
    let told = RECORD_HEADER + MESSAGE_HEADER;
    assert_eq!(classify(&longer[..told - 1]), Replayable);
    assert_eq!(classify(&longer[..told]), Committed);
}

#[test]
fn s4_a_hello_is_kept_up_to_the_limit() {
    let hello_of = |len: usize| {
        let mut handshake = bare_handshake();
        let content = len - RECORD_HEADER - handshake.len() - 6;
        handshake.extend(u16::try_from(content + 4).unwrap().to_be_bytes());
        handshake.extend([0, 21]);
        handshake.extend(u16::try_from(content).unwrap().to_be_bytes());
        handshake.resize(handshake.len() + content, 0);
        set_handshake_len(&mut handshake);
        record([3, 1], &handshake)
    };
    assert_eq!(hello_of(OPENING_LIMIT).len(), OPENING_LIMIT);
    assert_eq!(classify(&hello_of(OPENING_LIMIT)), Replayable);
    assert_eq!(classify(&hello_of(OPENING_LIMIT + 1)), Committed);
    let announced = |len| hello_of(len)[..RECORD_HEADER + MESSAGE_HEADER].to_vec();
    assert_eq!(classify(&announced(OPENING_LIMIT)), Replayable);
    assert_eq!(classify(&announced(OPENING_LIMIT + 1)), Committed, "it will not fit");
    // Within the limit as a message, beyond it in its records.
    assert_eq!(classify(&in_records(&hello_of(OPENING_LIMIT)[RECORD_HEADER..], 8000)), Committed);
}

/// rustls as the judge: whatever hello it accepts is one.
#[test]
fn s4_what_rustls_accepts_is_replayable() {
    let hello = real_hello(false);
    let mut accepted = 0;
    for at in 0..hello.len() {
        // The hello's version is ours to judge: rustls takes some that no client has used in this century.
        if [9, 10].contains(&at) {
            continue;
        }
        for change in [0x01, 0x10, 0x80, 0xff] {
            let mut changed = hello.clone();
            changed[at] ^= change;
            // Perhaps the kind "early data", of which rustls says nothing.
            if changed[at] == 42 || !rustls_accepts(&changed) {
                continue;
            }
            accepted += 1;
            assert_eq!(classify(&changed), Replayable, "byte {at} changed by {change:#04x}");
        }
    }
    assert!(accepted > 100, "only {accepted} variants were accepted: nothing was compared");
}

fn rustls_accepts(bytes: &[u8]) -> bool {
    let mut acceptor = Acceptor::default();
    let mut rest = bytes;
    acceptor.read_tls(&mut rest).is_ok() && rest.is_empty() && matches!(acceptor.accept(), Ok(Some(_)))
}

/// Bytes that begin like an opening often enough to reach deep.
pub(super) fn nearly_a_hello() -> impl Strategy<Value = Vec<u8>> {
    let torn = (1_usize..200, prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4));
    let hello = handshake_with_extensions(&[43, 10, 51]);
    torn.prop_map(move |(fragment, changes)| {
        let mut bytes = in_records(&hello, fragment);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes
    })
}

#[test]
fn s4_a_cancel_request_is_known_by_its_length_and_version() {
    let request = [&[0, 0, 0, 16, 0x04, 0xd2, 0x16, 0x2e][..], &[7; 8]].concat();
    assert!(is_cancel_request(&request));
    assert_eq!(classify(&request), Committed);
    let longer_key = [&[0, 0, 0, 40, 0x04, 0xd2, 0x16, 0x2e][..], &[7; 32]].concat();
    assert!(is_cancel_request(&longer_key), "of protocol 3.2");
    for other in [&request[..15], &request[..6], &[], &[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]] {
        assert!(!is_cancel_request(other), "{other:?}");
    }
}

#[test]
fn s4_an_opening_is_whole_when_the_server_has_its_turn() {
    let hello = record([3, 1], &bare_handshake());
    assert!(is_whole(&hello) && is_whole(b"GET /") && is_whole(&POSTGRES_REQUESTS[0]));
    for part in [&hello[..hello.len() - 1], &hello[..1], &POSTGRES_REQUESTS[1][..7], &[]] {
        assert!(!is_whole(part), "{} bytes", part.len());
    }
}

proptest! {
    #[test]
    fn s4_random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        classify(&bytes);
        classify(&record([3, 1], &bytes));
    }

    #[test]
    fn s4_what_has_committed_never_becomes_replayable_again(bytes in nearly_a_hello()) {
        let mut committed = false;
        for len in 0..=bytes.len() {
            let opening = classify(&bytes[..len]);
            prop_assert!(!(committed && opening == Replayable), "at {len}");
            committed |= opening == Committed;
        }
    }
}
