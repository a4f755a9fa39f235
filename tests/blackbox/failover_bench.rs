//! The arithmetic of the failover bench: what its figures say must be what the clients lived through.

use std::time::Duration;

use crate::support::client::{Outcome, Visit};
use crate::support::clock::Stamp;

#[path = "../../benches/failover/judge.rs"]
mod judge;

use judge::{Figures, History, Reign, median, worst};

/// A moment, in milliseconds.
fn at(ms: u64) -> Stamp {
    (ms * 1_000_000).to_string().parse().unwrap()
}

fn visit(started: u64, ended: u64, node: Option<&str>, outcome: Outcome) -> Visit {
    Visit { started: at(started), ended: at(ended), node: node.map(str::to_owned), outcome }
}

fn served(started: u64, ended: u64, node: &str) -> Visit {
    visit(started, ended, Some(node), Outcome::Served { leads: true })
}

fn reign(node: &str, from: u64, until: Option<u64>, given_away: Option<u64>) -> Reign {
    let [until, given_away] = [until, given_away].map(|moment| moment.map(at));
    Reign { node: node.to_owned(), from: at(from), until, given_away }
}

/// n1 steps down at 100, which a probe's answer tells at 150; n2 leads from 110 on.
fn hand_over() -> History {
    let reigns = vec![reign("n1", 0, Some(100), Some(150)), reign("n2", 110, None, None)];
    History { reigns, fault: None, settled: true }
}

/// n1 is struck at 100; n2 leads from 200 on, which a probe's answer tells at 220.
fn fault() -> History {
    let reigns = vec![reign("n1", 0, Some(100), Some(220)), reign("n2", 200, None, None)];
    History { reigns, fault: Some(("n1".to_owned(), at(100))), settled: true }
}

#[test]
fn a_median_is_the_middle_of_any_order() {
    assert_eq!(median(&[]), None);
    assert_eq!(median(&[3.0]), Some(3.0));
    assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(median(&[9.0, 1.0, 2.0, 4.0]), Some(3.0));
    assert_eq!(worst(&[1.0, 9.0, 2.0]), Some(9.0));
    assert_eq!(worst(&[]), None);
}

#[test]
fn promise_1_misrouted_is_who_was_served_by_a_node_that_led_at_no_moment_of_its_visit() {
    let history = hand_over();
    for (visit, misrouted) in [
        (served(50, 60, "n1"), false),
        // It stepped down while the client was with it, or was elected while the client was held.
        (served(99, 120, "n1"), false),
        (served(102, 112, "n2"), false),
        (served(100, 105, "n1"), true),
        (served(130, 140, "n1"), true),
        (served(101, 109, "n2"), true),
        (served(50, 60, "n3"), true),
        (visit(130, 140, Some("n1"), Outcome::Failed("refused".to_owned())), false),
    ] {
        assert_eq!(history.is_misrouted(&visit), misrouted, "{visit:?}");
    }
}

#[test]
fn promise_1_allows_who_connected_before_the_end_was_given_away() {
    let history = hand_over();
    assert_eq!(history.lateness(&served(149, 160, "n1")), None);
    assert_eq!(history.lateness(&served(153, 160, "n1")), Some(Duration::from_millis(3)));
    assert!(history.lateness(&served(50, 60, "n3")).is_some(), "n3 has never led");
    // Of several reigns the last one before counts.
    let mut history = hand_over();
    history.reigns[1] = reign("n2", 110, Some(200), Some(210));
    history.reigns.push(reign("n1", 210, Some(300), Some(350)));
    history.reigns.push(reign("n2", 310, None, None));
    assert_eq!(history.lateness(&served(340, 345, "n1")), None);
    assert_eq!(history.lateness(&served(351, 355, "n1")), Some(Duration::from_millis(1)));
}

#[test]
fn a_wait_is_what_a_client_spends_while_some_node_leads() {
    let history = fault();
    let waits = [(50, 60, 10), (120, 230, 30), (250, 255, 5), (90, 230, 40), (95, 130, 5), (110, 190, 0)];
    for (started, ended, ms) in waits {
        let wait = history.wait(&served(started, ended, "n2"));
        assert_eq!(wait, Duration::from_millis(ms), "{started} to {ended}");
    }
}

#[test]
fn the_figures_of_a_run_are_its_clients() {
    let interrupted = || Outcome::Interrupted("reset".to_owned());
    let visits = [
        served(50, 60, "n1"),
        // In the hands of the node that was struck; of another; come too late to have been.
        visit(95, 290, None, interrupted()),
        visit(95, 130, Some("n2"), interrupted()),
        visit(110, 130, None, interrupted()),
        visit(120, 125, None, Outcome::Failed("refused".to_owned())),
        served(120, 230, "n2"),
        served(230, 235, "n2"),
        served(240, 248, "n1"),
        visit(250, 251, None, Outcome::Failed("refused".to_owned())),
        served(260, 266, "n2"),
    ];
    let expected = Figures {
        clients: 10,
        failed: 4,
        cut_off: 1,
        misrouted: 1,
        beyond_promise: 1,
        latest_beyond: Duration::from_millis(20),
        claim_to_first: Some(Duration::from_millis(30)),
        longest_wait: Duration::from_millis(30),
        longest_cut_off: Duration::from_millis(95),
        share: Some(100.0 / 3.0),
        settled: true,
    };
    assert_eq!(fault().judge(&visits), expected);
}

#[test]
fn who_is_served_by_a_node_that_does_not_yet_lead_is_not_the_first_of_its_reign() {
    let early = visit(190, 205, Some("n2"), Outcome::Served { leads: false });
    let figures = fault().judge(&[early, served(203, 209, "n2")]);
    assert_eq!(figures.claim_to_first, Some(Duration::from_millis(9)));
    assert_eq!(fault().judge(&[served(50, 60, "n1")]).claim_to_first, None);
}
