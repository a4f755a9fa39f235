//! Which openings are sent again to a successor, and which never are (S4): a case each, through a whole gate.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::ClientConnection;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;

use super::harness::*;
use crate::wire::hello::OPENING_LIMIT;

const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f];
const GSSENC_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 0xd2, 0x16, 0x30];

/// Wraps handshake bytes into records of at most `fragment` bytes.
fn in_records(handshake: &[u8], fragment: usize) -> Vec<u8> {
    let record = |payload: &[u8]| {
        let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
        [&[22, 3, 1], &length[..], payload].concat()
    };
    handshake.chunks(fragment).flat_map(record).collect()
}

/// The handshake of a `ClientHello` with one extension of this kind.
fn handshake_with(extension: u16, content: usize) -> Vec<u8> {
    let mut handshake = hello()[5..].to_vec();
    handshake.extend(u16::try_from(content + 4).unwrap().to_be_bytes());
    handshake.extend(extension.to_be_bytes());
    handshake.extend(u16::try_from(content).unwrap().to_be_bytes());
    handshake.resize(handshake.len() + content, 0);
    let length = u32::try_from(handshake.len() - 4).unwrap().to_be_bytes();
    handshake[1..4].copy_from_slice(&length[1..]);
    handshake
}

/// A hello that is longer than what is kept of one, in records that are not.
fn endless_hello() -> Vec<u8> {
    let endless = in_records(&handshake_with(21, OPENING_LIMIT - 100), 1000);
    assert!(endless.len() > OPENING_LIMIT + 1);
    endless
}

/// A hello as rustls makes it: with a post-quantum key share, longer than a segment.
fn post_quantum_hello() -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let mut connection =
        ClientConnection::new(Arc::new(config), "ctrl.example.org".try_into().unwrap()).unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    assert!(hello.len() > 1200, "{} bytes", hello.len());
    hello
}

/// Who has said this in segments of `segment` bytes is moved, and the successor hears all of it.
async fn assert_moved(said: &[u8], segment: usize) {
    let (mut gate, a, b) = (Gate::start(|_| {}), Node::start().await, Node::start().await);
    gate.lead(0, a.address);
    let mut client = gate.client().await;
    client.set_nodelay(true).unwrap();
    let mut left = a.accept().await;
    // The kernel accepts before the gate has heard of it.
    gate.until("sessions_active", &["a"], 1).await;
    for segment in said.chunks(segment) {
        say(&mut client, segment).await;
        // The next one is another segment to the gate, too.
        assert_eq!(hear(&mut left, segment.len()).await, segment);
    }
    gate.lead(1, b.address);
    let mut node = b.accept_hearing(said).await;
    assert_reset(&mut left).await;
    assert_joined(&mut client, &mut node).await;
    assert_eq!(gate.metric("connections_moved_total", &["raft"]), 1);
    gate.end().await;
}

/// Who has said this stays with the node to which it was said, though that says nothing and another one leads.
async fn assert_not_moved(said: &[u8]) {
    let (mut gate, a, b) = (Gate::start(|_| {}), Node::start().await, Node::start().await);
    gate.lead(0, a.address);
    let mut client = gate.client_saying(said).await;
    let node = a.accept_hearing(said).await;
    gate.lead(1, b.address);
    // Even its close is passed on as it is.
    drop(node);
    assert_closed(&mut client).await;
    assert!(!b.is_dialled().await && !gate.has_signal());
    assert_eq!(gate.metric("connections_moved_total", &[]), 0);
    drop(client);
    gate.ends_with("node").await;
}

#[tokio::test]
async fn s4_a_post_quantum_hello_of_several_segments_is_moved() {
    assert_moved(&post_quantum_hello(), 500).await;
}

#[tokio::test]
async fn s4_a_hello_of_several_records_is_moved() {
    assert_moved(&in_records(&post_quantum_hello()[5..], 300), 500).await;
}

#[tokio::test]
async fn s4_a_hello_in_segments_of_one_byte_is_moved() {
    assert_moved(&post_quantum_hello(), 1).await;
}

#[tokio::test]
async fn s4_a_hello_that_has_not_ended_within_the_limit_is_moved() {
    assert_moved(&endless_hello()[..OPENING_LIMIT], OPENING_LIMIT).await;
}

#[tokio::test]
async fn s4_postgres_requests_for_encryption_are_moved() {
    for request in [SSL_REQUEST, GSSENC_REQUEST] {
        assert_moved(&request, 8).await;
    }
}

#[tokio::test]
async fn s4_a_client_that_has_said_nothing_is_moved() {
    assert_moved(&[], 1).await;
}

#[tokio::test]
async fn s4_a_hello_beyond_the_limit_is_not_moved() {
    assert_not_moved(&endless_hello()[..=OPENING_LIMIT]).await;
}

#[tokio::test]
async fn s4_early_data_is_not_moved() {
    assert_not_moved(&in_records(&handshake_with(42, 0), 9999)).await;
}

#[tokio::test]
async fn s4_a_request_in_plain_http_is_not_moved() {
    assert_not_moved(b"GET / HTTP/1.1\r\nHost: ctrl\r\n\r\n").await;
}

#[tokio::test]
async fn s4_ssh_is_not_moved() {
    assert_not_moved(b"SSH-2.0-OpenSSH_9.6\r\n").await;
}

#[tokio::test]
async fn s4_a_postgres_startup_message_is_not_moved() {
    assert_not_moved(b"\0\0\0\x14\0\x03\0\0user\0raft\0\0\0").await;
}

#[tokio::test]
async fn s4_a_postgres_request_and_more_is_not_moved() {
    assert_not_moved(&[&SSL_REQUEST[..], b"\x16"].concat()).await;
}

#[tokio::test]
async fn s4_a_client_that_has_reset_is_not_moved() {
    let (mut gate, a, b) = (Gate::start(|_| {}), Node::start().await, Node::start().await);
    gate.lead(0, a.address);
    let client = gate.client_saying(&hello()).await;
    let mut node = a.accept_hearing(&hello()).await;
    reset(client);
    assert_reset(&mut node).await;
    gate.lead(1, b.address);
    gate.until("connections_closed_total", &["client_error"], 1).await;
    assert!(!b.is_dialled().await && !gate.has_signal());
    gate.end().await;
}

#[tokio::test]
async fn s4_a_held_client_is_read_no_further_than_its_opening() {
    let (mut gate, a, b) = (Gate::start(|_| {}), Node::start().await, Node::start().await);
    gate.lead(0, a.address);
    let (first, rest) = (&hello()[..20], &hello()[20..]);
    let mut client = gate.client_saying(first).await;
    reset(a.accept_hearing(first).await);
    gate.until("held_connections", &["raft"], 1).await;
    say(&mut client, rest).await;
    say(&mut client, b"and more").await;
    until("the opening is read", || unread(&client) == 0).await;
    // What follows waits in the kernel, however much it is, and not in the gate.
    let flood = vec![7; 100_000];
    say(&mut client, &flood).await;
    until("all of it is unread", || unread(&client) == flood.len()).await;
    gate.leaderless(Duration::ZERO, None);
    gate.lead(1, b.address);
    let mut node = b.accept_hearing(&[&hello()[..], b"and more", &flood].concat()).await;
    assert_joined(&mut client, &mut node).await;
    gate.end().await;
}

/// How much of what this client has sent has not been read at the other end, as the kernel has it.
fn unread(client: &TcpStream) -> usize {
    let port = |address: std::net::SocketAddr| format!(":{:04X}", address.port());
    let (ours, gates) = (port(client.local_addr().unwrap()), port(client.peer_addr().unwrap()));
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let gates_end = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|columns| columns.len() > 4 && columns[1].ends_with(&gates) && columns[2].ends_with(&ours));
    let queues = gates_end.expect("the gate has this connection")[4];
    usize::from_str_radix(queues.split_once(':').unwrap().1, 16).unwrap()
}
