//! Clients that go to a cluster by what their hello says, through a whole gate with three clusters: the first is for
//! those whom no route takes.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::super::outcome::Refusal;
use super::super::routes::{Route, Routes, ServerNames, Target};
use super::super::{ClusterSettings, Settings};
use super::harness::*;
use crate::tenure::Fate;
use crate::wire::hello::OPENING_LIMIT;

/// Nobody may wait for it where there is nothing to wait for.
const FOREVER: Duration = Duration::from_hours(1);
/// For those who are waited for in vain.
const SOON: Duration = Duration::from_millis(30);

const ONE: Target = Target::Cluster(1);
const TWO: Target = Target::Cluster(2);

fn route(names: &[&str], alpn: &[&str], target: Target) -> Route {
    Route {
        server_names: names.iter().map(|&name| ServerNames::Exactly(name.to_owned())).collect(),
        alpn: alpn.iter().map(|name| name.as_bytes().to_vec()).collect(),
        target,
    }
}

/// `one.test` and `h2` lead to the clusters 1 and 2, `no.test` nowhere.
fn routes(hello_timeout: Duration) -> Routes {
    let table =
        [route(&["no.test"], &[], Target::Reject), route(&["one.test"], &[], ONE), route(&[], &["h2"], TWO)];
    Routes { table: table.into(), hello_timeout }
}

fn gate(hello_timeout: Duration, change: impl FnOnce(&mut Settings)) -> Gate {
    Gate::start(|settings| {
        settings.listeners[0].routes = routes(hello_timeout);
        for name in ["one", "two"] {
            settings.clusters.push(ClusterSettings { name: name.into(), ..settings.clusters[0].clone() });
        }
        change(settings);
    })
}

/// A gate and the leader of each of its clusters.
async fn scene(hello_timeout: Duration, change: impl FnOnce(&mut Settings)) -> (Gate, [Node; 3]) {
    let mut gate = gate(hello_timeout, change);
    let nodes = [Node::start().await, Node::start().await, Node::start().await];
    gate.lead(0, nodes[0].address);
    gate.lead_other(0, 0, nodes[1].address);
    gate.lead_other(1, 0, nodes[2].address);
    (gate, nodes)
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &with_length(content)].concat()
}

fn with_length(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

/// A hello that asks for this name and these protocols, and has these extensions besides.
fn hello_for(name: &str, alpn: &[&str], more: &[u8]) -> Vec<u8> {
    let mut extensions = more.to_vec();
    if !name.is_empty() {
        let entry = [&[0][..], &with_length(name.as_bytes())].concat();
        extensions.extend(extension(0, &with_length(&entry)));
    }
    if !alpn.is_empty() {
        let one = |name: &&str| [&[u8::try_from(name.len()).unwrap()][..], name.as_bytes()].concat();
        extensions.extend(extension(16, &with_length(&alpn.iter().flat_map(one).collect::<Vec<u8>>())));
    }
    let mut handshake = hello()[5..].to_vec();
    handshake.extend(with_length(&extensions));
    let length = u32::try_from(handshake.len() - 4).unwrap().to_be_bytes();
    handshake[1..4].copy_from_slice(&length[1..]);
    [&[22, 3, 1][..], &with_length(&handshake)].concat()
}

/// A client that says this, a segment at a time.
async fn client_saying(gate: &Gate, said: &[u8], segment: usize) -> TcpStream {
    let mut client = gate.client().await;
    client.set_nodelay(true).unwrap();
    for segment in said.chunks(segment) {
        say(&mut client, segment).await;
        tokio::task::yield_now().await;
    }
    client
}

async fn assert_goes_to(gate: &Gate, node: &Node, said: &[u8], segment: usize) {
    let mut client = client_saying(gate, said, segment).await;
    let mut node = node.accept_hearing(said).await;
    assert_joined(&mut client, &mut node).await;
}

#[tokio::test]
async fn clients_go_where_their_hello_says_and_it_arrives_as_it_was_sent() {
    let (gate, [default, one, two]) = scene(FOREVER, |_| {}).await;
    let grease = extension(0x2a2a, b"\0");
    for (name, alpn, node) in [
        ("one.test", &[][..], &one),
        ("ONE.test.", &["h2", "http/1.1"], &one),
        ("other.test", &["http/1.1", "h2"], &two),
        ("", &["h2"], &two),
        ("other.test", &["http/1.1"], &default),
        ("", &[], &default),
    ] {
        let said = hello_for(name, alpn, &grease);
        for segment in [said.len(), 1, 7] {
            assert_goes_to(&gate, node, &said, segment).await;
        }
    }
    assert_eq!(gate.metric("connections_refused_total", &[]), 0);
    gate.end().await;
}

#[tokio::test]
async fn chromiums_hello_is_routed_in_segments_of_any_size() {
    let chromium = include_bytes!("../../../tests/blackbox/hellos/chromium_156.bin");
    let (gate, [default, _, two]) = scene(FOREVER, |_| {}).await;
    for segment in [1460, 1, chromium.len()] {
        assert_goes_to(&gate, &two, chromium, segment).await;
    }
    gate.end().await;
    let by_name = [route(&["chromium.example.org"], &["http/1.1"], ONE)];
    let (gate, [_, one, _]) = scene(FOREVER, |settings| {
        settings.listeners[0].routes.table = by_name.into();
    })
    .await;
    assert_goes_to(&gate, &one, chromium, 1000).await;
    assert!(!default.is_dialled().await);
    gate.end().await;
}

#[tokio::test]
async fn who_asks_for_a_rejected_name_is_reset_and_counted() {
    let (gate, nodes) = scene(FOREVER, |_| {}).await;
    let mut client = gate.client_saying(&hello_for("No.Test", &["h2"], &[])).await;
    assert_reset(&mut client).await;
    gate.until("connections_refused_total", &["rejected_name"], 1).await;
    for node in &nodes {
        assert!(!node.is_dialled().await);
    }
    gate.end().await;
}

#[tokio::test]
async fn what_is_no_hello_goes_to_the_default_at_once() {
    let (gate, [default, ..]) = scene(FOREVER, |_| {}).await;
    let twice = hello_for("one.test", &[], &extension(0, &[0, 4, 0, 0, 1, b'a']));
    let mut endless = hello_for("one.test", &[], &[]);
    endless[5..9].copy_from_slice(&[1, 0, 0x3f, 0xf7]);
    let length = u16::try_from(OPENING_LIMIT).unwrap().to_be_bytes();
    endless[3..5].copy_from_slice(&length);
    endless.resize(OPENING_LIMIT + 5, 0);
    for said in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"SSH-2.0-x\r\n",
        &[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f],
        &twice,
        &endless,
    ] {
        assert_goes_to(&gate, &default, said, said.len()).await;
    }
    gate.end().await;
}

#[tokio::test]
async fn a_client_that_waits_for_the_servers_word_goes_to_the_default_in_time() {
    let (gate, [default, ..]) = scene(SOON, |_| {}).await;
    let mut client = gate.client().await;
    let mut node = default.accept().await;
    assert_joined(&mut client, &mut node).await;
    gate.end().await;
}

#[tokio::test]
async fn a_hello_that_is_not_there_in_time_goes_to_the_default() {
    let (gate, [default, ..]) = scene(SOON, |_| {}).await;
    let said = hello_for("one.test", &[], &[]);
    let mut client = gate.client_saying(&said[..40]).await;
    let mut node = default.accept_hearing(&said[..40]).await;
    say(&mut client, &said[40..]).await;
    assert_eq!(hear(&mut node, said.len() - 40).await, &said[40..]);
    assert_joined(&mut client, &mut node).await;
    gate.end().await;
}

#[tokio::test(start_paused = true)]
async fn s8_no_byte_gives_a_hello_more_time() {
    const PATIENCE: Duration = Duration::from_millis(3500);
    let (gate_end, mut client) = pair().await;
    let (newcomer, _slot) = bare_newcomer(gate_end, |listener| {
        (listener.cluster, listener.routes) = (None, routes(PATIENCE));
    });
    let before = Instant::now();
    let feeding = async {
        for byte in hello_for("one.test", &[], &[]).chunks(1) {
            tokio::time::sleep(Duration::from_secs(1)).await;
            client.write_all(byte).await.unwrap();
        }
    };
    let ended = tokio::select! {
        ended = newcomer.arrive_by_hello() => ended,
        () = feeding => panic!("it was waited for"),
    };
    assert_eq!(ended.err(), Some(Refusal::RejectedName.into()));
    assert_eq!(before.elapsed(), PATIENCE);
}

#[tokio::test]
async fn without_a_default_whom_no_route_takes_is_refused() {
    let (gate, nodes) = scene(SOON, |settings| settings.listeners[0].cluster = None).await;
    let unfinished = hello_for("one.test", &[], &[]);
    let other = hello_for("other.test", &[], &[]);
    for (refused, said) in [&b""[..], b"GET /", &unfinished[..40], &other].iter().zip(1..) {
        let mut client = gate.client_saying(refused).await;
        assert_reset(&mut client).await;
        gate.until("connections_refused_total", &["rejected_name"], said).await;
    }
    for node in &nodes {
        assert!(!node.is_dialled().await);
    }
    gate.end().await;
    let (gate, [_default, one, _two]) = scene(FOREVER, |settings| settings.listeners[0].cluster = None).await;
    assert_goes_to(&gate, &one, &hello_for("one.test", &[], &[]), 100).await;
    gate.end().await;
}

#[tokio::test]
async fn a_balancers_check_that_says_nothing_is_no_refusal() {
    let (gate, _nodes) = scene(FOREVER, |settings| settings.listeners[0].cluster = None).await;
    let mut client = gate.client().await;
    client.shutdown().await.unwrap();
    assert_closed(&mut client).await;
    gate.ends_with("client").await;
}

#[tokio::test]
async fn s4_a_client_that_ends_within_its_hello_has_gone() {
    let (gate, [default, ..]) = scene(FOREVER, |_| {}).await;
    let mut client = gate.client_saying(&hello()[..20]).await;
    client.shutdown().await.unwrap();
    assert_closed(&mut client).await;
    assert!(!default.is_dialled().await);
    gate.ends_with("client").await;
}

#[tokio::test]
async fn s4_a_routed_client_is_moved_within_its_cluster() {
    let (mut gate, [_, left, _]) = scene(FOREVER, |_| {}).await;
    let successor = Node::start().await;
    let said = hello_for("one.test", &["h2"], &[]);
    let mut client = client_saying(&gate, &said, 50).await;
    let mut silent = left.accept_hearing(&said).await;
    gate.lead_other(0, 1, successor.address);
    let mut node = successor.accept_hearing(&said).await;
    assert_reset(&mut silent).await;
    assert_joined(&mut client, &mut node).await;
    assert_eq!(gate.metric("connections_moved_total", &["one"]), 1);
    assert_eq!(gate.metric("sessions_active", &["one", "b"]), 1);
    gate.end().await;
}

#[tokio::test]
async fn s4_early_data_and_more_than_a_hello_are_routed_and_never_moved() {
    let early = hello_for("one.test", &[], &extension(42, b""));
    let with_more = [&hello_for("one.test", &[], &[])[..], &[20, 3, 3, 0, 1, 1]].concat();
    for said in [early, with_more] {
        let (mut gate, [_, one, _]) = scene(FOREVER, |_| {}).await;
        let successor = Node::start().await;
        let mut client = gate.client_saying(&said).await;
        let node = one.accept_hearing(&said).await;
        gate.lead_other(0, 1, successor.address);
        // Even its close is passed on as it is.
        drop(node);
        assert_closed(&mut client).await;
        assert!(!successor.is_dialled().await);
        assert_eq!(gate.metric("connections_moved_total", &[]), 0);
        drop(client);
        gate.ends_with("node").await;
    }
}

#[tokio::test]
async fn s5_a_routed_session_has_the_fate_of_its_own_cluster() {
    let (mut gate, [default, _, _]) = scene(FOREVER, |_| {}).await;
    let (one, next) = (Node::start().await, Node::start().await);
    let of_default = gate.lead(1, default.address);
    let tenure = gate.lead_other(0, 0, one.address);
    let mut client = gate.client_saying(&hello_for("one.test", &[], &[])).await;
    let mut node = one.accept().await;
    hear(&mut node, hello_for("one.test", &[], &[]).len()).await;
    assert_joined(&mut client, &mut node).await;
    gate.lead(0, next.address);
    gate.writer.set_fate(&of_default, Fate::Cut);
    assert_joined(&mut client, &mut node).await;
    gate.lead_other(0, 1, next.address);
    gate.other_writers[0].set_fate(&tenure, Fate::Cut);
    assert_reset(&mut client).await;
    gate.ends_with("cut").await;
}

/// Two clients one after the other that say this and then nothing, until each has been idle for too long: whoever was
/// quiet all that time, and is looked at as they are, would have been found idle, too.
async fn two_idle_clients(gate: &Gate, said: &[u8]) {
    for closed in 1..=2 {
        let _client = gate.client_saying(said).await;
        gate.until("connections_closed_total", &["idle"], closed).await;
    }
}

#[tokio::test]
async fn s6_a_routed_session_has_the_timeouts_of_its_own_cluster() {
    let (gate, [_default, _one, two]) = scene(FOREVER, |settings| {
        settings.clusters[0].idle = Some(SOON);
        settings.clusters[1].idle = Some(SOON);
    })
    .await;
    let mut lasting = gate.client_saying(&hello_for("", &["h2"], &[])).await;
    let mut lasting_node = two.accept_hearing(&hello_for("", &["h2"], &[])).await;
    assert_joined(&mut lasting, &mut lasting_node).await;
    two_idle_clients(&gate, &hello_for("one.test", &[], &[])).await;
    assert_joined(&mut lasting, &mut lasting_node).await;
    assert_eq!(gate.metric("connections_closed_total", &["idle"]), 2);
    gate.end().await;
}

#[tokio::test]
async fn a_client_whose_hello_is_awaited_has_no_clusters_timeouts() {
    let (gate, [_default, one, _two]) =
        scene(FOREVER, |settings| settings.clusters[0].idle = Some(SOON)).await;
    let said = hello_for("one.test", &[], &[]);
    let mut slow = gate.client_saying(&said[..40]).await;
    gate.until("connections_active", &["edge"], 1).await;
    two_idle_clients(&gate, b"GET /").await;
    say(&mut slow, &said[40..]).await;
    let mut node = one.accept_hearing(&said).await;
    assert_joined(&mut slow, &mut node).await;
    assert_eq!(gate.metric("connections_closed_total", &["idle"]), 2);
    gate.end().await;
}

#[tokio::test]
async fn a_client_that_resets_before_its_hello_is_there_is_noticed() {
    let (gate, _nodes) = scene(FOREVER, |_| {}).await;
    let client = gate.client_saying(&hello()[..20]).await;
    gate.until("connections_active", &["edge"], 1).await;
    reset(client);
    gate.ends_with("client_error").await;
}

#[tokio::test]
async fn o4_clients_whose_hello_is_awaited_do_not_keep_a_gate_from_ending() {
    let (gate, _nodes) = scene(FOREVER, |_| {}).await;
    let mut client = gate.client_saying(&hello()[..20]).await;
    gate.until("connections_active", &["edge"], 1).await;
    gate.proxy.cut();
    assert_reset(&mut client).await;
    gate.ends_with("shutdown").await;
}

#[tokio::test]
async fn d10_a_routed_client_has_spoken() {
    let on_first_byte = |settings: &mut Settings| {
        for cluster in &mut settings.clusters {
            cluster.on_first_byte = true;
        }
    };
    let (gate, [_default, one, _two]) = scene(FOREVER, on_first_byte).await;
    assert_goes_to(&gate, &one, &hello_for("one.test", &[], &[]), 9).await;
    gate.end().await;
    // Who has not is waited for, as without routes.
    let (gate, [default, ..]) = scene(SOON, on_first_byte).await;
    let mut client = gate.client().await;
    gate.until("connections_active", &["edge"], 1).await;
    say(&mut client, b"late").await;
    let mut node = default.accept_hearing(b"late").await;
    assert_joined(&mut client, &mut node).await;
    gate.end().await;
}
