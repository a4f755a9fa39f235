//! Nodes come and go, and numbers change, while the cluster is followed (O2).

use super::*;

impl Followed {
    /// The cluster of the tests with these of its nodes by id; a fourth is at port 1003.
    fn shape(&self, present: &[usize], on_demotion: OnDemotion) -> (Shape, Vec<watch::Receiver<ProbeOrder>>) {
        let last = present.iter().copied().max().unwrap_or(0).max(2);
        let settings = |id: usize| {
            let new = || address(1000 + u16::try_from(id).unwrap()).into();
            let address = || self.addresses.get(id).cloned().unwrap_or_else(new);
            present.contains(&id).then(|| node_settings((id, address())))
        };
        let new = || (3..=last).map(|id| (NodeId(id), watch::channel(ProbeOrder::default())));
        let (orders, ordered) = new().map(|(id, (order, ordered))| ((id, order), ordered)).unzip();
        let shape = Shape {
            nodes: (0..=last).map(settings).collect(),
            orders,
            readers: OfReaders::default(),
            policy: Policy::default(),
            hold_then: HoldThen::Refuse,
            fates: FateSettings {
                on_demotion,
                on_unreachable: OnUnreachable::Cut,
                unreachable_after: Duration::from_secs(10),
            },
        };
        (shape, ordered)
    }

    async fn reshape(&self, shape: Shape) {
        self.shape.send(Box::new(shape)).unwrap();
        tokio::task::yield_now().await;
    }

    fn names(&self) -> Vec<String> {
        self.board.status().nodes.iter().map(|node| node.name.to_string()).collect()
    }

    fn shows(&self, text: &str) -> bool {
        String::from_utf8(crate::metrics::render(&self.registry).unwrap()).unwrap().contains(text)
    }
}

const LED_BY_0: [Verdict; 3] = [Verdict::Leader, Verdict::Follower, Verdict::Follower];

#[tokio::test(start_paused = true)]
async fn o2_a_node_that_comes_changes_nothing_for_the_route() {
    let followed = Followed::start(HoldThen::Refuse, OnDemotion::Cut);
    followed.round(LED_BY_0).await;
    let tenure = followed.tenure();
    let (shape, _orders) = followed.shape(&[0, 1, 2, 3], OnDemotion::Cut);
    followed.reshape(shape).await;
    assert!(Arc::ptr_eq(&followed.tenure(), &tenure), "another tenure has begun");
    assert_eq!((followed.names().len(), tenure.fate()), (4, Fate::Keep));
    // It is heard like any other, and what was known of the others still is: its claim is proven to be newer.
    followed.says(3, Verdict::Follower).await;
    followed.says(3, Verdict::Leader).await;
    assert_eq!(followed.leader(), Some(3));
}

#[tokio::test(start_paused = true)]
async fn o2_a_leader_that_goes_is_the_route_no_more_and_its_sessions_are_treated_as_demoted() {
    for (on_demotion, fate) in
        [(OnDemotion::Keep, Fate::Keep), (OnDemotion::Drain, Fate::Drain), (OnDemotion::Cut, Fate::Cut)]
    {
        let followed = Followed::start(HoldThen::Refuse, on_demotion);
        followed.round(LED_BY_0).await;
        let tenure = followed.tenure();
        followed.reshape(followed.shape(&[1, 2], on_demotion).0).await;
        assert_eq!((followed.leader(), tenure.fate()), (None, fate));
        // What it says now is nobody's word.
        followed.says(0, Verdict::Leader).await;
        followed.says(0, Verdict::Leader).await;
        assert_eq!(followed.leader(), None);
        assert_eq!(followed.names().len(), 2);
        followed.says(1, Verdict::Leader).await;
        followed.says(1, Verdict::Leader).await;
        assert_eq!(followed.leader(), Some(1));
    }
}

#[tokio::test(start_paused = true)]
async fn o2_a_node_that_has_gone_is_shown_nowhere_and_comes_back_as_unknown() {
    let followed = Followed::start(HoldThen::Refuse, OnDemotion::Keep);
    followed.round(LED_BY_0).await;
    let name = followed.names().remove(0);
    let label = format!("node=\"{name}\"");
    assert!(followed.shows(&label));
    followed.reshape(followed.shape(&[1, 2], OnDemotion::Keep).0).await;
    assert!(!followed.shows(&label));
    followed.reshape(followed.shape(&[0, 1, 2], OnDemotion::Keep).0).await;
    assert!(followed.shows(&label));
    assert_eq!(followed.board.status().nodes[0].state, "unknown");
    assert_eq!(followed.leader(), None);
}

#[tokio::test(start_paused = true)]
async fn o2_numbers_that_change_are_the_ones_that_count() {
    let followed = Followed::start(HoldThen::Refuse, OnDemotion::Keep);
    followed.round(LED_BY_0).await;
    let tenure = followed.tenure();
    let mut shape = followed.shape(&[0, 1, 2], OnDemotion::Cut).0;
    shape.policy.fall = 3;
    followed.reshape(shape).await;
    for _ in 0..2 {
        followed.says(0, SILENCE).await;
        assert_eq!(followed.leader(), Some(0), "it takes three silences now");
    }
    followed.says(0, SILENCE).await;
    assert_eq!(followed.leader(), None);
    followed.round([Verdict::Follower, Verdict::Leader, Verdict::Follower]).await;
    assert_eq!(tenure.fate(), Fate::Cut, "and a demotion cuts now");
}

#[tokio::test(start_paused = true)]
async fn o2_l10_overrides_survive_and_go_with_their_node() {
    let followed = Followed::start(HoldThen::Refuse, OnDemotion::Keep);
    followed.round(LED_BY_0).await;
    for (node, force) in [(NodeId(1), false), (NodeId(2), false)] {
        followed.inbox.command(crate::intent::Command::Drain { node, force }).await.unwrap();
    }
    followed.reshape(followed.shape(&[0, 1], OnDemotion::Keep).0).await;
    let overridden = || followed.board.status().nodes.iter().filter(|node| node.overridden.is_some()).count();
    assert_eq!(overridden(), 1);
    let undrain = followed.inbox.command(crate::intent::Command::Undrain(NodeId(2))).await;
    assert!(undrain.is_err(), "there is no such node any more");
    followed.inbox.command(crate::intent::Command::Undrain(NodeId(1))).await.unwrap();
    assert_eq!(overridden(), 0);
}

#[tokio::test(start_paused = true)]
async fn o2_a_leader_whose_address_changes_leads_again_once_it_has_said_so_there() {
    let followed = Followed::start(HoldThen::Refuse, OnDemotion::Keep);
    followed.round(LED_BY_0).await;
    let tenure = followed.tenure();
    let mut elsewhere = followed.shape(&[0, 1, 2], OnDemotion::Keep).0;
    elsewhere.nodes[0].as_mut().unwrap().address = address(2000).into();
    followed.reshape(elsewhere).await;
    assert_eq!((followed.leader(), tenure.fate()), (None, Fate::Drain), "nobody has said so from there");
    assert_eq!(followed.board.status().nodes[0].state, "unknown");
    assert!(followed.shows("raftgate_node_state{cluster=\"ctrl\",node=\"n0\",state=\"leader\"} 0"));
    followed.says(0, Verdict::Leader).await;
    followed.says(0, Verdict::Leader).await;
    let next = followed.tenure();
    assert_eq!((next.node, next.address), (NodeId(0), address(2000)));
    assert!(next.epoch > tenure.epoch);
    // A name that nobody has looked up yet is nowhere to go: no client is sent, and nothing panics.
    let mut nowhere = followed.shape(&[0, 1, 2], OnDemotion::Keep).0;
    nowhere.nodes[0].as_mut().unwrap().address = Directory::default().add("node.test").port(1);
    followed.reshape(nowhere).await;
    followed.says(0, Verdict::Leader).await;
    followed.says(0, Verdict::Leader).await;
    assert_eq!(followed.leader(), None);
}

#[tokio::test(start_paused = true)]
async fn o2_what_a_node_has_said_elsewhere_counts_for_nothing_though_it_is_heard_late() {
    for comes_back in [false, true] {
        let followed = Followed::start(HoldThen::Refuse, OnDemotion::Keep);
        followed.round(LED_BY_0).await;
        let (probe, asked) = (followed.ids.next(), Instant::now());
        advance(Duration::from_millis(1)).await;
        let mut shape = followed.shape(&[0, 1, 2], OnDemotion::Keep).0;
        if comes_back {
            followed.reshape(followed.shape(&[1, 2], OnDemotion::Keep).0).await;
        } else {
            shape.nodes[0].as_mut().unwrap().address = address(2000).into();
        }
        followed.reshape(shape).await;
        followed.reports(0, probe, asked, Verdict::Leader).await;
        assert_eq!((followed.leader(), followed.board.status().nodes[0].state), (None, "unknown"));
        followed.says(0, Verdict::Leader).await;
        assert_eq!(followed.leader(), Some(0), "comes back: {comes_back}");
    }
}

#[tokio::test(start_paused = true)]
async fn o2_l10_a_node_that_moves_keeps_what_was_ordered_for_it() {
    let followed = Followed::start(HoldThen::Refuse, OnDemotion::Keep);
    followed.round(LED_BY_0).await;
    followed.inbox.command(crate::intent::Command::Drain { node: NodeId(1), force: false }).await.unwrap();
    followed.inbox.command(crate::intent::Command::Pin(NodeId(2))).await.unwrap();
    let overridden = || followed.board.status().nodes.iter().map(|node| node.overridden).collect::<Vec<_>>();
    // To a name that nobody has looked up yet, even; and once more, which changes nothing about it.
    let nowhere = Directory::default().add("node.test").port(1);
    for _ in 0..2 {
        let mut next = followed.shape(&[0, 1, 2], OnDemotion::Keep).0;
        next.nodes[1].as_mut().unwrap().address = nowhere.clone();
        next.nodes[2].as_mut().unwrap().address = address(2000).into();
        followed.reshape(next).await;
        assert_eq!(overridden(), [None, Some("drain"), Some("pin")]);
        assert_eq!((followed.leader(), followed.tenure().address), (Some(2), address(2000)));
    }
}

#[tokio::test(start_paused = true)]
async fn o2_how_much_silence_readers_bear_and_who_stands_in_change_too() {
    let followed = Followed::start(HoldThen::Refuse, OnDemotion::Keep);
    followed.round(LED_BY_0).await;
    let mut shape = followed.shape(&[0, 1, 2], OnDemotion::Keep).0;
    shape.policy.fall = 3;
    shape.hold_then = HoldThen::LastLeader;
    followed.reshape(shape).await;
    let readers = || followed.board.status().readers["followers"].len();
    for left in [2, 2, 1] {
        followed.says(1, SILENCE).await;
        assert_eq!(readers(), left);
    }
    followed.says(0, Verdict::Follower).await;
    assert_eq!(followed.board.status().stand_in.as_deref(), Some("n0"));
}

#[tokio::test(start_paused = true)]
async fn o2_l3_a_priority_that_changes_counts_between_claims_without_an_order() {
    let followed = Followed::start(HoldThen::Refuse, OnDemotion::Keep);
    followed.says(1, Verdict::Leader).await;
    let mut shape = followed.shape(&[0, 1, 2], OnDemotion::Keep).0;
    shape.nodes[2].as_mut().unwrap().priority = 1;
    followed.reshape(shape).await;
    for node in [0, 2] {
        followed.says(node, Verdict::Leader).await;
    }
    followed.says(1, Verdict::Follower).await;
    for node in [0, 2] {
        followed.says(node, Verdict::Leader).await;
    }
    advance(Duration::from_secs(1)).await;
    for node in [0, 2] {
        followed.says(node, Verdict::Leader).await;
    }
    assert_eq!(followed.leader(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn o2_readers_nodes_serve_by_the_newest_numbers_too() {
    let followed = Followed::start(HoldThen::Refuse, OnDemotion::Keep);
    followed.round(LED_BY_0).await;
    let before = Policy::default().lease();
    let mut patient = followed.shape(&[0, 1, 2], OnDemotion::Keep).0;
    patient.policy.timeout = 10 * before;
    let lease = patient.policy.lease();
    followed.reshape(patient).await;
    // Nobody says anything, which is what a lease is for (L7).
    pass(2 * before).await;
    assert_eq!(followed.readers(To::Followers), [1, 2], "they have ended by the lease of before");
    pass(lease).await;
    assert!(followed.readers(To::Followers).is_empty(), "they have no lease at all");
}

#[tokio::test(start_paused = true)]
async fn o2_s2_nobody_stands_in_on_having_led_elsewhere_or_before_it_went() {
    let followed = Followed::start(HoldThen::LastLeader, OnDemotion::Keep);
    let lead_once = async || {
        followed.round(LED_BY_0).await;
        followed.round([Verdict::Follower; 3]).await;
        assert_eq!(followed.stand_in().map(|tenure| tenure.node), Some(NodeId(0)));
    };
    let shape = |present: &[usize]| {
        let (mut shape, orders) = followed.shape(present, OnDemotion::Keep);
        shape.hold_then = HoldThen::LastLeader;
        (shape, orders)
    };
    lead_once().await;
    let mut elsewhere = shape(&[0, 1, 2]).0;
    elsewhere.nodes[0].as_mut().unwrap().address = address(2000).into();
    followed.reshape(elsewhere).await;
    assert!(followed.stand_in().is_none(), "it has led elsewhere");
    followed.reshape(shape(&[0, 1, 2]).0).await;
    assert!(followed.stand_in().is_none());
    lead_once().await;
    followed.reshape(shape(&[1, 2]).0).await;
    followed.reshape(shape(&[0, 1, 2]).0).await;
    assert!(followed.stand_in().is_none(), "it was not there, and may be another");
    lead_once().await;
}

#[tokio::test(start_paused = true)]
async fn o2_l3_a_node_that_comes_later_is_before_the_others_by_its_name() {
    let followed = Followed::start(HoldThen::AnyReachable, OnDemotion::Keep);
    let (mut shape, _orders) = followed.shape(&[0, 1, 2, 3, 4], OnDemotion::Keep);
    shape.hold_then = HoldThen::AnyReachable;
    for (id, name) in [(3, "a"), (4, "z")] {
        shape.nodes[id].as_mut().unwrap().name = name.into();
    }
    followed.reshape(shape).await;
    for node in [4, 2, 1, 0, 3] {
        followed.says(node, Verdict::Follower).await;
    }
    assert_eq!(followed.board.status().stand_in.as_deref(), Some("a"));
    let (mut shape, _orders) = followed.shape(&[0, 1, 2, 5], OnDemotion::Keep);
    shape.hold_then = HoldThen::AnyReachable;
    shape.nodes[5].as_mut().unwrap().name = "m".into();
    followed.reshape(shape).await;
    assert_eq!(followed.board.status().stand_in.as_deref(), Some("n0"), "m has not answered yet");
    followed.says(5, Verdict::Follower).await;
    assert_eq!(followed.board.status().stand_in.as_deref(), Some("m"));
}

#[tokio::test(start_paused = true)]
async fn o2_l3_of_claims_without_an_order_the_name_decides_whenever_the_node_has_come() {
    let followed = Followed::start(HoldThen::Refuse, OnDemotion::Keep);
    let (mut shape, _orders) = followed.shape(&[0, 1, 2, 3], OnDemotion::Keep);
    shape.nodes[3].as_mut().unwrap().name = "a".into();
    followed.reshape(shape).await;
    for _ in 0..2 {
        for node in [0, 3] {
            followed.says(node, Verdict::Leader).await;
        }
    }
    advance(Policy::default().answer_time()).await;
    for node in [0, 3] {
        followed.says(node, Verdict::Leader).await;
    }
    assert_eq!(followed.board.status().leader.as_deref(), Some("a"));
}
