//! Sessions of every kind, by the thousand: none leaves a descriptor, a pipe or memory behind (S8, D3).

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::client::say;
use crate::support::scene::Scene;
use crate::support::wait::{until, within_deadline};

const SESSIONS: usize = 10_000;
const AT_ONCE: usize = 100;
/// Bulk that is broken off, one after the other.
const BULK: usize = 10;
/// Pipes that a gate may keep for the next bulk, two descriptors each; far fewer than were used in all.
const KEPT_PIPES: usize = 4;
/// What a gate that keeps nothing may still grow by: pages of its allocator.
const SLACK: usize = 8 << 20;

/// A session that the node ends, for what it hears is no TLS; every third client resets it instead.
async fn visit(gate: SocketAddr, number: usize) {
    let mut client = TcpStream::connect(gate).await.unwrap();
    // Else the ports of this machine would be used up by connections that linger.
    client.set_zero_linger().unwrap();
    client.write_all(b"this is no ClientHello\r\n").await.unwrap();
    if !number.is_multiple_of(3) {
        let mut heard = Vec::new();
        // It may end it by a reset, too.
        let _ = within_deadline("the node's end", client.read_to_end(&mut heard)).await;
    }
}

async fn visits(scene: &Scene, count: usize) {
    for first in (0..count).step_by(AT_ONCE) {
        let mut visits = JoinSet::new();
        for number in first..first + AT_ONCE {
            visits.spawn(visit(scene.gate.address, number));
        }
        while let Some(visit) = visits.join_next().await {
            visit.unwrap();
        }
    }
}

/// Bulk that its client gives up in the middle, while bytes are in the gate's hands.
async fn broken_off_bulk(scene: &Scene) {
    let (mut stream, _) = scene.trust.connect(scene.gate.address).await.unwrap();
    say(&mut stream, "SOURCE 100000000").await.unwrap();
    let mut chunk = vec![0; 4 << 20];
    within_deadline("some of it", stream.read_exact(&mut chunk)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s8_ten_thousand_sessions_leave_nothing_behind() {
    let scene = Scene::start(&["lead", "follow"]).await;
    // Once round before anything is measured, so that everything has been used.
    visits(&scene, SESSIONS / 10).await;
    scene.gate.assert_books_balance().await;
    let (memory, descriptors) = (scene.gate.resident_memory(), scene.gate.descriptors());
    visits(&scene, SESSIONS).await;
    for _ in 0..BULK {
        broken_off_bulk(&scene).await;
    }
    scene.gate.assert_books_balance().await;
    scene.gate.counts("raftgate_connections_total", "", |all| all >= 11_000.0).await;
    until("the descriptors are given back, but for a few pipes", async || {
        (scene.gate.descriptors() <= descriptors + 2 * KEPT_PIPES).then_some(())
    })
    .await;
    let grown = scene.gate.resident_memory().saturating_sub(memory);
    assert!(grown < SLACK, "{grown} bytes more than the {memory} before");
}
