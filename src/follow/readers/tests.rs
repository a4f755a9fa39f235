//! Which nodes readers go to, step by step, on times that the tests say.

use std::time::Duration;

use super::*;

const MS: Duration = Duration::from_millis(1);

/// A roster over three nodes of which nothing is known.
struct Scene {
    start: Instant,
    policy: Policy,
    roster: Roster,
    nodes: Vec<Candidate>,
}

impl Scene {
    fn new(to: To) -> Self {
        let unknown = |id: u16| Candidate {
            state: NodeState::Unknown,
            alike: 0,
            silences: 0,
            led_at: None,
            followed_at: None,
            address: Some(address(id)),
            drained: false,
        };
        Scene {
            start: Instant::now(),
            policy: Policy::default(),
            roster: Roster::new(to, 3),
            nodes: (0..3).map(unknown).collect(),
        }
    }

    /// The node makes a statement, to a probe begun at `ms`.
    fn says(&mut self, id: usize, state: NodeState, ms: u32) {
        let node = &mut self.nodes[id];
        node.alike = if node.state == state { node.alike + 1 } else { 1 };
        (node.state, node.silences) = (state, 0);
        let at = Some(self.start + ms * MS);
        match state {
            NodeState::Leader => node.led_at = at,
            NodeState::Follower => node.followed_at = at,
            _ => panic!("no statement"),
        }
    }

    fn settle(&mut self, ms: u32) -> Vec<Change> {
        self.roster.settle(self.start + ms * MS, &self.nodes, &self.policy)
    }

    fn serving(&self) -> Vec<usize> {
        self.roster.nodes().map(|id| id.0).collect()
    }

    fn lease(&self) -> u32 {
        self.policy.lease().as_millis().try_into().unwrap()
    }
}

fn address(id: u16) -> SocketAddr {
    ([127, 0, 0, 1], 1000 + id).into()
}

fn begins(id: u16) -> Change {
    Change::Begins(NodeId(id.into()), address(id))
}

use NodeState::{Follower, Leader, Unfit, Unreachable};

#[test]
fn l2_readers_go_to_who_says_what_suits_them() {
    for (to, expected) in [(To::Followers, vec![1]), (To::Any, vec![0, 1])] {
        let mut scene = Scene::new(to);
        scene.says(0, Leader, 0);
        scene.says(1, Follower, 0);
        scene.settle(1);
        assert_eq!(scene.serving(), expected, "{to:?}; the third is unknown");
    }
}

#[test]
fn l2_a_change_of_role_moves_followers_readers_and_nobody_elses() {
    let (mut followers, mut any) = (Scene::new(To::Followers), Scene::new(To::Any));
    for scene in [&mut followers, &mut any] {
        scene.says(0, Leader, 0);
        scene.says(1, Follower, 0);
        scene.settle(1);
        scene.says(0, Follower, 10);
        scene.says(1, Leader, 10);
    }
    assert_eq!(followers.settle(11), [begins(0), Change::Ends(NodeId(1))]);
    assert_eq!(any.settle(11), []);
}

#[test]
fn l2_silence_ends_it_once_it_acts_and_a_statement_brings_it_back_after_rise() {
    for silence in [Unfit, Unreachable] {
        let mut scene = Scene::new(To::Followers);
        scene.policy.rise = 2;
        scene.says(0, Follower, 0);
        assert_eq!(scene.settle(1), [], "said once, and it takes two");
        scene.says(0, Follower, 10);
        assert_eq!(scene.settle(11), [begins(0)]);
        // A silence that does not act yet: the state stays.
        (scene.nodes[0].silences, scene.nodes[0].alike) = (1, 0);
        assert_eq!(scene.settle(20), []);
        (scene.nodes[0].silences, scene.nodes[0].state) = (2, silence);
        assert_eq!(scene.settle(30), [Change::Ends(NodeId(0))]);
        scene.says(0, Follower, 40);
        assert_eq!(scene.settle(41), []);
        scene.says(0, Follower, 50);
        assert_eq!(scene.settle(51), [begins(0)]);
    }
}

#[test]
fn l7_a_statement_that_is_too_old_counts_no_more() {
    let mut scene = Scene::new(To::Followers);
    scene.says(0, Follower, 0);
    scene.settle(1);
    let lease = scene.lease();
    let end = scene.start + lease * MS;
    assert_eq!(scene.roster.poll_timeout(&scene.nodes, &scene.policy), Some(end));
    assert_eq!(scene.settle(lease - 1), []);
    assert_eq!(scene.settle(lease), [Change::Ends(NodeId(0))]);
    assert_eq!(scene.roster.poll_timeout(&scene.nodes, &scene.policy), None);
    // Nor does it make a beginning.
    assert_eq!(scene.settle(lease + 1), []);
}

#[test]
fn l7_a_follower_that_answers_in_time_serves_readers_for_ever() {
    for (fall, interval, slowest) in [(1, 250, 1400), (2, 250, 1500), (1, 60_000, 1400)] {
        let mut scene = Scene::new(To::Followers);
        scene.policy = Policy { fall, interval: interval * MS, ..scene.policy };
        let (mut began, mut rng) = (0, fastrand::Rng::with_seed(7));
        for round in 0..500 {
            let answered = began + rng.u32(900..=slowest);
            // The roster looks at the very moment when a lease would end, too.
            let end = scene.roster.poll_timeout(&scene.nodes, &scene.policy).map(|end| end - scene.start);
            if let Some(end) = end.filter(|end| *end < answered * MS) {
                panic!("{fall}, {interval}: over after {end:?}, before the answer at {answered} ms");
            }
            scene.says(0, Follower, began);
            let changes = scene.settle(answered);
            assert_eq!(changes.len(), usize::from(round == 0), "{changes:?}");
            began = answered.max(began + interval * rng.u32(900..=1100) / 1000);
        }
    }
}

#[test]
fn l7_a_timer_may_be_late_by_a_fast_interval_without_excuse() {
    let mut scene = Scene::new(To::Followers);
    scene.says(0, Follower, 0);
    scene.settle(1);
    assert_eq!(scene.settle(scene.lease() + 50), [Change::Ends(NodeId(0))]);
}

#[test]
fn l7_a_gate_that_stood_still_asks_before_it_judges_and_only_once() {
    let mut scene = Scene::new(To::Followers);
    scene.says(0, Follower, 0);
    scene.says(1, Follower, 0);
    scene.settle(1);
    let (woken, span) = (scene.lease() + 51, 1550);
    assert_eq!(scene.settle(woken), [Change::Ask(NodeId(0)), Change::Ask(NodeId(1))]);
    assert_eq!(scene.settle(woken + 1), []);
    let until = scene.start + (woken + span) * MS;
    assert_eq!(scene.roster.poll_timeout(&scene.nodes, &scene.policy), Some(until));
    scene.says(1, Follower, woken + 1);
    assert_eq!(scene.settle(woken + span - 1), []);
    assert_eq!(scene.settle(woken + span), [Change::Ends(NodeId(0))]);
    assert_eq!(scene.serving(), [1]);
    // Renewed, the lease is a lease again, and sleep is excused again.
    assert_eq!(scene.settle(woken + span + 1), []);
    assert_eq!(scene.settle(woken + scene.lease() + 100), [Change::Ask(NodeId(1))]);
}

#[test]
fn l10_a_drained_node_is_left_and_comes_back() {
    let mut scene = Scene::new(To::Any);
    scene.says(0, Follower, 0);
    scene.settle(1);
    scene.nodes[0].drained = true;
    assert_eq!(scene.settle(2), [Change::Ends(NodeId(0))]);
    scene.nodes[0].drained = false;
    assert_eq!(scene.settle(3), [begins(0)]);
}

#[test]
fn s5_a_readdressed_node_ends_and_begins() {
    let mut scene = Scene::new(To::Followers);
    scene.says(0, Follower, 0);
    scene.settle(1);
    scene.nodes[0].address = Some(address(9));
    assert_eq!(scene.settle(2), [Change::Ends(NodeId(0)), Change::Begins(NodeId(0), address(9))]);
}

#[test]
fn l5_a_readers_node_is_suspected_until_it_speaks_or_is_left() {
    let mut scene = Scene::new(To::Followers);
    scene.says(0, Follower, 0);
    let suspects = |scene: &Scene, alerted: Option<u32>| {
        let alerted = alerted.map(|ms| scene.start + ms * MS);
        scene.roster.suspects(NodeId(0), &scene.nodes[0], alerted)
    };
    assert!(!suspects(&scene, Some(5)), "nobody goes there");
    scene.settle(1);
    assert!(!suspects(&scene, None));
    assert!(suspects(&scene, Some(5)));
    scene.says(0, Follower, 5);
    assert!(!suspects(&scene, Some(5)), "it has answered the probe that the doubt began");
    scene.nodes[0].silences = 1;
    assert!(suspects(&scene, None));
}

#[test]
fn l5_doubts_have_a_node_asked_once_an_interval() {
    let (start, policy) = (Instant::now(), Policy::default());
    let mut alerts = Alerts::default();
    assert!(alerts.raise(NodeId(2), start, &policy));
    assert!(!alerts.raise(NodeId(2), start + 249 * MS, &policy));
    assert!(alerts.raise(NodeId(0), start + 249 * MS, &policy), "each node by itself");
    assert!(alerts.raise(NodeId(2), start + 250 * MS, &policy));
    assert_eq!(alerts.last(NodeId(2)), Some(start + 250 * MS));
    assert_eq!(alerts.last(NodeId(7)), None);
}
