//! Rings that take in what happens, and how much of it they keep.

use super::*;
use crate::leader::ProbeFailure;

fn of(names: &[&str]) -> History {
    let mut history = History::default();
    history.begin(0.0, names.iter().map(|&name| name.into()));
    history
}

/// Lets these things happen, a second after the other.
fn live(history: &mut History, events: impl IntoIterator<Item = Happened>) {
    for what in events {
        let id = history.events.back().map_or(1, |last| last.id + 1);
        let at = f64::from(u32::try_from(id).unwrap());
        history.take(BoardEvent { id, at, what });
    }
}

fn elected(node: &str, epoch: u64, leaderless_ms: u64) -> Happened {
    Happened::LeaderElected {
        node: node.into(),
        epoch,
        previous: None,
        leaderless_ms,
        failover_ms: Some(leaderless_ms + 10),
    }
}

fn lost(node: &str) -> Happened {
    Happened::LeaderLost { node: node.into(), cause: "silent" }
}

fn verdict(node: &str, state: NodeState) -> Happened {
    let silence = (state == NodeState::Unreachable).then_some(Silence::Failure(ProbeFailure::Refused));
    Happened::Verdict { node: node.into(), state, silence }
}

/// How many bytes its rings have taken.
fn bytes(history: &History) -> usize {
    let verdicts: usize = history.nodes.iter().map(|(_, verdicts)| verdicts.capacity()).sum();
    history.events.capacity() * size_of::<BoardEvent>()
        + history.tenures.capacity() * size_of::<TenureStatus>()
        + verdicts * size_of::<VerdictStatus>()
}

#[test]
fn a_tenure_tells_its_price_when_it_ended_and_why() {
    let mut history = of(&["n1", "n2"]);
    live(&mut history, [elected("n1", 1, 5), lost("n1"), elected("n2", 2, 1000), elected("n1", 3, 0)]);
    let told: Vec<_> = history
        .tenures
        .iter()
        .map(|tenure| (&*tenure.node, tenure.from, tenure.until, tenure.ended, tenure.leaderless_ms))
        .collect();
    assert_eq!(
        told,
        [
            ("n1", 1.0, Some(2.0), Some("silent"), 5),
            ("n2", 3.0, Some(4.0), Some("succeeded"), 1000),
            ("n1", 4.0, None, None, 0),
        ]
    );
}

#[test]
fn l10_a_pin_shows_and_stays_with_a_leader_that_moves() {
    let mut history = of(&["n1"]);
    let address = ([127, 0, 0, 1], 1).into();
    live(
        &mut history,
        [
            Happened::LeaderPinned { node: "n1".into(), epoch: 1, previous: None, leaderless_ms: 0 },
            Happened::LeaderMoved { node: "n1".into(), address, epoch: 2 },
        ],
    );
    let told: Vec<_> = history.tenures.iter().map(|tenure| (tenure.pinned, tenure.ended)).collect();
    assert_eq!(told, [(true, Some("readdressed")), (true, None)]);
}

#[test]
fn a_nodes_verdicts_begin_with_its_first_moment() {
    let mut history = of(&["n1", "n2"]);
    live(&mut history, [verdict("n1", NodeState::Leader), verdict("n1", NodeState::Unreachable)]);
    let told: Vec<_> = history.verdicts("n1").map(|verdict| (verdict.at, verdict.state)).collect();
    assert_eq!(told, [(0.0, NodeState::Unknown), (1.0, NodeState::Leader), (2.0, NodeState::Unreachable)]);
    let why = history.verdicts("n1").next_back().unwrap().silence.unwrap();
    assert_eq!(why.to_string(), "refused");
    assert_eq!((history.verdicts("n2").count(), history.verdicts("n3").count()), (1, 0));
}

#[test]
fn nodes_that_stay_keep_what_is_known_of_them() {
    let mut history = of(&["n1", "n2"]);
    live(&mut history, [verdict("n1", NodeState::Leader)]);
    history.begin(9.0, ["n3", "n1"].into_iter().map(Arc::from));
    assert_eq!(history.verdicts("n1").count(), 2);
    assert_eq!(history.verdicts("n3").map(|verdict| verdict.at).collect::<Vec<_>>(), [9.0]);
    assert_eq!(history.verdicts("n2").count(), 0);
}

#[test]
fn s8_whatever_happens_the_rings_stay_small_and_keep_the_newest() {
    let mut history = of(&["n1", "n2", "n3"]);
    live(&mut history, [verdict("n1", NodeState::Leader), elected("n1", 1, 0)]);
    assert!(bytes(&history) < 1200, "{} bytes of a quiet cluster", bytes(&history));
    for epoch in 2..1000 {
        for node in ["n1", "n2", "n3"] {
            let states = [NodeState::Unreachable, NodeState::Leader].map(|state| verdict(node, state));
            live(&mut history, states);
        }
        live(&mut history, [lost("n1"), elected("n1", epoch, 1)]);
    }
    assert!(bytes(&history) <= 12 * 1024, "{} bytes of a cluster that flaps", bytes(&history));
    let verdicts = history.verdicts("n2").count();
    assert_eq!((history.events.len(), history.tenures.len(), verdicts), (64, 32, 64));
    assert_eq!(history.tenures.back().unwrap().epoch, 999);
}

#[test]
fn events_are_told_from_where_they_were_left_off() {
    let mut history = of(&["n1"]);
    live(&mut history, (0..100).map(|_| Happened::AlarmRaised { alarm: "conflict" }));
    let after = |id| history.events_after(id).map(|event| event.id).collect::<Vec<_>>();
    assert_eq!(after(98), [99, 100]);
    assert!(after(100).is_empty());
    assert_eq!(after(7), (37..=100).collect::<Vec<_>>(), "what is still there of it");
}

#[test]
fn l8_a_node_that_flaps_does_not_wash_out_who_led() {
    let mut history = of(&["n1", "n2"]);
    let flaps = || [NodeState::Unfit, NodeState::Follower].map(|state| verdict("n2", state));
    live(&mut history, [elected("n1", 1, 0)]);
    (0..100).for_each(|_| live(&mut history, flaps()));
    live(&mut history, [lost("n1"), elected("n1", 2, 0)]);
    (0..100).for_each(|_| live(&mut history, flaps()));
    assert_eq!(history.events.len(), EVENTS_KEPT);
    assert!(history.events.iter().is_sorted_by_key(|event| event.id));
    let others = history.events.iter().filter(|event| !matches!(event.what, Happened::Verdict { .. }));
    assert_eq!(others.count(), 3);
    // The other events push out verdicts in their turn.
    (3..200).for_each(|epoch| live(&mut history, [lost("n1"), elected("n1", epoch, 0)]));
    let verdicts = history.events.iter().filter(|event| matches!(event.what, Happened::Verdict { .. }));
    assert_eq!(verdicts.count(), 0);
}
