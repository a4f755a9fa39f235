//! Which of several nodes a reader goes to.

use super::super::choice::Fault;
use super::super::outcome::Outcome;
use super::*;
use crate::leader::NodeId;
use crate::tenure::channel;

const PATIENCE: Duration = Duration::from_secs(10);
const MS: Duration = Duration::from_millis(1);
/// Enough to meet whatever chance allows.
const OFTEN: usize = 500;

fn tenures(count: u16) -> Vec<Arc<Tenure>> {
    let (writer, _) = channel(start(), Arc::default());
    let tenure = |node: u16| {
        writer.reader(NodeId(node.into()), "n".into(), ([127, 0, 0, 1], 1000 + node).into(), start())
    };
    (0..count).map(tenure).collect()
}

/// The same moment for all who ask within a test.
fn start() -> Instant {
    thread_local!(static START: Instant = Instant::now());
    START.with(|start| *start)
}

fn at(ms: u32) -> Instant {
    start() + ms * MS
}

/// Where clients go of which nothing is known, by how many sessions the nodes have.
fn choices(tenures: &[Arc<Tenure>], loads: &[i64]) -> Vec<usize> {
    let load = |tenure: &Tenure| loads[tenure.node.0];
    let client = |_| dialled(choose(tenures, None, &Setbacks::default(), at(0), PATIENCE, load));
    (0..OFTEN).map(client).collect()
}

fn dialled(choice: Choice) -> usize {
    let Choice::Dial(tenure) = choice else { panic!("no dial but {choice:?}") };
    tenure.node.0
}

fn choose_after(tenures: &[Arc<Tenure>], setbacks: &Setbacks, ms: u32) -> Choice {
    choose(tenures, None, setbacks, at(ms), PATIENCE, |_| 0)
}

#[test]
fn of_two_nodes_the_one_with_fewer_sessions_is_taken() {
    let two = tenures(2);
    assert!(choices(&two, &[7, 6]).iter().all(|node| *node == 1));
    let even = choices(&two, &[7, 7]);
    assert!(even.contains(&0) && even.contains(&1));
    assert!(choices(&tenures(1), &[7]).iter().all(|node| *node == 0));
}

#[test]
fn of_more_nodes_two_are_compared_and_the_fullest_is_never_taken() {
    let taken = choices(&tenures(3), &[0, 5, 9]);
    assert!(!taken.contains(&2), "whomever it is compared with has fewer");
    assert!(taken.contains(&0) && taken.contains(&1), "the emptiest is not always of the two");
}

#[test]
fn a_reader_that_was_given_a_node_keeps_it_while_it_waits() {
    let two = tenures(2);
    let load = |tenure: &Tenure| if tenure.node == NodeId(0) { 9 } else { 0 };
    let setbacks = Setbacks::default();
    let own = choose(&two, Some(two[0].epoch), &setbacks, at(0), PATIENCE, load);
    assert_eq!(dialled(own), 0);
    let ended = choose(&two, Some(99), &setbacks, at(0), PATIENCE, load);
    assert_eq!(dialled(ended), 1);
}

#[test]
fn s3_who_has_failed_this_client_is_passed_over_while_there_is_another() {
    let two = tenures(2);
    let mut setbacks = Setbacks::default();
    setbacks.note(&two[0], Fault::Node, at(0), 0.5);
    for _ in 0..OFTEN {
        assert_eq!(dialled(choose_after(&two, &setbacks, 0)), 1);
    }
    // Neither the backoff nor an old statement brings it back, but both together with a new one do.
    assert_eq!(dialled(choose_after(&two, &setbacks, 5000)), 1);
    two[0].confirm(at(1));
    let back: Vec<_> = (0..OFTEN).map(|_| dialled(choose_after(&two, &setbacks, 5000))).collect();
    assert!(back.contains(&0) && back.contains(&1));
}

#[test]
fn s3_who_was_failed_by_all_waits_for_the_first_to_count_again() {
    for (first, second) in [(0, 1), (1, 0)] {
        let two = tenures(2);
        let mut setbacks = Setbacks::default();
        setbacks.note(&two[first], Fault::Node, at(0), 0.0);
        setbacks.note(&two[second], Fault::Node, at(10), 0.0);
        let Choice::Wait(until) = choose_after(&two, &setbacks, 10) else {
            panic!("no wait for the backoff")
        };
        assert_eq!(until, at(50));
        let Choice::WaitForWord(word) = choose_after(&two, &setbacks, 100) else {
            panic!("no wait for a word")
        };
        // Either may speak first, and only one is listened to: not for long.
        assert_eq!(word.until, at(350));
        two[second].confirm(at(101));
        assert_eq!(dialled(choose_after(&two, &setbacks, 102)), second);
    }
}

#[test]
fn s3_patience_with_all_of_them_counts_from_the_first_failure() {
    for (first, second) in [(0, 1), (1, 0)] {
        let two = tenures(2);
        let mut setbacks = Setbacks::default();
        setbacks.note(&two[first], Fault::Node, at(0), 0.5);
        setbacks.note(&two[second], Fault::Node, at(9000), 0.5);
        assert!(matches!(choose_after(&two, &setbacks, 9999), Choice::WaitForWord(_)));
        assert!(matches!(choose_after(&two, &setbacks, 10_000), Choice::GiveUp(Outcome::NodeError)));
        two[second].confirm(at(9001));
        let choice = choose_after(&two, &setbacks, 10_000);
        assert_eq!(dialled(choice), second, "whoever can be dialled is");
    }
}

#[test]
fn with_no_node_at_all_a_reader_waits_as_long_as_a_backoff_lasts() {
    let Choice::Wait(until) = choose_after(&[], &Setbacks::default(), 100) else { panic!("no wait") };
    assert_eq!(until, at(350));
}

#[test]
fn s3_a_node_that_fails_readers_is_spared_and_then_tried_by_one_at_a_time() {
    let two = tenures(2);
    let chosen = |ms| {
        let load = |tenure: &Tenure| if tenure.node == NodeId(0) { 0 } else { 9 };
        let choice = |_| dialled(choose(&two, None, &Setbacks::default(), at(ms), PATIENCE, load));
        let chosen: std::collections::BTreeSet<usize> = (0..OFTEN).map(choice).collect();
        chosen.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(chosen(0), [0]);
    Approach::to(&two[0], at(0)).failed(at(0));
    assert_eq!((chosen(999), chosen(1000)), (vec![1], vec![0]), "spared for a second");
    assert_eq!(choices(&two[..1], &[0]).len(), OFTEN, "there is no other");
    let scout = Approach::to(&two[0], at(1000));
    assert_eq!(chosen(5000), [1], "one is trying it");
    // That it accepts says nothing.
    let trial = scout.accepted();
    assert_eq!((chosen(1999), chosen(2000)), (vec![1], vec![0]));
    trial.failed(at(2000));
    assert_eq!((chosen(2999), chosen(3000)), (vec![1], vec![0]));
    Approach::to(&two[0], at(3000)).accepted().answered();
    assert_eq!((chosen(3000), two[0].approaching()), (vec![0], 0));
}
