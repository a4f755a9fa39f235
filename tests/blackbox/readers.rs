//! `listeners.N.to`: one cluster, a listener for writes and one for reads, and what readers live through when nodes
//! change their roles, die, freeze, or are not there.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use crate::support::client::{Outcome, Stream, Visit, assert_echo, assert_reset, say};
use crate::support::clock::Stamp;
use crate::support::crowd::{Crowd, assert_avoided, assert_nobody_failed};
use crate::support::scene::{Scene, Settings};
use crate::support::wait::{until, within_deadline};

/// How many clients have to be served by each node that may have them.
const ENOUGH: usize = 20;

/// A scene with a second listener, `reads`, that goes `to` there.
async fn scene(first_orders: &[&str], to: &str, settings: Settings<'_>) -> Scene {
    let top =
        format!("[listeners.reads]\nbind = \"127.0.0.1:0\"\ncluster = \"controllers\"\nto = \"{to}\"\n");
    let scene = Scene::with(first_orders, Settings { top: &top, ..settings }).await;
    let wanted = |order: &str| order == "follow" || (to == "any" && order == "lead");
    let nodes: Vec<String> = first_orders
        .iter()
        .zip(1..)
        .filter(|(order, _)| wanted(order))
        .map(|(_, number)| format!("n{number}"))
        .collect();
    readers_go_to(&scene, to, &nodes.iter().map(String::as_str).collect::<Vec<_>>()).await;
    scene
}

/// Waits until readers who go `to` there are sent to these nodes.
async fn readers_go_to(scene: &Scene, to: &str, nodes: &[&str]) {
    until(&format!("readers go to {nodes:?}"), async || {
        (status(scene).await?["readers"][to] == serde_json::json!(nodes)).then_some(())
    })
    .await;
}

/// What is shown of the cluster; `None` while the gate does not answer.
async fn status(scene: &Scene) -> Option<Value> {
    let mut status: Value = serde_json::from_str(&scene.gate.get("/status").await?.1).ok()?;
    Some(status["clusters"]["controllers"].take())
}

fn reads(scene: &Scene) -> SocketAddr {
    scene.gate.listener("reads")
}

fn readers(scene: &Scene) -> Crowd {
    Crowd::arrive(&scene.trust, reads(scene))
}

/// Sessions of readers, until each of these nodes has one; they echo.
async fn sessions_with(scene: &Scene, nodes: &[&str]) -> Vec<(Stream, String)> {
    let mut sessions: Vec<(Stream, String)> = Vec::new();
    while !nodes.iter().all(|node| sessions.iter().any(|(_, with)| with == node)) {
        assert!(sessions.len() < 100, "readers do not come to each of {nodes:?}");
        let (mut session, node) = scene.trust.connect(reads(scene)).await.unwrap();
        say(&mut session, "ECHO").await.unwrap();
        assert_echo(&mut session).await;
        sessions.push((session, node));
    }
    sessions
}

/// The sessions of this node are reset and all others go on.
async fn assert_only_reset(sessions: Vec<(Stream, String)>, node: &str) {
    for (mut session, with) in sessions {
        if with == node {
            assert_reset(&mut session).await;
        } else {
            assert_echo(&mut session).await;
        }
    }
}

fn assert_all_follow(visits: &[Visit]) {
    let misled: Vec<_> =
        visits.iter().filter(|visit| visit.outcome != Outcome::Served { leads: false }).collect();
    assert!(misled.is_empty(), "not served by a follower: {misled:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_are_spread_over_the_followers_and_writes_go_to_the_leader() {
    let scene = scene(&["lead", "follow", "follow"], "followers", Settings::default()).await;
    let begin = Stamp::now();
    let (writers, readers) = (scene.crowd(), readers(&scene));
    for node in ["n2", "n3"] {
        readers.served_by(node, ENOUGH, begin).await;
    }
    writers.served_by("n1", ENOUGH, begin).await;
    assert_all_follow(&readers.leave().await);
    let visits = writers.leave().await;
    assert!(visits.iter().all(|visit| visit.is_served_by("n1")), "{visits:#?}");
    scene.gate.counts("raftgate_connections_active", "", |active| active == 0.0).await;

    let mut sessions = Vec::new();
    for _ in 0..100 {
        sessions.push(scene.trust.connect(reads(&scene)).await.unwrap());
    }
    let with = |node: &str| sessions.iter().filter(|(_, with)| with == node).count();
    assert!(with("n2").abs_diff(with("n3")) <= 4, "{} and {} of 100", with("n2"), with("n3"));
    assert_eq!(with("n1"), 0);
    let shown = scene.gate.counts("raftgate_sessions_active", "node=\"n2\"", |_| true).await;
    assert!((45.0..=55.0).contains(&shown), "{shown} sessions of n2 are shown");
    drop(sessions);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_1_a_hand_over_turns_readers_round_and_refuses_none() {
    let cluster = "sessions.on_demotion = \"drain\"\nsessions.drain = \"10s\"";
    let settings = Settings { cluster, ..Settings::default() };
    let mut scene = scene(&["lead", "follow", "follow"], "followers", settings).await;
    let begin = Stamp::now();
    let readers = readers(&scene);
    readers.served_by("n2", ENOUGH, begin).await;
    let (down, up) = scene.hand_over(0, 1).await;
    let known = scene.nodes[1].known_since(up).await.max(scene.nodes[0].known_since(down).await);
    readers_go_to(&scene, "followers", &["n1", "n3"]).await;
    for node in ["n1", "n3"] {
        readers.served_by(node, ENOUGH, known).await;
    }
    let visits = readers.leave().await;
    assert_nobody_failed(&visits, None);
    assert_avoided(&visits, "n2", known);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_the_readers_of_a_follower_that_leads_now_meet_their_configured_fate() {
    for (cluster, reason) in [
        ("sessions.on_demotion = \"cut\"", "cut"),
        ("sessions.on_demotion = \"drain\"\nsessions.drain = \"200ms\"", "drained"),
    ] {
        let settings = Settings { cluster, ..Settings::default() };
        let mut scene = scene(&["lead", "follow", "follow"], "followers", settings).await;
        let sessions = sessions_with(&scene, &["n2", "n3"]).await;
        scene.hand_over(0, 1).await;
        assert_only_reset(sessions, "n2").await;
        let label = format!("reason=\"{reason}\"");
        scene.gate.counts("raftgate_connections_closed_total", &label, |closed| closed >= 1.0).await;
        scene.gate.assert_books_balance().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_a_frozen_followers_readers_are_cut_and_nobody_new_is_refused() {
    let scene = scene(&["lead", "follow", "follow"], "followers", Settings::default()).await;
    let sessions = sessions_with(&scene, &["n2", "n3"]).await;
    let begin = Stamp::now();
    let readers = readers(&scene);
    readers.served_by("n3", ENOUGH, begin).await;
    let frozen = scene.nodes[2].freeze().await;
    readers_go_to(&scene, "followers", &["n2"]).await;
    readers.served_by("n2", ENOUGH, Stamp::now()).await;
    assert_only_reset(sessions, "n3").await;
    assert_nobody_failed(&readers.leave().await, Some(("n3", frozen)));
    // Who had gone there and had no answer was moved.
    scene.gate.counts("raftgate_connections_moved_total", "", |moved| moved >= 1.0).await;
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_where_silence_keeps_sessions_a_frozen_followers_go_on_when_it_wakes() {
    let settings = Settings { cluster: "sessions.on_unreachable = \"keep\"", ..Settings::default() };
    let scene = scene(&["lead", "follow", "follow"], "followers", settings).await;
    let sessions = sessions_with(&scene, &["n2", "n3"]).await;
    scene.nodes[2].freeze().await;
    readers_go_to(&scene, "followers", &["n2"]).await;
    scene.nodes[2].wake();
    readers_go_to(&scene, "followers", &["n2", "n3"]).await;
    assert_only_reset(sessions, "nobody").await;
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_when_a_follower_is_killed_readers_go_to_another_at_once() {
    let mut scene = scene(&["lead", "follow", "follow"], "followers", Settings::default()).await;
    let begin = Stamp::now();
    let readers = readers(&scene);
    readers.served_by("n3", ENOUGH, begin).await;
    let epoch = status(&scene).await.unwrap()["epoch"].take();
    let killed = scene.nodes[2].kill().await;
    readers.served_by("n2", ENOUGH, killed).await;
    readers_go_to(&scene, "followers", &["n2"]).await;
    assert_nobody_failed(&readers.leave().await, Some(("n3", killed)));
    scene.gate.routes_to(Some("n1")).await;
    assert_eq!(status(&scene).await.unwrap()["epoch"], epoch, "the leader's route was touched");
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_a_followers_dead_data_port_beside_a_live_probe_port_costs_no_reader_anything() {
    let settings = Settings { separate_probe_ports: true, ..Settings::default() };
    let mut scene = scene(&["lead", "follow", "follow"], "followers", settings).await;
    let closed = scene.nodes[2].order("refuse").await;
    let readers = readers(&scene);
    readers.served_by("n2", 2 * ENOUGH, closed).await;
    scene.gate.counts("raftgate_connect_failures_total", "node=\"n3\"", |failures| failures >= 1.0).await;
    assert_nobody_failed(&readers.leave().await, None);
    readers_go_to(&scene, "followers", &["n2", "n3"]).await;
    let held = scene.gate.counts("raftgate_hold_duration_seconds_count", "", |_| true).await;
    assert!(held < 0.5, "{held} readers had to wait");
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l5_followers_that_close_after_each_answer_are_not_stormed() {
    let mut scene = scene(&["lead", "follow", "follow"], "followers", Settings::default()).await;
    for node in &mut scene.nodes {
        node.order("close-each").await;
    }
    // As for the leader: each closed connection is a signal, yet probing no more than doubles.
    until("probing is calm", async || {
        let probes = scene.nodes[1].probes();
        let [first, .., last] = probes.last_chunk::<21>()?;
        (last.arrived.since(first.arrived) >= Duration::from_millis(20 * 125 * 85 / 100)).then_some(())
    })
    .await;
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2_without_a_follower_readers_are_held_and_served_once_there_is_one() {
    let mut scene = scene(&["lead", "status 503"], "followers", Settings::default()).await;
    let (trust, gate) = (scene.trust.clone(), reads(&scene));
    let reader = tokio::spawn(async move { trust.visit(gate).await });
    scene.gate.counts("raftgate_held_connections", "", |held| held >= 1.0).await;
    assert!(scene.trust.visit(scene.gate.address).await.is_served_by("n1"), "who leads is not their concern");
    scene.nodes[1].order("follow").await;
    let visit = within_deadline("the reader", reader).await.unwrap();
    assert!(visit.is_served_by("n2"), "{visit:?}");
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2_hold_then_is_for_readers_who_were_held_in_vain() {
    for (then, served) in [("refuse", None), ("last_leader", Some("n1")), ("any_reachable", Some("n1"))] {
        let cluster = format!("hold.timeout = \"100ms\"\nhold.then = \"{then}\"");
        let settings = Settings { cluster: &cluster, ..Settings::default() };
        let scene = scene(&["lead", "status 503"], "followers", settings).await;
        let visit = scene.trust.visit(reads(&scene)).await;
        match served {
            Some(node) => assert!(visit.is_served_by(node), "{then}: {visit:?}"),
            None => assert!(matches!(visit.outcome, Outcome::Failed(_)), "{then}: {visit:?}"),
        }
        scene.gate.assert_books_balance().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_who_goes_to_any_node_does_not_notice_who_leads() {
    let settings = Settings { cluster: "sessions.on_demotion = \"cut\"", ..Settings::default() };
    let mut scene = scene(&["lead", "follow", "follow"], "any", settings).await;
    let sessions = sessions_with(&scene, &["n1", "n2", "n3"]).await;
    let readers = readers(&scene);
    let mut writer = scene.echo_session().await;
    let (_, up) = scene.hand_over(0, 1).await;
    scene.gate.routes_to(Some("n2")).await;
    // Not by each of them: one that has more sessions than both others gets nobody.
    until("readers are served", async || (readers.done_since("n3", up).1 >= ENOUGH).then_some(())).await;
    assert_nobody_failed(&readers.leave().await, None);
    // The leader's own session is cut, so that a cut could have come to the readers by now.
    assert_reset(&mut writer).await;
    assert_only_reset(sessions, "nobody").await;
    drop(writer);
    scene.gate.assert_books_balance().await;
}
