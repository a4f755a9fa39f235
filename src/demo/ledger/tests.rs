//! Every client is judged, and nothing is excused that need not have been.

use std::io::{Error, ErrorKind};

use super::*;
use crate::demo::client::ClientError;

/// A moment, in milliseconds since some beginning.
fn at(base: Instant, millis: u64) -> Instant {
    base + Duration::from_millis(millis)
}

/// From a node's first byte to its answer.
const ANSWERING: u64 = 1;

fn lost(base: Instant, [started, ended]: [u64; 2], first_byte: Option<u64>) -> Report {
    Report {
        started: at(base, started),
        first_byte: first_byte.map(|millis| at(base, millis)),
        ended: at(base, ended),
        answer: Err(ClientError::Connection(Error::from(ErrorKind::ConnectionReset))),
    }
}

fn served(base: Instant, [started, ended]: [u64; 2], node: &str, leader: bool, term: u64) -> Report {
    let body = serde_json::to_vec(&WhoAmI { node: node.to_owned(), leader, term }).unwrap();
    Report {
        started: at(base, started),
        first_byte: Some(at(base, ended - ANSWERING)),
        ended: at(base, ended),
        answer: Ok((StatusCode::OK, Bytes::from(body))),
    }
}

#[test]
fn who_answered_is_the_leader_only_by_its_own_word_and_in_no_old_term() {
    let base = Instant::now();
    let judged = |leader, term| judge(&served(base, [0, 1], "ctrl2", leader, term), 7, &[]);
    assert_eq!(judged(true, 7), Verdict::Served { by: 1, leader: true });
    assert_eq!(judged(true, 8), Verdict::Served { by: 1, leader: true }, "elected meanwhile");
    assert_eq!(judged(false, 7), Verdict::Served { by: 1, leader: false });
    assert_eq!(
        judged(true, 6),
        Verdict::Served { by: 1, leader: false },
        "a woken one that does not know yet"
    );
}

#[test]
fn an_answer_that_is_none_is_a_failure() {
    let base = Instant::now();
    let stranger = served(base, [0, 1], "ctrl9", true, 7);
    assert!(matches!(judge(&stranger, 0, &[]), Verdict::Failed(_)));
    let mut error = served(base, [0, 1], "ctrl1", true, 7);
    error.answer = Ok((StatusCode::BAD_GATEWAY, Bytes::new()));
    assert_eq!(judge(&error, 0, &[]), Verdict::Failed("unexpected answer: 502 Bad Gateway".to_owned()));
}

#[test]
fn only_a_node_that_died_after_its_first_byte_excuses_a_loss() {
    let base = Instant::now();
    let strikes = [Strike { node: 0, began: at(base, 100), done: Some(at(base, 110)) }];
    let judged = |report: Report| judge(&report, 0, &strikes);
    assert_eq!(judged(lost(base, [90, 105], Some(95))), Verdict::Interrupted);
    assert_eq!(
        judged(lost(base, [90, 900], Some(105))),
        Verdict::Interrupted,
        "cut later, as a frozen node's are"
    );
    for (case, report) in [
        ("before any byte", lost(base, [90, 105], None)),
        ("over before the fault", lost(base, [90, 99], Some(95))),
        ("first byte from a living node", lost(base, [90, 300], Some(111))),
        (
            "nonsense is no death",
            Report {
                answer: Err(ClientError::Answer("nonsense".to_owned())),
                ..lost(base, [90, 105], Some(95))
            },
        ),
        (
            "a certificate that is not trusted is no death",
            Report {
                answer: Err(ClientError::Connection(Error::from(ErrorKind::InvalidData))),
                ..lost(base, [90, 105], Some(95))
            },
        ),
    ] {
        assert!(matches!(judged(report), Verdict::Failed(_)), "{case}");
    }
}

#[test]
fn a_loss_in_the_midst_of_a_strike_is_excused_too() {
    let base = Instant::now();
    let mut ledger = Ledger::new(base);
    ledger.strike_begins(0, at(base, 100));
    let client = ledger.set_out(at(base, 90));
    ledger.record(client, &lost(base, [90, 102], Some(95)), 0);
    ledger.strike_done(at(base, 110));
    assert_eq!((ledger.totals().interrupted, ledger.totals().failed), (1, 0));
}

#[test]
fn a_failure_says_when_and_why() {
    let base = Instant::now();
    let mut ledger = Ledger::new(base);
    let client = ledger.set_out(at(base, 1_500));
    ledger.record(client, &lost(base, [1_500, 1_540], None), 0);
    let why = "connection reset (before any byte, 40 ms)".to_owned();
    assert_eq!(ledger.summary().losses, [Loss { at: Duration::from_millis(1_500), why }]);
    assert!(!ledger.summary().kept_promise());
}

#[test]
fn a_failover_is_measured_from_the_fault_over_the_claim_to_the_first_client() {
    let base = Instant::now();
    let mut ledger = Ledger::new(base);
    let clients = [
        served(base, [80, 110], "ctrl1", true, 3), // by the old leader, just before it died
        served(base, [90, 1_030], "ctrl2", true, 4), // held all the while
        served(base, [500, 1_025], "ctrl2", true, 4),
        served(base, [1_026, 1_990], "ctrl2", true, 4), // came later: its wait is none of the failover's
        served(base, [95, 1_010], "ctrl3", false, 4),
    ];
    let tickets: Vec<_> = clients.iter().map(|client| ledger.set_out(client.started)).collect();
    ledger.begin_trial(Fault::Kill, 0, at(base, 100));
    let claimed = at(base, 1_000);
    assert_eq!(ledger.first_reached(1, claimed), None);
    for (client, ticket) in clients.iter().zip(tickets) {
        assert!(!ledger.all_done_since(at(base, 2_000)));
        ledger.record(ticket, client, 0);
    }
    assert!(ledger.all_done_since(at(base, 2_000)));
    assert_eq!(ledger.first_reached(1, claimed), Some(at(base, 1_024)));

    ledger.end_trial(1, claimed);
    let failover = ledger.failovers()[0];
    assert_eq!((failover.from, failover.to), ("ctrl1", "ctrl2"));
    assert_eq!(failover.election, Duration::from_millis(900));
    assert_eq!(failover.follow, Duration::from_millis(24));
    assert_eq!(failover.longest_wait, Duration::from_millis(940));
    assert_eq!((failover.interrupted, failover.failed), (0, 0));
    assert_eq!((ledger.totals().served, ledger.totals().served_elsewhere), (4, 1));
}

#[test]
fn a_client_of_the_old_leader_is_misled_only_once_others_had_gone_on() {
    let base = Instant::now();
    let mut ledger = Ledger::new(base);
    ledger.begin_trial(Fault::HandOver, 0, at(base, 100));
    for client in [
        served(base, [105, 110], "ctrl1", false, 4), // the gate cannot know yet
        served(base, [110, 130], "ctrl2", true, 4),  // its first byte came at 129
        served(base, [128, 140], "ctrl1", false, 4),
        served(base, [131, 140], "ctrl1", false, 4), // misled
    ] {
        let ticket = ledger.set_out(client.started);
        ledger.record(ticket, &client, 4);
    }
    ledger.end_trial(1, at(base, 101));
    assert_eq!((ledger.totals().served_elsewhere, ledger.totals().failed), (2, 1));
    assert_eq!(ledger.failovers()[0].failed, 1);
    assert_eq!(ledger.summary().losses[0].at, Duration::from_millis(131));
    assert!(!ledger.summary().kept_promise());
}

#[test]
fn a_client_still_under_way_keeps_its_failover_open() {
    let base = Instant::now();
    let mut ledger = Ledger::new(base);
    ledger.set_out(at(base, 10));
    assert!(ledger.all_done_since(at(base, 9)));
    assert!(!ledger.all_done_since(at(base, 10)));
}

#[test]
fn a_session_is_excused_only_by_its_own_nodes_end() {
    let base = Instant::now();
    let mut ledger = Ledger::new(base);
    ledger.strike_begins(1, at(base, 100));
    ledger.strike_done(at(base, 110));
    assert!(ledger.excuses(1, at(base, 50), at(base, 120)));
    assert!(!ledger.excuses(0, at(base, 50), at(base, 120)), "another node died");
    assert!(!ledger.excuses(1, at(base, 50), at(base, 90)), "it ended before");
    assert!(!ledger.excuses(1, at(base, 111), at(base, 120)), "it was opened after");

    ledger.session_opened();
    ledger.session_ended(false, at(base, 50), "connection reset");
    assert_eq!((ledger.totals().sessions_open, ledger.totals().sessions_broken), (0, 1));
    assert!(!ledger.summary().kept_promise());
}
