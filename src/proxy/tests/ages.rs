//! Clients that go only on a young word of the leader (`max_age`).

use std::time::Duration;

use tokio::time::Instant;

use super::harness::*;
use crate::tenure::{Tenure, Trust};

/// Clients wait for a probe that begins after they came.
fn asks_anew() -> Gate {
    Gate::with(|cluster| cluster.max_age = Some(Duration::ZERO))
}

/// Older than any statement gets here.
const AGES: Duration = Duration::from_hours(1);

/// Plays `follow`: waits until somebody asks for a newer statement than there is, and returns what was asked for.
pub(super) async fn asked(gate: &mut Gate, tenure: &Tenure) -> Instant {
    within("the leader is asked", async {
        loop {
            match gate.writer.wanted() {
                Some(after) if tenure.confirmed_at() <= after => return after,
                _ => gate.writer.wanted_more().await,
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_client_waits_for_a_probe_begun_after_it_came() {
    let (mut gate, node) = (asks_anew(), Node::start().await);
    let tenure = gate.lead(0, node.address);
    let before = Instant::now();
    let mut client = gate.client_saying(&hello()).await;
    let after = asked(&mut gate, &tenure).await;
    assert!(after > before);
    gate.until("held_connections", &["raft"], 1).await;
    tenure.confirm(after);
    assert!(!node.is_dialled().await, "a probe begun no later is not enough");
    assert_eq!(gate.metric("held_connections", &[]), 1);
    gate.confirm();
    let mut node = node.accept_hearing(&hello()).await;
    assert_joined(&mut client, &mut node).await;
    assert_eq!(gate.metric("held_connections", &[]), 0);
    assert!(!gate.has_signal(), "it is no suspicion");
    gate.end().await;
}

#[tokio::test]
async fn many_clients_go_on_one_answer_and_not_one_by_one() {
    const MANY: u64 = 100;
    let (mut gate, node) = (asks_anew(), Node::start().await);
    gate.lead(0, node.address);
    let mut clients = Vec::new();
    for _ in 0..MANY {
        clients.push(gate.client_saying(&hello()).await);
    }
    gate.until("held_connections", &["raft"], MANY).await;
    gate.confirm();
    // Nobody has had an answer yet: a crowd would have been let go sixteen at a time.
    let mut nodes = Vec::new();
    for _ in 0..MANY {
        nodes.push(node.accept().await);
    }
    gate.end().await;
}

#[tokio::test]
async fn a_young_word_is_enough() {
    let gate = Gate::with(|cluster| cluster.max_age = Some(AGES));
    let (mut gate, node) = (gate, Node::start().await);
    gate.lead(0, node.address);
    let mut client = gate.client_saying(&hello()).await;
    let mut node = node.accept_hearing(&hello()).await;
    assert_joined(&mut client, &mut node).await;
    assert_eq!(gate.writer.wanted(), None);
    assert_eq!(gate.metric("hold_duration_seconds", &["raft"]), 0);
    gate.end().await;
}

#[tokio::test]
async fn who_waits_for_the_old_leaders_word_goes_to_the_new_one_on_its_own() {
    let mut gate = asks_anew();
    let (a, b) = (Node::start().await, Node::start().await);
    let old = gate.lead(0, a.address);
    let mut client = gate.client_saying(&hello()).await;
    asked(&mut gate, &old).await;
    // It has spoken since the client came.
    gate.lead(1, b.address);
    let mut node = b.accept_hearing(&hello()).await;
    assert_joined(&mut client, &mut node).await;
    assert!(!a.is_dialled().await);
    gate.end().await;
}

#[tokio::test]
async fn s2_who_was_held_needs_a_young_word_too() {
    let (mut gate, node) = (asks_anew(), Node::start().await);
    let mut client = gate.client_saying(&hello()).await;
    gate.until("held_connections", &["raft"], 1).await;
    let tenure = gate.lead(0, node.address);
    asked(&mut gate, &tenure).await;
    gate.confirm();
    let mut node = node.accept_hearing(&hello()).await;
    assert_joined(&mut client, &mut node).await;
    gate.end().await;
}

#[tokio::test]
async fn who_waits_for_a_word_is_held_like_others() {
    let mut gate = Gate::with(|cluster| {
        (cluster.max_age, cluster.hold_limit) = (Some(Duration::ZERO), 1);
    });
    let node = Node::start().await;
    gate.lead(0, node.address);
    let client = gate.client_saying(&hello()).await;
    gate.until("held_connections", &["raft"], 1).await;
    gate.turns_away().await;
    gate.until("connections_refused_total", &["hold_limit"], 1).await;
    reset(client);
    gate.until("held_connections", &["raft"], 0).await;
    gate.ends_with("client_error").await;
}

#[tokio::test]
async fn a_word_is_not_waited_for_beyond_the_patience() {
    let mut gate = Gate::with(|cluster| {
        (cluster.max_age, cluster.hold_timeout) = (Some(Duration::ZERO), Duration::from_millis(300));
    });
    let node = Node::start().await;
    gate.lead(0, node.address);
    assert_reset(&mut gate.client_saying(&hello()).await).await;
    assert_eq!(gate.metric("hold_timeouts_total", &["raft"]), 1);
    gate.ends_with("leaderless").await;
}

#[tokio::test]
async fn l7_a_gate_whose_control_thread_hangs_holds_clients() {
    let (mut gate, node) = (Gate::with(|_| {}), Node::start().await);
    let tenure = gate.lead(0, node.address);
    // The only turn that it takes: each moment after it is too late.
    gate.writer.beat(Instant::now(), Trust { gap: Duration::ZERO, lease: AGES });
    let mut client = gate.client_saying(&hello()).await;
    let after = asked(&mut gate, &tenure).await;
    gate.until("held_connections", &["raft"], 1).await;
    tenure.confirm(after);
    assert!(!node.is_dialled().await, "a probe begun no later is not enough");
    gate.confirm();
    let mut node = node.accept_hearing(&hello()).await;
    assert_joined(&mut client, &mut node).await;
    gate.end().await;
}

#[tokio::test]
async fn l7_a_worker_enforces_the_lease_by_itself() {
    let (mut gate, node) = (Gate::with(|_| {}), Node::start().await);
    let tenure = gate.lead(0, node.address);
    gate.writer.beat(Instant::now(), Trust { gap: AGES, lease: Duration::ZERO });
    let mut client = gate.client_saying(&hello()).await;
    asked(&mut gate, &tenure).await;
    assert!(!node.is_dialled().await, "the lease is over");
    gate.confirm();
    let mut node = node.accept_hearing(&hello()).await;
    assert_joined(&mut client, &mut node).await;
    gate.end().await;
}
