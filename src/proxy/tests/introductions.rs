//! PROXY headers in and out: who the client is for limits, rules and nodes, and that no byte of theirs is the client's.

use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::harness::*;
use crate::proxy::{Access, Route, Routes, Settings, Target};
use crate::wire::proxy_header::{Addresses, Beginning, Header, Version, parse, write};

const VERSIONS: [Version; 2] = [Version::V1, Version::V2];

fn addresses(source: &str) -> Addresses {
    Addresses { source: source.parse().unwrap(), destination: "203.0.113.9:443".parse().unwrap() }
}

/// A gate whose clients all come by proxies.
fn behind_proxies(settings: &mut Settings) {
    settings.listeners[0].proxies = networks(&["127.0.0.0/8"]);
}

/// One that has proxies, but its clients come without.
fn beside_proxies(settings: &mut Settings) {
    settings.listeners[0].proxies = networks(&["10.0.0.0/8"]);
}

/// What a node is told about its client: the header is read byte by byte, so that nothing behind it is lost.
async fn introduction(node: &mut TcpStream) -> Option<Addresses> {
    let mut bytes = Vec::new();
    loop {
        bytes.extend(hear(node, 1).await);
        match parse(&bytes).unwrap() {
            Beginning::Whole(Header { length, addresses }) if length == bytes.len() => return addresses,
            _ => {}
        }
    }
}

#[tokio::test]
async fn the_client_that_a_proxy_names_is_named_to_the_node() {
    for (sent, wanted) in VERSIONS.into_iter().flat_map(|sent| VERSIONS.map(|wanted| (sent, wanted))) {
        for on_first_byte in [false, true] {
            let mut gate = Gate::start(|settings| {
                behind_proxies(settings);
                settings.clusters[0].send_proxy = Some(wanted);
                settings.clusters[0].on_first_byte = on_first_byte;
            });
            let node = Node::start().await;
            gate.lead(0, node.address);
            let named = addresses("192.0.2.7:56324");
            let words = [&write(sent, Some(named))[..], b"question"].concat();
            let mut client = gate.client_saying(&words).await;
            let mut node = node.accept().await;
            assert_eq!(introduction(&mut node).await, Some(named));
            assert_eq!(hear(&mut node, 8).await, b"question");
            assert_joined(&mut client, &mut node).await;
            drop((client, node));
            gate.until("connections_active", &[], 0).await;
            assert_eq!(
                gate.metric("bytes_total", &["to_node"]),
                8 + 15,
                "headers are no bytes of the client"
            );
            gate.end().await;
        }
    }
}

#[tokio::test]
async fn a_node_that_speaks_first_has_been_told_before() {
    for version in VERSIONS {
        let mut gate = Gate::with(|cluster| cluster.send_proxy = Some(version));
        let node = Node::start().await;
        gate.lead(0, node.address);
        let mut client = gate.client().await;
        let mut node = node.accept().await;
        let told = introduction(&mut node).await;
        assert_eq!(
            told,
            Some(Addresses { source: client.local_addr().unwrap(), destination: gate.address }),
            "nobody has said a word yet"
        );
        assert_joined(&mut client, &mut node).await;
        gate.end().await;
    }
}

#[tokio::test]
async fn s4_a_moved_client_is_introduced_anew() {
    let mut gate = Gate::start(|settings| {
        behind_proxies(settings);
        settings.clusters[0].send_proxy = Some(Version::V2);
    });
    let (a, b) = (Node::start().await, Node::start().await);
    gate.lead(0, a.address);
    let named = addresses("192.0.2.7:56324");
    let words = [write(Version::V1, Some(named)), hello()].concat();
    let mut client = gate.client_saying(&words).await;
    let mut left = a.accept().await;
    assert_eq!(introduction(&mut left).await, Some(named));
    assert_eq!(hear(&mut left, hello().len()).await, hello());
    gate.lead(1, b.address);
    let mut node = b.accept().await;
    assert_eq!(introduction(&mut node).await, Some(named));
    assert_eq!(hear(&mut node, hello().len()).await, hello());
    assert_joined(&mut client, &mut node).await;
    assert_reset(&mut left).await;
    assert_eq!(gate.metric("connections_moved_total", &["raft"]), 1);
    gate.end().await;
}

#[tokio::test]
async fn s4_a_client_that_is_retried_is_introduced_anew() {
    let mut gate = Gate::with(|cluster| cluster.send_proxy = Some(Version::V1));
    let a = Node::start().await;
    gate.lead(0, a.address);
    let mut client = gate.client_saying(&hello()).await;
    for closes in [true, false] {
        let mut node = a.accept().await;
        assert!(introduction(&mut node).await.is_some());
        assert_eq!(hear(&mut node, hello().len()).await, hello());
        if closes {
            drop(node);
            gate.signal().await;
            gate.confirm();
        } else {
            assert_joined(&mut client, &mut node).await;
        }
    }
    gate.end().await;
}

#[tokio::test]
async fn s8_bounds_by_source_see_the_client_and_not_its_proxy() {
    let mut gate = Gate::start(|settings| {
        behind_proxies(settings);
        settings.listeners[0].max_connections_per_source = Some(1);
    });
    let node = Node::start().await;
    gate.lead(0, node.address);
    let by_proxy = |source: &str| write(Version::V2, Some(addresses(source)));
    let mut first = gate.client_saying(&by_proxy("192.0.2.1:1")).await;
    let mut its_node = node.accept().await;
    let _other = gate.client_saying(&by_proxy("192.0.2.2:1")).await;
    let _its_node = node.accept().await;
    let mut second = gate.client_saying(&by_proxy("192.0.2.1:2")).await;
    assert_reset(&mut second).await;
    gate.until("connections_refused_total", &["source_limit"], 1).await;
    // Not before the session ends, however long it has been one.
    assert_joined(&mut first, &mut its_node).await;
    let mut third = gate.client_saying(&by_proxy("192.0.2.1:3")).await;
    assert_reset(&mut third).await;
    drop((first, its_node));
    gate.until("connections_active", &["edge"], 1).await;
    let _again = gate.client_saying(&by_proxy("192.0.2.1:4")).await;
    node.accept().await;
    gate.until("connections_refused_total", &[], 2).await;
    gate.end().await;
}

#[tokio::test]
async fn s8_rules_by_address_see_the_client_and_not_its_proxy() {
    let mut gate = Gate::start(|settings| {
        behind_proxies(settings);
        let networks = |text: &str| [text.parse().unwrap()].into();
        settings.listeners[0].access =
            Access { allow: networks("192.0.2.0/24"), deny: networks("192.0.2.66/32") };
    });
    let node = Node::start().await;
    gate.lead(0, node.address);
    for denied in ["192.0.2.66:1", "198.51.100.1:1", "127.0.0.1:1"] {
        let mut client = gate.client_saying(&write(Version::V1, Some(addresses(denied)))).await;
        assert_reset(&mut client).await;
    }
    gate.until("connections_refused_total", &["denied"], 3).await;
    let mut client = gate.client_saying(&write(Version::V1, Some(addresses("192.0.2.7:1")))).await;
    assert_joined(&mut client, &mut node.accept().await).await;
    gate.end().await;
}

#[tokio::test]
async fn a_proxy_that_does_not_introduce_its_client_as_it_has_to_is_reset() {
    let mut gate = Gate::start(behind_proxies);
    let node = Node::start().await;
    gate.lead(0, node.address);
    let wrong: [&[u8]; 5] = [
        &hello(),
        b"GET / HTTP/1.0\r\n\r\n",
        b"PROXY TCP4 192.0.2.7 203.0.113.9 1 70000\r\n",
        b"PROXY UNKNOWN\n",
        &[&b"\r\n\r\n\0\r\nQUIT\n"[..], &[0x21, 0x11, 0xff, 0xff]].concat(),
    ];
    for bytes in wrong {
        let mut proxy = gate.client_saying(bytes).await;
        assert_reset(&mut proxy).await;
    }
    // And where it ends too early, which it may find out by a reset.
    let mut short = gate.client_saying(b"PROXY TCP4 192.0.2.7").await;
    short.shutdown().await.unwrap();
    assert_reset(&mut short).await;
    gate.until("connections_refused_total", &["proxy_header"], 6).await;
    assert!(!node.is_dialled().await);
    gate.end().await;
}

#[tokio::test]
async fn checks_of_a_proxy_are_no_errors() {
    for on_first_byte in [false, true] {
        let mut gate = Gate::start(|settings| {
            behind_proxies(settings);
            settings.clusters[0].on_first_byte = on_first_byte;
        });
        let node = Node::start().await;
        gate.lead(0, node.address);
        let mut silent = gate.client().await;
        silent.shutdown().await.unwrap();
        assert_closed(&mut silent).await;
        gate.until("connections_closed_total", &["client"], 1).await;
        assert!(!node.is_dialled().await, "nobody was introduced");
        let mut local = gate.client_saying(&write(Version::V2, None)).await;
        local.shutdown().await.unwrap();
        if !on_first_byte {
            let mut its_node = node.accept().await;
            assert_closed(&mut its_node).await;
        }
        assert_closed(&mut local).await;
        gate.until("connections_closed_total", &["client"], 2).await;
        assert_eq!(gate.metric("connections_refused_total", &[]), 0);
        gate.end().await;
    }
}

#[tokio::test]
async fn a_client_that_introduces_itself_is_refused_however_its_header_is_cut() {
    for on_first_byte in [false, true] {
        let mut gate = Gate::start(|settings| {
            beside_proxies(settings);
            settings.clusters[0].on_first_byte = on_first_byte;
        });
        let node = Node::start().await;
        gate.lead(0, node.address);
        let mut refused = 0;
        for (version, cuts) in [(Version::V1, [0, 1, 5]), (Version::V2, [0, 1, 11])] {
            let header = write(version, Some(addresses("192.0.2.7:1")));
            for cut in cuts {
                let mut client = gate.client_saying(&header[..cut]).await;
                if cut > 0 {
                    // The beginning is there by itself: its node is dialled, and gets nothing of it.
                    let mut its_node = node.accept().await;
                    let _ = client.write_all(&header[cut..]).await;
                    assert_reset(&mut its_node).await;
                } else {
                    let _ = client.write_all(&header).await;
                    // Where nobody has to speak first it is dialled at once, and resets as well.
                    if !on_first_byte {
                        assert_reset(&mut node.accept().await).await;
                    }
                }
                assert_reset(&mut client).await;
                refused += 1;
                gate.until("connections_refused_total", &["proxy_header"], refused).await;
            }
        }
        // Of those whose header came in one piece, none where the client has to speak first.
        let dialled = if on_first_byte { 4 } else { 6 };
        assert_eq!(gate.metric("connect_duration_seconds", &["raft"]), dialled);
        assert_eq!(gate.metric("bytes_total", &["to_node"]), 0);
        gate.end().await;
    }
}

#[tokio::test]
async fn a_client_that_says_something_else_is_served() {
    let mut gate = Gate::start(beside_proxies);
    let node = Node::start().await;
    gate.lead(0, node.address);
    for words in [&b"POST /"[..], b"PROXIES", b"\r\n\r\n\r\n", b"PROXY\n", &hello()] {
        for cut in [0, 1, 4] {
            let mut client = gate.client_saying(&words[..cut]).await;
            let mut node = node.accept().await;
            say(&mut client, &words[cut..]).await;
            assert_eq!(hear(&mut node, words.len()).await, words);
            assert_joined(&mut client, &mut node).await;
        }
    }
    // What could still have become a header is its word, once it has ended with it.
    let mut client = gate.client_saying(b"PROXY").await;
    client.shutdown().await.unwrap();
    let mut its_node = node.accept_hearing(b"PROXY").await;
    assert_closed(&mut its_node).await;
    say(&mut its_node, b"answer").await;
    drop(its_node);
    assert_eq!(hear(&mut client, 6).await, b"answer");
    assert_closed(&mut client).await;
    assert_eq!(gate.metric("connections_refused_total", &[]), 0);
    gate.end().await;
}

#[tokio::test]
async fn once_its_node_has_spoken_a_client_may_say_what_it_likes() {
    let mut gate = Gate::start(beside_proxies);
    let node = Node::start().await;
    gate.lead(0, node.address);
    // With the beginning of a header kept back, and without.
    for said in [&b"PROXY"[..], b""] {
        let mut client = gate.client_saying(said).await;
        let mut node = node.accept().await;
        say(&mut node, b"220 ready\r\n").await;
        assert_eq!(hear(&mut client, 11).await, b"220 ready\r\n");
        let rest = &b"PROXY TCP4 192.0.2.7 203.0.113.9 1 2\r\n"[said.len()..];
        say(&mut client, rest).await;
        assert_eq!(hear(&mut node, 38).await, b"PROXY TCP4 192.0.2.7 203.0.113.9 1 2\r\n");
        assert_joined(&mut client, &mut node).await;
    }
    gate.end().await;
}

/// A gate that reads each client's hello to know where it goes.
fn with_a_route(settings: &mut Settings) {
    let route = Route { server_names: Vec::new(), alpn: vec![b"none".to_vec()], target: Target::Reject };
    let hello_timeout = settings.clusters[0].hold_timeout;
    settings.listeners[0].routes = Routes { table: [route].into(), hello_timeout };
}

#[tokio::test]
async fn headers_come_before_the_hello_that_routes_look_at() {
    let mut gate = Gate::start(|settings| {
        behind_proxies(settings);
        with_a_route(settings);
        settings.clusters[0].send_proxy = Some(Version::V2);
    });
    let node = Node::start().await;
    gate.lead(0, node.address);
    let named = addresses("192.0.2.7:56324");
    // With what is a hello, and with what is none: read before the node is known, it comes behind the header as well.
    for words in [&hello()[..], b"question"] {
        let said = [&write(Version::V1, Some(named))[..], words].concat();
        let mut client = gate.client_saying(&said).await;
        let mut its_node = node.accept().await;
        assert_eq!(introduction(&mut its_node).await, Some(named));
        assert_eq!(hear(&mut its_node, words.len()).await, words);
        assert_joined(&mut client, &mut its_node).await;
    }
    gate.end().await;
}

#[tokio::test]
async fn a_client_that_introduces_itself_is_refused_where_routes_look_at_hellos_too() {
    let mut gate = Gate::start(|settings| {
        beside_proxies(settings);
        with_a_route(settings);
    });
    let node = Node::start().await;
    gate.lead(0, node.address);
    let header = write(Version::V1, Some(addresses("192.0.2.7:1")));
    let mut whole = gate.client_saying(&header).await;
    assert_reset(&mut whole).await;
    gate.until("connections_refused_total", &["proxy_header"], 1).await;
    assert_eq!(gate.metric("connect_duration_seconds", &["raft"]), 0, "no node has heard of it");
    let mut cut = gate.client_saying(&header[..3]).await;
    let mut its_node = node.accept().await;
    let _ = cut.write_all(&header[3..]).await;
    assert_reset(&mut its_node).await;
    assert_reset(&mut cut).await;
    gate.until("connections_refused_total", &["proxy_header"], 2).await;
    assert_eq!(gate.metric("bytes_total", &["to_node"]), 0);
    gate.end().await;
}

#[tokio::test]
async fn without_proxies_a_header_passes_as_it_is() {
    let mut gate = Gate::start(|_| {});
    let node = Node::start().await;
    gate.lead(0, node.address);
    let words = [write(Version::V1, Some(addresses("192.0.2.7:1"))), hello()].concat();
    let mut client = gate.client_saying(&words).await;
    let mut node = node.accept_hearing(&words).await;
    assert_joined(&mut client, &mut node).await;
    gate.end().await;
}

#[tokio::test]
async fn ipv6_clients_are_named_by_a_proxy_that_speaks_ipv4() {
    let mut gate = Gate::start(|settings| {
        behind_proxies(settings);
        settings.clusters[0].send_proxy = Some(Version::V1);
    });
    let node = Node::start().await;
    gate.lead(0, node.address);
    let source: SocketAddr = "[2001:db8::7]:56324".parse().unwrap();
    let named = Addresses { source, destination: "[2001:db8::9]:443".parse().unwrap() };
    let _client = gate.client_saying(&write(Version::V2, Some(named))).await;
    assert_eq!(introduction(&mut node.accept().await).await, Some(named));
    gate.end().await;
}
