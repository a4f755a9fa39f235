//! S2: what clients live through while nobody leads.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::client::Outcome;
use crate::support::crowd::assert_nobody_failed;
use crate::support::scene::{Scene, Settings};

const FOLLOWERS: [&str; 3] = ["follow", "follow", "follow"];

fn held_shortly(then: &str) -> String {
    format!("hold.timeout = \"300ms\"\nhold.then = \"{then}\"")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2_without_a_leader_at_start_clients_are_held_then_served() {
    let mut scene = Scene::start(&FOLLOWERS).await;
    let crowd = scene.crowd();
    scene.gate.counts("raftgate_held_connections", "cluster=\"controllers\"", |held| held >= 20.0).await;
    let claimed = scene.nodes[1].order("lead").await;
    crowd.served_by("n2", 30, claimed).await;
    let visits = crowd.leave().await;
    assert_nobody_failed(&visits, None);
    assert!(visits[0].started < claimed && visits[0].is_served_by("n2"), "{:?}", visits[0]);
    scene.gate.assert_books_balance().await;
}

/// The beginning of a `ClientHello`: a record of 512 bytes, and in it a message of 508.
const PART_OF_A_HELLO: [u8; 11] = [22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2_held_clients_that_close_are_dialled_for_by_no_node() {
    let settings = Settings { cluster: "hold.limit = 20", ..Settings::default() };
    let mut scene = Scene::with(&FOLLOWERS, settings).await;
    let held = "raftgate_held_connections";
    let mut giving_up = Vec::new();
    for _ in 0..20 {
        let mut client = TcpStream::connect(scene.gate.address).await.unwrap();
        client.write_all(&PART_OF_A_HELLO).await.unwrap();
        giving_up.push(client);
    }
    scene.gate.counts(held, "cluster=\"controllers\"", |held| held >= 20.0).await;
    drop(giving_up);
    scene.gate.counts(held, "cluster=\"controllers\"", |held| held < 1.0).await;
    let (trust, gate) = (scene.trust.clone(), scene.gate.address);
    let living = tokio::spawn(async move { trust.visit(gate).await });
    scene.gate.counts(held, "cluster=\"controllers\"", |held| held >= 1.0).await;
    scene.nodes[0].order("lead").await;
    assert!(living.await.unwrap().is_served_by("n1"));
    scene.gate.counts("raftgate_connect_duration_seconds_count", "", |dials| dials >= 1.0).await;
    let dials = scene.gate.counts("raftgate_connect_duration_seconds_count", "", |_| true).await;
    assert!(dials < 2.0, "{dials} dials for one client that stayed");
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2_a_hold_that_ends_in_refuse_is_a_reset() {
    let cluster = held_shortly("refuse");
    let settings = Settings { cluster: &cluster, ..Settings::default() };
    let mut scene = Scene::with(&FOLLOWERS, settings).await;
    let visit = scene.trust.visit(scene.gate.address).await;
    let Outcome::Failed(error) = &visit.outcome else { panic!("{visit:?}") };
    assert!(error.contains("reset"), "{error}");
    scene.gate.counts("raftgate_hold_timeouts_total", "", |timeouts| timeouts >= 1.0).await;
    scene
        .gate
        .counts("raftgate_connections_closed_total", "reason=\"leaderless\"", |closed| closed >= 1.0)
        .await;
    scene.nodes[0].order("lead").await;
    scene.gate.routes_to(Some("n1")).await;
    assert!(scene.trust.visit(scene.gate.address).await.is_served_by("n1"));
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2_a_hold_that_ends_in_last_leader_goes_where_it_went_before() {
    let cluster = held_shortly("last_leader");
    let settings = Settings { cluster: &cluster, ..Settings::default() };
    let mut scene = Scene::with(&["follow", "lead", "follow"], settings).await;
    scene.nodes[1].order("follow").await;
    scene.gate.routes_to(None).await;
    let visit = scene.trust.visit(scene.gate.address).await;
    assert_eq!((visit.node.as_deref(), &visit.outcome), (Some("n2"), &Outcome::Served { leads: false }));
    // A stand-in is no route.
    scene.gate.routes_to(None).await;
    scene.nodes[2].order("lead").await;
    scene.gate.routes_to(Some("n3")).await;
    assert!(scene.trust.visit(scene.gate.address).await.is_served_by("n3"));
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2_a_hold_that_ends_in_any_reachable_goes_to_a_node_that_answers() {
    let cluster = held_shortly("any_reachable");
    let settings = Settings { cluster: &cluster, ..Settings::default() };
    let mut scene = Scene::with(&["lead", "follow", "follow"], settings).await;
    scene.nodes[0].kill().await;
    scene.nodes[1].kill().await;
    scene.gate.sees("n1", "unreachable").await;
    scene.gate.sees("n2", "unreachable").await;
    let visit = scene.trust.visit(scene.gate.address).await;
    assert_eq!((visit.node.as_deref(), &visit.outcome), (Some("n3"), &Outcome::Served { leads: false }));
    scene.gate.routes_to(None).await;
    assert!(visit.ended.since(visit.started) < Duration::from_secs(10), "{visit:?}");
    scene.gate.assert_books_balance().await;
}
