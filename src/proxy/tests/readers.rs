//! Readers of a cluster with several nodes for them: spread, refused, moved, held and cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use super::super::routes::{Route, Target};
use super::harness::*;
use super::holds::black_hole;
use crate::intent::Suspicion;
use crate::leader::NodeId;
use crate::tenure::{Fate, To};

#[tokio::test]
async fn readers_are_spread_evenly_over_all_workers() {
    let (mut gate, a, b) = (Gate::for_readers(), Node::start().await, Node::start().await);
    gate.spread(&[(0, a.address), (1, b.address)]);
    let mut clients = Vec::new();
    for _ in 0..200 {
        clients.push(gate.client().await);
    }
    gate.until("sessions_active", &[], 200).await;
    // Two workers may choose at the same moment, so it is not always half and half.
    let count = gate.metric("sessions_active", &["a"]);
    assert!((95..=105).contains(&count), "{count} of 200 went to one of two nodes");
    drop(clients);
    gate.end().await;
}

#[tokio::test]
async fn readers_whom_a_route_takes_go_to_followers_of_its_cluster() {
    let mut gate = Gate::start(|settings| {
        let all = Route { server_names: Vec::new(), alpn: Vec::new(), target: Target::Cluster(0) };
        let listener = &mut settings.listeners[0];
        listener.routes.table = Arc::from([all]);
        (listener.cluster, listener.to) = (None, To::Followers);
    });
    let (a, b) = (Node::start().await, Node::start().await);
    gate.lead(0, a.address);
    gate.spread(&[(1, b.address)]);
    let mut client = gate.client_saying(&hello()).await;
    assert_joined(&mut client, &mut b.accept_hearing(&hello()).await).await;
    assert!(!a.is_dialled().await);
    gate.end().await;
}

#[tokio::test]
async fn s3_a_reader_that_is_refused_goes_to_another_node_at_once() {
    let (mut gate, dead, b) = (Gate::for_readers(), DeadPort::new(), Node::start().await);
    gate.spread(&[(0, dead.address()), (1, b.address)]);
    for _ in 0..20 {
        let (mut client, mut node) = (gate.client().await, b.accept().await);
        assert_joined(&mut client, &mut node).await;
    }
    let signal = gate.signal().await;
    assert_eq!((signal.node, signal.suspicion), (NodeId(0), Suspicion::ConnectRefused));
    assert_eq!(gate.metric("hold_duration_seconds", &[]), 0, "nobody had to wait");
    gate.end().await;
}

#[tokio::test]
async fn s3_a_node_that_answers_no_connect_delays_one_reader_at_a_time() {
    let mut gate = Gate::start(|settings| {
        settings.listeners[0].to = To::Followers;
        settings.clusters[0].connect_timeout = Duration::from_secs(1);
    });
    let ((_kept, nowhere), b) = (black_hole().await, Node::start().await);
    gate.spread(&[(0, nowhere), (1, b.address)]);
    // Until both have been chosen, one of them in vain.
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(gate.client().await);
    }
    gate.until("sessions_active", &["b"], 4).await;
    let before = gate.metric("connect_failures_total", &["a"]);
    assert!(before > 0, "it has fewer sessions than the other");
    for _ in 0..30 {
        clients.push(gate.client().await);
    }
    gate.until("sessions_active", &["b"], 34).await;
    let delayed = gate.metric("connect_failures_total", &["a"]) - before;
    assert!(delayed <= 5, "{delayed} of 30 were sent to a node that takes nobody");
    gate.end().await;
}

#[tokio::test]
async fn s3_the_only_node_that_refuses_counts_again_once_it_has_spoken() {
    let (mut gate, dead) = (Gate::for_readers(), DeadPort::new());
    let tenures = gate.spread(&[(0, dead.address())]);
    let mut client = gate.client().await;
    gate.signal().await;
    let node = dead.listen();
    gate.until("held_connections", &[], 1).await;
    tenures[0].confirm(tokio::time::Instant::now());
    assert_joined(&mut client, &mut node.accept().await).await;
    gate.end().await;
}

#[tokio::test]
async fn s4_a_reader_without_an_answer_is_moved_when_its_node_serves_readers_no_more() {
    let (mut gate, a, b) = (Gate::for_readers(), Node::start().await, Node::start().await);
    gate.spread(&[(0, a.address)]);
    let mut client = gate.client_saying(&hello()).await;
    let mut left = a.accept_hearing(&hello()).await;
    gate.spread(&[(1, b.address)]);
    let mut node = b.accept_hearing(&hello()).await;
    assert_reset(&mut left).await;
    assert_joined(&mut client, &mut node).await;
    assert_eq!(gate.metric("connections_moved_total", &["raft"]), 1);
    gate.end().await;
}

#[tokio::test]
async fn s4_a_reader_whose_node_closes_early_is_moved_to_another() {
    let (mut gate, a, b) = (Gate::for_readers(), Node::start().await, Node::start().await);
    let tenures = gate.spread(&[(0, a.address)]);
    let mut client = gate.client_saying(&hello()).await;
    let left = a.accept_hearing(&hello()).await;
    let other = gate.followers.reader(NodeId(1), "b".into(), b.address, tokio::time::Instant::now());
    gate.followers.spread([Arc::clone(&tenures[0]), other]);
    reset(left);
    let mut node = b.accept_hearing(&hello()).await;
    assert_joined(&mut client, &mut node).await;
    assert_eq!(gate.signal().await.suspicion, Suspicion::ClosedEarly);
    gate.end().await;
}

#[tokio::test]
async fn s4_a_reader_stays_with_its_node_under_another_tenure_and_its_fate() {
    let (mut gate, a, b) = (Gate::for_readers(), Node::start().await, Node::start().await);
    let old = gate.spread(&[(0, a.address)]);
    let mut client = gate.client_saying(&hello()).await;
    let mut node = a.accept_hearing(&hello()).await;
    let new = gate.spread(&[(0, a.address), (1, b.address)]);
    gate.followers.set_fate(&old[0], Fate::Cut);
    assert_joined(&mut client, &mut node).await;
    assert_eq!(gate.metric("connections_moved_total", &[]), 0);
    gate.followers.set_fate(&new[0], Fate::Cut);
    assert_reset(&mut client).await;
    gate.ends_with("cut").await;
}

#[tokio::test]
async fn s5_a_cut_reaches_the_readers_of_its_node_and_no_others() {
    let (mut gate, a, b) = (Gate::for_readers(), Node::start().await, Node::start().await);
    let tenures = gate.spread(&[(0, a.address)]);
    let (mut cut, mut cut_node) = (gate.client().await, a.accept().await);
    assert_joined(&mut cut, &mut cut_node).await;
    gate.spread(&[(1, b.address)]);
    let (mut kept, mut kept_node) = (gate.client().await, b.accept().await);
    assert_joined(&mut kept, &mut kept_node).await;
    gate.followers.set_fate(&tenures[0], Fate::Cut);
    assert_reset(&mut cut).await;
    assert_reset(&mut cut_node).await;
    assert_joined(&mut kept, &mut kept_node).await;
    gate.end().await;
}

#[tokio::test]
async fn s2_readers_are_held_until_there_is_a_node_whoever_leads() {
    let (mut gate, a, b) = (Gate::for_readers(), Node::start().await, Node::start().await);
    gate.lead(0, a.address);
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(gate.client_saying(&hello()).await);
    }
    gate.until("held_connections", &["raft"], 100).await;
    gate.spread(&[(1, b.address)]);
    for _ in 0..100 {
        let mut node = b.accept_hearing(&hello()).await;
        say(&mut node, b"!").await;
    }
    assert!(!a.is_dialled().await, "it leads, and they want followers");
    for client in &mut clients {
        assert_eq!(hear(client, 1).await, b"!");
    }
    gate.end().await;
}

#[tokio::test]
async fn s3_a_closed_cancel_request_is_not_held_against_a_reader() {
    let (mut gate, a) = (Gate::for_readers(), Node::start().await);
    gate.spread(&[(0, a.address)]);
    let request = [&[0, 0, 0, 16, 0x04, 0xd2, 0x16, 0x2e][..], &[7; 8]].concat();
    let mut client = gate.client_saying(&request).await;
    drop(a.accept_hearing(&request).await);
    assert_closed(&mut client).await;
    // A node that had failed the first would be spared for a second.
    let mut client = gate.client_saying(b"question").await;
    let mut node = a.accept_hearing(b"question").await;
    assert_joined(&mut client, &mut node).await;
    gate.end().await;
}

/// A node whose data port accepts and closes at once has the fewest sessions of all.
#[tokio::test]
async fn s3_a_node_that_accepts_and_closes_does_not_draw_everybody() {
    for said in [&b"GET / HTTP/1.1\r\n\r\n"[..], &hello()[..]] {
        let (mut gate, a, b) = (Gate::for_readers(), Node::start().await, Node::start().await);
        gate.spread(&[(0, a.address), (1, b.address)]);
        let dialled = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&dialled);
        let closing = tokio::spawn(async move {
            loop {
                drop(a.accept().await);
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        let serving = tokio::spawn(async move {
            let mut kept = Vec::new();
            loop {
                let mut stream = b.accept().await;
                say(&mut stream, b"x").await;
                kept.push(stream);
            }
        });
        let begun = Instant::now();
        let mut served = Vec::new();
        for _ in 0..40 {
            let mut client = gate.client_saying(said).await;
            if matches!(client.read_u8().await, Ok(b'x')) {
                served.push(client);
            }
        }
        // One tries it at first, and one a second from then on.
        let tries = 2 + usize::try_from(begun.elapsed().as_secs()).unwrap();
        let dialled = dialled.load(Ordering::Relaxed);
        assert!(dialled <= tries, "{dialled} of 40 went to the node that closes");
        assert!(served.len() >= 40 - tries, "only {} of 40 were served", served.len());
        closing.abort();
        serving.abort();
        drop(served);
        gate.end().await;
    }
}
