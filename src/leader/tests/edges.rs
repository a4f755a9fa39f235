//! L2 to L7 at their edges: what holds at the very moment, and what must not happen besides.

use std::time::Duration;

use super::script::{FOLLOWER, LATENCY, LEADER, SILENT, Script, UNFIT};
use crate::leader::{Command, Event, LossCause, NodeId, NodeState, Pace, Policy, Suspicion};

#[test]
fn l2_unfit_acts_after_fall_like_silence() {
    let mut s = Script::of(1);
    s.at(0).says(0, FOLLOWER).at(50).says(0, UNFIT);
    assert_eq!(s.tracker.node_state(NodeId(0)), NodeState::Follower);
    s.at(100).says(0, UNFIT);
    assert_eq!(s.tracker.node_state(NodeId(0)), NodeState::Unfit);
}

#[test]
fn l3_a_probe_begun_when_the_first_word_arrived_brings_the_second() {
    let mut s = Script::led_by_0();
    s.at(1050).says(0, SILENT).at(1100).says(0, SILENT).at(1150).says(0, LEADER);
    let at_once = s.ask(0);
    s.at(1152).answer(at_once, LEADER);
    assert_eq!(s.route(), Some(0));
}

#[test]
fn l3_only_a_claim_that_could_be_the_route_is_asked_again_at_once() {
    // 1 has never followed: without order, its claim displaces nobody.
    let mut s = Script::of(2);
    s.rounds(0, 1200, 50, &[LEADER, SILENT]);
    assert_eq!(s.route(), Some(0));
    s.events();
    s.at(1250).says(1, LEADER);
    let asked_again = |s: &mut Script| s.events().contains(&Event::ProbeNode(NodeId(1)));
    assert!(!asked_again(&mut s), "there is a route");
    // Nor is one that needs no second word.
    let mut s = Script::of(2);
    s.at(0).says(0, SILENT).says(1, FOLLOWER).at(50).says(0, SILENT).says(1, LEADER);
    assert_eq!(s.route(), Some(1));
    assert!(!asked_again(&mut s), "it is the route");
}

#[test]
fn l3_what_is_asked_again_is_the_first_word_and_not_each() {
    let mut s = Script::led_by_0();
    s.at(1050).says(0, SILENT).at(1100).says(0, SILENT);
    let (first, before) = (s.ask(0), s.ask(0));
    s.at(1150).answer(first, LEADER);
    assert_eq!(s.events().last(), Some(&Event::ProbeNode(NodeId(0))));
    // It does not confirm: its probe began too early. But one that will is on its way.
    s.at(1151).answer(before, LEADER);
    assert!(!s.events().contains(&Event::ProbeNode(NodeId(0))));
}

#[test]
fn l4_an_overtaken_follower_contradicts_a_leader_and_agrees_with_a_follower() {
    let mut s = Script::led_by_0();
    let (of_leader, of_follower) = (s.ask(0), s.ask(1));
    s.at(1050).says(0, LEADER).says(1, FOLLOWER).events();
    s.answer(of_leader, FOLLOWER);
    assert_eq!((s.route(), s.events()), (Some(0), vec![Event::ProbeNode(NodeId(0))]));
    s.answer(of_follower, FOLLOWER);
    assert_eq!(s.events(), []);
}

#[test]
fn l5_a_probe_begun_when_the_suspicion_arose_ends_it() {
    let mut s = Script::led_by_0();
    s.rounds(1250, 2000, 250, &[LEADER, FOLLOWER, FOLLOWER]);
    s.signal(0, Suspicion::ConnectRefused);
    let at_once = s.ask(0);
    assert_eq!(s.tracker.pace(), Pace::Fast);
    s.at(2002).answer(at_once, LEADER);
    assert_eq!(s.tracker.pace(), Pace::Steady);
}

#[test]
fn l5_the_first_miss_has_every_node_probed_and_the_next_none() {
    let mut s = Script::with(&[0, 0], Policy { fall: 4, ..Policy::default() });
    s.rounds(0, 1500, 50, &[LEADER, FOLLOWER]).events();
    s.at(2000).says(0, SILENT);
    assert_eq!(s.alerts(), 1);
    s.at(2400).says(0, SILENT).at(2800).says(0, SILENT);
    assert_eq!((s.route(), s.alerts()), (Some(0), 0));
}

#[test]
fn l7_the_lease_covers_an_answer_and_fall_silences_at_their_longest() {
    let ms = Duration::from_millis;
    assert_eq!(Policy::default().lease(), ms(1500 + 2 * 1500 + 50));
    let minute = Policy { interval: ms(60_000), ..Policy::default() };
    assert_eq!(minute.lease(), ms(66_000 + 2 * 1500 + 50));
    let hurried = Policy { fast_interval: ms(200), timeout: ms(100), ..Policy::default() };
    assert_eq!(hurried.lease(), ms(275 + 2 * 220 + 50));
}

#[test]
fn l7_only_what_is_later_than_a_fast_interval_is_a_pause() {
    let end = 1000 - LATENCY + u64::try_from(Policy::default().lease().as_millis()).unwrap();
    let mut s = Script::led_by_0();
    s.oversleep(end + 50);
    assert_eq!(s.changes(), [Event::Lost { node: NodeId(0), cause: LossCause::LeaseExpired }]);
    let mut s = Script::led_by_0();
    s.oversleep(end + 51);
    assert_eq!((s.route(), s.changes()), (Some(0), vec![]));
}

#[test]
fn l7_a_late_timer_is_no_pause_however_fast_the_probing() {
    let policy = Policy { fast_interval: Duration::from_millis(1), ..Policy::default() };
    let mut s = Script::with(&[0, 0, 0], policy);
    s.rounds(0, 1000, 50, &[LEADER, FOLLOWER, FOLLOWER]);
    let end = 1000 - LATENCY + u64::try_from(policy.lease().as_millis()).unwrap();
    s.oversleep(end + 3);
    assert_eq!(s.route(), None, "it was given grace");
}

#[test]
fn l7_a_leader_whose_lease_is_over_counts_as_unknown() {
    let mut s = Script::led_by_0();
    let end = 1000 - LATENCY + u64::try_from(Policy::default().lease().as_millis()).unwrap();
    s.at(end);
    assert_eq!((s.route(), s.tracker.node_state(NodeId(0))), (None, NodeState::Unknown));
    let (from, to) = (NodeState::Leader, NodeState::Unknown);
    assert!(s.events().contains(&Event::NodeChanged { node: NodeId(0), from, to }));
    assert_eq!(s.tracker.node_state(NodeId(1)), NodeState::Follower);
}

#[test]
fn l7_a_probe_begun_when_the_grace_was_given_ends_it() {
    let mut s = Script::led_by_0();
    s.oversleep(60_000);
    let at_once = s.ask(0);
    s.at(60_002).answer(at_once, LEADER).oversleep(90_000);
    assert_eq!(s.route(), Some(0), "the next pause is forgiven again");
}

#[test]
fn l10_probing_is_fast_for_a_moment_after_a_pin() {
    let mut s = Script::led_by_0();
    s.rounds(1250, 3000, 250, &[LEADER, FOLLOWER, FOLLOWER]);
    assert_eq!(s.tracker.pace(), Pace::Steady);
    s.command(Command::Pin(NodeId(0))).unwrap();
    assert_eq!(s.tracker.pace(), Pace::Fast);
    s.at(3999);
    assert_eq!(s.tracker.pace(), Pace::Fast);
    s.at(4000);
    assert_eq!(s.tracker.pace(), Pace::Steady);
}
