//! Before the node's first byte (S4).

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::harness::*;
use crate::intent::Suspicion;
use crate::tenure::Fate;

#[tokio::test]
async fn s4_a_successor_takes_over_from_a_silent_node() {
    let (mut gate, a, b) = (Gate::start(|_| {}), Node::start().await, Node::start().await);
    gate.lead(0, a.address);
    let mut client = gate.client_saying(&hello()).await;
    let mut left = a.accept_hearing(&hello()).await;
    gate.lead(1, b.address);
    let mut node = b.accept_hearing(&hello()).await;
    assert_reset(&mut left).await;
    assert_joined(&mut client, &mut node).await;
    assert_eq!(gate.metric("connections_moved_total", &["raft"]), 1);
    assert_eq!(gate.metric("sessions_active", &["a"]), 0);
    assert_eq!(gate.metric("sessions_active", &["b"]), 1);
    // The hello went to two nodes, and was relayed once.
    let relayed = (hello().len() + b"from the client".len()) as u64;
    gate.until("bytes_total", &["to_node"], relayed).await;
    gate.end().await;
}

#[tokio::test]
async fn s4_a_hello_in_pieces_is_sent_again_whole() {
    let (mut gate, a, b) = (Gate::start(|_| {}), Node::start().await, Node::start().await);
    gate.lead(0, a.address);
    let hello = hello();
    let mut client = gate.client_saying(&hello[..7]).await;
    let _left = a.accept_hearing(&hello[..7]).await;
    gate.lead(1, b.address);
    let mut node = b.accept_hearing(&hello[..7]).await;
    say(&mut client, &hello[7..]).await;
    assert_eq!(hear(&mut node, hello.len() - 7).await, &hello[7..]);
    assert_joined(&mut client, &mut node).await;
    gate.end().await;
}

#[tokio::test]
async fn s4_a_client_that_ends_within_its_hello_is_dialled_once() {
    let (mut gate, a) = (Gate::start(|_| {}), Node::start().await);
    gate.lead(0, a.address);
    let mut client = gate.client_saying(&hello()[..20]).await;
    let mut node = a.accept_hearing(&hello()[..20]).await;
    client.shutdown().await.unwrap();
    assert_closed(&mut client).await;
    assert_closed(&mut node).await;
    assert!(!a.is_dialled().await);
    assert_eq!(gate.metric("connections_moved_total", &[]), 0);
    gate.ends_with("client").await;
}

#[tokio::test]
async fn s4_without_a_successor_a_silent_node_is_kept() {
    let (mut gate, a) = (Gate::start(|_| {}), Node::start().await);
    gate.lead(0, a.address);
    let mut client = gate.client_saying(&hello()).await;
    let mut node = a.accept_hearing(&hello()).await;
    gate.leaderless(Duration::ZERO, None);
    assert_joined(&mut client, &mut node).await;
    assert_eq!(gate.metric("connections_moved_total", &[]), 0);
    gate.end().await;
}

#[tokio::test]
async fn s4_the_same_node_elected_again_is_no_reason_to_move() {
    let (mut gate, a) = (Gate::with(|cluster| cluster.drain = Duration::ZERO), Node::start().await);
    let stand_in = gate.stand_in(0, a.address);
    gate.leaderless(Duration::from_secs(30), Some(stand_in.clone()));
    let mut client = gate.client_saying(&hello()).await;
    let mut node = a.accept_hearing(&hello()).await;
    gate.lead(0, a.address);
    gate.writer.set_fate(&stand_in, Fate::Cut);
    assert_joined(&mut client, &mut node).await;
    assert_joined(&mut client, &mut node).await;
    gate.end().await;
}

#[tokio::test]
async fn s4_a_node_that_closes_early_is_tried_again_after_its_word() {
    for orderly in [true, false] {
        let (mut gate, a) = (Gate::start(|_| {}), Node::start().await);
        gate.lead(0, a.address);
        let mut client = gate.client_saying(&hello()).await;
        let left = a.accept_hearing(&hello()).await;
        if orderly {
            drop(left);
        } else {
            reset(left);
        }
        assert_eq!(gate.signal().await.suspicion, Suspicion::ClosedEarly);
        gate.until("held_connections", &["raft"], 1).await;
        assert!(!a.is_dialled().await);
        gate.confirm();
        let mut node = a.accept_hearing(&hello()).await;
        assert_joined(&mut client, &mut node).await;
        assert_eq!(gate.metric("connections_moved_total", &["raft"]), 1);
        gate.end().await;
    }
}

#[tokio::test]
async fn s4_a_node_that_closes_early_is_not_tried_again_without_its_word() {
    let mut gate = Gate::with(|cluster| cluster.hold_timeout = Duration::from_millis(300));
    let a = Node::start().await;
    gate.lead(0, a.address);
    let mut client = gate.client_saying(&hello()).await;
    drop(a.accept_hearing(&hello()).await);
    // By then its backoff was long over.
    assert_reset(&mut client).await;
    assert!(!a.is_dialled().await);
    gate.ends_with("node_error").await;
}

#[tokio::test]
async fn s4_a_dead_leaders_client_goes_to_the_next_one() {
    let (mut gate, a, b) = (Gate::start(|_| {}), Node::start().await, Node::start().await);
    gate.lead(0, a.address);
    let mut client = gate.client_saying(&hello()).await;
    reset(a.accept_hearing(&hello()).await);
    gate.until("held_connections", &["raft"], 1).await;
    gate.leaderless(Duration::ZERO, None);
    gate.lead(1, b.address);
    let mut node = b.accept_hearing(&hello()).await;
    assert_joined(&mut client, &mut node).await;
    gate.end().await;
}

#[tokio::test]
async fn s4_a_leader_that_insists_on_closing_has_its_way() {
    for orderly in [true, false] {
        let (mut gate, a) = (Gate::start(|_| {}), Node::start().await);
        gate.lead(0, a.address);
        let mut client = gate.client_saying(&hello()).await;
        drop(a.accept_hearing(&hello()).await);
        gate.signal().await;
        gate.confirm();
        let again = a.accept_hearing(&hello()).await;
        if orderly {
            drop(again);
            assert_closed(&mut client).await;
            gate.ends_with("node").await;
        } else {
            reset(again);
            assert_reset(&mut client).await;
            gate.ends_with("node_error").await;
        }
    }
}

#[tokio::test]
async fn s4_a_client_that_said_more_than_a_hello_is_not_moved() {
    let (mut gate, a, b) = (Gate::start(|_| {}), Node::start().await, Node::start().await);
    gate.lead(0, a.address);
    let said = [hello(), b"!".to_vec()].concat();
    let mut client = gate.client_saying(&said).await;
    let node = a.accept_hearing(&said).await;
    gate.lead(1, b.address);
    // Not a byte has come from the node, and a successor is there: still, it is told as the node says it.
    drop(node);
    assert_closed(&mut client).await;
    assert!(!b.is_dialled().await && !gate.has_signal());
    drop(client);
    gate.ends_with("node").await;
}

#[tokio::test]
async fn s4_after_the_first_byte_nobody_is_moved() {
    let (mut gate, a, b) = (Gate::start(|_| {}), Node::start().await, Node::start().await);
    gate.lead(0, a.address);
    let mut client = gate.client_saying(&hello()).await;
    let mut node = a.accept_hearing(&hello()).await;
    say(&mut node, b"!").await;
    assert_eq!(hear(&mut client, 1).await, b"!");
    gate.lead(1, b.address);
    assert_joined(&mut client, &mut node).await;
    reset(node);
    assert_reset(&mut client).await;
    assert!(!b.is_dialled().await);
    gate.ends_with("node_error").await;
}

#[tokio::test]
async fn s4_the_end_of_file_of_a_moved_client_is_remembered() {
    let (mut gate, a, b) = (Gate::start(|_| {}), Node::start().await, Node::start().await);
    gate.lead(0, a.address);
    // One that has said a hello would have gone.
    let mut client = gate.client().await;
    client.shutdown().await.unwrap();
    let mut left = a.accept().await;
    assert_closed(&mut left).await;
    gate.lead(1, b.address);
    let mut node = b.accept().await;
    assert_closed(&mut node).await;
    say(&mut node, b"answer").await;
    drop(node);
    assert_eq!(hear(&mut client, 6).await, b"answer");
    gate.ends_with("client").await;
}

#[tokio::test]
async fn s4_a_check_that_says_nothing_and_closes_is_no_failure() {
    let (mut gate, a) = (Gate::start(|_| {}), Node::start().await);
    gate.lead(0, a.address);
    let mut client = gate.client().await;
    client.shutdown().await.unwrap();
    let mut node = a.accept().await;
    assert_closed(&mut node).await;
    drop(node);
    assert_closed(&mut client).await;
    assert!(!gate.has_signal());
    gate.ends_with("client").await;
}

#[tokio::test]
async fn s4_a_cut_moves_an_unanswered_client_and_resets_nobody() {
    let (mut gate, a, b) = (Gate::start(|_| {}), Node::start().await, Node::start().await);
    let tenure = gate.lead(0, a.address);
    let mut client = gate.client_saying(&hello()).await;
    let _left = a.accept_hearing(&hello()).await;
    gate.leaderless(Duration::ZERO, None);
    gate.writer.set_fate(&tenure, Fate::Cut);
    gate.until("held_connections", &["raft"], 1).await;
    gate.lead(1, b.address);
    let mut node = b.accept_hearing(&hello()).await;
    assert_joined(&mut client, &mut node).await;
    gate.end().await;
}

#[tokio::test]
async fn s6_a_silent_opening_is_bounded_by_inactivity() {
    let mut gate = Gate::with(|cluster| cluster.idle = Some(Duration::from_millis(200)));
    let a = Node::start().await;
    gate.lead(0, a.address);
    let mut client = gate.client_saying(&hello()).await;
    let _node = a.accept_hearing(&hello()).await;
    assert_reset(&mut client).await;
    gate.ends_with("idle").await;
}
