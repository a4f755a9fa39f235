//! Sessions of every kind by the thousand, and reloads by the hundred: none leaves a descriptor, a pipe, a thread or
//! memory behind (S8, D3, O2).

use std::net::SocketAddr;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::client::{assert_echo, say};
use crate::support::reload::{second, without};
use crate::support::scene::{Scene, Settings};
use crate::support::wait::{until, within_deadline};

const SESSIONS: usize = 10_000;
const AT_ONCE: usize = 100;
/// Bulk that is broken off, one after the other.
const BULK: usize = 10;
/// Pipes that a gate may keep for the next bulk, two descriptors each; far fewer than were used in all.
const KEPT_PIPES: usize = 4;
/// What a gate that keeps nothing may still grow by: pages of its allocator.
const SLACK: usize = 8 << 20;

/// Reloads, each to another configuration than the one before.
const RELOADS: usize = 300;

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

/// Configurations of every kind, each of which goes over to the next.
fn configurations(scene: &Scene) -> Vec<String> {
    let same = scene.text(Settings::default());
    let cluster = |cluster| scene.text(Settings { cluster, ..Settings::default() });
    let listener =
        "[listeners.more]\nbind = \"127.0.0.1:0\"\ncluster = \"controllers\"\nto = \"followers\"\n";
    vec![
        cluster("hold.timeout = \"3s\"\ntimeouts.idle = \"10m\""),
        cluster("probe.headers = { X-Round = \"1\" }"),
        without(&same, "nodes.n2"),
        same.replace("nodes.n2 ", "nodes.other "),
        scene.text(Settings { separate_probe_ports: true, ..Settings::default() }),
        scene.text(Settings { host: Some("localhost"), ..Settings::default() }),
        format!("{same}{listener}"),
        format!("{same}{}", second(&scene.nodes[0], scene.folder.path(), "127.0.0.1:0")),
        same.replace("cluster = \"controllers\"", "cluster = \"nobody\""),
        same,
    ]
}

async fn reloads(scene: &Scene, count: usize) {
    let texts = configurations(scene);
    let done = || {
        let (taken, refused) = ("configuration reloaded", "reload refused");
        scene.gate.log().lines().iter().filter(|line| line.contains(taken) || line.contains(refused)).count()
    };
    let before = done();
    for number in 0..count {
        std::fs::write(scene.file(), &texts[number % texts.len()]).unwrap();
        scene.gate.signal(Signal::HUP);
        until("the reload", async || (done() > before + number).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_hundreds_of_reloads_leave_nothing_behind() {
    let scene = Scene::start(&["lead", "follow"]).await;
    reloads(&scene, RELOADS / 3).await;
    let names = async || scene.gate.metrics().await.unwrap().into_keys().collect::<Vec<_>>();
    scene.gate.sees("n2", "follower").await;
    let (memory, descriptors, threads) =
        (scene.gate.resident_memory(), scene.gate.descriptors(), scene.gate.threads());
    let shown = names().await;
    let mut session = scene.echo_session().await;
    reloads(&scene, RELOADS).await;
    assert_echo(&mut session).await;
    drop(session);
    scene.gate.assert_books_balance().await;
    scene.gate.sees("n2", "follower").await;
    until("descriptors and threads are given back", async || {
        (scene.gate.descriptors() <= descriptors && scene.gate.threads() <= threads).then_some(())
    })
    .await;
    until("the same is shown", async || (names().await == shown).then_some(())).await;
    let grown = scene.gate.resident_memory().saturating_sub(memory);
    assert!(grown < SLACK, "{grown} bytes more than the {memory} before");
}
