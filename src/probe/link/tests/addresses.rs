//! Nodes with names: several addresses, others, or none.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpListener;

use super::*;
use crate::names::{Address, Directory, Host, look_up_once};
use crate::probe::testing::rules_by_status;

/// A name of a node that listens on a port of 127.0.0.1.
struct Named {
    node: Node,
    host: Host,
    address: Address,
    link: Link,
}

impl Named {
    /// Knows nothing of the name yet.
    async fn start() -> Self {
        Self::start_with(LEADER).await
    }

    /// The same, of a node that answers everything with this.
    async fn start_with(answer: &'static str) -> Self {
        let node = Node::start(move |_| (None, vec![Step::AnswerAll(answer)])).await;
        let host = Directory::default().add("ctrl1.test");
        let address = host.port(node.address.port());
        let link = Link::new(Endpoint::new(address.clone(), None, request(), rules_by_status()), NEVER);
        Named { node, host, address, link }
    }

    /// The name stands for these addresses, by their last octets.
    async fn stands_for(&self, last: &[u8]) {
        let found = last.iter().map(|last| IpAddr::from([127, 0, 0, *last])).collect();
        look_up_once(self.host.clone(), async |_| Ok(found)).await;
    }

    /// Where the next exchange is answered.
    async fn answered_at(&mut self) -> SocketAddr {
        let (exchange, _) = exchange(&mut self.link).await;
        exchange.result.unwrap();
        exchange.at.unwrap()
    }

    /// The node's port at another address.
    fn at(&self, last: u8) -> SocketAddr {
        ([127, 0, 0, last], self.node.address.port()).into()
    }
}

#[tokio::test]
async fn addresses_that_refuse_are_passed_over_within_one_probe() {
    let mut named = Named::start().await;
    named.stands_for(&[2, 3, 1]).await;
    assert_eq!(named.answered_at().await, named.at(1));
    assert_answered(&mut named.link, false).await;
    assert_eq!(named.node.asked(), 2);
}

#[tokio::test]
async fn a_refusal_by_all_is_a_refusal() {
    let mut named = Named::start().await;
    named.stands_for(&[2, 3]).await;
    assert_failed(&mut named.link, ProbeFailure::Refused, "cannot connect to 127.0.0.2:").await;
}

#[tokio::test]
async fn after_an_address_that_took_the_whole_deadline_the_next_probe_begins_with_the_next() {
    let mut named = Named::start().await;
    let _mute = TcpListener::bind(named.at(2)).await.unwrap();
    named.stands_for(&[2, 1]).await;
    let (exchange, _) = exchange_within(&mut named.link, Duration::from_millis(100)).await;
    assert_eq!(exchange.result.unwrap_err().kind, ProbeFailure::Timeout);
    assert_eq!(named.answered_at().await, named.at(1));
}

/// A node at another address of the name, which answers everything with this.
async fn other(named: &Named, last: u8, answer: &'static str) -> Node {
    Node::start_at(named.at(last), move |_| (None, vec![Step::AnswerAll(answer)])).await
}

/// Reached at .1, which its name then no longer stands for, but for .2 alone.
async fn renamed(answers: &'static str) -> Named {
    let mut named = Named::start_with(answers).await;
    named.stands_for(&[1]).await;
    assert_eq!(named.answered_at().await, named.at(1));
    named.address.note_reached(named.at(1));
    named.stands_for(&[2]).await;
    named
}

const CLOSING: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn l6_an_address_that_refuses_takes_no_working_one_away() {
    for (answers, connects) in [(LEADER, false), (CLOSING, true)] {
        let mut named = renamed(answers).await;
        for _ in 0..5 {
            assert_answered(&mut named.link, connects).await;
        }
        // The connection in use is made again, too, where the node was last reached.
        named.link.renew = Duration::ZERO;
        assert_eq!(named.answered_at().await, named.at(1));
    }
}

#[tokio::test]
async fn l6_an_address_without_a_statement_takes_no_working_one_away() {
    let mut named = renamed(LEADER).await;
    let other = other(&named, 2, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
    patiently("a look at the other address", async {
        while other.asked() == 0 {
            assert_answered(&mut named.link, false).await;
        }
    })
    .await;
    other.until(Happened::Farewell(0)).await;
    for _ in 0..5 {
        assert_eq!(named.answered_at().await, named.at(1));
    }
}

#[tokio::test]
async fn l6_a_statement_at_another_address_is_followed() {
    let follower = "HTTP/1.1 429 Follower\r\nContent-Length: 0\r\n\r\n";
    let closing = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    for answer in [LEADER, follower, closing] {
        let mut named = renamed(LEADER).await;
        let other = other(&named, 2, answer).await;
        patiently("the move", async { while named.answered_at().await != named.at(2) {} }).await;
        named.node.until(Happened::Farewell(0)).await;
        assert!(other.asked() >= 2, "the answer to the look is not the answer to a later probe");
    }
}

#[tokio::test]
async fn l6_the_other_addresses_of_a_name_are_looked_at_while_one_is_unfit() {
    let mut named = Named::start_with("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
    let _other = other(&named, 2, LEADER).await;
    named.stands_for(&[1, 2]).await;
    assert_eq!(named.answered_at().await, named.at(1));
    named.link.note_statement(false);
    patiently("the move", async { while named.answered_at().await != named.at(2) {} }).await;
}

#[tokio::test(start_paused = true)]
async fn a_name_without_an_address_says_so_and_why() {
    let mut named = Named::start().await;
    // Nobody has looked it up: the probe waits for that, but not for ever.
    let began = Instant::now();
    assert_failed(&mut named.link, ProbeFailure::Dns, "has not answered yet").await;
    assert_eq!(began.elapsed(), PATIENCE);
    look_up_once(named.host.clone(), async |_| Err(io::Error::other("no such name"))).await;
    let words = format!("ctrl1.test:{} has no address: no such name", named.node.address.port());
    assert_failed(&mut named.link, ProbeFailure::Dns, &words).await;
}
