//! `connect.source`: where a node sees its connections come from, and what happens where that fails.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::harness::*;

/// Reserved (RFC 1112, section 4), so that no machine has them.
const NOBODYS: [&str; 2] = ["240.0.0.1", "240.0.0.2"];

fn from(texts: &[&str]) -> Gate {
    Gate::with(|cluster| {
        cluster.source = texts.iter().map(|text| text.parse().unwrap()).collect();
        // So that a client whose connects fail here is soon told so.
        cluster.hold_timeout = Duration::from_millis(100);
    })
}

/// Where a node sees so many clients come from.
async fn seen(gate: &mut Gate, clients: usize) -> BTreeMap<IpAddr, usize> {
    let node = Node::start().await;
    gate.lead(0, node.address);
    let mut seen = BTreeMap::new();
    for _ in 0..clients {
        let mut client = gate.client().await;
        let mut stream = node.accept().await;
        *seen.entry(stream.peer_addr().unwrap().ip()).or_default() += 1;
        assert_joined(&mut client, &mut stream).await;
    }
    seen
}

#[tokio::test]
async fn clients_are_spread_over_the_source_addresses() {
    let mut gate = from(&["127.0.0.2", "127.0.0.3", "::1"]);
    let seen = seen(&mut gate, 20).await;
    let counts: Vec<usize> = seen.values().copied().collect();
    assert_eq!(seen.keys().map(ToString::to_string).collect::<Vec<_>>(), ["127.0.0.2", "127.0.0.3"]);
    // Each of the two workers takes them in turn.
    assert!(counts[0].abs_diff(counts[1]) <= 2, "{seen:?}");
    gate.end().await;
}

#[tokio::test]
async fn a_source_that_is_of_no_use_is_passed_over() {
    let mut gate = from(&[NOBODYS[0], "127.0.0.2"]);
    let seen = seen(&mut gate, 8).await;
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [("127.0.0.2".parse().unwrap(), 8)]);
    assert_eq!(gate.metric("connect_failures_total", &[]), 0);
    gate.end().await;
}

#[tokio::test]
async fn l5_without_a_usable_source_the_failure_is_ours_and_no_signal() {
    for sources in [&NOBODYS[..], &["::1"]] {
        let mut gate = from(sources);
        let node = Node::start().await;
        gate.lead(0, node.address);
        let mut client = gate.client().await;
        assert_reset(&mut client).await;
        let failed = gate.metric("connect_failures_total", &["raft", "a", "local"]);
        assert!(failed > 0 && failed == gate.metric("connect_failures_total", &[]), "{sources:?}");
        assert!(!gate.has_signal() && !node.is_dialled().await);
        gate.ends_with("node_error").await;
    }
}

#[tokio::test]
async fn without_source_addresses_the_system_chooses() {
    let mut gate = from(&[]);
    let seen = seen(&mut gate, 2).await;
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [("127.0.0.1".parse().unwrap(), 2)]);
    gate.end().await;
}

#[tokio::test]
async fn a_connect_that_is_refused_is_the_nodes_fault_whatever_its_source() {
    let mut gate = from(&["127.0.0.2", "127.0.0.3"]);
    gate.lead(0, DeadPort::new().address());
    let mut client = gate.client().await;
    // It would wait for a word of the leader, which does not come.
    gate.until("connect_failures_total", &["refused"], 1).await;
    assert_reset(&mut client).await;
    assert_eq!(gate.metric("connect_failures_total", &[]), 1);
    assert!(gate.has_signal());
    gate.end().await;
}
