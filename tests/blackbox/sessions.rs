//! S5: what becomes of the sessions of a node that leads no more.

use crate::support::client::{assert_echo, assert_reset, say};
use crate::support::scene::{Scene, Settings};

async fn assert_closed_because(scene: &Scene, reason: &str) {
    let label = format!("reason=\"{reason}\"");
    scene.gate.counts("raftgate_connections_closed_total", &label, |closed| (closed - 1.0).abs() < 0.5).await;
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_a_demoted_nodes_sessions_stay_as_the_preset_says() {
    let mut scene = Scene::start(&["lead", "follow"]).await;
    let mut session = scene.echo_session().await;
    let (down, _) = scene.hand_over(0, 1).await;
    scene.gate.routes_to(Some("n2")).await;
    scene.nodes[0].known_since(down).await;
    assert_echo(&mut session).await;
    drop(session);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_a_demoted_nodes_sessions_are_cut_where_that_is_asked_for() {
    let settings = Settings { cluster: "sessions.on_demotion = \"cut\"", ..Settings::default() };
    let mut scene = Scene::with(&["lead", "follow"], settings).await;
    let mut session = scene.echo_session().await;
    scene.hand_over(0, 1).await;
    assert_reset(&mut session).await;
    assert_closed_because(&scene, "cut").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_a_drained_session_that_does_not_end_is_reset() {
    let cluster = "sessions.on_demotion = \"drain\"\nsessions.drain = \"200ms\"";
    let mut scene = Scene::with(&["lead", "follow"], Settings { cluster, ..Settings::default() }).await;
    let mut session = scene.echo_session().await;
    scene.hand_over(0, 1).await;
    assert_reset(&mut session).await;
    assert_closed_because(&scene, "drained").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_a_frozen_nodes_sessions_are_cut_once_another_leads() {
    let mut scene = Scene::start(&["lead", "follow"]).await;
    let mut session = scene.echo_session().await;
    scene.nodes[0].freeze().await;
    scene.gate.sees("n1", "unreachable").await;
    // A silence alone cuts nobody: it may be the gate that is cut off.
    scene.gate.counts("raftgate_connections_active", "", |active| active >= 1.0).await;
    scene.nodes[1].order("lead").await;
    assert_reset(&mut session).await;
    assert_closed_because(&scene, "cut").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_election_again_cancels_a_drain() {
    let cluster = "sessions.on_demotion = \"drain\"\nsessions.drain = \"2s\"";
    let mut scene = Scene::with(&["lead", "follow"], Settings { cluster, ..Settings::default() }).await;
    let mut kept = scene.echo_session().await;
    let (_, claimed) = scene.hand_over(0, 1).await;
    scene.gate.routes_to(Some("n2")).await;
    scene.nodes[1].known_since(claimed).await;
    let (mut drained, node) = scene.trust.connect(scene.gate.address).await.unwrap();
    assert_eq!(node, "n2");
    say(&mut drained, "ECHO").await.unwrap();
    assert_echo(&mut drained).await;
    scene.hand_over(1, 0).await;
    // Its drain began later: by the end of this one the other would have been over.
    assert_reset(&mut drained).await;
    assert_echo(&mut kept).await;
    drop(kept);
    assert_closed_because(&scene, "drained").await;
}

/// A leader that was frozen, replaced and woken still claims: its sessions are neither here nor there until it says of
/// itself that it follows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_a_woken_leaders_sessions_meet_the_fate_of_its_next_verdicts() {
    let cluster = "sessions.on_unreachable = \"keep\"\nsessions.on_demotion = \"cut\"";
    let mut scene =
        Scene::with(&["lead", "follow", "follow"], Settings { cluster, ..Settings::default() }).await;
    let mut session = scene.echo_session().await;
    scene.nodes[0].freeze().await;
    scene.nodes[1].order("lead").await;
    scene.gate.routes_to(Some("n2")).await;
    let woken = scene.nodes[0].wake();
    let stale = scene.nodes[0].probed_after(woken).await;
    assert_eq!(stale.status, 200);
    scene.nodes[0].known_since(woken).await;
    assert_eq!(scene.gate.leader().await.as_deref(), Some("n2"), "a stale claim has taken the route");
    assert_echo(&mut session).await;
    scene.nodes[0].order("follow").await;
    assert_reset(&mut session).await;
    assert_closed_because(&scene, "cut").await;
}
