//! O3: what a tracker remembers makes its heir in another process judge as it would have judged itself.

use proptest::prelude::*;

use super::script::{FOLLOWER, LEADER, SILENT, Script, UNFIT};
use crate::leader::{Alarm, Command, Event, LossCause, NodeId, Override, Policy};

fn lease_ms() -> u64 {
    u64::try_from(Policy::default().lease().as_millis()).unwrap()
}

#[test]
fn o3_the_heir_has_the_route_at_once_and_raises_no_alarm() {
    let mut script = Script::led_by_0();
    script.hand_over();
    assert_eq!(script.route(), Some(0));
    let events = script.events();
    assert!(events.contains(&Event::Resumed(NodeId(0))) && events.contains(&Event::ProbeAll), "{events:?}");
    assert!(!events.iter().any(|event| matches!(event, Event::AlarmRaised(_))), "{events:?}");
}

#[test]
fn o3_a_stale_claimant_does_not_fool_the_heir() {
    let mut script = Script::led_by_0();
    // 0 freezes, 1 is elected; then the process changes, and 0 wakes up saying what it believed before.
    script.rounds(1050, 1150, 50, &[SILENT, LEADER, FOLLOWER]);
    assert_eq!(script.route(), Some(1));
    script.hand_over();
    script.rounds(1200, 1600, 50, &[LEADER, LEADER, FOLLOWER]);
    assert_eq!(script.route(), Some(1), "an old claim has displaced a newer one");
    // And even when the newer one is silent, the old one has to be confirmed.
    script.hand_over();
    script.at(1610).says(1, SILENT).says(1, SILENT);
    assert_eq!(script.route(), None);
}

#[test]
fn o3_a_new_leader_displaces_the_heirs_route_by_its_first_word() {
    let mut script = Script::led_by_0();
    script.hand_over();
    script.events();
    script.at(1010).says(1, LEADER);
    assert_eq!(script.route(), Some(1), "it was heard following after the old claim had begun");
}

#[test]
fn o3_ordinals_go_on() {
    let mut script = Script::led_by_0();
    script.rounds(1050, 1100, 50, &[FOLLOWER, LEADER, FOLLOWER]);
    script.hand_over();
    script.events();
    script.at(1150).says(2, LEADER);
    let elected = script.elected(2, Some(2), Some(1098));
    assert_eq!(script.changes(), [elected]);
}

#[test]
fn o3_what_is_older_than_a_lease_is_no_route_for_the_heir() {
    let mut script = Script::led_by_0();
    // So late that a gate that had been paused would give it grace (L7).
    script.skip_to(1000 + lease_ms() + 100).hand_over();
    assert_eq!(script.route(), None, "a dead word has come to life");
    script.events();
    let late = 1000 + lease_ms() + 110;
    script.at(late).says(0, LEADER);
    assert_eq!(script.route(), None, "a claim that slept wants a second word");
    script.at(late + 10).says(0, LEADER);
    assert_eq!(script.route(), Some(0));
}

#[test]
fn o3_what_was_little_younger_than_a_lease_ends_when_it_would_have() {
    let mut script = Script::led_by_0();
    script.skip_to(998 + lease_ms() - 100).hand_over();
    assert_eq!(script.route(), Some(0));
    script.events();
    script.at(998 + lease_ms() + 200);
    let changes = script.changes();
    assert_eq!(changes, [Event::Lost { node: NodeId(0), cause: LossCause::LeaseExpired }]);
}

#[test]
fn l10_overrides_outlive_the_process() {
    let mut script = Script::led_by_0();
    script.command(Command::Drain { node: NodeId(1), force: false }).unwrap();
    script.command(Command::Pin(NodeId(2))).unwrap();
    script.hand_over();
    assert_eq!(script.route(), Some(2));
    assert_eq!(script.tracker.override_of(NodeId(1)), Some(Override::Drain));
    let events = script.events();
    assert!(events.contains(&Event::AlarmRaised(Alarm::Override)), "{events:?}");
    assert!(events.contains(&Event::OverrideChanged { node: NodeId(2), to: Some(Override::Pin) }));
    script.rounds(1050, 1150, 50, &[FOLLOWER, LEADER, FOLLOWER]);
    assert_eq!(script.route(), Some(2), "a pinned node is the route whatever it says");
    script.command(Command::Unpin).unwrap();
    script.rounds(1200, 1300, 50, &[FOLLOWER, LEADER, FOLLOWER]);
    assert_eq!(script.route(), None, "a drained node has become the route");
}

proptest! {
    /// What is said between two rounds does not depend on who hears it.
    #[test]
    fn o3_heirs_judge_as_the_one_judges_that_was_never_replaced(
        rounds in proptest::collection::vec((proptest::array::uniform3(0..4_usize), any::<bool>()), 1..60),
    ) {
        let (mut one, mut heirs) = (Script::of(3), Script::of(3));
        for (round, (words, replaced)) in rounds.into_iter().enumerate() {
            let now = 100 * (round as u64 + 1);
            for (node, word) in words.into_iter().enumerate() {
                let verdict = [LEADER, FOLLOWER, SILENT, UNFIT][word];
                one.at(now).says(node, verdict);
                heirs.at(now).says(node, verdict);
            }
            if replaced {
                heirs.hand_over();
            }
            prop_assert_eq!(one.route(), heirs.route(), "at {} ms", now);
            prop_assert_eq!(one.tracker.claims(), heirs.tracker.claims(), "at {} ms", now);
        }
    }
}
