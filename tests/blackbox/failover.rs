//! Promise 1 and 2: nobody notices a failover. Each fault strikes under a stream of clients.

use std::time::Duration;

use crate::support::client::Outcome;
use crate::support::clock::Stamp;
use crate::support::crowd::{assert_avoided, assert_nobody_failed};
use crate::support::scene::{Scene, Settings};
use crate::support::wait::until;

/// How many clients have to be served before and after a fault.
const ENOUGH: usize = 30;

/// So many clients at once mean that they are not being answered.
const WAITING: f64 = 10.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_1_when_the_leader_is_killed_nobody_is_refused() {
    let mut scene = Scene::start(&["lead", "follow", "follow"]).await;
    let begin = Stamp::now();
    let crowd = scene.crowd();
    crowd.served_by("n1", ENOUGH, begin).await;
    let killed = scene.nodes[0].kill().await;
    scene.gate.routes_to(None).await;
    scene.gate.counts("raftgate_held_connections", "", |held| held >= WAITING).await;
    let claimed = scene.nodes[1].order("lead").await;
    crowd.served_by("n2", ENOUGH, claimed).await;
    let visits = crowd.leave().await;
    assert_nobody_failed(&visits, Some(("n1", killed)));
    assert!(visits.iter().all(|visit| visit.node.as_deref() != Some("n3")), "a follower was given clients");
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_1_when_the_leader_is_frozen_unanswered_clients_are_moved() {
    let mut scene = Scene::start(&["lead", "follow", "follow"]).await;
    let begin = Stamp::now();
    let crowd = scene.crowd();
    crowd.served_by("n1", ENOUGH, begin).await;
    let frozen = scene.nodes[0].freeze().await;
    scene.gate.counts("raftgate_connections_active", "", |active| active >= WAITING).await;
    let claimed = scene.nodes[1].order("lead").await;
    crowd.served_by("n2", ENOUGH, claimed).await;
    let visits = crowd.leave().await;
    assert_nobody_failed(&visits, Some(("n1", frozen)));
    scene.gate.counts("raftgate_connections_moved_total", "", |moved| moved >= 1.0).await;
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l3_a_woken_stale_leader_never_gets_clients_again() {
    let mut scene = Scene::start(&["lead", "follow", "follow"]).await;
    let begin = Stamp::now();
    let crowd = scene.crowd();
    crowd.served_by("n1", ENOUGH, begin).await;
    let frozen = scene.nodes[0].freeze().await;
    let claimed = scene.nodes[1].order("lead").await;
    let followed = scene.nodes[1].known_since(claimed).await;
    scene.gate.sees("n1", "unreachable").await;
    let woken = scene.nodes[0].wake();
    // It goes on claiming what was true when it stopped, and the gate hears it several times.
    until("n1 has claimed five times since it woke", async || {
        let claims =
            scene.nodes[0].probes().into_iter().filter(|probe| probe.arrived > woken && probe.status == 200);
        (claims.count() >= 5).then_some(())
    })
    .await;
    scene.gate.sees("n1", "leader").await;
    crowd.served_by("n2", ENOUGH, Stamp::now()).await;
    let visits = crowd.leave().await;
    assert_nobody_failed(&visits, Some(("n1", frozen)));
    assert_avoided(&visits, "n1", followed);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_1_hand_overs_to_and_fro_are_noticed_by_nobody() {
    let mut scene = Scene::start(&["lead", "follow", "follow"]).await;
    let crowd = scene.crowd();
    let mut periods = Vec::new();
    for (from, to) in [(0, 1), (1, 2), (2, 0), (0, 1), (1, 0)] {
        let (down, up) = scene.hand_over(from, to).await;
        let new = scene.nodes[to].name.clone();
        let begin = scene.nodes[from].known_since(down).await.max(scene.nodes[to].known_since(up).await);
        crowd.served_by(&new, ENOUGH, begin).await;
        periods.push((new, begin, Stamp::now()));
    }
    let visits = crowd.leave().await;
    assert_nobody_failed(&visits, None);
    for (leader, begin, end) in periods {
        let within = visits.iter().filter(|visit| visit.started > begin && visit.ended < end);
        let misled: Vec<_> = within
            .filter(|visit| !visit.is_served_by(&leader) || visit.outcome != Outcome::Served { leads: true })
            .collect();
        assert!(misled.is_empty(), "while {leader} led: {misled:#?}");
    }
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_1_a_client_that_comes_after_the_step_down_is_known_never_meets_the_old_leader() {
    let mut scene = Scene::start(&["lead", "follow", "follow"]).await;
    let crowd = scene.crowd();
    let down = scene.nodes[0].order("follow").await;
    let known = scene.nodes[0].known_since(down).await;
    // Nobody leads: whoever comes now is held.
    scene.gate.counts("raftgate_held_connections", "", |held| held >= WAITING).await;
    let claimed = scene.nodes[2].order("lead").await;
    crowd.served_by("n3", ENOUGH, claimed).await;
    let visits = crowd.leave().await;
    assert_nobody_failed(&visits, None);
    assert_avoided(&visits, "n1", known);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l3_of_two_claimants_the_newest_gets_all_new_clients() {
    let mut scene = Scene::start(&["lead", "follow", "follow"]).await;
    let claimed = scene.nodes[1].order("lead").await;
    let known = scene.nodes[1].known_since(claimed).await;
    let crowd = scene.crowd();
    crowd.served_by("n2", ENOUGH, known).await;
    scene.gate.counts("raftgate_leaders_observed", "", |leaders| (leaders - 2.0).abs() < 0.5).await;
    let visits = crowd.leave().await;
    assert_nobody_failed(&visits, None);
    assert_avoided(&visits, "n1", known);

    // The newest claim is withdrawn: the older one is the route again, once it has been confirmed.
    let crowd = scene.crowd();
    let down = scene.nodes[1].order("follow").await;
    let known = scene.nodes[1].known_since(down).await;
    crowd.served_by("n1", ENOUGH, known).await;
    let visits = crowd.leave().await;
    assert_nobody_failed(&visits, None);
    assert_avoided(&visits, "n2", known);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_s4_a_leader_that_accepts_and_stays_silent_loses_its_clients_to_the_next() {
    let mut scene = Scene::start(&["lead", "follow", "follow"]).await;
    let begin = Stamp::now();
    let crowd = scene.crowd();
    crowd.served_by("n1", ENOUGH, begin).await;
    let mute = scene.nodes[0].order("mute").await;
    scene.gate.counts("raftgate_connections_active", "", |active| active >= WAITING).await;
    scene.gate.sees("n1", "unreachable").await;
    let claimed = scene.nodes[1].order("lead").await;
    crowd.served_by("n2", ENOUGH, claimed).await;
    let visits = crowd.leave().await;
    assert_nobody_failed(&visits, Some(("n1", mute)));
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l2_a_leader_that_only_does_tls_counts_as_unreachable() {
    let mut scene = Scene::start(&["lead", "follow", "follow"]).await;
    scene.nodes[0].order("silent").await;
    scene.gate.routes_to(None).await;
    scene.gate.sees("n1", "unreachable").await;
    scene.nodes[1].order("lead").await;
    scene.gate.routes_to(Some("n2")).await;
    assert!(scene.trust.visit(scene.gate.address).await.is_served_by("n2"));
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l2_an_answer_that_is_no_statement_counts_as_unfit() {
    let mut scene = Scene::start(&["lead", "follow", "follow"]).await;
    scene.nodes[0].order("status 503").await;
    scene.gate.sees("n1", "unfit").await;
    scene.gate.routes_to(None).await;
    // A bare 200 is what every node says on a wrong path: it is no claim.
    scene.nodes[1].order("status 200").await;
    scene.gate.sees("n2", "unfit").await;
    scene.gate.routes_to(None).await;
    scene.nodes[0].order("lead").await;
    scene.gate.routes_to(Some("n1")).await;
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_a_dead_data_port_beside_a_live_probe_port_keeps_clients_until_another_leads() {
    let settings = Settings { separate_probe_ports: true, ..Settings::default() };
    let mut scene = Scene::with(&["lead", "follow", "follow"], settings).await;
    let begin = Stamp::now();
    let crowd = scene.crowd();
    crowd.served_by("n1", ENOUGH, begin).await;
    scene.nodes[0].order("refuse").await;
    scene.gate.counts("raftgate_connect_failures_total", "node=\"n1\"", |failures| failures >= WAITING).await;
    let (_, claimed) = scene.hand_over(0, 1).await;
    crowd.served_by("n2", ENOUGH, claimed).await;
    let visits = crowd.leave().await;
    // What waited in the closed port's queue was reset before a byte: those clients were moved.
    assert_nobody_failed(&visits, None);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l5_nodes_that_close_after_each_answer_are_not_stormed() {
    let mut scene = Scene::start(&["lead", "follow", "follow"]).await;
    for node in &mut scene.nodes {
        node.order("close-each").await;
    }
    let crowd = scene.crowd();
    let (_, claimed) = scene.hand_over(0, 1).await;
    crowd.served_by("n2", ENOUGH, claimed).await;
    let visits = crowd.leave().await;
    assert_nobody_failed(&visits, None);
    // Each closed connection is a signal, yet probing no more than doubles: 20 steps take half of 20 intervals
    // of 250 ms, less the jitter. Right after the change probing is fast, so look until it has calmed down.
    until("probing is calm", async || {
        let probes = scene.nodes[1].probes();
        let [first, .., last] = probes.last_chunk::<21>()?;
        (last.arrived.since(first.arrived) >= Duration::from_millis(20 * 125 * 85 / 100)).then_some(())
    })
    .await;
    scene.gate.assert_books_balance().await;
}
