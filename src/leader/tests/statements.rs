//! L1, L2 and L4: what verdicts make of nodes, and which of them count.

use std::time::Duration;

use super::script::{FOLLOWER, LEADER, SILENT, Script, UNFIT, base};
use crate::leader::{Event, NodeId, NodeState, Observation, Policy, ProbeId, Signal, Suspicion, Tracker};

fn state(script: &Script, node: usize) -> NodeState {
    script.tracker.node_state(NodeId(node))
}

#[test]
fn l1_unknown_is_not_leader() {
    let mut s = Script::of(3);
    s.at(60_000);
    assert_eq!((s.route(), s.tracker.claims(), state(&s, 0)), (None, 0, NodeState::Unknown));
}

#[test]
fn l2_statements_act_at_once_and_silence_after_fall() {
    let mut s = Script::of(2);
    s.at(0).says(1, FOLLOWER);
    assert_eq!(state(&s, 1), NodeState::Follower);
    s.at(50).says(1, SILENT);
    assert_eq!(state(&s, 1), NodeState::Follower);
    s.at(100).says(1, UNFIT);
    assert_eq!(state(&s, 1), NodeState::Unfit, "unfit and unreachable are counted together");
    s.at(150).says(1, SILENT);
    assert_eq!(state(&s, 1), NodeState::Unreachable);
    s.at(200).says(1, FOLLOWER);
    assert_eq!(state(&s, 1), NodeState::Follower);
}

#[test]
fn l2_a_statement_between_silences_starts_the_count_again() {
    let mut s = Script::led_by_0();
    for ms in (1100..2000).step_by(100) {
        s.at(ms).says(0, SILENT);
        s.at(ms + 50).says(0, LEADER);
    }
    assert_eq!((s.route(), s.changes()), (Some(0), vec![]));
}

#[test]
fn l2_fall_one_means_the_first_silence() {
    let mut s = Script::with(&[0], Policy { fall: 1, ..Policy::default() });
    s.at(0).says(0, LEADER).at(50).says(0, SILENT);
    assert_eq!(s.route(), None);
}

#[test]
fn l2_rise_counts_leader_statements_in_a_row() {
    let mut s = Script::with(&[0], Policy { rise: 3, ..Policy::default() });
    s.at(0).says(0, LEADER).at(50).says(0, LEADER).at(100).says(0, SILENT);
    s.at(150).says(0, LEADER).at(200).says(0, LEADER);
    assert_eq!((s.route(), state(&s, 0)), (None, NodeState::Unknown));
    s.at(250).says(0, LEADER);
    assert_eq!((s.route(), state(&s, 0)), (Some(0), NodeState::Leader));
}

#[test]
fn l2_a_change_is_told_once_and_before_what_it_causes() {
    let mut s = Script::led_by_0();
    s.at(1050).says(0, FOLLOWER).says(0, FOLLOWER);
    let events = s.events();
    let changed = Event::NodeChanged { node: NodeId(0), from: NodeState::Leader, to: NodeState::Follower };
    assert_eq!(events.first(), Some(&changed));
    assert_eq!(events.iter().filter(|event| **event == changed).count(), 1);
}

#[test]
fn l4_an_answer_that_was_overtaken_is_dropped_and_its_node_asked_again() {
    let mut s = Script::led_by_0();
    let late = s.ask(0);
    s.at(1050).says(0, FOLLOWER).events();
    s.at(1060).answer(late, LEADER);
    assert_eq!((s.route(), state(&s, 0)), (None, NodeState::Follower));
    assert_eq!(s.events(), [Event::ProbeNode(NodeId(0))]);
}

#[test]
fn l4_an_overtaken_answer_that_agrees_or_is_silence_is_dropped_without_a_word() {
    let mut s = Script::led_by_0();
    let (agrees, silence, later_silence) = (s.ask(0), s.ask(0), s.ask(0));
    s.at(1050).says(0, LEADER).events();
    s.answer(agrees, LEADER).answer(silence, SILENT).answer(later_silence, SILENT);
    assert_eq!((s.route(), s.events()), (Some(0), vec![]));
}

#[test]
fn l4_the_same_probe_counts_once() {
    let mut s = Script::led_by_0();
    let probe = s.ask(0);
    s.at(1050).answer(probe, SILENT).answer(probe, SILENT);
    assert_eq!(s.route(), Some(0));
}

#[test]
fn an_observation_of_a_node_that_is_not_listed_is_ignored() {
    let mut s = Script::led_by_0();
    s.says(7, LEADER);
    let observation =
        Observation { node: NodeId(usize::MAX), probe: ProbeId(1), began: s.instant(0), verdict: FOLLOWER };
    s.tracker.handle_observation(s.instant(1000), observation);
    assert_eq!((s.route(), s.events(), state(&s, 7)), (Some(0), vec![], NodeState::Unknown));
}

#[test]
fn whatever_comes_in_nothing_panics_and_no_timeout_stays_due() {
    let mut rng = fastrand::Rng::with_seed(1);
    let base = base();
    let mut tracker = Tracker::new(base, &[0, 0, 0], Policy { fall: 0, rise: 0, ..Policy::default() });
    let mut latest = base;
    for _ in 0..20_000 {
        let mut somewhen = || base + Duration::from_millis(rng.u64(0..100_000));
        let (now, began) = (somewhen(), somewhen());
        let (node, probe) = (NodeId(rng.usize(0..4)), ProbeId(rng.u64(0..30_000)));
        let verdict = *rng.choice(&[LEADER, FOLLOWER, UNFIT, SILENT]).unwrap();
        match rng.u8(0..4) {
            0 => tracker.handle_timeout(now),
            1 => tracker.handle_signal(now, Signal { node, suspicion: Suspicion::ProbeLate }),
            _ => tracker.handle_observation(now, Observation { node, probe, began, verdict }),
        }
        latest = latest.max(now);
        while tracker.poll_event().is_some() {}
        assert!(tracker.poll_timeout().is_none_or(|due| latest < due));
    }
}
