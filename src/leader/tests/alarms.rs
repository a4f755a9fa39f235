//! L8: alarms, each raised and cleared once.

use super::script::{FOLLOWER, LEADER, SILENT, Script};
use crate::leader::{Alarm, Event};

/// The alarms raised (`true`) and cleared (`false`) since the last call.
fn alarms(script: &mut Script) -> Vec<(Alarm, bool)> {
    let alarm = |event| match event {
        Event::AlarmRaised(alarm) => Some((alarm, true)),
        Event::AlarmCleared(alarm) => Some((alarm, false)),
        _ => None,
    };
    script.events().into_iter().filter_map(alarm).collect()
}

#[test]
fn l8_leaderless_is_raised_at_the_start_and_whenever_there_is_no_route() {
    let mut s = Script::of(2);
    s.rounds(0, 300, 50, &[FOLLOWER, FOLLOWER]);
    assert_eq!(alarms(&mut s), [(Alarm::Leaderless, true)]);
    s.at(350).says(0, LEADER);
    assert_eq!(alarms(&mut s), [(Alarm::Leaderless, false)]);
    s.at(400).says(1, FOLLOWER).at(450).says(1, LEADER).says(0, FOLLOWER);
    assert!(!alarms(&mut s).iter().any(|(alarm, _)| *alarm == Alarm::Leaderless), "displaced, not lost");
    s.at(500).says(1, FOLLOWER).says(1, FOLLOWER);
    assert_eq!(alarms(&mut s), [(Alarm::Leaderless, true)]);
}

#[test]
fn l8_conflict_is_raised_while_more_than_one_claim_stands() {
    let mut s = Script::led_by_0();
    s.at(1050).says(1, LEADER).says(0, LEADER);
    assert_eq!(alarms(&mut s), [(Alarm::Conflict, true)]);
    s.at(1100).says(0, SILENT).at(1150).says(0, SILENT);
    assert_eq!(alarms(&mut s), [(Alarm::Conflict, false)], "a claim that sleeps does not stand");
}

#[test]
fn l8_unanimity_is_raised_when_every_node_of_several_claims() {
    let mut s = Script::of(3);
    s.at(0).says(0, LEADER).says(1, LEADER);
    alarms(&mut s);
    s.says(2, LEADER);
    assert_eq!(alarms(&mut s), [(Alarm::Unanimity, true)]);
    s.rounds(50, 2000, 50, &[LEADER, LEADER, LEADER]);
    assert_eq!(alarms(&mut s), [(Alarm::Leaderless, false)]);
    s.at(2050).says(1, FOLLOWER);
    assert_eq!(alarms(&mut s), [(Alarm::Unanimity, false)]);
}

#[test]
fn l8_one_node_alone_is_no_unanimity() {
    let mut s = Script::of(1);
    s.at(0).says(0, LEADER);
    assert_eq!(alarms(&mut s), [(Alarm::Leaderless, true), (Alarm::Leaderless, false)]);
}

const NEVER: [bool; 0] = [];

/// Moves the route to the other of two nodes, at this millisecond.
fn swap(s: &mut Script, ms: u64) {
    let old = s.route().unwrap();
    s.at(ms - 10).says(1 - old, FOLLOWER).at(ms).says(1 - old, LEADER).says(old, FOLLOWER);
}

fn flapping(s: &mut Script) -> Vec<bool> {
    alarms(s).into_iter().filter_map(|(alarm, raised)| (alarm == Alarm::Flapping).then_some(raised)).collect()
}

/// Keeps the route of two nodes confirmed until then.
fn quiet(s: &mut Script, from: u64, to: u64) {
    let verdicts = if s.route() == Some(0) { [LEADER, FOLLOWER] } else { [FOLLOWER, LEADER] };
    s.rounds(from, to, 100, &verdicts);
}

#[test]
fn l8_flapping_is_raised_by_four_changes_in_ten_seconds_and_ends_after_ten_without() {
    let mut s = Script::of(2);
    s.at(0).says(0, LEADER).says(1, FOLLOWER);
    for ms in [100, 200, 300] {
        swap(&mut s, ms);
    }
    assert_eq!(flapping(&mut s), NEVER, "three changes; the first election is none");
    quiet(&mut s, 400, 9_900);
    swap(&mut s, 10_000);
    assert_eq!(flapping(&mut s), [true]);
    quiet(&mut s, 10_100, 15_000);
    swap(&mut s, 15_050);
    quiet(&mut s, 15_100, 25_000);
    s.at(25_049);
    assert_eq!(flapping(&mut s), NEVER);
    s.at(25_050);
    assert_eq!(flapping(&mut s), [false]);
}

#[test]
fn l8_four_changes_in_a_longer_time_are_no_flapping() {
    let mut s = Script::of(2);
    s.at(0).says(0, LEADER).says(1, FOLLOWER);
    for round in 0..8 {
        let begin = round * 3_400;
        quiet(&mut s, begin + 100, begin + 3_400);
        swap(&mut s, begin + 3_450);
    }
    assert_eq!(flapping(&mut s), NEVER);
}
