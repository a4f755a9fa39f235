//! L3: which claim is the route.

use super::script::{FOLLOWER, LATENCY, LEADER, SILENT, Script};
use crate::leader::{Event, LossCause, NodeId, Policy};

fn lost(node: usize, cause: LossCause) -> Event {
    Event::Lost { node: NodeId(node), cause }
}

// --- at the start ---

#[test]
fn l3_a_lone_first_claim_is_the_route_once_everybody_was_heard() {
    let mut s = Script::of(3);
    s.at(2).says(0, LEADER).says(1, FOLLOWER);
    assert_eq!(s.route(), None);
    s.at(3).says(2, SILENT);
    assert_eq!(s.changes(), [s.elected(0, None, None)]);
}

#[test]
fn l3_a_lone_first_claim_waits_for_each_first_answer_or_its_deadline() {
    let mut s = Script::of(3);
    s.rounds(2, 1549, 50, &[LEADER, FOLLOWER]).at(1549);
    assert_eq!(s.route(), None);
    s.at(1550);
    assert_eq!(s.route(), Some(0));
}

#[test]
fn l3_at_the_start_a_far_leader_beats_a_near_one_that_is_stale() {
    // The far one's first answer takes three round trips. The near one learns of it half a second later.
    let mut s = Script::of(3);
    let far = s.ask(1);
    s.at(2).says(0, LEADER).says(2, FOLLOWER).at(180).answer(far, LEADER);
    assert_eq!((s.route(), s.tracker.claims()), (None, 2));
    s.rounds(250, 500, 50, &[LEADER, LEADER]);
    s.at(520).says(0, FOLLOWER).at(530).says(1, LEADER);
    assert_eq!(s.changes(), [s.elected(1, None, None)]);
}

#[test]
fn l3_with_rise_claims_that_still_rise_take_part_in_the_contest() {
    for (rise, priorities, winner) in [(2, [0, 0], 0), (2, [0, 5], 1), (3, [0, 0], 0), (2, [1, 0], 0)] {
        for first in [0, 1] {
            let mut s = Script::with(&priorities, Policy { rise, ..Policy::default() });
            for ms in (10..1000).step_by(50) {
                // One of them is always a little earlier.
                s.at(ms).says(first, LEADER).at(ms + 20).says(1 - first, LEADER);
            }
            assert_eq!(s.route(), None, "rise {rise}, {first} first");
            s.at(1100);
            assert_eq!(s.route(), Some(winner), "rise {rise}, {first} first");
        }
    }
}

#[test]
fn l3_a_claim_that_does_not_rise_is_not_waited_for_for_ever() {
    let mut s = Script::with(&[0, 5], Policy { rise: 3, ..Policy::default() });
    s.at(10).says(1, LEADER);
    s.rounds(20, 4480, 60, &[LEADER]).at(4490);
    assert_eq!(s.route(), None, "the other may still say it twice more");
    s.at(4511).says(0, LEADER);
    assert_eq!(s.route(), Some(0));
}

#[test]
fn l3_with_rise_a_lone_claim_is_the_route_as_soon_as_it_has_risen() {
    let mut s = Script::with(&[0, 0], Policy { rise: 2, ..Policy::default() });
    s.at(2).says(0, LEADER).says(1, FOLLOWER).at(52).says(0, LEADER);
    assert_eq!(s.route(), Some(0));
}

#[test]
fn l3_of_several_first_claims_the_one_that_is_not_withdrawn_is_the_route() {
    let mut s = Script::of(3);
    s.rounds(2, 402, 50, &[LEADER, LEADER, FOLLOWER]);
    assert_eq!(s.route(), None);
    s.at(450).says(0, FOLLOWER).says(1, LEADER);
    assert_eq!(s.changes(), [s.elected(1, None, None)]);
}

#[test]
fn l3_several_first_claims_wait_a_second_then_priority_decides_then_the_name() {
    for (priorities, winner) in [([0, 0, 0], 0), ([0, 1, 0], 1), ([-1, 0, 0], 1)] {
        let mut s = Script::with(&priorities, Policy::default());
        s.rounds(2, 1001, 50, &[LEADER, LEADER, FOLLOWER]).at(1001);
        assert_eq!(s.route(), None);
        s.at(1002);
        assert_eq!(s.changes(), [s.elected(winner, None, None)]);
    }
}

#[test]
fn l3_a_first_ever_claim_never_displaces_the_route() {
    let mut s = Script::of(3);
    s.rounds(0, 500, 50, &[LEADER, FOLLOWER, SILENT]);
    s.rounds(550, 3000, 50, &[LEADER, FOLLOWER, LEADER]);
    assert_eq!((s.route(), s.tracker.claims()), (Some(0), 2));
}

// --- a new leader ---

#[test]
fn l3_a_new_claim_displaces_the_route_at_once() {
    let mut s = Script::led_by_0();
    s.at(1050).says(1, LEADER);
    assert_eq!(s.changes(), [s.elected(1, Some(1), Some(1000 - LATENCY))]);
    s.at(1100).says(0, LEADER).says(1, LEADER).says(2, FOLLOWER).at(1150).says(2, LEADER);
    assert_eq!(s.changes(), [s.elected(2, Some(2), Some(1100 - LATENCY))]);
}

#[test]
fn l3_silence_between_follower_and_leader_does_not_matter() {
    let mut s = Script::led_by_0();
    s.rounds(1050, 2000, 50, &[LEADER, SILENT, FOLLOWER]).at(2050).says(1, LEADER);
    assert_eq!(s.route(), Some(1));
}

#[test]
fn l3_the_older_claim_never_comes_back_while_the_newer_stands() {
    let mut s = Script::led_by_0();
    s.at(1050).says(1, LEADER);
    s.rounds(1100, 5000, 50, &[LEADER, LEADER, FOLLOWER]);
    assert_eq!(s.changes(), [s.elected(1, Some(1), Some(1000 - LATENCY))]);
}

#[test]
fn l3_after_a_step_down_the_successor_is_routed_on_its_first_word() {
    let mut s = Script::led_by_0();
    s.at(1050).says(0, FOLLOWER);
    assert_eq!(s.changes(), [lost(0, LossCause::SteppedDown)]);
    s.at(1100).says(2, LEADER);
    assert_eq!(s.changes(), [s.elected(2, Some(1), Some(1000 - LATENCY))]);
}

#[test]
fn l3_a_claim_that_begins_anew_gets_a_new_ordinal() {
    let mut s = Script::led_by_0();
    for (ms, node, ordinal) in [(1050, 1, 1), (1150, 2, 2), (1250, 1, 3), (1350, 0, 4)] {
        let old = s.route().unwrap();
        s.at(ms).says(old, FOLLOWER).at(ms + 50).says(node, LEADER);
        let last_good = if old == 0 { 1000 } else { ms - 50 } - LATENCY;
        let elected = s.elected(node, Some(ordinal), Some(last_good));
        assert_eq!(s.changes(), [lost(old, LossCause::SteppedDown), elected]);
    }
}

// --- silence, sleep and waking ---

#[test]
fn l3_silence_below_fall_ends_neither_route_nor_claim() {
    let mut s = Script::led_by_0();
    s.at(1050).says(0, SILENT);
    assert_eq!((s.route(), s.tracker.claims()), (Some(0), 1));
    s.at(1100).says(0, LEADER);
    assert_eq!((s.route(), s.changes()), (Some(0), vec![]));
}

#[test]
fn l3_silence_of_fall_ends_the_route() {
    let mut s = Script::led_by_0();
    s.at(1050).says(0, SILENT).at(1100).says(0, SILENT);
    assert_eq!(s.changes(), [lost(0, LossCause::Silent)]);
    assert_eq!(s.tracker.claims(), 0);
}

#[test]
fn l3_a_woken_leader_keeps_its_old_ordinal() {
    let mut s = Script::led_by_0();
    s.at(1050).says(1, LEADER).says(0, FOLLOWER);
    s.at(1100).says(1, SILENT).says(2, FOLLOWER).at(1150).says(1, SILENT).at(1200).says(2, LEADER).events();
    s.rounds(1250, 2000, 50, &[FOLLOWER, LEADER, LEADER]);
    assert_eq!((s.route(), s.changes()), (Some(2), vec![]), "claim 1 is older than claim 2, awake or not");
    s.at(2050).says(2, FOLLOWER).at(2100).says(1, LEADER);
    assert_eq!(s.changes(), [lost(2, LossCause::SteppedDown), s.elected(1, Some(1), Some(2000 - LATENCY))]);
}

#[test]
fn l3_a_woken_leader_is_routed_on_its_second_word() {
    let mut s = Script::led_by_0();
    s.at(1050).says(0, SILENT).at(1100).says(0, SILENT).events();
    let hedge = s.ask(0);
    let hedge_too = s.ask(0);
    s.at(1150).answer(hedge, LEADER);
    assert_eq!(s.events().last(), Some(&Event::ProbeNode(NodeId(0))), "it is asked again at once");
    assert_eq!((s.route(), s.tracker.claims()), (None, 1));
    s.at(1151).answer(hedge_too, LEADER);
    assert_eq!(s.route(), None, "this probe began before the first word had arrived");
    let second = s.ask(0);
    s.at(1153).answer(second, LEADER);
    assert_eq!(s.changes(), [s.elected(0, None, Some(1000 - LATENCY))]);
}

#[test]
fn l3_a_woken_leader_takes_the_route_from_an_older_claim_on_its_second_word() {
    let mut s = Script::led_by_0();
    s.at(1050).says(1, LEADER).at(1100).says(1, SILENT).at(1150).says(1, SILENT);
    s.at(1200).says(0, LEADER);
    assert_eq!(s.route(), Some(0), "0 still says that it leads, and 1 is silent");
    s.at(1250).says(1, LEADER);
    assert_eq!(s.route(), Some(0));
    s.at(1300).says(1, LEADER);
    assert_eq!(s.route(), Some(1));
}

#[test]
fn l3_with_rise_a_woken_leader_needs_that_many_words_again() {
    let mut s = Script::with(&[0, 0], Policy { rise: 3, ..Policy::default() });
    s.rounds(0, 500, 50, &[LEADER, FOLLOWER]).rounds(550, 600, 50, &[SILENT, FOLLOWER]);
    s.rounds(650, 700, 50, &[LEADER, FOLLOWER]);
    assert_eq!(s.route(), None);
    s.at(750).says(0, LEADER);
    assert_eq!(s.route(), Some(0));
}

// --- when the route ends ---

#[test]
fn l3_the_highest_remaining_claim_succeeds_after_a_confirmation_begun_afterwards() {
    let mut s = Script::led_by_0();
    s.at(1050).says(1, LEADER).at(1100).says(1, LEADER).says(2, FOLLOWER);
    s.at(1150).says(2, LEADER).at(1200).says(1, LEADER).says(0, LEADER).events();
    let before = s.ask(1);
    s.at(1210).says(2, FOLLOWER);
    assert_eq!(s.changes(), [lost(2, LossCause::SteppedDown)]);
    s.at(1211).answer(before, LEADER);
    assert_eq!(s.route(), None, "that probe began before the route ended");
    s.at(1213).says(0, LEADER);
    assert_eq!(s.route(), None, "a higher claim stands than this one");
    s.at(1214).says(1, LEADER);
    assert_eq!(s.changes(), [s.elected(1, Some(1), Some(1150 - LATENCY))]);
}

#[test]
fn l3_of_two_remaining_claims_the_higher_is_waited_for() {
    let mut s = Script::led_by_0();
    s.at(1050).says(0, FOLLOWER).at(1100).says(1, LEADER).says(2, FOLLOWER);
    s.at(1150).says(0, FOLLOWER).at(1200).says(0, LEADER).at(1250).says(2, FOLLOWER).at(1300).says(2, LEADER);
    assert_eq!((s.route(), s.tracker.claims()), (Some(2), 3));
    s.at(1350).says(2, FOLLOWER).at(1400).says(1, LEADER);
    assert_eq!(s.route(), None, "claim 1 is confirmed, but claim 2 stands as well");
    s.at(1450).says(0, LEADER);
    assert_eq!(s.route(), Some(0));
}

#[test]
fn l3_when_the_route_ends_everybody_is_asked_at_once() {
    let mut s = Script::led_by_0();
    s.at(1050).says(0, FOLLOWER);
    assert_eq!(s.alerts(), 1);
}

// --- claims whose order cannot be told ---

#[test]
fn l3_a_claim_that_may_be_older_than_the_route_does_not_displace_it() {
    let mut s = Script::led_by_0();
    // 1 is cut off before 2 is elected: its last word "follower" is older than 2's claim.
    s.at(1050).says(0, FOLLOWER).says(1, FOLLOWER);
    s.at(1100).says(2, LEADER).rounds(1150, 3000, 50, &[FOLLOWER, SILENT, LEADER]).events();
    s.rounds(3050, 4000, 50, &[FOLLOWER, LEADER, LEADER]);
    assert_eq!((s.route(), s.changes()), (Some(2), vec![]), "1 may have led before 2 did, and been paused");
    s.at(4050).says(2, FOLLOWER).at(4100).says(1, LEADER);
    assert_eq!(s.route(), Some(1), "once the route has ended, it is the highest claim");
}

#[test]
fn l3_a_late_answer_of_a_leader_that_was_followed_by_the_route_does_not_displace_it() {
    let mut s = Script::led_by_0();
    s.at(1050).says(0, FOLLOWER).says(1, FOLLOWER).says(2, FOLLOWER);
    let late = s.ask(1);
    s.at(1100).says(2, LEADER).at(1150).answer(late, LEADER);
    assert_eq!(s.route(), Some(2));
}

#[test]
fn l3_a_claim_that_may_be_older_than_a_sleeping_one_needs_a_second_word() {
    let mut s = Script::led_by_0();
    s.at(1050).says(0, FOLLOWER).says(1, FOLLOWER);
    s.at(1100).says(2, LEADER).at(1150).says(2, SILENT).at(1200).says(2, SILENT).events();
    s.at(1250).says(1, LEADER);
    assert_eq!(s.route(), None);
    s.at(1300).says(1, LEADER);
    assert_eq!(s.route(), Some(1));
}
