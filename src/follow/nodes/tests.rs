//! What is remembered of a node's verdicts, one after the other.

use std::time::Duration;

use super::*;
use crate::leader::{ClaimMemory, NodeMemory, Observation, Standing};
use crate::names::Address;

const MS: Duration = Duration::from_millis(1);
const SILENCE: Verdict = Verdict::Unreachable { failure: ProbeFailure::Timeout };
const UNFIT: Verdict = Verdict::Unfit { status: 503 };

fn node() -> Node {
    let address = Address::from(SocketAddr::from(([127, 0, 0, 1], 1000)));
    Node::new(NodeSettings { name: "a".into(), probe_address: address.clone(), address, priority: 0 })
}

fn report(probe: u64, verdict: Verdict) -> ProbeReport {
    let observation =
        Observation { node: NodeId(0), probe: ProbeId(probe), began: Instant::now().into_std(), verdict };
    ProbeReport {
        observation,
        latency: Duration::from_micros(1500),
        healthy: true,
        detail: "scripted".into(),
        at: None,
        certificate: None,
    }
}

#[test]
fn l2_a_statement_counts_in_a_row_until_any_other_verdict() {
    use Verdict::{Follower, Leader};
    let mut node = node();
    let said = [
        (Leader, 1, true),
        (Leader, 2, false),
        (Follower, 1, true),
        (Follower, 2, false),
        (Follower, 3, false),
        (SILENCE, 0, true),
        (SILENCE, 0, false),
        (Follower, 1, true),
        (UNFIT, 0, true),
        (Leader, 1, true),
    ];
    for (probe, (verdict, in_a_row, is_other)) in (1..).zip(said) {
        assert_eq!(node.hear(Instant::now(), &report(probe, verdict), 2), is_other, "{probe}");
        assert_eq!(node.candidate(NodeState::Unknown, None).alike, in_a_row, "{probe}");
    }
}

#[test]
fn l1_a_node_is_known_from_its_first_verdict_on_and_shown_as_it_was_heard() {
    let mut node = node();
    assert!(!node.is_known());
    node.hear(Instant::now(), &report(1, UNFIT), 2);
    assert!(node.is_known());
    let status = node.status(NodeId(0), NodeState::Unfit, None);
    assert_eq!((status.latency_ms, &*status.detail), (Some(1.5), "scripted"));
}

#[test]
fn o3_a_node_of_another_process_serves_readers_as_far_as_it_did_there() {
    let now = Instant::now() + 5000 * MS;
    let claim = ClaimMemory {
        ordinal: None,
        elected_after: None,
        elected_before: 900 * MS,
        last_good: 100 * MS,
        standing: Standing::Stands,
        doubted: None,
    };
    let recalled = |memory: NodeMemory| {
        let mut node = node();
        node.recall(now, &NodeMemory { heard: true, followed: Some(1000 * MS), ..memory });
        let candidate = node.candidate(memory.state, None);
        assert_eq!(candidate.followed_at, Some(now - 1000 * MS));
        (candidate.alike, candidate.led_at)
    };
    let leads = NodeMemory {
        claim: Some(claim),
        state: NodeState::Leader,
        leader_statements: 3,
        ..NodeMemory::default()
    };
    assert_eq!(recalled(leads), (3, Some(now - 100 * MS)));
    let follows = NodeMemory { state: NodeState::Follower, ..NodeMemory::default() };
    assert_eq!(recalled(follows), (1, None));
    // What it said last was nothing: it is to say it again.
    assert_eq!(recalled(NodeMemory { silences: 1, ..follows }), (0, None));
    assert_eq!(recalled(NodeMemory { state: NodeState::Unfit, silences: 2, ..follows }), (0, None));
}

#[test]
fn a_verdict_is_told_with_what_brought_it() {
    let told =
        [Verdict::Leader, Verdict::Follower, UNFIT, SILENCE].map(|verdict| InWords(verdict).to_string());
    assert_eq!(told, ["leader", "follower", "unfit (status 503)", "unreachable (timeout)"]);
}
