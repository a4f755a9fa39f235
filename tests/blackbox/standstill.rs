//! S5: silence that says nothing of a node's sessions: a leader that stood still for a while, a gate that was cut off.

use std::time::Duration;

use tokio::time::sleep;

use crate::support::client::assert_echo;
use crate::support::clock::Stamp;
use crate::support::scene::{Scene, Settings};

/// As long as a virtual machine may stand still while it is moved to another host.
const STUN: Duration = Duration::from_secs(2);

async fn assert_nothing_was_cut(scene: &Scene) {
    scene.gate.counts("raftgate_connections_closed_total", "reason=\"cut\"", |cut| cut < 0.5).await;
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_a_leader_that_is_stunned_without_an_election_keeps_its_sessions() {
    let scene = Scene::start(&["lead", "follow", "follow"]).await;
    let mut session = scene.echo_session().await;
    scene.nodes[0].freeze().await;
    sleep(STUN).await;
    let woken = scene.nodes[0].wake();
    scene.nodes[0].known_since(woken).await;
    assert_echo(&mut session).await;

    // Longer than the gate waits before it takes the leader for lost.
    scene.nodes[0].freeze().await;
    scene.gate.sees("n1", "unreachable").await;
    scene.nodes[0].wake();
    scene.gate.routes_to(Some("n1")).await;
    assert_echo(&mut session).await;
    drop(session);
    assert_nothing_was_cut(&scene).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_a_gate_that_was_cut_off_from_all_nodes_has_cut_nobody() {
    // So that nothing but the rule itself can be what saves the session.
    let cluster = "probe.timeout = \"300ms\"\nsessions.unreachable_after = \"1ms\"";
    let mut scene =
        Scene::with(&["lead", "follow", "follow"], Settings { cluster, ..Settings::default() }).await;
    let mut session = scene.echo_session().await;
    // All nodes standing still look to the gate as its own network does when it is gone.
    for node in &scene.nodes {
        node.freeze().await;
    }
    for name in ["n1", "n2", "n3"] {
        scene.gate.sees(name, "unreachable").await;
    }
    // Another node is back first, and has been elected meanwhile.
    scene.nodes[1].wake();
    let claimed = scene.nodes[1].order("lead").await;
    scene.nodes[0].wake();
    scene.nodes[0].order("follow").await;
    scene.nodes[2].wake();
    for node in &scene.nodes {
        node.known_since(Stamp::now().max(claimed)).await;
    }
    assert_echo(&mut session).await;
    drop(session);
    assert_nothing_was_cut(&scene).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l7_a_gate_that_stood_still_sends_nobody_on_an_old_word() {
    // No client is moved, so that each shows where it was sent first.
    let cluster = "connect.on_first_byte = false\nsessions.on_demotion = \"keep\"";
    let mut scene =
        Scene::with(&["lead", "follow", "follow"], Settings { cluster, ..Settings::default() }).await;
    for round in 0..4 {
        let (old, new) = if round % 2 == 0 { (0, 1) } else { (1, 0) };
        scene.gate.routes_to(Some(&scene.nodes[old].name)).await;
        scene.gate.stand_still().await;
        scene.nodes[old].order("follow").await;
        scene.nodes[new].order("lead").await;
        // Longer than any statement is old in normal operation, and shorter than the lease.
        sleep(Duration::from_millis(700)).await;
        let visits = (0..30).map(|_| {
            let (trust, gate) = (scene.trust.clone(), scene.gate.address);
            tokio::spawn(async move { trust.visit(gate).await })
        });
        let visits: Vec<_> = visits.collect();
        scene.gate.go_on();
        for visit in visits {
            let visit = visit.await.unwrap();
            assert!(visit.is_served_by(&scene.nodes[new].name), "round {round}: {visit:?}");
        }
    }
    scene.gate.assert_books_balance().await;
}
