//! Asking and looking once, at nodes of every kind.

use rustls::ServerConfig;

use super::super::judge::{Condition, Rules};
use super::super::settings::{Request, TlsSettings, Verify};
use super::super::testing::{Authority, LEADER, Node, PATIENCE, Step, patiently};
use super::*;
use crate::leader::{NodeId, ProbeFailure};

fn settings(address: SocketAddr, tls: TlsSettings) -> Settings {
    let status = |status| Condition { status: vec![status..=status], json: vec![] };
    Settings {
        cluster: "c".into(),
        node: "n1".into(),
        id: NodeId(0),
        address: address.into(),
        send_proxy: None,
        tls: Some(tls),
        request: Request { method: "GET".into(), path: "/".into(), host: "n1".into(), headers: vec![] },
        rules: Arc::new(Rules { leader: vec![status(200)], follower: vec![status(429)], health: None }),
        interval: PATIENCE,
        fast_interval: PATIENCE,
        timeout: PATIENCE,
        renew: PATIENCE,
    }
}

async fn node(server: Arc<ServerConfig>, step: Step) -> Node {
    Node::start(move |_| (Some(Arc::clone(&server)), vec![step.clone()])).await
}

async fn ask(address: SocketAddr, tls: TlsSettings) -> Answer {
    let connector = Connector::new(&tls).unwrap();
    patiently("answer", ask_once(&settings(address, tls), Some(connector))).await.unwrap()
}

#[tokio::test]
async fn a_node_is_asked_once_and_judged() {
    let authority = Authority::new("root");
    let node = node(authority.identity("n1").server(), Step::AnswerAll(LEADER)).await;
    let answer = ask(node.address, authority.trusted(Verify::Full, "n1")).await;
    assert_eq!((answer.verdict, &*answer.detail), (Verdict::Leader, "says that it leads (200)"));
    assert_eq!(answer.certificate.unwrap().names, ["n1"]);
    assert_eq!(node.asked(), 1);
}

#[tokio::test]
async fn what_was_presented_is_shown_even_if_it_is_not_acceptable() {
    let authority = Authority::new("root");
    let node = node(authority.expired_identity("n1").server(), Step::AnswerAll(LEADER)).await;
    let answer = ask(node.address, authority.trusted(Verify::Full, "n1")).await;
    assert_eq!(answer.verdict, Verdict::Unreachable { failure: ProbeFailure::Certificate });
    assert!(answer.detail.contains("expired at 2001-02-03"), "{}", answer.detail);
    assert_eq!(answer.certificate.unwrap().not_after, 981_158_400);
}

#[tokio::test]
async fn a_node_that_is_down_is_an_answer() {
    let authority = Authority::new("root");
    let address = node(authority.identity("n1").server(), Step::Listen).await.address;
    let answer = ask(address, authority.trusted(Verify::Full, "n1")).await;
    assert_eq!(answer.verdict, Verdict::Unreachable { failure: ProbeFailure::Refused });
    assert_eq!(answer.certificate, None);
}

#[tokio::test]
async fn a_certificate_covers_names_as_clients_judge_it() {
    let authority = Authority::new("root");
    for (certified, asked, covers) in [
        ("gate.example.org", "gate.example.org", true),
        ("gate.example.org", "GATE.example.org", true),
        ("*.example.org", "gate.example.org", true),
        ("*.example.org", "example.org", false),
        ("*.example.org", "a.gate.example.org", false),
        ("gate.example.org", "other.example.org", false),
        ("10.0.0.1", "10.0.0.1", true),
        ("gate.example.org", "10.0.0.1", false),
    ] {
        // Whoever issued it, and whatever else is spoken: clients are not the gate.
        let server = authority.identity(certified).server_with(rustls::DEFAULT_VERSIONS, &["h2"]);
        let node = node(server, Step::Listen).await;
        let shown = patiently("look", look_once(node.address, asked, None, PATIENCE)).await.unwrap();
        assert_eq!(shown.covers, covers, "{certified} for {asked}");
        assert_eq!(shown.certificate.names, [certified]);
    }
}

#[tokio::test]
async fn a_node_that_wants_a_client_certificate_has_shown_its_own() {
    let authority = Authority::new("root");
    let node = node(authority.identity("n1").server_for_clients_of(&authority), Step::Listen).await;
    let shown = patiently("look", look_once(node.address, "n1", None, PATIENCE)).await.unwrap();
    assert!(shown.covers);
}

#[tokio::test]
async fn where_nothing_is_to_be_seen_it_says_why() {
    let plain = Node::start(|_| (None, vec![Step::Say("SSH-2.0-x\r\n")])).await;
    let why = patiently("look", look_once(plain.address, "n1", None, PATIENCE)).await.unwrap_err();
    assert!(why.contains("not TLS"), "{why}");
    let silent = Node::start(|_| (None, vec![Step::Listen])).await;
    let why = look_once(silent.address, "n1", None, Duration::from_millis(20)).await.unwrap_err();
    assert_eq!(why, "nothing within 20ms");
}
