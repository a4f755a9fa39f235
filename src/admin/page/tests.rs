//! What the page says of a gate, and what it makes of names that others have chosen.

use std::sync::Arc;

use super::*;
use crate::board::{Board, ClusterStatus, Happened, NodeStatus};
use crate::intent::Certificate;
use crate::leader::{NodeId, NodeState};

const NASTY: &str = "<script>alert('\"&')</script>";

fn node(name: &str, state: &'static str) -> NodeStatus {
    NodeStatus {
        id: NodeId(0),
        name: name.into(),
        address: "10.0.0.1:1280".into(),
        state,
        overridden: None,
        detail: "200".into(),
        latency_ms: Some(1.25),
        last_verdict: Some(crate::board::wall_clock()),
        certificate: None,
    }
}

/// A board with these clusters, each with the nodes `n1`, which leads, and `n2`.
fn board(clusters: &[&str]) -> Board {
    let board = Board::new(clusters.iter().map(|&name| name.into()));
    board.set_bound(vec![("edge".into(), ([127, 0, 0, 1], 443).into())]);
    for (_, cluster) in board.clusters() {
        cluster.begin(["n1", "n2"].into_iter().map(Arc::from));
        cluster.note(Happened::LeaderElected {
            node: "n1".into(),
            epoch: 1,
            previous: None,
            leaderless_ms: 20,
            failover_ms: None,
        });
        cluster.publish(status(vec![node("n1", "leader"), node("n2", "follower")]));
    }
    board
}

fn status(nodes: Vec<NodeStatus>) -> ClusterStatus {
    let leader = nodes.iter().find(|node| node.state == "leader").map(|node| Arc::clone(&node.name));
    ClusterStatus {
        leader,
        epoch: Some(1),
        since: crate::board::wall_clock(),
        first_round_done: true,
        nodes,
        ..ClusterStatus::default()
    }
}

fn page(board: &Board, only: Option<&str>) -> String {
    render(&Snapshot::whole(board), only)
}

#[test]
fn the_page_tells_who_leads_and_is_whole() {
    let page = page(&board(&["ctrl"]), None);
    assert!(page.contains("<strong>n1</strong> leads since"), "{page}");
    assert!(page.contains("<title>Raftgate</title>"), "{page}");
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"), "{page}");
    assert!(!page.contains("{}"), "every place for a value has one: {page}");
    for once in ["<main", "</main>", "<h1>", "<footer>"] {
        assert_eq!(page.matches(once).count(), 1, "{once}");
    }
}

#[test]
fn o6_whatever_names_contain_none_of_it_becomes_markup() {
    let board = board(&[NASTY]);
    board.set_draining();
    let cluster = board.cluster(NASTY).unwrap();
    cluster.begin([Arc::from(NASTY)].into_iter());
    let certificate =
        Certificate { names: vec![NASTY.to_owned()], not_after: i64::MAX, ..Certificate::default() };
    cluster.note(Happened::Verdict { node: NASTY.into(), state: NodeState::Unreachable, silence: None });
    cluster.note(Happened::LeaderElected {
        node: NASTY.into(),
        epoch: 2,
        previous: Some(NASTY.into()),
        leaderless_ms: 0,
        failover_ms: Some(1),
    });
    let nasty = |state| NodeStatus {
        address: NASTY.into(),
        detail: NASTY.into(),
        certificate: Some(Arc::new(certificate.clone())),
        ..node(NASTY, state)
    };
    let status = status(vec![nasty("leader"), nasty("unreachable")]);
    cluster.publish(ClusterStatus { stand_in: Some(NASTY.into()), alarms: vec!["conflict"], ..status });
    for page in [page(&board, None), page(&board, Some(NASTY)), page(&board, Some("<script>x"))] {
        assert!(page.contains("&lt;script&gt;"), "{page}");
        // The frame has one, with its own path.
        assert_eq!(page.matches("<script").count(), 1, "{page}");
        assert!(!page.contains("alert('"), "{page}");
    }
}

#[test]
fn nothing_of_the_page_needs_what_its_policy_forbids() {
    let board = board(&["ctrl"]);
    let page = page(&board, None);
    for forbidden in ["style=", "<style", "onclick", "javascript:", "http://", "https://"] {
        assert!(!page.contains(forbidden), "{forbidden} in {page}");
    }
    assert!(!CSS.contains("@import") && !CSS.contains("http"), "the look has no resources but itself");
    assert!(!JS.contains("innerHTML") && !JS.contains("eval("));
}

#[test]
fn alarms_are_told_in_the_title_and_explained() {
    let board = board(&["ctrl", "vault"]);
    let alarmed = ClusterStatus { alarms: vec!["leaderless"], ..status(vec![node("n1", "unreachable")]) };
    board.cluster("ctrl").unwrap().publish(alarmed);
    let page = page(&board, None);
    assert!(page.contains("<title>! ctrl - Raftgate</title>"), "{page}");
    assert!(page.contains("<strong>leaderless</strong> no node leads; new clients are held"), "{page}");
    assert!(page.contains("<strong>Nobody</strong> leads since"), "{page}");
}

#[test]
fn a_certificate_that_ends_soon_stands_out() {
    let board = board(&["ctrl"]);
    #[expect(clippy::cast_possible_truncation, reason = "seconds of this century")]
    let now = crate::board::wall_clock() as i64;
    let until = |days: i64| {
        let certificate = Certificate { not_after: now + days * 86_400 + 60, ..Certificate::default() };
        NodeStatus { certificate: Some(Arc::new(certificate)), ..node("n1", "leader") }
    };
    for (days, told) in [
        (100, "class=\"number\" data-label=\"certificate\" title=\""),
        (20, "class=\"number warn\" data-label=\"certificate\" title=\""),
        (6, "class=\"number bad\" data-label=\"certificate\" title=\""),
        (-2, ">expired</td>"),
    ] {
        board.cluster("ctrl").unwrap().publish(status(vec![until(days)]));
        let page = page(&board, None);
        assert!(page.contains(told), "{days} days left, but no {told} in {page}");
    }
}

#[test]
fn s8_of_many_clusters_only_those_in_trouble_are_shown_in_full() {
    let names: Vec<String> = (0..100).map(|number| format!("c{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let board = board(&names);
    let alarmed = ClusterStatus { alarms: vec!["conflict"], ..status(vec![node("n1", "leader")]) };
    board.cluster("c7").unwrap().publish(alarmed);
    let whole = page(&board, None);
    assert_eq!(whole.matches("<a href=\"?cluster=").count(), 100 + 1);
    assert_eq!(whole.matches("class=\"nodes\"").count(), 1);
    assert!(page(&board, Some("c8")).contains("<strong>n1</strong> leads since"));
    assert!(page(&board, Some("other")).contains("There is no cluster other."));
}
