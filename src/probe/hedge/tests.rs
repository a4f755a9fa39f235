//! L4: late answers and second connections, with nodes that follow a script.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::super::exchange::Endpoint;
use super::super::request;
use super::super::settings::Request;
use super::super::testing::{Happened, LEADER, Node, PATIENCE, Step, patiently, rules_on_bodies};
use super::*;
use crate::leader::ProbeFailure;

const SOON: Duration = Duration::from_millis(1);

fn link_to(address: std::net::SocketAddr) -> HedgedLink {
    let request = Request { method: "GET".into(), path: "/".into(), host: "n1".into(), headers: Vec::new() };
    let endpoint = Endpoint::new(address.into(), None, request::parse(&request).unwrap(), rules_on_bodies());
    HedgedLink::new(Link::new(endpoint, PATIENCE))
}

/// A node that acts on each connection by the script of that number, or by the last one.
async fn scripted(scripts: Vec<Vec<Step>>) -> Node {
    Node::start(move |number| (None, scripts[number.min(scripts.len() - 1)].clone())).await
}

/// One exchange whose answer is late after `late_after`.
async fn exchange(link: &mut HedgedLink, timeout: Duration, late_after: Duration) -> Exchange {
    let began = Instant::now();
    let exchange = link.exchange(Deadline::after(began, timeout), began + late_after, || ());
    patiently("an exchange", exchange).await
}

/// One that is in time, whatever it takes.
async fn prompt(link: &mut HedgedLink) -> Exchange {
    exchange(link, PATIENCE, PATIENCE).await
}

async fn late(link: &mut HedgedLink) -> Exchange {
    exchange(link, PATIENCE, SOON).await
}

fn failure(exchange: &Exchange) -> ProbeFailure {
    exchange.result.as_ref().unwrap_err().kind
}

#[tokio::test]
async fn l4_a_kept_connection_gone_deaf_is_hedged_and_replaced() {
    let deaf = vec![Step::Read, Step::Say(LEADER), Step::Listen];
    let node = scripted(vec![deaf, vec![Step::AnswerAll(LEADER)]]).await;
    let mut link = link_to(node.address);
    assert!(!prompt(&mut link).await.hedged);
    let hedged = late(&mut link).await;
    assert!(hedged.hedged && hedged.result.is_ok(), "{hedged:?}");
    node.until(Happened::Farewell(0)).await;
    // What answered is what is asked from now on.
    let next = prompt(&mut link).await;
    assert!(!next.hedged && !next.connected && next.result.is_ok(), "{next:?}");
    assert_eq!(node.count(|happened| matches!(happened, Happened::Accepted(_))), 2);
}

#[tokio::test]
async fn l4_an_answer_that_comes_before_the_hedges_wins_and_the_hedge_is_closed() {
    let gate = Arc::new(Semaphore::new(0));
    let slow = [Step::Read, Step::Say(LEADER), Step::Read, Step::Await(Arc::clone(&gate)), Step::Say(LEADER)];
    let slow = [&slow[..], &[Step::AnswerAll(LEADER)]].concat();
    let node = scripted(vec![slow, vec![Step::Listen]]).await;
    let mut link = link_to(node.address);
    prompt(&mut link).await;
    let (exchange, ()) = tokio::join!(late(&mut link), async {
        node.until(Happened::Asked(1)).await;
        gate.add_permits(1);
    });
    assert!(!exchange.hedged && exchange.result.is_ok(), "{exchange:?}");
    node.until(Happened::Farewell(1)).await;
    assert!(!prompt(&mut link).await.connected, "the first connection is still the one");
}

#[tokio::test]
async fn l4_a_new_connection_is_hedged_too() {
    let node = scripted(vec![vec![Step::Listen], vec![Step::AnswerAll(LEADER)]]).await;
    let exchange = late(&mut link_to(node.address)).await;
    assert!(exchange.hedged && exchange.result.is_ok(), "{exchange:?}");
}

#[tokio::test]
async fn l4_a_refused_hedge_ends_the_probe_and_any_other_failure_of_it_does_not() {
    let gate = Arc::new(Semaphore::new(0));
    let slow = vec![Step::Read, Step::Await(Arc::clone(&gate)), Step::Say(LEADER)];
    // Closed at once: no word of who listens there.
    let node = scripted(vec![slow, Vec::new()]).await;
    let mut link = link_to(node.address);
    let (exchange, ()) = tokio::join!(late(&mut link), async {
        node.until(Happened::Accepted(1)).await;
        gate.add_permits(1);
    });
    assert!(!exchange.hedged && exchange.result.is_ok(), "{exchange:?}");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut link = link_to(listener.local_addr().unwrap());
    let answering = async {
        let mut stream = listener.accept().await.unwrap().0;
        assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0, "it is asked");
        stream.write_all(LEADER.as_bytes()).await.unwrap();
        stream
    };
    let (_, _deaf) = tokio::join!(prompt(&mut link), answering);
    drop(listener);
    // The kept connection is still open: alone, it would be waited for until the deadline.
    assert_eq!(failure(&late(&mut link).await), ProbeFailure::Refused);
}

#[tokio::test]
async fn l4_a_first_connection_that_breaks_leaves_the_hedge_its_chance() {
    let (broken, answer) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let first = vec![
        Step::Read,
        Step::Say(LEADER),
        Step::Read,
        Step::Await(Arc::clone(&broken)),
        Step::Say("?\r\n\r\n"),
        Step::Listen,
    ];
    let second = vec![Step::Read, Step::Await(Arc::clone(&answer)), Step::Say(LEADER)];
    let node = scripted(vec![first, second]).await;
    let mut link = link_to(node.address);
    prompt(&mut link).await;
    let (exchange, ()) = tokio::join!(late(&mut link), async {
        node.until(Happened::Asked(1)).await;
        broken.add_permits(1);
        node.until(Happened::Farewell(0)).await;
        answer.add_permits(1);
    });
    assert!(exchange.hedged && exchange.result.is_ok(), "{exchange:?}");
}

#[tokio::test]
async fn l4_a_node_that_stands_still_gets_one_hedge_until_it_answers_again() {
    let node = scripted(vec![vec![Step::Read, Step::Say(LEADER), Step::Listen], vec![Step::Listen]]).await;
    let mut link = link_to(node.address);
    prompt(&mut link).await;
    for _ in 0..5 {
        let short = Duration::from_millis(20);
        assert_eq!(failure(&exchange(&mut link, short, SOON).await), ProbeFailure::Timeout);
    }
    let connections = node.count(|happened| matches!(happened, Happened::Accepted(_)));
    assert!(connections <= 2 + 4, "one kept, one hedge, one for each later probe, but {connections}");
    assert!(!link.budget.allows());
    link.budget.note(true);
    assert!(link.budget.allows());
}

#[test]
fn l4_hedges_are_earned_by_answers() {
    let mut budget = Budget::default();
    for _ in 0..MOST_SAVED {
        assert!(budget.allows());
        budget.spend();
    }
    for _ in 1..ANSWERS_A_HEDGE {
        budget.note(true);
        assert!(!budget.allows());
    }
    budget.note(true);
    assert!(budget.allows());
    for _ in 0..ANSWERS_A_HEDGE * (MOST_SAVED + 5) {
        budget.note(true);
    }
    assert_eq!(budget.saved, MOST_SAVED, "not more than this");
}
