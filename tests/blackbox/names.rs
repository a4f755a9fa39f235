//! Nodes with names instead of addresses.

use serde_json::Value;

use crate::support::scene::{Scene, Settings};
use crate::support::wait::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_with_several_addresses_leads_to_the_one_that_answers() {
    // Where `localhost` stands for ::1, too, nobody listens there.
    let settings = Settings { host: Some("localhost"), ..Settings::default() };
    let mut scene = Scene::with(&["lead", "follow"], settings).await;
    assert!(scene.trust.visit(scene.gate.address).await.is_served_by("n1"));
    scene.hand_over(0, 1).await;
    scene.gate.routes_to(Some("n2")).await;
    assert!(scene.trust.visit(scene.gate.address).await.is_served_by("n2"));
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_cannot_be_looked_up_is_no_failure_of_the_start() {
    // Reserved for what must not exist. Whether the name service says so or does not answer is the same here.
    let settings = Settings { cluster: "nodes.lost = \"ctrl.invalid:1280\"", ..Settings::default() };
    let scene = Scene::with(&["lead"], settings).await;
    scene.gate.sees("lost", "unreachable").await;
    let label = "cluster=\"controllers\",node=\"lost\",result=\"dns\"";
    scene.gate.counts("raftgate_probes_total", label, |probes| probes >= 1.0).await;
    until("the status tells why", async || {
        let status: Value = serde_json::from_str(&scene.gate.get("/status").await?.1).ok()?;
        let nodes = status["clusters"]["controllers"]["nodes"].as_array()?.clone();
        let lost = nodes.iter().find(|node| node["name"] == "lost")?;
        assert_eq!(lost["address"], "ctrl.invalid:1280", "{lost}");
        lost["detail"].as_str()?.contains("ctrl.invalid:1280 has no address").then_some(())
    })
    .await;
    assert_eq!(scene.gate.leader().await.as_deref(), Some("n1"), "the others are not harmed");
}
