//! A leadership that never rests: clients are served all the same, and the gate does not grow.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::support::clock::Stamp;
use crate::support::crowd::assert_nobody_failed;
use crate::support::scene::Scene;
use crate::support::wait::until;

/// How long a leader rules.
const RULES: Duration = Duration::from_millis(100);
/// For ten seconds in all.
const FLAPS: u32 = 100;
/// What a gate that keeps nothing of its past may still grow by: pages of its allocator.
const SLACK: usize = 4 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_1_a_flapping_leadership_fails_nobody_and_costs_nothing_that_stays() {
    let mut scene = Scene::start(&["lead", "follow", "follow"]).await;
    let crowd = scene.crowd();
    // Once round before anything is measured, so that everything has been used.
    flap(&mut scene, FLAPS / 10).await;
    let (memory, descriptors) = (scene.gate.resident_memory(), scene.gate.descriptors());
    let changes = scene.gate.counts("raftgate_leader_changes_total", "", |changes| changes > 0.0).await;
    flap(&mut scene, FLAPS).await;
    crowd.served_by("n1", 30, Stamp::now()).await;
    let visits = crowd.leave().await;
    assert_nobody_failed(&visits, None);
    let followed =
        scene.gate.counts("raftgate_leader_changes_total", "", |now| now >= changes).await - changes;
    // One for each hand-over that was seen, and the last of those before.
    assert!(followed <= f64::from(FLAPS) + 1.0, "the route changed {followed} times in {FLAPS} hand-overs");
    scene.gate.assert_books_balance().await;
    let grown = scene.gate.resident_memory().saturating_sub(memory);
    assert!(grown < SLACK, "{grown} bytes more than the {memory} before");
    // Connections that are being closed take their moment.
    until(&format!("no more than the {descriptors} descriptors that there were with clients"), async || {
        (scene.gate.descriptors() <= descriptors).then_some(())
    })
    .await;
}

/// Hands the leadership from n1 to n2 and back, so many times in all.
async fn flap(scene: &mut Scene, times: u32) {
    for turn in 0..times {
        let due = Instant::now() + RULES;
        let (from, to) = if turn % 2 == 0 { (0, 1) } else { (1, 0) };
        scene.hand_over(from, to).await;
        sleep_until(due).await;
    }
}
