//! L10: an operator's overrides.

use super::script::{FOLLOWER, LATENCY, LEADER, SILENT, Script};
use crate::leader::{
    Alarm, Command, Event, LossCause, NodeId, NodeState, Override, Pace, Refusal, Suspicion,
};

const PINNED: Option<Override> = Some(Override::Pin);
const DRAINED: Option<Override> = Some(Override::Drain);

fn drain(node: usize) -> Command {
    Command::Drain { node: NodeId(node), force: false }
}

fn drain_by_force(node: usize) -> Command {
    Command::Drain { node: NodeId(node), force: true }
}

fn pin(node: usize) -> Command {
    Command::Pin(NodeId(node))
}

fn undrain(node: usize) -> Command {
    Command::Undrain(NodeId(node))
}

fn lost(node: usize, cause: LossCause) -> Event {
    Event::Lost { node: NodeId(node), cause }
}

fn changed(node: usize, to: Option<Override>) -> Event {
    Event::OverrideChanged { node: NodeId(node), to }
}

fn override_of(script: &Script, node: usize) -> Option<Override> {
    script.tracker.override_of(NodeId(node))
}

// --- drain ---

#[test]
fn l10_a_drained_node_is_never_the_route_but_still_heard() {
    let mut s = Script::led_by_0();
    assert_eq!(s.command(drain(1)), Ok(()));
    assert_eq!(s.events(), [changed(1, DRAINED), Event::AlarmRaised(Alarm::Override)]);
    s.rounds(1050, 1500, 50, &[LEADER, LEADER, FOLLOWER]);
    assert_eq!((s.route(), s.tracker.claims()), (Some(0), 2), "a newer claim would have displaced it");
    s.rounds(1550, 3000, 50, &[FOLLOWER, LEADER, FOLLOWER]);
    assert_eq!(s.route(), None);
    assert_eq!(s.tracker.node_state(NodeId(1)), NodeState::Leader);
    s.rounds(3050, 3100, 50, &[FOLLOWER, LEADER, LEADER]);
    assert_eq!(s.route(), Some(2));
}

#[test]
fn l10_draining_the_leader_needs_force() {
    let mut s = Script::led_by_0();
    assert_eq!(s.command(drain(0)), Err(Refusal::Leads(NodeId(0))));
    assert_eq!((s.route(), override_of(&s, 0)), (Some(0), None));
    assert_eq!(s.events(), []);
    assert!(Refusal::Leads(NodeId(0)).to_string().contains("--force"));
    assert_eq!(s.command(drain_by_force(0)), Ok(()));
    assert_eq!((s.route(), override_of(&s, 0)), (None, DRAINED));
    assert_eq!(s.changes(), [lost(0, LossCause::Drained)]);
}

#[test]
fn l10_after_a_drained_leader_the_highest_other_claim_follows() {
    let mut s = Script::led_by_0();
    s.at(1050).says(1, LEADER).says(2, FOLLOWER);
    s.at(1100).says(2, FOLLOWER).says(0, LEADER).says(1, LEADER).at(1150).says(2, LEADER);
    assert_eq!(s.route(), Some(2));
    s.events();
    s.at(1160).command(drain_by_force(2)).unwrap();
    assert_eq!(s.alerts(), 1);
    s.at(1161).says(1, LEADER);
    assert_eq!(s.route(), None, "its probe was begun before the drain");
    s.at(1170).says(0, LEADER).says(1, LEADER);
    assert_eq!(s.route(), None, "its election is proven to be older than the drained one's");
    s.at(1180).says(2, FOLLOWER).says(0, LEADER).says(1, LEADER);
    assert_eq!(s.changes(), [s.elected(1, Some(1), Some(1150 - LATENCY))]);
}

#[test]
fn l10_a_drained_leader_is_not_replaced_by_a_stale_one() {
    let mut s = Script::led_by_0();
    // 1 is elected, and 0, cut off, goes on claiming.
    s.at(1050).says(0, LEADER).says(1, LEADER).at(1060).command(drain_by_force(1)).unwrap();
    s.rounds(1100, 2000, 50, &[LEADER, LEADER, FOLLOWER]);
    assert_eq!(s.route(), None, "0 has been replaced by 1");
    s.at(2050).says(1, FOLLOWER).says(2, LEADER);
    assert_eq!(s.route(), Some(2), "the claim that is newer than the drained one");
}

#[test]
fn l10_the_election_after_a_pin_is_no_failover() {
    let mut s = Script::led_by_0();
    s.command(pin(0)).unwrap();
    s.rounds(1050, 2000, 50, &[FOLLOWER, LEADER, FOLLOWER]);
    s.events();
    s.command(Command::Unpin).unwrap();
    s.at(2050).says(1, LEADER);
    assert_eq!(s.changes(), [lost(0, LossCause::Unpinned), s.elected(1, Some(1), None)]);
}

#[test]
fn l10_an_undrained_nodes_claim_counts_again_after_one_confirmation() {
    let mut s = Script::led_by_0();
    s.command(drain_by_force(0)).unwrap();
    s.rounds(1050, 1500, 50, &[LEADER, FOLLOWER, FOLLOWER]);
    s.events();
    s.command(undrain(0)).unwrap();
    let cleared = Event::AlarmCleared(Alarm::Override);
    assert_eq!(s.events(), [changed(0, None), Event::ProbeNode(NodeId(0)), cleared]);
    s.at(1501).says(0, LEADER);
    assert_eq!(s.route(), None, "its probe was begun before");
    s.at(1510).says(0, LEADER);
    assert_eq!(s.route(), Some(0));
}

#[test]
fn l10_an_undrained_nodes_newer_claim_displaces_the_route() {
    let mut s = Script::led_by_0();
    s.command(drain(1)).unwrap();
    s.rounds(1050, 1200, 50, &[LEADER, LEADER, FOLLOWER]);
    s.command(undrain(1)).unwrap();
    assert_eq!(s.route(), Some(0));
    s.at(1210).says(1, LEADER);
    assert_eq!(s.route(), Some(1));
}

// --- pin ---

#[test]
fn l10_a_pinned_node_is_the_route_whatever_it_says_and_while_it_is_silent() {
    let mut s = Script::led_by_0();
    s.command(pin(1)).unwrap();
    assert_eq!(
        s.events(),
        [changed(1, PINNED), Event::Pinned(NodeId(1)), Event::AlarmRaised(Alarm::Override)]
    );
    s.rounds(1050, 2000, 50, &[FOLLOWER, FOLLOWER, LEADER]);
    s.rounds(2050, 9000, 250, &[SILENT, SILENT, LEADER]);
    s.at(9100).says(1, LEADER).says(1, FOLLOWER);
    assert_eq!((s.route(), s.changes()), (Some(1), vec![]));
}

#[test]
fn l10_a_node_that_was_never_heard_of_may_be_pinned() {
    let mut s = Script::of(2);
    s.command(pin(1)).unwrap();
    s.at(60_000);
    assert_eq!((s.route(), s.changes()), (Some(1), vec![Event::Pinned(NodeId(1))]));
}

#[test]
fn l10_a_pinned_leader_outlives_its_lease() {
    let mut s = Script::led_by_0();
    s.command(pin(0)).unwrap();
    s.at(60_000);
    assert_eq!((s.route(), s.tracker.claims()), (Some(0), 0));
    s.oversleep(90_000);
    assert_eq!((s.route(), s.changes()), (Some(0), vec![Event::Pinned(NodeId(0))]));
}

#[test]
fn l10_no_suspicion_hurries_the_probes_of_a_pinned_node() {
    let mut s = Script::led_by_0();
    s.command(pin(1)).unwrap();
    s.rounds(1050, 3050, 50, &[LEADER, FOLLOWER, FOLLOWER]);
    s.events();
    s.signal(1, Suspicion::ConnectRefused);
    s.at(3100).says(1, SILENT);
    assert_eq!((s.alerts(), s.tracker.pace()), (0, Pace::Steady));
}

#[test]
fn l10_another_pin_takes_the_place_of_the_first() {
    let mut s = Script::led_by_0();
    s.command(pin(1)).unwrap();
    s.events();
    s.command(pin(2)).unwrap();
    assert_eq!(s.events(), [changed(2, PINNED), changed(1, None), Event::Pinned(NodeId(2))]);
    assert_eq!((s.route(), override_of(&s, 1)), (Some(2), None));
}

#[test]
fn l10_an_unpinned_node_that_leads_stays_the_route() {
    let mut s = Script::led_by_0();
    s.command(pin(0)).unwrap();
    s.rounds(1050, 1500, 50, &[LEADER, FOLLOWER, FOLLOWER]);
    s.events();
    s.command(Command::Unpin).unwrap();
    assert_eq!(s.changes(), [s.elected(0, None, None)]);
    s.at(1550).says(0, FOLLOWER);
    assert_eq!(s.route(), None, "what it says counts again");
}

#[test]
fn l10_an_unpinned_node_gives_way_to_a_newer_claim_at_once() {
    let mut s = Script::led_by_0();
    s.command(pin(0)).unwrap();
    s.rounds(1050, 1500, 50, &[LEADER, LEADER, FOLLOWER]);
    assert_eq!(s.route(), Some(0));
    s.command(Command::Unpin).unwrap();
    assert_eq!(s.route(), Some(1));
}

#[test]
fn l10_after_the_pin_the_claims_decide_once_they_are_confirmed() {
    let mut s = Script::led_by_0();
    s.command(pin(1)).unwrap();
    s.rounds(1050, 1500, 50, &[LEADER, FOLLOWER, FOLLOWER]);
    s.events();
    s.command(Command::Unpin).unwrap();
    assert_eq!(s.changes(), [lost(1, LossCause::Unpinned)]);
    s.at(1510).says(0, LEADER);
    assert_eq!(s.changes(), [s.elected(0, None, None)], "the pinned time is no failover's");
}

// --- contradictions and repetitions ---

#[test]
fn l10_a_node_is_drained_or_pinned_and_never_both() {
    let mut s = Script::led_by_0();
    s.command(drain(1)).unwrap();
    s.command(pin(2)).unwrap();
    assert_eq!(s.command(pin(1)), Err(Refusal::Drained(NodeId(1))));
    for command in [drain(2), drain_by_force(2)] {
        assert_eq!(s.command(command), Err(Refusal::Pinned(NodeId(2))));
    }
    assert_eq!((s.route(), override_of(&s, 1), override_of(&s, 2)), (Some(2), DRAINED, PINNED));
}

#[test]
fn l10_an_unknown_node_is_refused() {
    let mut s = Script::led_by_0();
    for command in [drain(3), drain_by_force(3), pin(3), undrain(3)] {
        assert_eq!(s.command(command), Err(Refusal::UnknownNode(NodeId(3))));
    }
}

#[test]
fn l10_what_is_so_already_may_be_ordered_again() {
    let mut s = Script::led_by_0();
    for command in [undrain(1), Command::Unpin] {
        assert_eq!(s.command(command), Ok(()));
    }
    assert_eq!(s.events(), []);
    for command in [drain(1), pin(2)] {
        s.command(command).unwrap();
        s.events();
        assert_eq!(s.command(command), Ok(()));
        assert_eq!(s.events(), []);
    }
    s.command(undrain(2)).unwrap();
    assert_eq!(override_of(&s, 2), PINNED, "it was never drained");
}

#[test]
fn l10_a_refused_command_does_not_stop_the_time() {
    let mut s = Script::led_by_0();
    s.skip_to(60_000);
    assert!(s.command(drain(0)).is_err());
    let now = s.instant(60_000);
    assert!(s.tracker.poll_timeout().is_none_or(|due| now < due));
}
