//! Names of real hellos, of torn ones, and of hellos with every kind of malformed list; rustls is the judge.

use proptest::prelude::*;

use super::super::tests::{
    bare_handshake, in_records, nearly_a_hello, real_hello, record, set_handshake_len,
};
use super::*;
use crate::wire::fuzz::{as_rustls_has_it, judged};

fn asked(server_name: Option<&str>, alpn: &[&str]) -> Reading {
    Reading::Hello(Names {
        server_name: server_name.map(|name| name.as_bytes().to_vec()),
        alpn: alpn.iter().map(|name| name.as_bytes().to_vec()).collect(),
    })
}

/// A hello with these extensions, in one record.
fn hello_with(extensions: &[(u16, &[u8])]) -> Vec<u8> {
    let mut content = Vec::new();
    for (kind, bytes) in extensions {
        content.extend(kind.to_be_bytes());
        content.extend(with_length(bytes));
    }
    let mut handshake = bare_handshake();
    handshake.extend(with_length(&content));
    set_handshake_len(&mut handshake);
    in_records(&handshake, 9999)
}

fn with_length(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

/// The content of the extension `server_name` with one host.
fn host(name: &[u8]) -> Vec<u8> {
    with_length(&[&[0][..], &with_length(name)].concat())
}

/// The content of the extension for ALPN.
fn offers(protocols: &[&[u8]]) -> Vec<u8> {
    let one = |name: &&[u8]| [&[u8::try_from(name.len()).unwrap()][..], name].concat();
    with_length(&protocols.iter().flat_map(one).collect::<Vec<u8>>())
}

#[test]
fn a_real_hello_is_incomplete_until_it_is_there_and_then_says_its_names() {
    let asked = asked(Some("ctrl.example.org"), &["h2", "http/1.1"]);
    let (short, long) = (real_hello(false), real_hello(true));
    let torn = [1, 2, 3, 5, 37].map(|fragment| in_records(&short[RECORD_HEADER..], fragment));
    for hello in [short, long].iter().chain(&torn) {
        for len in 0..hello.len() {
            assert_eq!(read(&hello[..len]), Reading::Incomplete, "{len} of {} bytes", hello.len());
        }
        assert_eq!(read(hello), asked);
        // Early data, or anything else.
        for behind in [&[20, 3, 3, 0, 1, 1][..], &[23, 3, 3], &[0], b"GET "] {
            assert_eq!(read(&[hello, behind].concat()), asked, "followed by {behind:?}");
        }
    }
}

/// As Debian's Chromium 156 sent it: with a post-quantum key share, GREASE, and an Encrypted `ClientHello` that is none.
#[test]
fn chromiums_hello_says_its_names() {
    let hello = include_bytes!("../../../../tests/blackbox/hellos/chromium_156.bin");
    assert!(hello.len() > 1460, "longer than a segment");
    for len in 0..hello.len() {
        assert_eq!(read(&hello[..len]), Reading::Incomplete);
    }
    assert_eq!(read(hello), asked(Some("chromium.example.org"), &["h2", "http/1.1"]));
    assert!(assert_judged_alike(hello));
}

#[test]
fn a_hello_need_not_name_anything() {
    assert_eq!(read(&in_records(&bare_handshake(), 9999)), asked(None, &[]));
    assert_eq!(read(&hello_with(&[])), asked(None, &[]));
    assert_eq!(read(&hello_with(&[(0x2a2a, b""), (0, &host(b"a.org"))])), asked(Some("a.org"), &[]));
    assert_eq!(read(&hello_with(&[(16, &offers(&[b"h2"]))])), asked(None, &["h2"]));
}

#[test]
fn early_data_and_more_in_the_same_record_do_not_hide_the_names() {
    let hello = hello_with(&[(0, &host(b"a.org")), (42, b"")]);
    assert_eq!(read(&hello), asked(Some("a.org"), &[]));
    let with_more = record([3, 1], &[&hello[RECORD_HEADER..], &[1, 0, 0]].concat());
    assert_eq!(read(&with_more), asked(Some("a.org"), &[]));
}

#[test]
fn grease_and_encrypted_hellos_do_not_hide_the_outer_name() {
    let grease = offers(&[b"\x0a\x0a", b"h2"]);
    let hello = hello_with(&[
        (0x1a1a, b"\0"),
        (0xfe0d, &[0; 200]),
        (16, &grease),
        (0, &host(b"cover.org")),
        (0xfafa, b""),
    ]);
    assert_eq!(read(&hello), asked(Some("cover.org"), &["\n\n", "h2"]));
}

#[test]
fn names_of_other_kinds_are_passed_over() {
    let unknown = [&[7][..], &with_length(b"what")].concat();
    let host_entry = [&[0][..], &with_length(b"A.org.")].concat();
    let both = with_length(&[unknown.clone(), host_entry].concat());
    assert_eq!(read(&hello_with(&[(0, &both)])), asked(Some("A.org."), &[]));
    assert_eq!(read(&hello_with(&[(0, &with_length(&unknown))])), asked(None, &[]));
}

#[test]
fn malformed_lists_and_extensions_that_come_twice_are_no_hello() {
    let two_hosts = with_length(&[host(b"a")[2..].to_vec(), host(b"b")[2..].to_vec()].concat());
    let name = host(b"a.org");
    let longer = [&name[..], b"x"].concat();
    for (what, extensions) in [
        ("a server name twice", &[(0, &name[..]), (0, &name)][..]),
        ("ALPN twice", &[(16, &offers(&[b"h2"])), (16, &offers(&[b"h2"]))]),
        ("an unknown one twice", &[(0x2a2a, b""), (0x2a2a, b"")]),
        ("two hosts", &[(0, &two_hosts)]),
        ("no list", &[(0, b"")]),
        ("an empty list", &[(0, b"\0\0")]),
        ("an empty host", &[(0, &host(b""))]),
        ("half a host", &[(0, &name[..name.len() - 1])]),
        ("a byte behind the list", &[(0, &longer)]),
        ("a list longer than the extension", &[(0, b"\0\x09\0\0\x01a")]),
        ("a kind alone", &[(0, b"\0\x01\0")]),
        ("no ALPN", &[(16, b"")]),
        ("an empty list of protocols", &[(16, b"\0\0")]),
        ("an empty protocol", &[(16, &offers(&[b"h2", b""]))]),
        ("half a protocol", &[(16, b"\0\x03\x03h2")]),
    ] {
        assert_eq!(read(&hello_with(extensions)), Reading::Other, "{what}");
    }
    let mut torn = hello_with(&[(0, &name)]);
    let at = torn.len() - name.len() - 1;
    torn[at] += 1;
    assert_eq!(read(&torn), Reading::Other, "an extension beyond the last");
}

/// RFC 5246, appendix E.1: who does not know yet what the server speaks may write any version from 3.0 on.
#[test]
fn the_version_of_a_record_says_nothing() {
    let mut hello = real_hello(false);
    for minor in 0..=u8::MAX {
        hello[2] = minor;
        let asked = asked(Some("ctrl.example.org"), &["h2", "http/1.1"]);
        assert_eq!(read(&hello), asked, "a record of version 3.{minor}");
        assert_eq!(judged(&hello).map(Reading::Hello), Some(asked), "a record of version 3.{minor}");
    }
}

#[test]
fn what_is_no_hello_is_told_by_its_first_wrong_byte() {
    for bytes in [
        &b"GET / HTTP/1.1"[..],
        b"SSH-2.0",
        &[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f],
        &[21, 3, 1, 0, 2, 2, 40],
        &[22, 2],
        &[22, 4],
        &[22, 3, 1, 0, 0],
        &[22, 3, 1, 0, 4, 2],
        &[22, 3, 1, 0, 60, 1, 1],
    ] {
        let before = &bytes[..bytes.iter().rposition(|_| read(bytes) == Reading::Other).unwrap_or(0)];
        assert_eq!(read(bytes), Reading::Other, "{bytes:?}");
        assert!(bytes[0] != 22 || read(before) == Reading::Incomplete, "{before:?}");
    }
    assert_eq!(read(&[]), Reading::Incomplete);
}

#[test]
fn a_hello_that_has_not_ended_within_the_limit_is_none() {
    let mut endless = in_records(&[&bare_handshake()[..1], &[0, 0x3f, 0], &[0; 0x3f00]].concat(), 20);
    assert!(endless.len() > OPENING_LIMIT);
    // Its version, so that nothing is wrong with it but its length.
    endless[9..11].copy_from_slice(&[3, 3]);
    assert_eq!(read(&endless[..OPENING_LIMIT - 1]), Reading::Incomplete);
    assert_eq!(read(&endless[..OPENING_LIMIT]), Reading::Other);
    assert_eq!(read(&endless), Reading::Other);
}

fn assert_judged_alike(bytes: &[u8]) -> bool {
    let Some(expected) = judged(bytes) else { return false };
    let Reading::Hello(mut found) = read(bytes) else {
        panic!("rustls takes it, with {expected:?}: {bytes:?}");
    };
    found.server_name = found.server_name.and_then(|name| as_rustls_has_it(&name));
    assert_eq!(found, expected, "{bytes:?}");
    true
}

#[test]
fn rustls_reads_the_same_names() {
    let hello = real_hello(false);
    let mut compared = 0;
    for at in 0..hello.len() {
        // Versions are ours to judge: rustls takes some that no client has used in this century.
        if [1, 2, 9, 10].contains(&at) {
            continue;
        }
        for change in [0x01, 0x02, 0x10, 0x20, 0x80, 0xff] {
            let mut changed = hello.clone();
            changed[at] ^= change;
            compared += usize::from(assert_judged_alike(&changed));
        }
    }
    assert!(compared > 200, "only {compared} variants were compared");
    let torn = in_records(&hello[RECORD_HEADER..], 50);
    assert!(assert_judged_alike(&hello) && assert_judged_alike(&torn));
    assert!(assert_judged_alike(&real_hello(true)));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        read(&bytes);
        read(&record([3, 1], &bytes));
        read(&hello_with(&[(0, &bytes), (16, &bytes)]));
    }

    #[test]
    fn what_is_known_stays_known(bytes in nearly_a_hello()) {
        let mut known = None;
        for len in 0..=bytes.len() {
            let reading = read(&bytes[..len]);
            if let Some(known) = &known {
                prop_assert_eq!(&reading, known, "at {}", len);
            } else if reading != Reading::Incomplete {
                known = Some(reading);
            }
        }
    }

    #[test]
    fn any_names_are_read_as_they_were_written(
        name in "[a-zA-Z0-9._-]{1,80}",
        protocols in prop::collection::vec("[!-~]{1,20}", 1..6),
    ) {
        let offered: Vec<&[u8]> = protocols.iter().map(String::as_bytes).collect();
        let hello = hello_with(&[(16, &offers(&offered)), (0, &host(name.as_bytes()))]);
        let names = protocols.iter().map(String::as_str).collect::<Vec<_>>();
        prop_assert_eq!(read(&hello), asked(Some(&name), &names));
    }
}
