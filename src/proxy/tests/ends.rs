//! What ends sessions from outside: fates (S5), inactivity (S6), the end of the gate (O4).

use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::harness::*;
use crate::tenure::Fate;

async fn session(gate: &Gate, node: &Node) -> (TcpStream, TcpStream) {
    let (mut client, mut node) = (gate.client().await, node.accept().await);
    assert_joined(&mut client, &mut node).await;
    (client, node)
}

#[tokio::test]
async fn s5_a_cut_resets_every_session_of_its_tenure_and_no_other() {
    let (mut gate, a, b) = (Gate::start(|_| {}), Node::start().await, Node::start().await);
    let tenure = gate.lead(0, a.address);
    let mut cut = Vec::new();
    for _ in 0..300 {
        cut.push(session(&gate, &a).await);
    }
    gate.lead(1, b.address);
    let (mut client, mut node) = session(&gate, &b).await;
    gate.writer.set_fate(&tenure, Fate::Cut);
    for (client, node) in &mut cut {
        assert_reset(client).await;
        assert_reset(node).await;
    }
    assert_joined(&mut client, &mut node).await;
    gate.until("connections_closed_total", &["cut"], 300).await;
    gate.end().await;
}

#[tokio::test]
async fn s5_a_drained_session_may_end_by_itself_for_a_while() {
    let mut gate = Gate::with(|cluster| cluster.drain = Duration::from_millis(200));
    let (a, b) = (Node::start().await, Node::start().await);
    let tenure = gate.lead(0, a.address);
    let (mut client, mut node) = session(&gate, &a).await;
    gate.lead(1, b.address);
    gate.writer.set_fate(&tenure, Fate::Drain);
    assert_joined(&mut client, &mut node).await;
    assert_reset(&mut client).await;
    assert_reset(&mut node).await;
    gate.ends_with("drained").await;
}

#[tokio::test]
async fn s5_election_again_cancels_a_drain() {
    let mut gate = Gate::with(|cluster| cluster.drain = Duration::from_millis(1500));
    let a = Node::start().await;
    let tenure = gate.lead(0, a.address);
    let (mut kept, mut kept_node) = session(&gate, &a).await;
    let other = gate.lead(1, a.address);
    let (mut drained, _node) = session(&gate, &a).await;
    gate.writer.set_fate(&tenure, Fate::Drain);
    gate.writer.set_fate(&other, Fate::Drain);
    gate.writer.set_fate(&tenure, Fate::Keep);
    // The one whose drain was begun later is gone: the other's would have been over by then.
    assert_reset(&mut drained).await;
    assert_joined(&mut kept, &mut kept_node).await;
    gate.end().await;
}

#[tokio::test]
async fn s5_a_session_that_joins_a_drained_tenure_is_drained() {
    let mut gate = Gate::with(|cluster| cluster.drain = Duration::from_millis(100));
    let a = Node::start().await;
    let tenure = gate.lead(0, a.address);
    let mut client = gate.client_saying(&hello()).await;
    let mut node = a.accept_hearing(&hello()).await;
    gate.leaderless(Duration::ZERO, None);
    gate.writer.set_fate(&tenure, Fate::Drain);
    assert_joined(&mut client, &mut node).await;
    assert_reset(&mut client).await;
    gate.ends_with("drained").await;
}

#[tokio::test]
async fn s6_an_idle_session_ends() {
    let mut gate = Gate::with(|cluster| cluster.idle = Some(Duration::from_millis(200)));
    let a = Node::start().await;
    gate.lead(0, a.address);
    let (mut client, mut node) = session(&gate, &a).await;
    assert_closed(&mut client).await;
    assert_closed(&mut node).await;
    gate.ends_with("idle").await;
}

#[tokio::test]
async fn s6_a_half_closed_session_ends_sooner() {
    let mut gate = Gate::with(|cluster| {
        cluster.idle = Some(Duration::from_hours(1));
        cluster.half_closed = Some(Duration::from_millis(200));
    });
    let a = Node::start().await;
    gate.lead(0, a.address);
    let (mut client, mut node) = session(&gate, &a).await;
    client.shutdown().await.unwrap();
    assert_closed(&mut node).await;
    assert_closed(&mut client).await;
    gate.ends_with("half_closed").await;
}

/// A gate whose clients speak first, and soon.
fn gate_with_first_byte_timeout() -> Gate {
    Gate::with(|cluster| {
        cluster.on_first_byte = true;
        cluster.first_byte_timeout = Some(Duration::from_millis(100));
    })
}

#[tokio::test]
async fn s8_a_silent_client_is_reset_where_clients_speak_first() {
    let (mut gate, a) = (gate_with_first_byte_timeout(), Node::start().await);
    gate.lead(0, a.address);
    assert_reset(&mut gate.client().await).await;
    assert!(!a.is_dialled().await);
    gate.ends_with("first_byte_timeout").await;
}

#[tokio::test]
async fn s8_an_unfinished_hello_is_reset_in_time() {
    let (mut gate, a) = (gate_with_first_byte_timeout(), Node::start().await);
    assert_reset(&mut gate.client_saying(&hello()[..20]).await).await;
    gate.until("connections_closed_total", &["first_byte_timeout"], 1).await;
    assert_eq!(gate.metric("held_connections", &["raft"]), 0, "while it was held");
    gate.lead(0, a.address);
    let mut client = gate.client_saying(&hello()[..20]).await;
    let _node = a.accept_hearing(&hello()[..20]).await;
    assert_reset(&mut client).await;
    gate.until("connections_closed_total", &["first_byte_timeout"], 2).await;
    gate.end().await;
}

#[tokio::test]
async fn s8_a_client_that_has_spoken_may_wait_for_its_node() {
    let (mut gate, a) = (gate_with_first_byte_timeout(), Node::start().await);
    let mut held = gate.client_saying(&hello()).await;
    gate.until("held_connections", &["raft"], 1).await;
    // The deadline is over for this one.
    assert_reset(&mut gate.client().await).await;
    gate.lead(0, a.address);
    let mut node = a.accept_hearing(&hello()).await;
    assert_reset(&mut gate.client().await).await;
    assert_joined(&mut held, &mut node).await;
    gate.end().await;
}

/// Sends more than all buffers on the way hold; returns once that has failed or is taken.
fn flood(mut from: TcpStream) -> tokio::task::JoinHandle<std::io::Result<()>> {
    tokio::spawn(async move { from.write_all(&vec![7; 64 << 20]).await })
}

/// Reads to the end, which must be a reset.
async fn assert_cut_short(stream: &mut TcpStream) {
    let read = within("the end", stream.read_to_end(&mut Vec::new())).await;
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn s7_an_idle_session_with_a_backlog_is_reset() {
    for is_download in [true, false] {
        let mut gate = Gate::with(|cluster| cluster.idle = Some(Duration::from_millis(200)));
        let a = Node::start().await;
        gate.lead(0, a.address);
        let (client, node) = session(&gate, &a).await;
        let (mut reader, writer) = if is_download { (client, node) } else { (node, client) };
        let flood = flood(writer);
        gate.until("connections_closed_total", &["idle"], 1).await;
        assert_cut_short(&mut reader).await;
        flood.await.unwrap().expect_err("not all was taken");
        gate.end().await;
    }
}

#[tokio::test]
async fn s7_a_half_closed_session_with_a_backlog_is_reset() {
    let mut gate = Gate::with(|cluster| cluster.half_closed = Some(Duration::from_millis(200)));
    let a = Node::start().await;
    gate.lead(0, a.address);
    let (mut client, mut node) = session(&gate, &a).await;
    client.shutdown().await.unwrap();
    assert_closed(&mut node).await;
    let flood = flood(node);
    gate.until("connections_closed_total", &["half_closed"], 1).await;
    assert_cut_short(&mut client).await;
    flood.await.unwrap().expect_err("not all was taken");
    gate.end().await;
}

#[tokio::test]
async fn o4_quiescing_loses_nobody_who_is_queued() {
    let (mut gate, a) = (Gate::start(|_| {}), Node::start().await);
    gate.lead(0, a.address);
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(gate.client().await);
    }
    gate.proxy.quiesce();
    let mut nodes = Vec::new();
    for _ in 0..100 {
        let mut node = a.accept().await;
        say(&mut node, b"!").await;
        nodes.push(node);
    }
    for client in &mut clients {
        assert_eq!(hear(client, 1).await, b"!");
    }
    drop((clients, nodes));
    within("the gate drains", gate.proxy.drained()).await;
    assert_eq!(gate.metric("connections_total", &["edge"]), 100);
    TcpStream::connect(gate.address).await.expect_err("nobody listens any more");
    gate.end().await;
}

#[tokio::test]
async fn o4_a_crowd_that_keeps_coming_does_not_keep_the_door_open() {
    const PACE: Duration = Duration::from_millis(10);
    let gate = Gate::start(|_| {});
    gate.proxy.quiesce();
    let crowd = async {
        loop {
            match timeout(PACE, TcpStream::connect(gate.address)).await {
                // Linux ignores whoever comes now; elsewhere they are taken in for a while. They go at once: the gate's
                // bounds shall not keep anybody out.
                Err(_) => {}
                Ok(Ok(client)) => {
                    crate::sockets::reset_on_close(&client).unwrap();
                    drop(client);
                    sleep(PACE).await;
                }
                Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => break,
                // What was under way when the door was closed.
                Ok(Err(error)) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
            }
        }
    };
    within("nobody listens any more", crowd).await;
    within("the gate drains", gate.proxy.drained()).await;
    gate.end().await;
}

#[tokio::test]
async fn o4_held_clients_outlast_a_quiesce() {
    let (mut gate, a) = (Gate::start(|_| {}), Node::start().await);
    let mut client = gate.client_saying(&hello()).await;
    gate.until("held_connections", &["raft"], 1).await;
    gate.proxy.quiesce();
    gate.lead(0, a.address);
    let mut node = a.accept_hearing(&hello()).await;
    assert_joined(&mut client, &mut node).await;
    gate.end().await;
}

#[tokio::test]
async fn o4_a_cut_resets_whoever_is_left() {
    let (mut gate, a) = (Gate::start(|_| {}), Node::start().await);
    gate.lead(0, a.address);
    let (mut client, mut node) = session(&gate, &a).await;
    gate.leaderless(Duration::ZERO, None);
    let mut held = gate.client().await;
    gate.until("held_connections", &["raft"], 1).await;
    gate.proxy.cut();
    for stream in [&mut client, &mut node, &mut held] {
        assert_reset(stream).await;
    }
    gate.until("connections_closed_total", &["shutdown"], 2).await;
    gate.end().await;
}
