//! The stage itself, tried without a gate: a check that cannot fail proves nothing.

use crate::support::certs::Authority;
use crate::support::client::{Outcome, Trust, half_close, hear, say};
use crate::support::clock::Stamp;
use crate::support::crowd::{Crowd, assert_avoided, assert_nobody_failed};
use crate::support::node::Node;
use crate::support::{bulk, wait};

async fn one_node(order: &str) -> (Node, Trust) {
    let authority = Authority::new();
    let node = Node::start(&authority, "n1", order).await;
    let trust = Trust::new(&authority, std::slice::from_ref(&node));
    (node, trust)
}

#[tokio::test]
async fn a_node_serves_and_says_whether_it_leads() {
    let (mut node, trust) = one_node("follow").await;
    let address = ([127, 0, 0, 1], node.port).into();
    let visit = trust.visit(address).await;
    assert_eq!(visit.outcome, Outcome::Served { leads: false });
    let changed = node.order("lead").await;
    assert!(changed > visit.ended);
    assert_eq!(trust.visit(address).await.outcome, Outcome::Served { leads: true });
    assert_eq!(trust.visit(([127, 0, 0, 1], node.probe_port).into()).await.node.as_deref(), Some("n1"));
    assert_eq!(node.handshakes().await, 3);
}

#[tokio::test]
async fn a_client_tells_apart_a_dead_node_and_a_stranger() {
    let (mut node, trust) = one_node("lead").await;
    let address = ([127, 0, 0, 1], node.port).into();
    let (_, stranger) = one_node("lead").await;
    let visit = stranger.visit(address).await;
    assert!(matches!(visit.outcome, Outcome::Interrupted(_)), "{visit:?}");
    node.kill().await;
    let visit = trust.visit(address).await;
    assert!(matches!(visit.outcome, Outcome::Failed(_)), "{visit:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_sees_what_a_single_client_suffers() {
    let (mut node, trust) = one_node("lead").await;
    let begin = Stamp::now();
    let crowd = Crowd::arrive(&trust, ([127, 0, 0, 1], node.port).into());
    crowd.served_by("n1", 20, begin).await;
    let (served, done) = crowd.done_since("n1", begin);
    assert!(served >= 20 && served == done, "{served} of {done}");
    assert_eq!(crowd.done_since("n2", begin).0, 0);
    let killed = node.kill().await;
    assert_eq!(crowd.done_since("n1", killed).0, 0);
    let later = trust.visit(([127, 0, 0, 1], node.port).into()).await;
    assert!(matches!(later.outcome, Outcome::Failed(_)));
    let mut visits = crowd.leave().await;
    visits.push(later);
    let verdict = std::panic::catch_unwind(|| assert_nobody_failed(&visits, Some(("n1", killed))));
    assert!(verdict.is_err(), "clients were refused");
    let verdict = std::panic::catch_unwind(|| assert_avoided(&visits, "n1", begin));
    assert!(verdict.is_err(), "clients reached n1");
}

#[tokio::test]
async fn a_frozen_node_goes_on_where_it_stopped() {
    let (node, trust) = one_node("lead").await;
    node.freeze().await;
    let address = ([127, 0, 0, 1], node.port).into();
    let waiting = tokio::spawn(async move { trust.visit(address).await });
    let woken = node.wake();
    let visit = wait::within_deadline("the visit", waiting).await.unwrap();
    assert_eq!(visit.outcome, Outcome::Served { leads: true });
    assert!(visit.ended > woken);
}

#[tokio::test]
async fn bytes_are_compared_by_digest() {
    let (node, trust) = one_node("lead").await;
    let address = ([127, 0, 0, 1], node.port).into();
    let (mut stream, _) = trust.connect(address).await.unwrap();
    say(&mut stream, "SINK").await.unwrap();
    let sent = bulk::send(&mut stream, 7, 100_000).await.unwrap();
    half_close(&mut stream).await.unwrap();
    assert_eq!(hear(&mut stream).await.unwrap(), format!("{} {}", sent.bytes, sent.digest));
    let other = bulk::send(&mut tokio::io::sink(), 8, 100_000).await.unwrap();
    assert_ne!(sent.digest, other.digest);

    let (mut stream, _) = trust.connect(address).await.unwrap();
    say(&mut stream, "FAREWELL").await.unwrap();
    assert_eq!(hear(&mut stream).await.unwrap(), "farewell");
    assert_eq!(bulk::receive(&mut stream, &[]).await.unwrap().bytes, 0, "the node has ended its side");
    let sent = bulk::send(&mut stream, 9, 1_000).await.unwrap();
    half_close(&mut stream).await.unwrap();
    assert_eq!(node.farewell_sum().await, sent);
}
