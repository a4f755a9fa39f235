//! S2: held clients are let go no faster than their node takes them, so that a slow one that has just been elected
//! is not talked down by its own clients.

use tokio::task::JoinSet;

use crate::support::clock::Stamp;
use crate::support::scene::{Scene, Settings};
use crate::support::wait::within_deadline;

/// How many clients of a slow node.
const CLIENTS: u32 = 300;
/// How many of one that is not.
const MANY: u32 = 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2_a_herd_of_held_clients_does_not_cost_a_slow_node_its_leadership() {
    let mut scene = Scene::start(&["follow", "follow"]).await;
    // All at once they would keep it busy for six seconds, four times as long as a probe waits.
    scene.nodes[0].order("slow 20").await;
    hold_and_release(&mut scene, CLIENTS).await;
    // The gate has heard the node once more after all that.
    scene.nodes[0].known_since(Stamp::now()).await;
    assert_eq!(scene.gate.leader().await.as_deref(), Some("n1"));
    let changes = scene.gate.counts("raftgate_leader_changes_total", "", |changes| changes > 0.0).await;
    assert!((changes - 1.0).abs() < 0.5, "the leader changed {changes} times");
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2_a_thousand_clients_that_were_held_are_all_served() {
    // The hold outlasts the gathering of so many on a busy machine.
    let settings = Settings { cluster: "hold.timeout = \"60s\"", ..Settings::default() };
    let mut scene = Scene::with(&["follow", "follow"], settings).await;
    hold_and_release(&mut scene, MANY).await;
    scene.gate.assert_books_balance().await;
}

/// Lets so many clients come, and a leader be there once all of them are held; each is served by it.
async fn hold_and_release(scene: &mut Scene, clients: u32) {
    let mut herd = JoinSet::new();
    for _ in 0..clients {
        let (trust, gate) = (scene.trust.clone(), scene.gate.address);
        herd.spawn(async move { trust.visit(gate).await });
    }
    scene.gate.counts("raftgate_held_connections", "", |held| held >= f64::from(clients)).await;
    scene.nodes[0].order("lead").await;
    let visits = within_deadline("the herd", herd.join_all()).await;
    let strays: Vec<_> = visits.iter().filter(|visit| !visit.is_served_by("n1")).collect();
    assert!(strays.is_empty(), "{} of {clients} clients were not served: {strays:#?}", strays.len());
}
