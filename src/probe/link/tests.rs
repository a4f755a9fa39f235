//! What becomes of connections, with real nodes.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use rustls::pki_types::ServerName;
use tokio::net::TcpSocket;

use super::super::judge::Rules;
use super::super::settings::{TlsSettings, Verify};
use super::super::testing::{
    Authority, Happened, LEADER, Node, PATIENCE, Step, patiently, rules_by_status, rules_on_bodies,
};
use super::super::tls::{Connector, Peer};
use super::*;
use crate::sockets::starved::{all_descriptors, is_starved};

mod addresses;

const NEVER: Duration = Duration::from_hours(1);

fn request() -> Request<Empty<Bytes>> {
    Request::builder().uri("/").header("host", "n1").body(Empty::new()).unwrap()
}

fn tls_link(node: &Node, tls: &TlsSettings, renew: Duration) -> Link {
    let name = ServerName::try_from(tls.server_name.clone()).unwrap();
    let tls = Some((Connector::new(tls).unwrap(), Peer { name, spiffe_id: None }));
    Link::new(Endpoint::new(node.address.into(), tls, request(), rules_on_bodies()), renew)
}

/// A link to a node that acts on each connection by the script of that number, or by the last one.
async fn scripted(scripts: Vec<Vec<Step>>, renew: Duration) -> (Node, Link) {
    scripted_for(scripts, renew, rules_on_bodies()).await
}

/// The same, with an answer judged by these rules.
async fn scripted_for(scripts: Vec<Vec<Step>>, renew: Duration, rules: Arc<Rules>) -> (Node, Link) {
    let authority = Authority::new("root");
    let server = authority.identity("n1").server();
    let node = Node::start(move |number| {
        (Some(Arc::clone(&server)), scripts[number.min(scripts.len() - 1)].clone())
    });
    let node = node.await;
    let mut link = tls_link(&node, &authority.trusted(Verify::Full, "n1"), renew);
    link.endpoint.rules = rules;
    (node, link)
}

/// One exchange with all the time in the world; how often the kept connection was found lost.
async fn exchange(link: &mut Link) -> (Exchange, usize) {
    exchange_within(link, PATIENCE).await
}

async fn exchange_within(link: &mut Link, timeout: Duration) -> (Exchange, usize) {
    let lost = AtomicUsize::new(0);
    let deadline = Deadline::after(Instant::now(), timeout);
    let exchange = link.exchange(deadline, || {
        lost.fetch_add(1, Ordering::Relaxed);
    });
    let exchange = exchange.await;
    (exchange, lost.into_inner())
}

async fn assert_answered(link: &mut Link, connected: bool) {
    let (exchange, lost) = exchange(link).await;
    assert_eq!(exchange.result.unwrap().status, 200);
    assert_eq!((exchange.connected, lost), (connected, 0));
}

async fn assert_failed(link: &mut Link, kind: ProbeFailure, words: &str) {
    let failure = exchange(link).await.0.result.unwrap_err();
    assert_eq!(failure.kind, kind, "{}", failure.detail);
    assert!(failure.detail.contains(words), "{words} in: {}", failure.detail);
}

#[tokio::test]
async fn l6_exchanges_share_one_connection_and_end_it_politely() {
    let (node, mut link) = scripted(vec![vec![Step::AnswerAll(LEADER)]], NEVER).await;
    assert_answered(&mut link, true).await;
    for _ in 0..10 {
        assert_answered(&mut link, false).await;
    }
    drop(link);
    node.until(Happened::Farewell(0)).await;
    assert_eq!((node.shaken(), node.asked()), (1, 11));
}

#[tokio::test]
async fn plain_http_shares_one_connection_as_well() {
    let node = Node::start(|_| (None, vec![Step::AnswerAll(LEADER)])).await;
    let mut link = Link::new(Endpoint::new(node.address.into(), None, request(), rules_on_bodies()), NEVER);
    assert_answered(&mut link, true).await;
    assert_answered(&mut link, false).await;
    drop(link);
    node.until(Happened::Farewell(0)).await;
}

#[tokio::test]
async fn a_close_that_was_announced_is_no_loss() {
    let closing = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
    let (node, mut link) = scripted(vec![vec![Step::Read, Step::Say(closing)]], NEVER).await;
    for _ in 0..3 {
        assert_answered(&mut link, true).await;
        assert!(!link.is_reusable(Instant::now()));
    }
    assert_eq!(node.shaken(), 3);
}

#[tokio::test]
async fn l5_a_close_that_was_not_announced_is_noticed_while_waiting() {
    let (node, mut link) = scripted(vec![vec![Step::Read, Step::Say(LEADER)]], NEVER).await;
    for _ in 0..3 {
        assert_answered(&mut link, true).await;
        patiently("the loss", link.lost()).await;
    }
    assert_eq!(node.shaken(), 3);
}

#[tokio::test]
async fn what_a_node_says_unasked_is_not_its_next_answer() {
    let twice =
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno";
    for unasked in [vec![Step::Say(twice)], vec![Step::Say(LEADER), Step::Say("HTTP/1.1 503 No\r\n\r\n")]] {
        let script = [vec![Step::Read], unasked, vec![Step::Listen]].concat();
        let (node, mut link) = scripted(vec![script, vec![Step::AnswerAll(LEADER)]], NEVER).await;
        assert_answered(&mut link, true).await;
        patiently("the loss", link.lost()).await;
        node.until(Happened::Farewell(0)).await;
        assert_answered(&mut link, true).await;
    }
}

#[tokio::test]
async fn a_close_that_crosses_the_request_is_made_good_on_a_new_connection() {
    let once = vec![Step::Read, Step::Say(LEADER), Step::Read];
    let (node, mut link) = scripted(vec![once, vec![Step::AnswerAll(LEADER)]], NEVER).await;
    assert_answered(&mut link, true).await;
    let (exchange, lost) = exchange(&mut link).await;
    assert_eq!(exchange.result.unwrap().status, 200);
    assert_eq!((exchange.connected, lost, node.shaken()), (true, 1, 2));
}

#[tokio::test]
async fn a_close_that_crosses_the_request_is_made_good_only_once() {
    let once = vec![Step::Read, Step::Say(LEADER), Step::Read];
    let (node, mut link) = scripted(vec![once, vec![Step::Read]], NEVER).await;
    assert_answered(&mut link, true).await;
    assert_failed(&mut link, ProbeFailure::Closed, "closed the connection").await;
    assert_failed(&mut link, ProbeFailure::Closed, "closed the connection").await;
    assert_eq!(node.shaken(), 3);
}

#[tokio::test]
async fn l6_a_connection_is_renewed_before_the_old_one_is_dropped() {
    let (node, mut link) = scripted(vec![vec![Step::AnswerAll(LEADER)]], Duration::ZERO).await;
    for _ in 0..3 {
        assert_answered(&mut link, true).await;
    }
    node.until(Happened::Farewell(0)).await;
    node.until(Happened::Farewell(1)).await;
    let place = |happened| node.log().iter().position(|other| *other == happened);
    assert!(place(Happened::Accepted(1)) < place(Happened::Farewell(0)), "{:?}", node.log());
    assert!(place(Happened::Accepted(2)) < place(Happened::Farewell(1)), "{:?}", node.log());
}

#[tokio::test]
async fn l6_a_failed_renewal_is_silence_though_the_old_connection_would_answer() {
    let authority = Authority::new("root");
    let (good, expired) = (authority.identity("n1").server(), authority.expired_identity("n1").server());
    let node = Node::start(move |number| {
        let server = if number == 0 { &good } else { &expired };
        (Some(Arc::clone(server)), vec![Step::AnswerAll(LEADER)])
    });
    let node = node.await;
    let mut link = tls_link(&node, &authority.trusted(Verify::Full, "n1"), NEVER);
    assert_answered(&mut link, true).await;
    link.renew = Duration::ZERO;
    assert_failed(&mut link, ProbeFailure::Certificate, "expired").await;
    node.until(Happened::Farewell(0)).await;
    link.renew = NEVER;
    assert_failed(&mut link, ProbeFailure::Certificate, "expired").await;
    assert_eq!(node.asked(), 1);
}

#[tokio::test]
async fn l6_one_deadline_covers_the_handshake_too() {
    let silent = Node::start(|_| (None, vec![Step::Listen])).await;
    let authority = Authority::new("root");
    let mut link = tls_link(&silent, &authority.trusted(Verify::Full, "n1"), NEVER);
    let (exchange, _) = exchange_within(&mut link, Duration::from_millis(50)).await;
    let failure = exchange.result.unwrap_err();
    assert_eq!(failure.kind, ProbeFailure::Timeout);
    assert!(failure.detail.contains("within 50ms: the TLS handshake"), "{}", failure.detail);
}

#[tokio::test]
async fn a_timed_out_connection_is_closed_and_not_used_again() {
    let stuck = vec![Step::Read, Step::Say(LEADER), Step::Read, Step::Listen];
    let (node, mut link) = scripted(vec![stuck, vec![Step::AnswerAll(LEADER)]], NEVER).await;
    assert_answered(&mut link, true).await;
    let (exchange, _) = exchange_within(&mut link, Duration::from_millis(50)).await;
    assert_eq!(exchange.result.unwrap_err().kind, ProbeFailure::Timeout);
    node.until(Happened::Farewell(0)).await;
    assert_answered(&mut link, true).await;
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_refuses() {
    // Bound, so that nobody else gets it, but not listening.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let mut link = Link::new(Endpoint::new(address.into(), None, request(), rules_on_bodies()), NEVER);
    assert_failed(&mut link, ProbeFailure::Refused, &format!("cannot connect to {address}")).await;
}

#[tokio::test]
async fn a_port_that_does_not_speak_tls_says_so() {
    let authority = Authority::new("root");
    let trusted = authority.trusted(Verify::Full, "n1");
    for (said, words) in [
        (vec![Step::Say("HTTP/1.0 400 Bad Request\r\n\r\n"), Step::Listen], "not TLS"),
        (vec![Step::Say("SSH-2.0-OpenSSH_9.9\r\n"), Step::Listen], "not TLS"),
        (vec![], "closed the connection during the TLS handshake"),
    ] {
        let node = Node::start(move |_| (None, said.clone())).await;
        assert_failed(&mut tls_link(&node, &trusted, NEVER), ProbeFailure::Tls, words).await;
    }
}

#[tokio::test]
async fn l2_an_answer_without_tls_own_end_is_whole_if_it_can_be() {
    let (by_status, by_body) = (rules_by_status(), rules_on_bodies());
    for (rules, said, is_answer) in [
        (&by_status, "HTTP/1.0 200 OK\r\n\r\n", true),
        (&by_status, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of", true),
        (&by_status, "HTTP/1.0 200 OK\r\nServer: ", false),
        (&by_body, "HTTP/1.0 200 OK\r\n\r\n{\"leads\": true}\n", true),
        (&by_body, "HTTP/1.0 200 OK\r\n\r\n{\"leads\": tr", false),
        (&by_body, "HTTP/1.0 200 OK\r\n\r\n12", false),
        (&by_body, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"leads\": true}", false),
    ] {
        let script = vec![Step::Read, Step::Say(said), Step::Vanish];
        let (_node, mut link) = scripted_for(vec![script], NEVER, Arc::clone(rules)).await;
        for _ in 0..2 {
            let (exchange, _) = exchange(&mut link).await;
            match exchange.result {
                Ok(answer) => assert!(is_answer && answer.closes, "{said:?}: {answer:?}"),
                Err(failure) => assert!(!is_answer && failure.kind == ProbeFailure::Closed, "{said:?}"),
            }
        }
    }
}

#[tokio::test]
async fn l6_a_flood_over_tls_is_cut_off() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let flood = vec![Step::Read, Step::Say(head), Step::Flood("10\r\n0123456789abcdef\r\n")];
    let (_node, mut link) = scripted(vec![flood], NEVER).await;
    assert_failed(&mut link, ProbeFailure::Protocol, "body is larger than").await;
}

#[tokio::test]
async fn the_certificate_is_known_even_if_it_is_rejected() {
    let authority = Authority::new("root");
    let expired = authority.expired_identity("n1").server();
    let node = Node::start(move |_| (Some(Arc::clone(&expired)), Vec::new())).await;
    let mut link = tls_link(&node, &authority.trusted(Verify::Full, "n1"), NEVER);
    let (exchange, _) = exchange(&mut link).await;
    assert_eq!(exchange.result.unwrap_err().kind, ProbeFailure::Certificate);
    assert_eq!(exchange.certificate.unwrap().names, ["n1"]);
}

#[tokio::test]
async fn a_node_that_wants_a_client_certificate_says_so() {
    let authority = Authority::new("root");
    let server = authority.identity("n1").server_for_clients_of(&authority);
    let node = Node::start(move |_| (Some(Arc::clone(&server)), vec![Step::AnswerAll(LEADER)])).await;
    let mut link = tls_link(&node, &authority.trusted(Verify::Full, "n1"), NEVER);
    assert_failed(&mut link, ProbeFailure::Tls, "requires a client certificate").await;
}

#[tokio::test]
async fn l5_want_of_descriptors_is_not_taken_for_the_nodes_silence() {
    if !is_starved("probe::link::tests::l5_want_of_descriptors_is_not_taken_for_the_nodes_silence") {
        return;
    }
    let (node, mut link) = scripted(vec![vec![Step::AnswerAll(LEADER)]], Duration::ZERO).await;
    assert_answered(&mut link, true).await;
    let descriptors = all_descriptors();
    assert_answered(&mut link, false).await;
    drop(descriptors);
    assert_answered(&mut link, true).await;
    assert_eq!(node.shaken(), 2);
}
