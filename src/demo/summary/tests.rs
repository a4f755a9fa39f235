//! The summary, as people read it.

use super::*;

fn failover(fault: Fault, [election, follow, longest_wait]: [u64; 3]) -> Failover {
    Failover {
        fault,
        from: "ctrl1",
        to: "ctrl2",
        election: Duration::from_millis(election),
        follow: Duration::from_millis(follow),
        longest_wait: Duration::from_millis(longest_wait),
        interrupted: 0,
        failed: 0,
    }
}

#[test]
fn a_summary_shows_every_failover_the_median_and_the_worst() {
    let summary = Summary {
        failovers: vec![
            Failover { interrupted: 2, ..failover(Fault::Kill, [812, 34, 940]) },
            failover(Fault::Freeze, [1_024, 21, 1_100]),
            failover(Fault::HandOver, [3, 40, 52]),
        ],
        totals: Totals {
            served: 1_200,
            served_elsewhere: 1,
            interrupted: 2,
            sessions_open: 3,
            ..Totals::default()
        },
        losses: Vec::new(),
    };
    let text = summary.to_string();
    let table: Vec<&str> = text.lines().take(6).collect();
    assert_eq!(
        table,
        [
            "   # fault      from     to     election   leader->client   longest wait   lost",
            "   1 kill       ctrl1    ctrl2    812 ms            34 ms         940 ms   2 cut off",
            "   2 freeze     ctrl1    ctrl2    1.02 s            21 ms         1.10 s   none",
            "   3 hand over  ctrl1    ctrl2      3 ms            40 ms          52 ms   none",
            "     median                       812 ms            34 ms         940 ms",
            "     worst                        1.02 s            40 ms         1.10 s",
        ]
    );
    assert!(text.contains("1203 clients: 1200 served by the leader"), "{text}");
    assert!(summary.kept_promise());
}

#[test]
fn a_failed_client_breaks_the_promise_and_is_named() {
    let summary = Summary {
        failovers: vec![Failover { failed: 1, interrupted: 1, ..failover(Fault::Kill, [1, 2, 3]) }],
        totals: Totals { failed: 1, interrupted: 1, ..Totals::default() },
        losses: vec![Loss { at: Duration::from_millis(1_240), why: "connection refused".to_owned() }],
    };
    let text = summary.to_string();
    assert!(text.contains("1 FAILED, 1 cut off"), "{text}");
    assert!(text.contains("\nWhat went wrong:\n  at 1.24 s: connection refused\n"), "{text}");
    assert!(text.trim_end().ends_with("clients were lost while they need not have been."), "{text}");
    assert!(!summary.kept_promise());
}

#[test]
fn a_failover_can_be_told_in_a_sentence() {
    assert_eq!(
        Failover { interrupted: 2, ..failover(Fault::Kill, [812, 34, 940]) }.sentence(),
        "kill ctrl1, ctrl2 elected after 812 ms, first client 34 ms later, longest wait 940 ms, lost: 2 cut off"
    );
}

#[test]
fn without_a_failover_there_is_no_table() {
    assert!(Summary::default().to_string().starts_with("No failover was completed.\n"));
}
