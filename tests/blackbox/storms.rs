//! L5: a data port that is dead while the probe port lives makes every client a reason to doubt the leader, and yet no
//! storm of probes or of dials; and all is well as soon as the port is back.

use std::time::Duration;

use crate::support::clock::Stamp;
use crate::support::crowd::assert_nobody_failed;
use crate::support::scene::{Scene, Settings};
use crate::support::wait::{until, within_deadline};

/// How many steps from one probe to the next are measured.
const STEPS: usize = 20;
/// What they take at least: a suspicion an interval of 250 ms no more than doubles the probing, and the jitter is a tenth.
const CALM: Duration = Duration::from_millis(STEPS as u64 * 125 * 85 / 100);

async fn scene(cluster: &str) -> Scene {
    let settings = Settings { separate_probe_ports: true, cluster, ..Settings::default() };
    Scene::with(&["lead", "follow", "follow"], settings).await
}

/// Waits until this node has been probed calmly since `begin`.
async fn assert_calm(scene: &Scene, node: usize, begin: Stamp) {
    until("probing is calm", async || {
        let probes: Vec<Stamp> =
            scene.nodes[node].probes().iter().map(|probe| probe.arrived).filter(|at| *at > begin).collect();
        let (last, first) = (probes.last()?, probes.get(probes.len().checked_sub(STEPS + 1)?)?);
        (last.since(*first) >= CALM).then_some(())
    })
    .await;
}

/// Opens the leader's data port again.
async fn reopen(scene: &mut Scene) -> Stamp {
    let order = format!("listen {}:{}", scene.nodes[0].host, scene.nodes[0].port);
    scene.nodes[0].order(&order).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l5_a_dead_data_port_is_not_stormed_and_good_again_when_it_is_back() {
    let mut scene = scene("").await;
    let begin = Stamp::now();
    let crowd = scene.crowd();
    crowd.served_by("n1", 30, begin).await;
    let refused = scene.nodes[0].order("refuse").await;
    scene.gate.counts("raftgate_connect_failures_total", "node=\"n1\"", |failures| failures >= 10.0).await;
    for node in [0, 1] {
        assert_calm(&scene, node, refused).await;
    }
    // Its own word keeps it the leader: nobody is sent elsewhere, and nobody is turned away.
    assert_eq!(scene.gate.leader().await.as_deref(), Some("n1"));
    let back = reopen(&mut scene).await;
    crowd.served_by("n1", 30, back).await;
    let visits = crowd.leave().await;
    assert_nobody_failed(&visits, None);
    assert!(visits.iter().all(|visit| visit.is_served_by("n1")));
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_a_client_of_a_dead_data_port_tries_again_only_after_each_word_of_the_leader() {
    // So seldom does the leader say its word that backoff alone would bring several dials from one to the next.
    let mut scene = scene("probe.interval = \"1s\"\nprobe.fast_interval = \"1s\"").await;
    let refused = scene.nodes[0].order("refuse").await;
    let client = tokio::spawn({
        let (trust, gate) = (scene.trust.clone(), scene.gate.address);
        async move { trust.visit(gate).await }
    });
    let failures = scene.gate.counts("raftgate_connect_failures_total", "", |failures| failures >= 5.0).await;
    let back = reopen(&mut scene).await;
    let visit = within_deadline("the client", client).await.unwrap();
    assert!(visit.is_served_by("n1"), "{visit:?}");
    // The first failure needs no word, each other one comes after another.
    let words = scene.nodes[0].probes().into_iter();
    let words = words.filter(|probe| probe.arrived > refused && probe.answered < back).count();
    let most = u32::try_from(words).unwrap() + 1;
    assert!(failures <= f64::from(most), "{failures} failures, but n1 said only {words} times that it leads");
    scene.gate.assert_books_balance().await;
}
