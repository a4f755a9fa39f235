//! L5, L7 and L9: pace, suspicion, lease and time.

use super::script::{FOLLOWER, LATENCY, LEADER, SILENT, Script};
use crate::leader::{Event, LossCause, NodeId, Observation, Pace, Policy, ProbeId, Suspicion};

// --- L5: pace ---

#[test]
fn l5_probing_is_fast_without_a_route_and_for_a_moment_after_a_change() {
    let mut s = Script::of(2);
    assert_eq!(s.tracker.pace(), Pace::Fast);
    s.at(500).says(0, LEADER).says(1, FOLLOWER).rounds(550, 1450, 50, &[LEADER, FOLLOWER]).at(1499);
    assert_eq!(s.tracker.pace(), Pace::Fast);
    s.at(1500);
    assert_eq!(s.tracker.pace(), Pace::Steady);
    s.says(1, LEADER).at(1550).says(0, FOLLOWER).at(2499).says(1, LEADER);
    assert_eq!(s.tracker.pace(), Pace::Fast);
    s.at(2500);
    assert_eq!(s.tracker.pace(), Pace::Steady);
}

#[test]
fn l5_probing_is_fast_in_a_conflict() {
    let mut s = Script::of(3);
    s.rounds(0, 2000, 50, &[LEADER, FOLLOWER, SILENT]);
    assert_eq!(s.tracker.pace(), Pace::Steady);
    s.rounds(2050, 5000, 50, &[LEADER, FOLLOWER, LEADER]);
    assert_eq!(s.tracker.pace(), Pace::Fast);
    s.at(5050).says(2, FOLLOWER);
    assert_eq!(s.tracker.pace(), Pace::Steady);
}

// --- L5: suspicion ---

/// Node 0 has been the route long enough for the pace to be steady, at 2000 ms.
fn steady() -> Script {
    let mut s = Script::led_by_0();
    s.rounds(1250, 2000, 250, &[LEADER, FOLLOWER, FOLLOWER]).events();
    assert_eq!(s.tracker.pace(), Pace::Steady);
    s
}

#[test]
fn l5_a_signal_has_every_node_probed_and_lasts_until_the_route_is_confirmed() {
    let mut s = steady();
    let before = s.ask(0);
    s.at(2010).signal(0, Suspicion::ConnectRefused);
    assert_eq!((s.alerts(), s.tracker.pace()), (1, Pace::Fast));
    s.at(2011).answer(before, LEADER);
    assert_eq!(s.tracker.pace(), Pace::Fast, "that probe began before the suspicion");
    s.at(2013).says(0, LEADER);
    assert_eq!(s.tracker.pace(), Pace::Steady);
}

#[test]
fn l5_a_signal_about_another_node_than_the_route_is_ignored() {
    let mut s = steady();
    s.signal(1, Suspicion::ConnectRefused).signal(9, Suspicion::ProbeLate);
    assert_eq!((s.events(), s.tracker.pace()), (vec![], Pace::Steady));
}

#[test]
fn l5_a_storm_of_signals_at_most_doubles_the_probing() {
    let mut s = steady();
    let mut fast = 0;
    // A node that closes its probe connection after each answer, for ten seconds.
    for ms in 2001..=12_000 {
        s.at(ms).signal(0, Suspicion::ProbeConnectionClosed);
        s.signal(0, Suspicion::ConnectTimeout);
        fast += u32::from(s.tracker.pace() == Pace::Fast);
        s.at(ms).says(0, LEADER);
        if s.tracker.pace() == Pace::Fast {
            let confirms = s.ask(0);
            s.answer(confirms, LEADER);
        }
    }
    assert_eq!(s.alerts(), 40, "once an interval of 250 ms");
    assert_eq!(fast, 40);
}

#[test]
fn l5_the_guard_is_one_tenure_s_own() {
    let mut s = steady();
    s.signal(0, Suspicion::ConnectRefused);
    s.at(2010).says(1, LEADER).events();
    s.at(2020).signal(1, Suspicion::ConnectRefused);
    assert_eq!(s.alerts(), 1);
}

#[test]
fn l5_the_first_miss_of_the_route_has_every_node_probed() {
    let mut s = steady();
    s.at(2250).says(1, SILENT);
    assert_eq!((s.alerts(), s.tracker.pace()), (0, Pace::Steady), "another node's miss is no suspicion");
    s.says(0, SILENT);
    assert_eq!((s.alerts(), s.tracker.pace()), (1, Pace::Fast));
    s.at(2300).says(0, LEADER);
    assert_eq!(s.tracker.pace(), Pace::Steady);
    s.at(2350).says(0, SILENT);
    assert_eq!((s.alerts(), s.tracker.pace()), (0, Pace::Fast), "too soon for all, not for the suspect");
}

// --- L7: the lease ---

fn lease_ms() -> u64 {
    u64::try_from(Policy::default().lease().as_millis()).unwrap()
}

fn expired(node: usize) -> Vec<Event> {
    vec![Event::Lost { node: NodeId(node), cause: LossCause::LeaseExpired }]
}

#[test]
fn l7_the_route_is_lost_when_nobody_confirms_it_whatever_became_of_its_prober() {
    let mut s = steady();
    let end = 2000 - LATENCY + lease_ms();
    s.at(end - 1);
    assert_eq!(s.route(), Some(0));
    s.at(end);
    assert_eq!((s.changes(), s.tracker.claims()), (expired(0), 0));
}

#[test]
fn l7_the_lease_is_counted_from_the_begin_of_the_probe() {
    let mut s = steady();
    let slow = s.ask(0);
    s.at(3400).answer(slow, LEADER).at(2000 + lease_ms() - 1);
    assert_eq!(s.route(), Some(0));
    s.at(2000 + lease_ms());
    assert_eq!(s.route(), None);
}

#[test]
fn l7_a_claim_that_is_not_the_route_has_a_lease_too() {
    let mut s = Script::of(3);
    s.rounds(0, 1000, 50, &[LEADER, FOLLOWER, SILENT]).at(1050).says(2, LEADER);
    let end = 1050 - LATENCY + lease_ms();
    s.rounds(1100, end - 1, 50, &[LEADER, FOLLOWER]).at(end - 1);
    assert_eq!(s.tracker.claims(), 2);
    s.at(end);
    assert_eq!((s.tracker.claims(), s.route()), (1, Some(0)));
}

#[test]
fn l7_a_claim_whose_lease_ended_wakes_like_any_other() {
    let mut s = steady();
    s.at(2000 + lease_ms()).events();
    s.at(7000).says(0, LEADER);
    assert_eq!(s.route(), None);
    s.at(7050).says(0, LEADER);
    assert_eq!(s.route(), Some(0));
}

#[test]
fn l7_a_gate_that_was_paused_asks_before_it_judges() {
    let mut s = steady();
    s.oversleep(60_000);
    assert_eq!((s.route(), s.alerts(), s.tracker.pace()), (Some(0), 1, Pace::Fast));
    s.at(60_004).says(0, LEADER).at(63_000);
    assert_eq!((s.route(), s.changes()), (Some(0), vec![]));
}

#[test]
fn l7_the_grace_after_a_pause_is_given_once() {
    let mut s = steady();
    let before = s.ask(0);
    s.oversleep(60_000).at(60_001).answer(before, LEADER);
    let end = 60_000 + 1500 + 50;
    s.at(end - 1);
    assert_eq!(
        s.route(),
        Some(0),
        "an answer from before the pause neither renews the lease nor ends the grace"
    );
    s.at(end);
    assert_eq!(s.changes(), expired(0));

    let mut s = steady();
    s.oversleep(60_000).oversleep(90_000);
    assert_eq!(s.changes(), expired(0));
}

#[test]
fn l7_the_grace_ends_with_the_tenure_for_which_it_was_given() {
    let mut s = steady();
    s.oversleep(60_000).at(60_004).says(1, LEADER);
    assert_eq!((s.route(), s.tracker.claims()), (Some(1), 1), "0 has not spoken for a minute");
    s.at(60_500);
}

#[test]
fn l7_after_a_confirmation_the_next_pause_is_forgiven_again() {
    let mut s = steady();
    s.oversleep(60_000).at(60_004).says(0, LEADER).oversleep(90_000);
    assert_eq!(s.route(), Some(0));
    s.at(90_000 + 1550);
    assert_eq!(s.route(), None);
}

#[test]
fn l7_the_first_thing_after_a_pause_may_be_an_observation() {
    let mut s = steady();
    let (own, other) = (s.ask(0), s.ask(1));
    s.skip_to(60_000).answer(other, FOLLOWER);
    assert_eq!((s.route(), s.alerts()), (Some(0), 1));
    s.answer(own, LEADER).at(60_004).says(0, LEADER).at(63_000);
    assert_eq!((s.route(), s.changes()), (Some(0), vec![]));
}

// --- L9: time ---

#[test]
fn l9_a_clock_that_goes_back_does_not_turn_time_back() {
    let mut s = steady();
    let observation =
        Observation { node: NodeId(1), probe: ProbeId(u64::MAX), began: s.instant(1999), verdict: LEADER };
    s.tracker.handle_observation(s.instant(0), observation);
    assert_eq!(s.route(), Some(1));
    assert_eq!(s.tracker.poll_timeout(), Some(s.instant(3000)), "the fast second began at 2000");
}
