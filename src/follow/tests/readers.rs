//! Readers' nodes, as followed: tenures, signals, fates and who stands in.

use super::*;

impl Followed {
    /// The nodes that these readers go to; none while they are held.
    pub(super) fn readers(&self, to: To) -> Vec<usize> {
        self.reader_tenures(to).iter().map(|tenure| tenure.node.0).collect()
    }

    fn reader_tenures(&self, to: To) -> Vec<Arc<Tenure>> {
        match self.readers.get(to).unwrap().load() {
            Route::Spread(tenures) => tenures.to_vec(),
            Route::Led(_) | Route::Leaderless { .. } => Vec::new(),
        }
    }

    fn reader_tenure(&self, to: To, node: usize) -> Arc<Tenure> {
        let tenures = self.reader_tenures(to);
        tenures.into_iter().find(|tenure| tenure.node == NodeId(node)).expect("readers go there")
    }

    fn readers_stand_in(&self, to: To) -> Option<usize> {
        match self.readers.get(to).unwrap().load() {
            Route::Leaderless { stand_in, .. } => stand_in.map(|tenure| tenure.node.0),
            Route::Led(_) | Route::Spread(_) => None,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn readers_go_where_the_nodes_say_and_a_transfer_turns_them_round() {
    let cluster = Followed::start(HoldThen::Refuse, OnDemotion::Drain);
    assert!(cluster.readers(To::Followers).is_empty() && cluster.readers(To::Any).is_empty());
    cluster.round([Leader, Follower, Follower]).await;
    assert_eq!((cluster.readers(To::Followers), cluster.readers(To::Any)), (vec![1, 2], vec![0, 1, 2]));
    assert_eq!(cluster.board.status().readers["followers"], ["n1".into(), "n2".into()]);
    let promoted = cluster.reader_tenure(To::Followers, 1);
    let (any, kept) = (cluster.reader_tenure(To::Any, 1), cluster.reader_tenure(To::Followers, 2));
    cluster.round([Follower, Leader, Follower]).await;
    assert_eq!(cluster.readers(To::Followers), [0, 2]);
    assert_eq!(promoted.fate(), Fate::Drain, "S5: it follows no more");
    assert_eq!((any.fate(), kept.fate()), (Fate::Keep, Fate::Keep));
    assert_eq!(cluster.reader_tenure(To::Any, 1).epoch, any.epoch, "the role means nothing there");
    // It follows again: what is left of its sessions stays.
    cluster.round([Leader, Follower, Follower]).await;
    assert_eq!(promoted.fate(), Fate::Keep);
    assert_ne!(cluster.reader_tenure(To::Followers, 1).epoch, promoted.epoch);
}

#[tokio::test(start_paused = true)]
async fn s5_on_demotion_is_for_the_sessions_of_a_follower_that_leads_now() {
    for (on_demotion, expected) in
        [(OnDemotion::Keep, Fate::Keep), (OnDemotion::Drain, Fate::Drain), (OnDemotion::Cut, Fate::Cut)]
    {
        let cluster = Followed::start(HoldThen::Refuse, on_demotion);
        cluster.round([Leader, Follower, Follower]).await;
        let tenure = cluster.reader_tenure(To::Followers, 2);
        cluster.round([Follower, Follower, Leader]).await;
        assert_eq!(tenure.fate(), expected);
        // A cut is final.
        cluster.round([Leader, Follower, Follower]).await;
        assert_eq!(tenure.fate() == Fate::Cut, on_demotion == OnDemotion::Cut);
    }
}

#[tokio::test(start_paused = true)]
async fn s5_a_silent_followers_sessions_are_cut_once_another_can_take_them() {
    let cluster = Followed::start(HoldThen::Refuse, OnDemotion::Drain);
    cluster.round([Leader, Follower, Follower]).await;
    let tenure = cluster.reader_tenure(To::Followers, 2);
    cluster.round([Leader, Follower, SILENCE]).await;
    assert_eq!(cluster.readers(To::Followers), [1, 2], "one silence is none");
    cluster.says(2, SILENCE).await;
    assert_eq!((cluster.readers(To::Followers), tenure.fate()), (vec![1], Fate::Keep));
    cluster.says(0, Leader).await;
    assert_eq!(tenure.fate(), Fate::Cut, "the gate is connected, and there is another follower");
}

#[tokio::test(start_paused = true)]
async fn s5_a_drained_node_is_nobody_to_whom_a_silent_ones_readers_could_go() {
    let cluster = Followed::start(HoldThen::Refuse, OnDemotion::Drain);
    cluster.round([Leader, Follower, Follower]).await;
    let tenure = cluster.reader_tenure(To::Followers, 2);
    cluster.inbox.command(crate::intent::Command::Drain { node: NodeId(1), force: false }).await.unwrap();
    for _ in 0..3 {
        cluster.round([Leader, Follower, SILENCE]).await;
    }
    assert!(cluster.readers(To::Followers).is_empty());
    assert_eq!(tenure.fate(), Fate::Keep);
}

#[tokio::test(start_paused = true)]
async fn s5_the_only_followers_silence_is_borne_for_unreachable_after() {
    let cluster = Followed::start(HoldThen::Refuse, OnDemotion::Drain);
    cluster.round([Leader, Follower, SILENCE]).await;
    let tenure = cluster.reader_tenure(To::Followers, 1);
    cluster.round([Leader, SILENCE, SILENCE]).await;
    cluster.round([Leader, SILENCE, SILENCE]).await;
    pass(Duration::from_secs(9)).await;
    cluster.round([Leader, SILENCE, SILENCE]).await;
    assert!(cluster.readers(To::Followers).is_empty());
    assert_eq!(tenure.fate(), Fate::Keep);
    pass(Duration::from_secs(2)).await;
    cluster.round([Leader, SILENCE, SILENCE]).await;
    assert_eq!(tenure.fate(), Fate::Cut);
}

#[tokio::test(start_paused = true)]
async fn s5_a_gate_that_was_cut_off_cuts_no_reader() {
    let cluster = Followed::start(HoldThen::Refuse, OnDemotion::Drain);
    cluster.round([Leader, Follower, Follower]).await;
    let tenures = cluster.reader_tenures(To::Followers);
    for _ in 0..3 {
        cluster.round([SILENCE; 3]).await;
    }
    pass(Duration::from_mins(1)).await;
    cluster.round([Leader, Follower, Follower]).await;
    assert!(tenures.iter().all(|tenure| tenure.fate() == Fate::Keep));
}

#[tokio::test(start_paused = true)]
async fn l7_readers_of_a_node_that_nobody_hears_of_are_held_and_not_cut() {
    let cluster = Followed::start(HoldThen::Refuse, OnDemotion::Drain);
    cluster.round([Leader, Follower, Follower]).await;
    let tenures = cluster.reader_tenures(To::Followers);
    pass(Duration::from_secs(10)).await;
    assert!(cluster.readers(To::Followers).is_empty());
    assert!(tenures.iter().all(|tenure| tenure.fate() == Fate::Keep));
}

#[tokio::test(start_paused = true)]
async fn l10_a_drained_node_takes_no_readers_and_a_pin_is_nothing_to_them() {
    let cluster = Followed::start(HoldThen::Refuse, OnDemotion::Cut);
    cluster.round([Leader, Follower, Follower]).await;
    let tenure = cluster.reader_tenure(To::Followers, 2);
    cluster.inbox.command(crate::intent::Command::Drain { node: NodeId(2), force: false }).await.unwrap();
    assert_eq!((cluster.readers(To::Followers), tenure.fate()), (vec![1], Fate::Drain));
    assert_eq!(cluster.readers(To::Any), [0, 1]);
    cluster.inbox.command(crate::intent::Command::Undrain(NodeId(2))).await.unwrap();
    assert_eq!((cluster.readers(To::Followers), tenure.fate()), (vec![1, 2], Fate::Keep));
    cluster.inbox.command(crate::intent::Command::Pin(NodeId(1))).await.unwrap();
    assert_eq!((cluster.leader(), cluster.readers(To::Followers)), (Some(1), vec![1, 2]));
}

#[tokio::test(start_paused = true)]
async fn l5_a_doubt_about_a_readers_node_has_it_asked_alone_and_once_an_interval() {
    let mut cluster = Followed::start(HoldThen::Refuse, OnDemotion::Drain);
    cluster.round([Leader, Follower, Follower]).await;
    pass(Duration::from_secs(2)).await;
    cluster.round([Leader, Follower, Follower]).await;
    let epoch = cluster.tenure().epoch;
    for order in &mut cluster.orders {
        order.mark_unchanged();
    }
    let before = cluster.orders[1].borrow().round;
    for _ in 0..5 {
        cluster.inbox.signal(NodeId(1), Suspicion::ConnectRefused);
        tokio::task::yield_now().await;
    }
    let order = *cluster.orders[1].borrow();
    assert_eq!((order.round, order.pace), (before + 1, Pace::Fast));
    assert!(!cluster.orders[0].has_changed().unwrap() && !cluster.orders[2].has_changed().unwrap());
    assert_eq!(cluster.tenure().epoch, epoch, "the leader's route is not concerned");
    cluster.says(1, Follower).await;
    assert_eq!(cluster.orders[1].borrow().pace, Pace::Steady);
}

#[tokio::test(start_paused = true)]
async fn l5_a_doubt_about_the_leader_has_every_node_asked_once_whoever_goes_there() {
    let cluster = Followed::start(HoldThen::Refuse, OnDemotion::Drain);
    cluster.round([Leader, Follower, Follower]).await;
    assert!(cluster.readers(To::Any).contains(&0));
    let rounds = || [0, 1, 2].map(|id: usize| cluster.orders[id].borrow().round);
    let before = rounds();
    cluster.inbox.signal(NodeId(0), Suspicion::ConnectRefused);
    tokio::task::yield_now().await;
    assert_eq!(rounds(), before.map(|round| round + 1));
}

#[tokio::test(start_paused = true)]
async fn max_age_what_readers_want_is_wanted_of_whoever_takes_them_next() {
    let cluster = Followed::start(HoldThen::Refuse, OnDemotion::Drain);
    cluster.round([Leader, Follower, SILENCE]).await;
    let (began, probe) = (Instant::now(), cluster.ids.next());
    advance(Duration::from_millis(1)).await;
    let wanted = Instant::now();
    cluster.readers.get(To::Followers).unwrap().want_confirmation(wanted);
    tokio::task::yield_now().await;
    assert_eq!(cluster.orders[2].borrow().after, None, "nobody goes there");
    cluster.reports(2, probe, began, Follower).await;
    assert_eq!(cluster.orders[2].borrow().after, Some(wanted));
}

#[tokio::test(start_paused = true)]
async fn max_age_readers_have_their_own_nodes_asked_and_not_the_leader() {
    let cluster = Followed::start(HoldThen::Refuse, OnDemotion::Drain);
    cluster.round([Leader, Follower, Follower]).await;
    let wanted = Instant::now();
    cluster.readers.get(To::Followers).unwrap().want_confirmation(wanted);
    tokio::task::yield_now().await;
    let asked = |id: usize| cluster.orders[id].borrow().after;
    assert_eq!([0, 1, 2].map(asked), [None, Some(wanted), Some(wanted)]);
    let tenure = cluster.reader_tenure(To::Followers, 1);
    cluster.says(1, Follower).await;
    assert!(tenure.confirmed_at() >= wanted);
}

#[tokio::test(start_paused = true)]
async fn s2_without_a_follower_hold_then_says_who_stands_in_for_readers() {
    for (then, expected) in
        [(HoldThen::Refuse, None), (HoldThen::LastLeader, Some(0)), (HoldThen::AnyReachable, Some(0))]
    {
        let cluster = Followed::start(then, OnDemotion::Keep);
        cluster.round([Leader, SILENCE, SILENCE]).await;
        assert!(cluster.readers(To::Followers).is_empty());
        assert_eq!(cluster.readers_stand_in(To::Followers), expected, "{then:?}");
        assert_eq!(cluster.stand_in().map(|tenure| tenure.node.0), None, "there is a leader");
        let Route::Leaderless { stand_in, .. } = cluster.readers.get(To::Followers).unwrap().load() else {
            panic!("nobody follows");
        };
        cluster.says(1, Follower).await;
        assert_eq!(cluster.readers(To::Followers), [1]);
        assert!(stand_in.is_none_or(|tenure| tenure.fate() == Fate::Drain), "its readers can leave now");
    }
}
