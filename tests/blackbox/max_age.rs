//! `max_age`: with it, not one client of a hand-over reaches a node that leads no more, and all clients of a moment
//! cost the leader one probe.

use std::time::Duration;

use tokio::task::JoinSet;

use crate::support::clock::Stamp;
use crate::support::crowd::assert_nobody_failed;
use crate::support::scene::{Scene, Settings};
use crate::support::wait::within_deadline;

/// How many clients have to be served before and after a hand-over.
const ENOUGH: usize = 30;

/// Hands the leadership over under a stream of clients. Whoever comes later than `max_age` after the step-down must not
/// meet the old leader: by the probes' interval alone, some would for half a second.
async fn assert_nobody_is_misled(key: &str, max_age: Duration) {
    let key = format!("{key}\nprobe.interval = \"500ms\"\nprobe.fast_interval = \"500ms\"");
    let settings = Settings { cluster: &key, ..Settings::default() };
    let mut scene = Scene::with(&["lead", "follow", "follow"], settings).await;
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        let (old, new) = (scene.nodes[from].name.clone(), scene.nodes[to].name.clone());
        let (begin, crowd) = (Stamp::now(), scene.crowd());
        crowd.served_by(&old, ENOUGH, begin).await;
        let (down, up) = scene.hand_over(from, to).await;
        crowd.served_by(&new, ENOUGH, up).await;
        let visits = crowd.leave().await;
        assert_nobody_failed(&visits, None);
        let misled = visits
            .iter()
            .filter(|visit| visit.started.since(down) > max_age && visit.node.as_deref() == Some(&old));
        let misled: Vec<_> = misled.collect();
        assert!(misled.is_empty(), "{} clients met {old} after {down}: {misled:#?}", misled.len());
    }
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_1_with_max_age_0s_nobody_who_comes_after_the_step_down_meets_the_old_leader() {
    assert_nobody_is_misled("max_age = \"0s\"", Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_1_with_max_age_50ms_nobody_who_comes_later_than_that_meets_the_old_leader() {
    assert_nobody_is_misled("max_age = \"50ms\"", Duration::from_millis(50)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_wait_together_share_a_probe() {
    const MANY: usize = 100;
    let key =
        "max_age = \"0s\"\nprobe.interval = \"1s\"\nprobe.fast_interval = \"1s\"\nprobe.timeout = \"20s\"";
    let scene = Scene::with(&["lead", "follow"], Settings { cluster: key, ..Settings::default() }).await;
    scene.nodes[0].freeze().await;
    let mut clients = JoinSet::new();
    for _ in 0..MANY {
        let (trust, gate) = (scene.trust.clone(), scene.gate.address);
        clients.spawn(async move { trust.visit(gate).await });
    }
    let all = f64::from(u32::try_from(MANY).unwrap());
    scene.gate.counts("raftgate_held_connections", "", |held| held >= all).await;
    let woken = scene.nodes[0].wake();
    let visits = within_deadline("the clients", clients.join_all()).await;
    assert!(visits.iter().all(|visit| visit.is_served_by("n1")), "{visits:#?}");
    // The one for all, the one that was under way, and those that are due while the clients are served.
    let probes = scene.nodes[0].probes().into_iter().filter(|probe| probe.answered > woken).count();
    assert!(probes < MANY / 4, "{probes} probes for {MANY} clients");
    scene.gate.assert_books_balance().await;
}
