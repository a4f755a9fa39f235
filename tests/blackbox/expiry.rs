//! A node's certificate that expires while the gate runs (L6): the connection that is still open does not hide it, its
//! reason is told, and a new certificate is all that it takes.

use std::time::Duration;

use serde_json::Value;

use crate::support::crowd::assert_nobody_failed;
use crate::support::scene::{Scene, Settings};
use crate::support::wait::until;

/// Long enough for a node to start and to be elected.
const LIFETIME: Duration = Duration::from_secs(10);

/// The node is another process from now on, with a certificate that lives so long, or as long as all others.
async fn renew(scene: &mut Scene, node: usize, lifetime: Option<Duration>) {
    let name = scene.nodes[node].name.clone();
    let identity = match lifetime {
        Some(lifetime) => scene.authority.issue_shortly(&name, lifetime),
        None => scene.authority.issue(&name),
    };
    scene.nodes[node].kill().await;
    scene.gate.sees(&name, "unreachable").await;
    scene.nodes[node].start_again(identity, "follow").await;
    scene.gate.sees(&name, "follower").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l6_a_certificate_that_expires_is_told_and_costs_its_node_the_lead_until_it_is_renewed() {
    let settings = Settings { cluster: "probe.renew = \"100ms\"", ..Settings::default() };
    let mut scene = Scene::with(&["lead", "follow"], settings).await;
    renew(&mut scene, 1, Some(LIFETIME)).await;
    scene.hand_over(0, 1).await;
    scene.gate.routes_to(Some("n2")).await;

    // It goes on saying that it leads; nobody believes what it says under a name that it cannot prove.
    let label = "node=\"n2\",result=\"certificate\"";
    scene.gate.counts("raftgate_probes_total", label, |probes| probes >= 2.0).await;
    scene.gate.routes_to(None).await;
    until("the status tells why", async || {
        let status: Value = serde_json::from_str(&scene.gate.get("/status").await?.1).ok()?;
        let nodes = status["clusters"]["controllers"]["nodes"].as_array()?.clone();
        let node = nodes.iter().find(|node| node["name"] == "n2")?;
        node["detail"].as_str()?.contains("the node's certificate expired at ").then_some(())
    })
    .await;

    // Who comes meanwhile waits for a node that can prove itself.
    let crowd = scene.crowd();
    scene.gate.counts("raftgate_held_connections", "", |held| held >= 10.0).await;
    scene.nodes[1].order("follow").await;
    let claimed = scene.nodes[0].order("lead").await;
    crowd.served_by("n1", 30, claimed).await;
    assert_nobody_failed(&crowd.leave().await, None);

    renew(&mut scene, 1, None).await;
    scene.hand_over(0, 1).await;
    scene.gate.routes_to(Some("n2")).await;
    scene.gate.assert_books_balance().await;
}
