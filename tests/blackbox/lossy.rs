//! Networks that lose packets: some of them, and all that go to one port.

use std::time::Duration;

use crate::support::client::Outcome;
use crate::support::clock::Stamp;
use crate::support::crowd::{Crowd, assert_nobody_failed};
use crate::support::inside::{is_inside, lose, pass, swallow};
use crate::support::scene::{Scene, Settings};

/// As many as a network between gate and nodes loses that is hardly of use.
const PERCENT: u32 = 10;
/// So many times each node is asked meanwhile: as often as in 20 seconds by default.
const PROBES: f64 = 80.0;
/// How often a client comes: each has a dozen packets on that way, of which one or the other gets lost.
const EVERY: Duration = Duration::from_millis(20);

const CHANGES: &str = "raftgate_leader_changes_total";
const FAILURES: &str = "raftgate_connect_failures_total";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l2_l4_a_network_that_loses_a_tenth_of_all_packets_changes_no_leader_and_turns_nobody_away() {
    let entry =
        "lossy::l2_l4_a_network_that_loses_a_tenth_of_all_packets_changes_no_leader_and_turns_nobody_away";
    if !is_inside(entry, "packet loss").await {
        return;
    }
    let settings = Settings { cluster: "probe.interval = \"50ms\"", ..Settings::default() };
    let scene = Scene::with(&["lead", "follow", "follow"], settings).await;
    let ports: Vec<u16> = scene.nodes.iter().map(|node| node.port).collect();
    lose(PERCENT, &ports).await;
    let crowd = Crowd::arrive_every(EVERY, &scene.trust, scene.gate.address);
    for node in ["n1", "n2", "n3"] {
        let label = format!("node=\"{node}\"");
        scene.gate.counts("raftgate_probes_total", &label, |probes| probes >= PROBES).await;
    }
    pass().await;
    let visits = crowd.leave().await;
    // A handshake of which too much was lost is ended by the node itself, after five seconds. No client is lost before that.
    for visit in &visits {
        let fate = matches!(visit.outcome, Outcome::Interrupted(_)) || visit.is_served_by("n1");
        assert!(fate, "{visit:?}");
    }
    scene.gate.counts(CHANGES, "", |changes| (changes - 1.0).abs() < 0.5).await;
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_a_leader_whose_port_swallows_connects_costs_its_clients_time_and_nothing_else() {
    let entry = "lossy::s3_a_leader_whose_port_swallows_connects_costs_its_clients_time_and_nothing_else";
    if !is_inside(entry, "a port that swallows connects").await {
        return;
    }
    let settings = Settings {
        separate_probe_ports: true,
        cluster: "connect.timeout = \"300ms\"",
        ..Settings::default()
    };
    let mut scene = Scene::with(&["lead", "follow", "follow"], settings).await;
    swallow(scene.nodes[0].port).await;
    let crowd = scene.crowd();
    let label = "node=\"n1\",reason=\"timeout\"";
    scene.gate.counts(FAILURES, label, |failures| failures >= 20.0).await;
    assert_eq!(scene.gate.leader().await.as_deref(), Some("n1"), "its own word keeps it the leader");
    // What each client has said is kept for the connect that succeeds: the same node's, or the next leader's.
    pass().await;
    crowd.served_by("n1", 30, Stamp::now()).await;
    swallow(scene.nodes[0].port).await;
    scene.gate.counts(FAILURES, label, |failures| failures >= 40.0).await;
    let (_, claimed) = scene.hand_over(0, 1).await;
    crowd.served_by("n2", 30, claimed).await;
    assert_nobody_failed(&crowd.leave().await, None);
    scene.gate.assert_books_balance().await;
}
