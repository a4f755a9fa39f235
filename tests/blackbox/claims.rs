//! L3, L8: more claims than one, up to all of them. Clients go to one node, by rule, and the alarm is raised and ends.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::clock::Stamp;
use crate::support::crowd::{assert_avoided, assert_nobody_failed};
use crate::support::gate::Gate;
use crate::support::scene::Scene;
use crate::support::wait::until;

/// Waits until exactly these alarms are raised.
async fn alarms(gate: &Gate, wanted: &[&str]) {
    let wanted: BTreeSet<String> = wanted.iter().map(|alarm| (*alarm).to_owned()).collect();
    until(&format!("the alarms are {wanted:?}"), async || {
        let status: Value = serde_json::from_str(&gate.get("/status").await?.1).ok()?;
        let raised = status["clusters"]["controllers"]["alarms"].as_array()?.clone();
        let raised: BTreeSet<String> = raised.iter().filter_map(|a| a.as_str().map(str::to_owned)).collect();
        (raised == wanted).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l3_l8_when_all_nodes_claim_the_newest_has_the_clients_and_everybody_is_alarmed() {
    let mut scene = Scene::start(&["lead", "follow", "follow"]).await;
    alarms(&scene.gate, &[]).await;
    let begin = Stamp::now();
    let crowd = scene.crowd();
    crowd.served_by("n1", 30, begin).await;
    let second = scene.nodes[1].order("lead").await;
    crowd.served_by("n2", 30, second).await;
    alarms(&scene.gate, &["conflict"]).await;
    let third = scene.nodes[2].order("lead").await;
    crowd.served_by("n3", 30, third).await;
    alarms(&scene.gate, &["conflict", "unanimity"]).await;
    let known = scene.nodes[2].known_since(third).await;
    crowd.served_by("n3", 100, known).await;

    for node in &mut scene.nodes[..2] {
        node.order("follow").await;
    }
    alarms(&scene.gate, &[]).await;
    let visits = crowd.leave().await;
    assert_nobody_failed(&visits, None);
    for older in ["n1", "n2"] {
        assert_avoided(&visits, older, known);
    }
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l3_l8_a_gate_that_starts_where_all_nodes_claim_chooses_by_name_and_is_alarmed() {
    // The stage itself waits for n1.
    let scene = Scene::start(&["lead", "lead", "lead"]).await;
    alarms(&scene.gate, &["conflict", "unanimity"]).await;
    let begin = Stamp::now();
    let crowd = scene.crowd();
    crowd.served_by("n1", 50, begin).await;
    let visits = crowd.leave().await;
    assert_nobody_failed(&visits, None);
    assert!(visits.iter().all(|visit| visit.is_served_by("n1")));
    scene.gate.assert_books_balance().await;
}
