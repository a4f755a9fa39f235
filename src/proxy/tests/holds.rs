//! Without a route (S2), and with one that does not answer (S3).

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::ages::asked;
use super::harness::*;
use crate::intent::{NodeId, Suspicion};
use crate::tenure::Fate;

const LONG_AGO: Duration = Duration::from_secs(30);

#[tokio::test]
async fn s2_a_held_client_is_served_when_a_leader_appears() {
    let (mut gate, node) = (Gate::start(|_| {}), Node::start().await);
    let mut client = gate.client_saying(&hello()).await;
    gate.until("held_connections", &["raft"], 1).await;
    gate.lead(0, node.address);
    let mut node = node.accept_hearing(&hello()).await;
    assert_joined(&mut client, &mut node).await;
    assert_eq!(gate.metric("held_connections", &[]), 0);
    assert_eq!(gate.metric("hold_duration_seconds", &["raft"]), 1);
    gate.end().await;
}

#[tokio::test]
async fn s2_past_the_hold_a_client_is_reset() {
    let mut gate = Gate::with(|cluster| cluster.hold_timeout = Duration::from_millis(300));
    gate.leaderless(Duration::ZERO, None);
    let mut held = gate.client_saying(&hello()).await;
    assert_reset(&mut held).await;
    // The hold counts from the cluster's loss, not from the client's coming.
    gate.leaderless(LONG_AGO, None);
    gate.turns_away().await;
    gate.until("connections_closed_total", &["leaderless"], 2).await;
    assert_eq!(gate.metric("hold_timeouts_total", &["raft"]), 2);
    gate.end().await;
}

#[tokio::test]
async fn s2_past_the_hold_a_stand_in_serves_until_a_leader_appears() {
    let mut gate = Gate::with(|cluster| {
        cluster.hold_timeout = Duration::from_secs(10);
        cluster.drain = Duration::from_millis(100);
    });
    let (a, b) = (Node::start().await, Node::start().await);
    let stand_in = gate.stand_in(0, a.address);
    gate.leaderless(LONG_AGO, Some(stand_in.clone()));
    let mut client = gate.client_saying(b"question").await;
    let mut node = a.accept_hearing(b"question").await;
    assert_joined(&mut client, &mut node).await;
    gate.lead(1, b.address);
    gate.writer.set_fate(&stand_in, Fate::Drain);
    assert_reset(&mut client).await;
    gate.ends_with("drained").await;
}

#[tokio::test]
async fn s2_a_client_that_no_stand_in_takes_is_counted_once() {
    let mut gate = Gate::with(|cluster| cluster.hold_timeout = Duration::from_millis(600));
    let port = DeadPort::new();
    let stand_in = gate.stand_in(0, port.address());
    gate.leaderless(LONG_AGO, Some(stand_in));
    assert_reset(&mut gate.client_saying(&hello()).await).await;
    assert!(gate.metric("connect_failures_total", &[]) > 2, "it has not tried again");
    assert_eq!(gate.metric("hold_timeouts_total", &["raft"]), 1);
    gate.ends_with("node_error").await;
}

#[tokio::test]
async fn s2_a_half_closed_client_is_held_and_served() {
    let (mut gate, node) = (Gate::start(|_| {}), Node::start().await);
    let mut client = gate.client_saying(b"question").await;
    client.shutdown().await.unwrap();
    gate.until("held_connections", &["raft"], 1).await;
    gate.lead(0, node.address);
    let mut node = node.accept_hearing(b"question").await;
    assert_closed(&mut node).await;
    say(&mut node, b"answer").await;
    drop(node);
    assert_eq!(hear(&mut client, 6).await, b"answer");
    gate.ends_with("client").await;
}

#[tokio::test]
async fn s2_a_held_client_that_goes_away_is_noticed() {
    let gate = Gate::start(|_| {});
    let client = gate.client_saying(&hello()).await;
    gate.until("held_connections", &["raft"], 1).await;
    reset(client);
    gate.until("held_connections", &["raft"], 0).await;
    gate.ends_with("client_error").await;
}

/// A client that says this and gives up is not held any more, and no node hears of it.
async fn assert_gives_up_its_place(said: &[u8]) {
    let (mut gate, node) = (Gate::with(|cluster| cluster.hold_limit = 1), Node::start().await);
    let mut gone = gate.client_saying(said).await;
    gate.until("held_connections", &["raft"], 1).await;
    gone.shutdown().await.unwrap();
    assert_closed(&mut gone).await;
    gate.until("held_connections", &["raft"], 0).await;
    let mut living = gate.client_saying(&hello()).await;
    gate.until("held_connections", &["raft"], 1).await;
    gate.lead(0, node.address);
    let mut at_node = node.accept_hearing(&hello()).await;
    assert_joined(&mut living, &mut at_node).await;
    assert!(!node.is_dialled().await, "for a client that had gone");
    gate.end().await;
}

#[tokio::test]
async fn s2_a_held_client_that_ends_after_its_hello_has_gone() {
    assert_gives_up_its_place(&hello()).await;
    assert_gives_up_its_place(&hello()[..20]).await;
    // PostgreSQL's SSLRequest.
    assert_gives_up_its_place(&[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]).await;
}

#[tokio::test]
async fn s2_a_held_hello_in_pieces_reaches_the_node_whole() {
    let (mut gate, node) = (Gate::start(|_| {}), Node::start().await);
    let hello = hello();
    let mut client = gate.client_saying(&hello[..20]).await;
    gate.until("held_connections", &["raft"], 1).await;
    say(&mut client, &hello[20..]).await;
    say(&mut client, b"and more").await;
    gate.lead(0, node.address);
    let mut node = node.accept_hearing(&hello).await;
    assert_eq!(hear(&mut node, 8).await, b"and more");
    assert_joined(&mut client, &mut node).await;
    gate.end().await;
}

#[tokio::test]
async fn s2_no_more_are_held_than_the_limit() {
    let gate = Gate::with(|cluster| cluster.hold_limit = 1);
    let _held = gate.client().await;
    gate.until("held_connections", &["raft"], 1).await;
    gate.turns_away().await;
    gate.until("connections_refused_total", &["hold_limit"], 1).await;
    gate.end().await;
}

#[tokio::test]
async fn s2_a_hold_is_nobodys_inactivity() {
    let mut gate = Gate::with(|cluster| {
        cluster.idle = Some(Duration::from_millis(40));
        cluster.hold_timeout = Duration::from_millis(400);
    });
    gate.leaderless(Duration::ZERO, None);
    assert_reset(&mut gate.client().await).await;
    gate.ends_with("leaderless").await;
}

#[tokio::test]
async fn s3_a_refused_client_waits_for_the_leaders_word_and_is_served() {
    let (mut gate, port) = (Gate::start(|_| {}), DeadPort::new());
    gate.lead(0, port.address());
    let mut client = gate.client_saying(&hello()).await;
    let signal = gate.signal().await;
    assert_eq!((signal.node, signal.suspicion), (NodeId(0), Suspicion::ConnectRefused));
    gate.until("held_connections", &["raft"], 1).await;
    let node = port.listen();
    gate.confirm();
    let mut node = node.accept_hearing(&hello()).await;
    assert_joined(&mut client, &mut node).await;
    assert_eq!(gate.metric("connect_failures_total", &["raft", "a", "refused"]), 1);
    gate.end().await;
}

#[tokio::test]
async fn s3_who_is_refused_again_though_the_leader_has_spoken_has_it_asked_once_more() {
    let (mut gate, port) = (Gate::start(|_| {}), DeadPort::new());
    let tenure = gate.lead(0, port.address());
    let mut client = gate.client_saying(&hello()).await;
    for failures in 1..=2 {
        gate.until("connect_failures_total", &["refused"], failures).await;
        asked(&mut gate, &tenure).await;
        gate.confirm();
    }
    gate.until("connect_failures_total", &["refused"], 3).await;
    let node = port.listen();
    asked(&mut gate, &tenure).await;
    gate.confirm();
    let mut node = node.accept_hearing(&hello()).await;
    assert_joined(&mut client, &mut node).await;
    gate.end().await;
}

#[tokio::test]
async fn s3_a_refused_client_goes_to_the_next_leader_at_once() {
    let (mut gate, port, b) = (Gate::start(|_| {}), DeadPort::new(), Node::start().await);
    gate.lead(0, port.address());
    let mut client = gate.client_saying(&hello()).await;
    gate.signal().await;
    gate.lead(1, b.address);
    let mut node = b.accept_hearing(&hello()).await;
    assert_joined(&mut client, &mut node).await;
    gate.end().await;
}

#[tokio::test]
async fn s3_a_client_that_nobody_takes_is_reset_in_the_end() {
    let (mut gate, port) =
        (Gate::with(|cluster| cluster.hold_timeout = Duration::from_millis(300)), DeadPort::new());
    gate.lead(0, port.address());
    assert_reset(&mut gate.client_saying(&hello()).await).await;
    // The leader has not said its word again, and so the client has not tried again, though its backoff was long over.
    assert_eq!(gate.metric("connect_failures_total", &[]), 1);
    gate.ends_with("node_error").await;
}

/// A node whose kernel answers nobody any more: its queue is full.
pub(super) async fn black_hole() -> (DeadEnd, std::net::SocketAddr) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut filling = Vec::new();
    loop {
        let connecting = tokio::net::TcpStream::connect(address);
        match tokio::time::timeout(Duration::from_millis(200), connecting).await {
            Ok(stream) => filling.push(stream.unwrap()),
            Err(_) => return (DeadEnd(listener, filling), address),
        }
    }
}

#[expect(dead_code, reason = "the sockets are only kept")]
pub(super) struct DeadEnd(tokio::net::TcpListener, Vec<tokio::net::TcpStream>);

#[tokio::test]
async fn s3_a_dial_ends_with_its_tenure() {
    let (mut gate, node) = (Gate::start(|_| {}), Node::start().await);
    let (_kept, nowhere) = black_hole().await;
    gate.lead(0, nowhere);
    let mut client = gate.client_saying(&hello()).await;
    until("the client is there", || gate.proxy.active() == 1).await;
    gate.lead(1, node.address);
    let mut node = node.accept_hearing(&hello()).await;
    assert_joined(&mut client, &mut node).await;
    assert!(!gate.has_signal());
    gate.end().await;
}

#[tokio::test]
async fn s3_a_connect_that_takes_too_long_is_a_signal() {
    let mut gate = Gate::with(|cluster| cluster.connect_timeout = Duration::from_millis(100));
    let (_kept, nowhere) = black_hole().await;
    gate.lead(0, nowhere);
    let _client = gate.client_saying(&hello()).await;
    assert_eq!(gate.signal().await.suspicion, Suspicion::ConnectTimeout);
    gate.until("connect_failures_total", &["raft", "a", "timeout"], 1).await;
    gate.until("held_connections", &["raft"], 1).await;
    gate.end().await;
}

#[tokio::test]
async fn l5_a_connect_that_takes_unusually_long_is_a_signal_and_goes_on() {
    let (mut gate, node) = (Gate::start(|settings| settings.workers = 1), Node::start().await);
    gate.lead(0, node.address);
    let mut served = gate.client_saying(&hello()).await;
    let mut its_node = node.accept_hearing(&hello()).await;
    assert_joined(&mut served, &mut its_node).await;
    let (_kept, nowhere) = black_hole().await;
    gate.lead(0, nowhere);
    let _client = gate.client_saying(&hello()).await;
    // The default connect.timeout of 2 s has not gone by: no failure is counted.
    assert_eq!(gate.signal().await.suspicion, Suspicion::ConnectLate);
    assert_eq!(gate.metric("connect_failures_total", &["raft", "a", "timeout"]), 0);
    assert!(!gate.has_signal());
    gate.end().await;
}
