//! The ordinary life: served, byte for byte, and ended by one of the two.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::distribute;
use super::harness::*;
use crate::proxy::{Access, ListenerSettings};
use crate::sockets;

#[tokio::test]
async fn s7_what_either_side_sends_arrives_whole() {
    let (mut gate, node) = (Gate::start(|_| {}), Node::start().await);
    gate.lead(0, node.address);
    let (client, node) = (gate.client().await, node.accept().await);
    let sent: Vec<u8> = (0..2_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let swap = |stream: tokio::net::TcpStream, sent: Vec<u8>| async move {
        let (mut reader, mut writer) = stream.into_split();
        let writing = async {
            writer.write_all(&sent).await.unwrap();
            writer.shutdown().await.unwrap();
        };
        let mut heard = Vec::new();
        let ((), read) = tokio::join!(writing, reader.read_to_end(&mut heard));
        read.unwrap();
        heard
    };
    let mut reversed = sent.clone();
    reversed.reverse();
    let both = async { tokio::join!(swap(client, sent.clone()), swap(node, reversed.clone())) };
    let (by_client, by_node) = within("everything arrives", both).await;
    assert!(by_client == reversed && by_node == sent);
    until("the session is over", || gate.metric("connections_closed_total", &[]) == 1).await;
    assert_eq!(gate.metric("bytes_total", &["to_node"]), 2_000_000);
    assert_eq!(gate.metric("bytes_total", &["to_client"]), 2_000_000);
    gate.end().await;
}

#[tokio::test]
async fn a_node_may_speak_first() {
    let (mut gate, node) = (Gate::start(|_| {}), Node::start().await);
    gate.lead(0, node.address);
    let (mut client, mut node) = (gate.client().await, node.accept().await);
    assert_joined(&mut client, &mut node).await;
    assert_eq!(gate.metric("sessions_active", &["raft", "a"]), 1);
    drop(node);
    assert_closed(&mut client).await;
    drop(client);
    gate.ends_with("node").await;
}

#[tokio::test]
async fn s6_each_direction_closes_by_itself() {
    let (mut gate, node) = (Gate::start(|_| {}), Node::start().await);
    gate.lead(0, node.address);
    let mut client = gate.client_saying(b"question").await;
    let mut node = node.accept_hearing(b"question").await;
    client.shutdown().await.unwrap();
    assert_closed(&mut node).await;
    say(&mut node, b"answer").await;
    drop(node);
    assert_eq!(hear(&mut client, 6).await, b"answer");
    assert_closed(&mut client).await;
    gate.ends_with("client").await;
}

#[tokio::test]
async fn s6_a_reset_arrives_as_a_reset() {
    let (mut gate, node) = (Gate::start(|_| {}), Node::start().await);
    gate.lead(0, node.address);
    for reason in ["client_error", "node_error"] {
        let mut client = gate.client_saying(b"question").await;
        let mut node = node.accept_hearing(b"question").await;
        assert_joined(&mut client, &mut node).await;
        if reason == "client_error" {
            reset(client);
            assert_reset(&mut node).await;
        } else {
            reset(node);
            assert_reset(&mut client).await;
        }
        gate.until("connections_closed_total", &[reason], 1).await;
    }
    gate.end().await;
}

#[tokio::test]
async fn d10_a_client_that_says_nothing_never_reaches_the_node() {
    let (mut gate, node) = (Gate::with(|cluster| cluster.on_first_byte = true), Node::start().await);
    gate.lead(0, node.address);
    let mut silent = gate.client().await;
    silent.shutdown().await.unwrap();
    assert_closed(&mut silent).await;
    gate.until("connections_closed_total", &["client"], 1).await;
    reset(gate.client().await);
    gate.until("connections_closed_total", &["client_error"], 1).await;
    assert!(!node.is_dialled().await);

    let mut client = gate.client_saying(&hello()).await;
    let mut joined = node.accept_hearing(&hello()).await;
    assert_joined(&mut client, &mut joined).await;
    gate.end().await;
}

#[tokio::test]
async fn d10_what_a_client_said_before_it_closed_is_served() {
    let (mut gate, node) = (Gate::with(|cluster| cluster.on_first_byte = true), Node::start().await);
    gate.lead(0, node.address);
    let mut client = gate.client_saying(b"question").await;
    client.shutdown().await.unwrap();
    let mut node = node.accept_hearing(b"question").await;
    assert_closed(&mut node).await;
    say(&mut node, b"answer").await;
    assert_eq!(hear(&mut client, 6).await, b"answer");
    gate.end().await;
}

#[tokio::test]
async fn s8_beyond_max_connections_clients_are_reset_and_counted() {
    let (mut gate, node) = (Gate::start(|settings| settings.max_connections = 2), Node::start().await);
    gate.lead(0, node.address);
    let mut inside = Vec::new();
    for _ in 0..2 {
        let (mut client, mut node) = (gate.client().await, node.accept().await);
        assert_joined(&mut client, &mut node).await;
        inside.push((client, node));
    }
    gate.turns_away().await;
    assert_eq!(gate.metric("connections_refused_total", &["limit"]), 1);
    let (client, joined) = inside.pop().unwrap();
    drop((client, joined));
    until("a place is free", || gate.proxy.active() == 1).await;
    let mut client = gate.client().await;
    assert_joined(&mut client, &mut node.accept().await).await;
    assert_eq!(gate.metric("connections_active", &["edge"]), 2);
    gate.end().await;
}

#[tokio::test]
async fn s8_a_listener_and_a_source_have_their_own_bounds() {
    for (reason, set) in [
        ("limit", (|listener| listener.max_connections = Some(1)) as fn(&mut ListenerSettings)),
        ("source_limit", |listener| listener.max_connections_per_source = Some(1)),
    ] {
        let mut gate = Gate::start(|settings| set(&mut settings.listeners[0]));
        let node = Node::start().await;
        gate.lead(0, node.address);
        let (mut client, mut joined) = (gate.client().await, node.accept().await);
        assert_joined(&mut client, &mut joined).await;
        gate.turns_away().await;
        assert_eq!(gate.metric("connections_refused_total", &[reason]), 1);
        drop((client, joined));
        until("a place is free", || gate.proxy.active() == 0).await;
        let mut client = gate.client().await;
        assert_joined(&mut client, &mut node.accept().await).await;
        gate.end().await;
    }
}

#[tokio::test]
async fn s8_who_is_denied_is_reset_and_takes_no_place() {
    let network = |text: &str| [text.parse().unwrap()].into();
    for access in [
        Access { deny: network("127.0.0.0/8"), ..Access::default() },
        Access { allow: network("192.0.2.0/24"), ..Access::default() },
    ] {
        let mut gate = Gate::start(|settings| {
            settings.listeners[0].access = access;
            // Were places looked at first, the reason would be another.
            settings.max_connections = 0;
        });
        let node = Node::start().await;
        gate.lead(0, node.address);
        assert_eq!(gate.metric("connections_refused_total", &["denied"]), 0);
        for refused in 1..=3 {
            gate.turns_away().await;
            assert_eq!(gate.metric("connections_refused_total", &["denied"]), refused);
        }
        assert_eq!(gate.metric("connections_refused_total", &[]), 3);
        assert!(!node.is_dialled().await);
        gate.end().await;
    }
}

#[tokio::test]
async fn s8_who_is_allowed_is_served() {
    let allow = ["127.0.0.1/32".parse().unwrap()].into();
    let deny = ["127.0.0.2/31".parse().unwrap()].into();
    let mut gate = Gate::start(|settings| settings.listeners[0].access = Access { allow, deny });
    let node = Node::start().await;
    gate.lead(0, node.address);
    let mut client = gate.client().await;
    assert_joined(&mut client, &mut node.accept().await).await;
    gate.end().await;
}

#[test]
fn d1_every_worker_and_every_socket_has_its_part() {
    let bind = |count| -> Vec<_> {
        let group = sockets::bind(([127, 0, 0, 1], 0).into(), count).unwrap();
        group.into_iter().map(|socket| (socket, false)).collect()
    };
    for (sockets, workers) in [(1, 3), (2, 3), (3, 3), (5, 3)] {
        // One listener with two addresses, and another one.
        let listeners = vec![bind(sockets).into_iter().chain(bind(sockets)).collect(), bind(sockets)];
        let shares = distribute(listeners, workers, &std::sync::Arc::default()).unwrap();
        assert_eq!(shares.len(), workers);
        for share in &shares {
            let mut ports: Vec<_> =
                share.iter().map(|socket| socket.listener.local_addr().unwrap()).collect();
            ports.sort_unstable();
            ports.dedup();
            assert_eq!(ports.len(), 3, "{sockets} sockets, {workers} workers: {share:?}");
        }
        let parts: usize = shares.iter().map(Vec::len).sum();
        assert_eq!(parts, 3 * sockets.max(workers));
    }
}
