//! Nodes with names: several addresses, others, or none.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::names::{Address, Directory, Host, look_up_once};

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
        let node = Node::start(|_| (None, vec![Step::AnswerAll(LEADER)])).await;
        let host = Directory::default().add("ctrl1.test");
        let address = host.port(node.address.port());
        let link = Link::new(Endpoint::new(address.clone(), None, request()), NEVER);
        Named { node, host, address, link }
    }

    /// The name stands for these addresses, by their last octets.
    async fn stands_for(&self, last: &[u8]) {
        let found = last.iter().map(|last| IpAddr::from([127, 0, 0, *last])).collect();
        look_up_once(self.host.clone(), async |_| Ok(found)).await;
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
    assert_answered(&mut named.link, true).await;
    assert_eq!(named.address.current(), Some(named.at(1)));
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
    assert_answered(&mut named.link, true).await;
    assert_eq!(named.address.current(), Some(named.at(1)));
}

#[tokio::test]
async fn a_connection_to_an_address_that_is_gone_is_given_up_for_one_to_the_new() {
    let mut named = Named::start().await;
    named.stands_for(&[1]).await;
    assert_answered(&mut named.link, true).await;
    let moved = TcpListener::bind(named.at(2)).await.unwrap();
    named.stands_for(&[2, 1]).await;
    assert_answered(&mut named.link, false).await;
    named.stands_for(&[2]).await;
    assert_eq!(named.address.current(), Some(named.at(1)), "nobody has answered elsewhere yet");
    let answer = async {
        let (mut stream, _) = moved.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await.unwrap();
        stream.write_all(LEADER.as_bytes()).await.unwrap();
        stream
    };
    let ((), _stream) = tokio::join!(assert_answered(&mut named.link, true), answer);
    assert_eq!(named.address.current(), Some(named.at(2)));
    named.node.until(Happened::Farewell(0)).await;
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
