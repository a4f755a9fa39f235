//! The cluster itself, without a gate: it elects, it fails over, and its faults are what they claim to be.

use std::net::SocketAddr;

use hyper::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::client::Client;
use super::super::https::WhoAmI;
use super::super::standing::{Condition, leader};
use super::*;

const HEALTH: &str = "/health-checks/controller/raft";

struct Fixture {
    cluster: Cluster,
    client: Client,
}

impl Fixture {
    async fn settled() -> (Self, usize) {
        let authority = Authority::generate().unwrap();
        let client = Client::new(authority.client_config().unwrap());
        let cluster = Cluster::start(&authority).unwrap();
        let leader = cluster.settled().await.unwrap();
        (Fixture { cluster, client }, leader)
    }

    fn address(&self, place: usize) -> SocketAddr {
        self.cluster.nodes()[place].address()
    }

    async fn get(&self, place: usize, path: &str) -> (StatusCode, serde_json::Value) {
        let (status, body) = self.client.ask(self.address(place), path).await.answer.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn whoami(&self, place: usize) -> WhoAmI {
        serde_json::from_value(self.get(place, "/whoami").await.1).unwrap()
    }

    /// Waits until a running node other than `old` leads.
    async fn successor(&self, old: usize) -> usize {
        let other = |all: &[Standing]| leader(all).filter(|place| *place != old);
        self.cluster.until("a successor", other).await.unwrap()
    }
}

#[tokio::test]
async fn it_elects_and_speaks_as_openziti_does() {
    let (fixture, leader) = Fixture::settled().await;
    for (place, name) in NAMES.into_iter().enumerate() {
        let (status, body) = fixture.get(place, HEALTH).await;
        assert_eq!(status.as_u16(), if place == leader { 200 } else { 429 });
        assert_eq!(body["raft"]["isLeader"], place == leader);
        assert_eq!(body["raft"]["isRaftEnabled"], true);
        assert_eq!(body["data"]["healthy"], true);

        let (status, body) = fixture.get(place, &format!("{HEALTH}/")).await;
        assert_eq!(
            (status.as_u16(), body.get("raft")),
            (200, None),
            "a slip in the path says 200 everywhere"
        );

        let answer = fixture.whoami(place).await;
        assert_eq!((answer.node.as_str(), answer.leader), (name, place == leader));
    }
    fixture.cluster.stop().await;
}

#[tokio::test]
async fn an_echo_session_returns_what_it_is_sent() {
    let (fixture, leader) = Fixture::settled().await;
    let (_, mut session) = fixture.client.open_echo(fixture.address(leader)).await.unwrap();
    for message in [b"one".as_slice(), b"two and more"] {
        session.write_all(message).await.unwrap();
        let mut back = vec![0; message.len()];
        session.read_exact(&mut back).await.unwrap();
        assert_eq!(back, message);
    }
    let (status, _) = fixture.client.ask(fixture.address(leader), "/echo").await.answer.unwrap();
    assert_eq!(status, StatusCode::UPGRADE_REQUIRED);
    fixture.cluster.stop().await;
}

#[tokio::test]
async fn a_killed_leader_closes_everything_is_replaced_and_rejoins_on_its_old_ports() {
    let (mut fixture, old) = Fixture::settled().await;
    let term = fixture.whoami(old).await.term;
    let mut open = TcpStream::connect(fixture.address(old)).await.unwrap();

    fixture.cluster.kill(old).await;
    let end = timeout(PATIENCE, open.read(&mut [0])).await.expect("its sockets close with it");
    assert!(matches!(end, Ok(0)) || end.is_err(), "an open connection ends: {end:?}");
    let refused = TcpStream::connect(fixture.address(old)).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);

    let new = fixture.successor(old).await;
    let answer = fixture.whoami(new).await;
    assert!(answer.leader && answer.term > term, "{answer:?} after term {term}");

    fixture.cluster.restart(old).unwrap();
    assert_eq!(fixture.cluster.settled().await.unwrap(), new, "a node back from the dead unseats nobody");
    let answer = fixture.whoami(old).await;
    assert!(!answer.leader && answer.term > term, "{answer:?}");
    fixture.cluster.stop().await;
}

#[tokio::test]
async fn a_frozen_leader_accepts_but_says_nothing_and_steps_down_once_awake() {
    let (mut fixture, old) = Fixture::settled().await;
    let (_, mut session) = fixture.client.open_echo(fixture.address(old)).await.unwrap();

    fixture.cluster.freeze(old).await.unwrap();
    assert_eq!(fixture.cluster.standings.now()[old].condition, Condition::Frozen);
    TcpStream::connect(fixture.address(old)).await.expect("the kernel accepts for a frozen process");
    session.write_all(b"still there?").await.unwrap();

    let new = fixture.successor(old).await;
    let mut back = [0; 12];
    let silence = timeout(Duration::from_millis(50), session.read_exact(&mut back)).await;
    assert!(silence.is_err(), "a frozen node answers nothing");
    fixture.cluster.wake(old);
    session.read_exact(&mut back).await.expect("its sessions have lived on");

    assert_eq!(fixture.cluster.settled().await.unwrap(), new);
    assert!(!fixture.whoami(old).await.leader);
    fixture.cluster.stop().await;
}

#[tokio::test]
async fn leadership_is_handed_over_in_order_and_again() {
    let (mut fixture, first) = Fixture::settled().await;
    let (_, mut session) = fixture.client.open_echo(fixture.address(first)).await.unwrap();
    let mut leader = first;
    for _ in 0..2 {
        let successor = (leader + 1) % 3;
        fixture.cluster.hand_over(leader, successor).await.unwrap();
        assert_eq!(fixture.cluster.settled().await.unwrap(), successor);
        leader = successor;
    }
    session.write_all(b"x").await.expect("nobody died");
    session.read_exact(&mut [0]).await.expect("nobody died");
    fixture.cluster.stop().await;
}

#[tokio::test]
async fn a_killed_leader_takes_up_leadership_in_its_old_term_until_it_hears_of_a_newer_one() {
    let (mut fixture, old) = Fixture::settled().await;
    for place in 0..NAMES.len() {
        fixture.cluster.kill(place).await;
    }
    let term = fixture.cluster.standings.now()[old].term;
    fixture.cluster.restart(old).unwrap();
    let alone = |all: &[Standing]| all[old].leads.then_some(all[old].term);
    let claimed = fixture.cluster.until("the old leader to lead again", alone).await.unwrap();
    assert_eq!(claimed, term, "openraft restores it from the log: no election, and nobody to follow it");
    fixture.cluster.stop().await;
}
