//! S2: held clients are let go no faster than their node takes them, so that a slow one that has just been elected
//! is not talked down by its own clients.

use tokio::task::JoinSet;

use crate::support::clock::Stamp;
use crate::support::scene::Scene;
use crate::support::wait::within_deadline;

const CLIENTS: u32 = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2_a_herd_of_held_clients_does_not_cost_a_slow_node_its_leadership() {
    let mut scene = Scene::start(&["follow", "follow"]).await;
    // All at once they would keep it busy for six seconds, four times as long as a probe waits.
    scene.nodes[0].order("slow 20").await;
    let mut herd = JoinSet::new();
    for _ in 0..CLIENTS {
        let (trust, gate) = (scene.trust.clone(), scene.gate.address);
        herd.spawn(async move { trust.visit(gate).await });
    }
    scene.gate.counts("raftgate_held_connections", "", |held| held >= f64::from(CLIENTS)).await;
    scene.nodes[0].order("lead").await;
    let visits = within_deadline("the herd", herd.join_all()).await;
    let strays: Vec<_> = visits.iter().filter(|visit| !visit.is_served_by("n1")).collect();
    assert!(strays.is_empty(), "{} of {CLIENTS} clients were not served: {strays:#?}", strays.len());
    // The gate has heard the node once more after all that.
    scene.nodes[0].known_since(Stamp::now()).await;
    assert_eq!(scene.gate.leader().await.as_deref(), Some("n1"));
    let changes = scene.gate.counts("raftgate_leader_changes_total", "", |changes| changes > 0.0).await;
    assert!((changes - 1.0).abs() < 0.5, "the leader changed {changes} times");
    scene.gate.assert_books_balance().await;
}
