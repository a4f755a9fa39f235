//! What becomes of the sessions of leaders that are past (S5).

use super::*;

#[tokio::test(start_paused = true)]
async fn s5_a_demoted_leaders_sessions_meet_their_configured_fate() {
    let followed = Followed::start(HoldThen::Refuse, OnDemotion::Drain);
    followed.round([Leader, Follower, Follower]).await;
    let old = followed.tenure();
    followed.round([Follower, Leader, Follower]).await;
    assert_eq!(followed.leader(), Some(1));
    assert_eq!(old.fate(), Fate::Drain);
    for _ in 0..2 {
        followed.round([Leader, Follower, Follower]).await; // the second is the confirmation of L3
    }
    assert_eq!(old.fate(), Fate::Keep, "election again cancels a drain");
    assert_eq!(followed.tenure().epoch, 3, "S1");
}

#[tokio::test(start_paused = true)]
async fn s5_a_silent_leaders_sessions_are_cut_once_another_leads() {
    let followed = Followed::start(HoldThen::Refuse, OnDemotion::Keep);
    followed.round([Leader, Follower, Follower]).await;
    let old = followed.tenure();
    followed.round([SILENCE, Follower, Follower]).await;
    followed.round([SILENCE, Follower, Follower]).await;
    assert_eq!((followed.leader(), old.fate()), (None, Fate::Keep));
    followed.round([SILENCE, Follower, Leader]).await;
    assert_eq!((followed.leader(), old.fate()), (Some(2), Fate::Cut));
}

#[tokio::test(start_paused = true)]
async fn s5_a_leader_that_answers_unfittingly_keeps_its_sessions() {
    use ProbeFailure::{Certificate, Protocol, Refused, Tls};
    let certificate = Verdict::Unreachable { failure: Certificate };
    let protocol = Verdict::Unreachable { failure: Protocol };
    let refused = Verdict::Unreachable { failure: Refused };
    let tls = Verdict::Unreachable { failure: Tls };
    for (silences, is_cut) in [
        ([UNFIT, UNFIT], false),
        ([certificate, certificate], false),
        ([protocol, tls], false),
        ([SILENCE, UNFIT], false),
        ([refused, SILENCE], true),
    ] {
        let followed = Followed::start(HoldThen::Refuse, OnDemotion::Keep);
        followed.round([Leader, Follower, Follower]).await;
        let old = followed.tenure();
        for _ in 0..3 {
            for silence in silences {
                pass(Duration::from_secs(5)).await;
                followed.round([silence, Follower, Follower]).await;
            }
        }
        assert_eq!((followed.leader(), old.fate() == Fate::Cut), (None, is_cut), "{silences:?}");
        followed.round([silences[1], Follower, Leader]).await;
        assert_eq!(old.fate(), Fate::Cut, "another one claims");
    }
}

#[tokio::test(start_paused = true)]
async fn s5_a_gate_that_is_reached_again_cuts_nobody_before_it_has_asked_again() {
    let followed = Followed::start(HoldThen::Refuse, OnDemotion::Keep);
    followed.round([Leader, Follower, Follower]).await;
    let old = followed.tenure();
    followed.round([Follower, Leader, Follower]).await;
    for _ in 0..3 {
        followed.round([SILENCE; 3]).await;
    }
    let (under_way, asked) = (followed.ids.next(), Instant::now());
    // The leader is the first to be heard again; twice, since its claim has slept.
    followed.says(1, Leader).await;
    followed.says(1, Leader).await;
    assert_eq!((followed.leader(), old.fate()), (Some(1), Fate::Keep), "node 0 was not asked since");
    followed.reports(0, under_way, asked, SILENCE).await;
    for expected in [Fate::Keep, Fate::Cut] {
        followed.says(0, SILENCE).await;
        followed.says(1, Leader).await;
        assert_eq!(old.fate(), expected, "`fall` silences are needed, all of them by itself");
    }
}

#[tokio::test(start_paused = true)]
async fn s5_a_gate_that_is_being_cut_off_cuts_nobody_while_it_finds_out() {
    let followed = Followed::start(HoldThen::Refuse, OnDemotion::Keep);
    followed.round([Leader, Follower, Follower]).await;
    let old = followed.tenure();
    // Node 0's answer is the first to be lost, and its silence the first to be complete.
    followed.says(0, SILENCE).await;
    followed.says(1, Leader).await;
    followed.says(0, SILENCE).await;
    assert_eq!((followed.leader(), old.fate()), (Some(1), Fate::Keep), "node 1 was not asked since");
    followed.says(1, Leader).await;
    assert_eq!(old.fate(), Fate::Cut, "the gate is not cut off");
}

#[tokio::test(start_paused = true)]
async fn s5_a_displaced_leaders_sessions_wait_for_its_own_word() {
    let followed = Followed::start(HoldThen::Refuse, OnDemotion::Cut);
    followed.round([Leader, Follower, Follower]).await;
    let old = followed.tenure();
    followed.round([Leader, Follower, Follower]).await;
    followed.round([Leader, Leader, Follower]).await;
    assert_eq!((followed.leader(), old.fate()), (Some(1), Fate::Keep), "it still claims");
    followed.round([Follower, Leader, Follower]).await;
    assert_eq!(old.fate(), Fate::Cut);
}

#[tokio::test(start_paused = true)]
async fn s5_patience_with_a_silent_node_starts_with_each_silence() {
    let followed = Followed::start(HoldThen::Refuse, OnDemotion::Keep);
    followed.round([Leader, Follower, Follower]).await;
    let old = followed.tenure();
    for _ in 0..2 {
        followed.round([SILENCE, Follower, Follower]).await;
    }
    pass(Duration::from_secs(9)).await;
    followed.round([Leader, Follower, Follower]).await;
    for _ in 0..2 {
        followed.round([SILENCE, Follower, Follower]).await;
    }
    pass(Duration::from_secs(9)).await;
    followed.round([SILENCE, Follower, Follower]).await;
    assert_eq!(old.fate(), Fate::Keep, "18 s since it was first silent, 9 s since it was last");
    pass(Duration::from_secs(1)).await;
    followed.round([SILENCE, Follower, Follower]).await;
    assert_eq!(old.fate(), Fate::Cut);
}
