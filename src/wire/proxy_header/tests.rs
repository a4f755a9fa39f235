//! Headers whole, cut at each byte, in the forms that the protocol allows; and everything that is none.

use proptest::prelude::*;

use super::*;

const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn addresses(source: &str, destination: &str) -> Addresses {
    Addresses { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

/// A header of version 2 with these bytes behind the signature.
fn v2(rest: &[u8]) -> Vec<u8> {
    [V2, rest].concat()
}

/// What a header says whose bytes are all there, after a look at each shorter part of it.
fn whole(bytes: &[u8]) -> Option<Addresses> {
    for arrived in 0..bytes.len() {
        match parse(&bytes[..arrived]) {
            // Of version 2 nothing is waited for that is only to be skipped.
            Ok(Beginning::Whole(header)) => assert_eq!(header.length, bytes.len(), "after {arrived} bytes"),
            other => assert_eq!(other, Ok(Beginning::Partial), "after {arrived} bytes of {bytes:?}"),
        }
    }
    let Ok(Beginning::Whole(header)) = parse(bytes) else { panic!("{bytes:?}: {:?}", parse(bytes)) };
    assert_eq!(header.length, bytes.len(), "{bytes:?}");
    let followed = [bytes, b"PROXY more"].concat();
    assert_eq!(parse(&followed), Ok(Beginning::Whole(header)), "what follows belongs to the client");
    header.addresses
}

/// Why a header is refused; at the latest when it is all there.
fn refused(bytes: &[u8]) -> Malformed {
    parse(bytes).expect_err("it is to be refused")
}

#[test]
fn a_line_says_who_connected_to_whom() {
    for (line, said) in [
        (
            "PROXY TCP4 192.0.2.7 203.0.113.9 56324 443\r\n",
            Some(addresses("192.0.2.7:56324", "203.0.113.9:443")),
        ),
        ("PROXY TCP6 2001:db8::7 ::1 1 65535\r\n", Some(addresses("[2001:db8::7]:1", "[::1]:65535"))),
        (
            "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
            Some(addresses(
                "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
                "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
            )),
        ),
        ("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", Some(addresses("0.0.0.0:0", "0.0.0.0:0"))),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", None),
        ("PROXY UNKNOWN \u{e4} anything\r\n", None),
    ] {
        assert_eq!(whole(line.as_bytes()), said, "{line:?}");
    }
    let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(ENOUGH - 16));
    assert_eq!((longest.len(), whole(longest.as_bytes())), (ENOUGH, None));
}

#[test]
fn lines_that_are_not_quite_right_are_refused() {
    for (line, why) in [
        ("PROXY TCP5", Malformed::Protocol),
        ("PROXY TCP4\t192.0.2.7", Malformed::Protocol),
        ("PROXY UNKNOWNS\r\n", Malformed::Protocol),
        ("PROXY \r\n", Malformed::Protocol),
        ("PROXY tcp4 ", Malformed::Protocol),
        ("PROXY UDP4 ", Malformed::Protocol),
        ("PROXY  TCP4", Malformed::Protocol),
        ("PROXY TCP\r\n", Malformed::Protocol),
        ("PROXY TCP4\r\n", Malformed::Addresses),
        ("PROXY TCP4 192.0.2.7 203.0.113.9 1 2\n", Malformed::LineEnd),
        ("PROXY TCP4 192.0.2.7 203.0.113.9 1 2\rx", Malformed::LineEnd),
        ("PROXY UNKNOWN\n", Malformed::LineEnd),
        ("PROXY TCP4 192.0.2.7 203.0.113.9 1 2 \r\n", Malformed::Addresses),
        ("PROXY TCP4 192.0.2.7  203.0.113.9 1 2\r\n", Malformed::Addresses),
        ("PROXY TCP4 192.0.2.7 203.0.113.9 1\r\n", Malformed::Addresses),
        ("PROXY TCP4 192.0.2.7 203.0.113.9 1 2 3\r\n", Malformed::Addresses),
        ("PROXY TCP4 192.0.2.7 203.0.113.9 1 65536\r\n", Malformed::Addresses),
        ("PROXY TCP4 192.0.2.7 203.0.113.9 01 2\r\n", Malformed::Addresses),
        ("PROXY TCP4 192.0.2.7 203.0.113.9 +1 2\r\n", Malformed::Addresses),
        ("PROXY TCP4 192.0.2.7 203.0.113.9 -1 2\r\n", Malformed::Addresses),
        ("PROXY TCP4 192.0.2.07 203.0.113.9 1 2\r\n", Malformed::Addresses),
        ("PROXY TCP4 192.0.2 203.0.113.9 1 2\r\n", Malformed::Addresses),
        ("PROXY TCP4 2001:db8::7 ::1 1 2\r\n", Malformed::Addresses),
        ("PROXY TCP6 192.0.2.7 203.0.113.9 1 2\r\n", Malformed::Addresses),
        ("PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", Malformed::Addresses),
        ("PROXY TCP4 \u{663}.0.2.7 203.0.113.9 1 2\r\n", Malformed::Addresses),
        ("GET / HTTP/1.1\r\n", Malformed::Signature),
        ("PROXYING", Malformed::Signature),
        ("proxy TCP4", Malformed::Signature),
    ] {
        assert_eq!(refused(line.as_bytes()), why, "{line:?}");
    }
}

#[test]
fn s8_no_line_is_waited_for_beyond_the_longest_one() {
    for line in ["PROXY UNKNOWN ".to_owned(), "PROXY TCP4 192.0.2.7 ".to_owned()] {
        let endless = line + &"1".repeat(ENOUGH);
        assert_eq!(parse(&endless.as_bytes()[..ENOUGH - 1]), Ok(Beginning::Partial));
        assert_eq!(refused(&endless.as_bytes()[..ENOUGH]), Malformed::TooLong);
        // Nor is one taken whose end is beyond.
        let mut late = endless.into_bytes();
        late[ENOUGH - 1] = b'\r';
        late[ENOUGH] = b'\n';
        assert_eq!(refused(&late), Malformed::TooLong);
    }
}

#[test]
fn a_binary_header_says_who_connected_to_whom() {
    let four = [&[0x21, 0x11, 0, 12, 192, 0, 2, 7, 203, 0, 113, 9, 0xdc, 0x04, 1, 187][..], &[]].concat();
    assert_eq!(whole(&v2(&four)), Some(addresses("192.0.2.7:56324", "203.0.113.9:443")));
    let mut six = vec![0x21, 0x21, 0, 36];
    six.extend("2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().octets());
    six.extend("::1".parse::<std::net::Ipv6Addr>().unwrap().octets());
    six.extend([0, 1, 255, 255]);
    assert_eq!(whole(&v2(&six)), Some(addresses("[2001:db8::7]:1", "[::1]:65535")));
}

#[test]
fn what_follows_the_addresses_is_part_of_the_header() {
    let mut with_tlvs = vec![0x21, 0x11, 0, 12 + 8, 192, 0, 2, 7, 203, 0, 113, 9, 0, 1, 0, 2];
    with_tlvs.extend([0x02, 0, 5, b'a', b'.', b'o', b'r', b'g']);
    assert_eq!(whole(&v2(&with_tlvs)), Some(addresses("192.0.2.7:1", "203.0.113.9:2")));
    // As long as it may be, of which no more has to be looked at than the addresses.
    let longest = v2(&[0x21, 0x11, 0x3f, 0xf0, 192, 0, 2, 7, 203, 0, 113, 9, 0, 1, 0, 2]);
    let Ok(Beginning::Whole(header)) = parse(&longest) else { panic!("{:?}", parse(&longest)) };
    assert_eq!(header.length, 16 * 1024);
    assert!(longest.len() <= ENOUGH);
}

#[test]
fn a_header_without_addresses_leaves_the_connections_own() {
    let unix = [&[0x21, 0x31, 0, 216][..], &[b'/'; 216]].concat();
    for rest in [
        // LOCAL, with whatever family and addresses: they are to be ignored.
        &[0x20, 0x00, 0, 0][..],
        &[0x20, 0x11, 0, 0],
        &[0x20, 0x7f, 0, 3, 1, 2, 3],
        &[0x20, 0x11, 0, 12, 192, 0, 2, 7, 203, 0, 113, 9, 0, 1, 0, 2],
        // PROXY, but nothing is known of whom.
        &[0x21, 0x00, 0, 0],
        &[0x21, 0x00, 0, 4, 4, 0, 1, 0],
        &unix,
    ] {
        assert_eq!(whole(&v2(rest)), None, "{rest:?}");
    }
}

#[test]
fn binary_headers_that_are_not_quite_right_are_refused() {
    for (rest, why) in [
        (&[0x11][..], Malformed::Version),
        (&[0x31, 0x11, 0, 12], Malformed::Version),
        (&[0x22], Malformed::Command),
        (&[0x2f, 0x11], Malformed::Command),
        (&[0x21, 0x12], Malformed::Family),
        (&[0x21, 0x22], Malformed::Family),
        (&[0x21, 0x32], Malformed::Family),
        (&[0x21, 0x10], Malformed::Family),
        (&[0x21, 0x01], Malformed::Family),
        (&[0x21, 0x41], Malformed::Family),
        (&[0x21, 0x11, 0, 11], Malformed::Length),
        (&[0x21, 0x11, 0, 0], Malformed::Length),
        (&[0x21, 0x21, 0, 35], Malformed::Length),
        (&[0x21, 0x31, 0, 215], Malformed::Length),
        (&[0x21, 0x11, 0x3f, 0xf1], Malformed::Length),
        (&[0x20, 0x00, 0xff, 0xff], Malformed::Length),
    ] {
        assert_eq!(refused(&v2(rest)), why, "{rest:?}");
    }
    assert_eq!(refused(b"\r\n\r\n\0\r\nQUIT\r"), Malformed::Signature);
    assert_eq!(refused(b"\rn"), Malformed::Signature);
}

#[test]
fn what_begins_as_a_header_is_told_by_its_first_bytes() {
    assert_eq!(sign(b""), Sign::Perhaps);
    for (version, signature) in [(Version::V1, &b"PROXY "[..]), (Version::V2, V2)] {
        for arrived in 1..signature.len() {
            assert_eq!(sign(&signature[..arrived]), Sign::Perhaps);
            let mut other = signature[..=arrived].to_vec();
            other[arrived] ^= 0x20;
            assert_eq!(sign(&other), Sign::Other, "{other:?}");
        }
        assert_eq!(sign(signature), Sign::Header(version));
        assert_eq!(sign(&[signature, b"x"].concat()), Sign::Header(version));
        assert!(signature.len() <= SIGNATURE);
    }
    assert_eq!(sign(&[22, 3, 1]), Sign::Other);
}

#[test]
fn ends_of_different_families_are_written_in_one() {
    let mixed = addresses("192.0.2.7:1", "[2001:db8::9]:2");
    let line = write(Version::V1, Some(mixed));
    assert_eq!(String::from_utf8(line).unwrap(), "PROXY TCP6 ::ffff:192.0.2.7 2001:db8::9 1 2\r\n");
    for version in [Version::V1, Version::V2] {
        let read = whole(&write(version, Some(mixed))).unwrap();
        assert_eq!(read.canonical(), mixed);
    }
    let mapped = addresses("[::ffff:192.0.2.7]:1", "[::ffff:203.0.113.9]:2");
    assert_eq!(mapped.canonical(), addresses("192.0.2.7:1", "203.0.113.9:2"));
}

#[test]
fn what_the_gate_says_of_itself_has_no_addresses() {
    assert_eq!(write(Version::V1, None), b"PROXY UNKNOWN\r\n");
    assert_eq!(write(Version::V2, None), v2(&[0x20, 0, 0, 0]));
}

fn version() -> impl Strategy<Value = Version> {
    prop_oneof![Just(Version::V1), Just(Version::V2)]
}

/// Bytes that are not far from a header.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let text = proptest::sample::select(vec![
        "PROXY ", "TCP4 ", "TCP6 ", "UNKNOWN", "::1 ", "1.2.3.4 ", "7 ", "7", "\r\n", "\r",
    ]);
    let line = proptest::collection::vec(text, 0..8).prop_map(|words| words.concat().into_bytes());
    let binary = proptest::collection::vec(any::<u8>(), 0..80).prop_map(|rest| v2(&rest));
    let plain = (0x20..0x22_u8, proptest::collection::vec(any::<u8>(), 0..60));
    let closer = plain.prop_map(|(first, rest)| v2(&[&[first][..], &[0x11, 0], &rest].concat()));
    prop_oneof![line, binary, closer, proptest::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_at_every_split(
        source in any::<SocketAddr>(), destination in any::<SocketAddr>(), version in version(), behind in any::<Vec<u8>>()
    ) {
        // Scopes and flow labels of IPv6 do not travel.
        let plain = |address: SocketAddr| SocketAddr::new(address.ip(), address.port());
        let written = of_one_family(Addresses { source: plain(source), destination: plain(destination) });
        let bytes = write(version, Some(written));
        prop_assert!(bytes.len() <= ENOUGH);
        prop_assert_eq!(whole(&bytes), Some(written));
        let Ok(Beginning::Whole(header)) = parse(&[&bytes[..], &behind].concat()) else { panic!("not whole") };
        prop_assert_eq!(header.length, bytes.len());
    }

    #[test]
    fn no_bytes_make_it_panic_or_change_its_mind(bytes in nearly()) {
        let mut before = Ok(Beginning::Partial);
        for arrived in 0..=bytes.len() {
            let now = parse(&bytes[..arrived]);
            if before != Ok(Beginning::Partial) {
                prop_assert_eq!(now, before, "after {} of {:?}", arrived, &bytes);
            }
            if now == Ok(Beginning::Partial) {
                prop_assert!(arrived < ENOUGH, "waits for more than {} bytes", arrived);
            }
            before = now;
        }
    }
}
