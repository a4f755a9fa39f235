//! What the board is told of what a cluster lives through.

use std::time::Duration;

use super::*;
use crate::board::{BoardEvent, Happened};

#[tokio::test(start_paused = true)]
async fn the_history_tells_what_a_failover_has_cost_and_what_each_node_counted_as() {
    let followed = Followed::start(HoldThen::Refuse, OnDemotion::Keep);
    followed.round([Leader, Follower, Follower]).await;
    followed.says(0, Follower).await;
    pass(Duration::from_secs(1)).await;
    followed.says(1, Leader).await;
    for _ in 0..2 {
        followed.says(2, SILENCE).await;
    }
    let history = followed.board.history();
    let [first, second] = [0, 1].map(|at| &history.tenures[at]);
    assert_eq!((&*first.node, first.ended, first.failover_ms), ("n0", Some("stepped down"), None));
    assert_eq!((&*second.node, second.until), ("n1", None));
    // The old one had said so in a probe that was begun before it stepped down.
    assert!((1000..1010).contains(&second.leaderless_ms), "{second:?}");
    assert!(second.failover_ms > Some(second.leaderless_ms), "{second:?}");
    let told = |node| history.verdicts(node).map(|verdict| verdict.state.as_str()).collect::<Vec<_>>();
    assert_eq!(told("n0"), ["unknown", "leader", "follower"]);
    assert_eq!(told("n1"), ["unknown", "follower", "leader"]);
    assert_eq!(told("n2"), ["unknown", "follower", "unreachable"]);
    let silence = history.verdicts("n2").next_back().and_then(|verdict| verdict.silence);
    assert_eq!(silence.map(|why| why.to_string()).as_deref(), Some("timeout"));
}

#[tokio::test(start_paused = true)]
async fn s2_a_stand_in_is_reported_after_the_first_round_only() {
    let stands_in = |followed: &Followed| {
        let is_stand_in = |event: &BoardEvent| matches!(event.what, Happened::StandIn { .. });
        followed.board.history().events.iter().filter(|event| is_stand_in(event)).count()
    };
    let followed = Followed::start(HoldThen::AnyReachable, OnDemotion::Keep);
    followed.says(1, Follower).await;
    assert_eq!(
        followed.stand_in().map(|tenure| tenure.node),
        Some(NodeId(1)),
        "a client may need it already"
    );
    followed.says(2, Follower).await;
    assert_eq!(stands_in(&followed), 0, "the third node may be the leader");
    followed.says(0, Leader).await;
    assert_eq!((followed.leader(), stands_in(&followed)), (Some(0), 0));

    let leaderless = Followed::start(HoldThen::AnyReachable, OnDemotion::Keep);
    leaderless.round([Follower; 3]).await;
    assert_eq!(stands_in(&leaderless), 1);
}

#[tokio::test(start_paused = true)]
async fn l1_a_node_that_cannot_be_asked_keeps_no_gate_from_ready() {
    let followed = Followed::start(HoldThen::Refuse, OnDemotion::Keep);
    let is_ready = |followed: &Followed| followed.board.status().first_round_done;
    followed.says(0, Leader).await;
    followed.says(1, Follower).await;
    assert!(!is_ready(&followed), "the third node has time to answer");
    pass(Policy::default().answer_time()).await;
    assert!(is_ready(&followed));
}
