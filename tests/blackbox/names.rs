//! Nodes with names instead of addresses.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncReadExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use crate::support::client::{hear, say};
use crate::support::gate::can_have_own_files;
use crate::support::scene::{Scene, Settings};
use crate::support::skip;
use crate::support::wait::{until, within_deadline};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_with_several_addresses_leads_to_the_one_that_answers() {
    // Where `localhost` stands for ::1, too, nobody listens there.
    let settings = Settings { host: Some("localhost"), ..Settings::default() };
    let mut scene = Scene::with(&["lead", "follow"], settings).await;
    assert!(scene.trust.visit(scene.gate.address).await.is_served_by("n1"));
    scene.hand_over(0, 1).await;
    scene.gate.routes_to(Some("n2")).await;
    assert!(scene.trust.visit(scene.gate.address).await.is_served_by("n2"));
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_cannot_be_looked_up_is_no_failure_of_the_start() {
    // Reserved for what must not exist. Whether the name service says so or does not answer is the same here.
    let settings = Settings { cluster: "nodes.lost = \"ctrl.invalid:1280\"", ..Settings::default() };
    let scene = Scene::with(&["lead"], settings).await;
    scene.gate.sees("lost", "unreachable").await;
    let label = "cluster=\"controllers\",node=\"lost\",result=\"dns\"";
    scene.gate.counts("raftgate_probes_total", label, |probes| probes >= 1.0).await;
    until("the status tells why", async || {
        let status: Value = serde_json::from_str(&scene.gate.get("/status").await?.1).ok()?;
        let nodes = status["clusters"]["controllers"]["nodes"].as_array()?.clone();
        let lost = nodes.iter().find(|node| node["name"] == "lost")?;
        assert_eq!(lost["address"], "ctrl.invalid:1280", "{lost}");
        lost["detail"].as_str()?.contains("ctrl.invalid:1280 has no address").then_some(())
    })
    .await;
    assert_eq!(scene.gate.leader().await.as_deref(), Some("n1"), "the others are not harmed");
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_a_node_that_moves_is_followed_its_old_sessions_drain_and_a_lost_name_changes_nothing() {
    if !can_have_own_files().await {
        return skip("a node that moves: no mount namespace for the gate's own /etc/hosts");
    }
    let hosts = tempfile::NamedTempFile::new().unwrap();
    set_hosts(hosts.path(), "127.0.0.1 moving.test\n");
    let scene = Scene::with(
        &["lead", "follow"],
        Settings {
            cluster: "dns.refresh = \"50ms\"\nsessions.drain = \"200ms\"",
            host: Some("moving.test"),
            own_file: Some((hosts.path(), "/etc/hosts")),
            ..Settings::default()
        },
    )
    .await;
    let (mut session, _) = scene.trust.connect(scene.gate.address).await.unwrap();
    say(&mut session, "ECHO").await.unwrap();
    say(&mut session, "word").await.unwrap();
    assert_eq!(hear(&mut session).await.unwrap(), "word");

    for node in &scene.nodes {
        forward(node.port).await;
    }
    set_hosts(hosts.path(), "127.0.0.2 moving.test\n");
    let moved = until("the leader has moved", async || {
        let lines = scene.gate.log().lines_saying("node answers at another address");
        lines.into_iter().find(|line| line["node"] == "n1")
    })
    .await;
    assert_eq!(moved["to"], format!("127.0.0.2:{}", scene.nodes[0].port), "{moved}");
    let end = within_deadline("the old session's end", session.read(&mut [0])).await;
    assert!(end.is_err(), "it was not reset when its time to drain was over: {end:?}");
    scene
        .gate
        .counts("raftgate_connections_closed_total", "reason=\"drained\"", |closed| closed >= 1.0)
        .await;
    assert!(scene.trust.visit(scene.gate.address).await.is_served_by("n1"));

    set_hosts(hosts.path(), "#27.0.0.2 moving.test\n");
    until("the name is lost", async || {
        let message = "name cannot be looked up: what was last known of it stays";
        scene.gate.log().lines_saying(message).into_iter().next()
    })
    .await;
    assert!(scene.trust.visit(scene.gate.address).await.is_served_by("n1"));
    // What the node said at its first address is forgotten: it was elected again, and no more.
    scene.gate.counts("raftgate_leader_changes_total", "", |changes| (changes - 2.0).abs() < 0.5).await;
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_service_that_hangs_harms_nobody_and_does_not_delay_the_end() {
    if !can_have_own_files().await {
        return skip("a name service that hangs: no mount namespace for the gate's own /etc/resolv.conf");
    }
    let Ok(_mute) = UdpSocket::bind("127.0.0.9:53").await else {
        return skip("a name service that hangs: port 53 is not to be had");
    };
    let mut resolv = tempfile::NamedTempFile::new().unwrap();
    resolv.write_all(b"nameserver 127.0.0.9\noptions timeout:30 attempts:5\n").unwrap();
    let settings = Settings {
        cluster: "nodes.lost = \"ctrl.invalid:1280\"",
        own_file: Some((resolv.path(), "/etc/resolv.conf")),
        ..Settings::default()
    };
    let mut scene = Scene::with(&["lead", "follow"], settings).await;
    let message = "name cannot be looked up: what was last known of it stays";
    let line = until("the name service is known to hang", async || {
        scene.gate.log().lines_saying(message).into_iter().next()
    })
    .await;
    assert_eq!(line["cause"], "the name service has not answered for 5s");
    scene.hand_over(0, 1).await;
    scene.gate.routes_to(Some("n2")).await;
    assert!(scene.trust.visit(scene.gate.address).await.is_served_by("n2"));
    scene.gate.assert_books_balance().await;
    // The question that hangs would end after two minutes and a half; whoever waits for that misses the deadline.
    scene.gate.signal(Signal::TERM);
    assert!(scene.gate.exits().await.success());
}

/// Writes the file in one piece and in place: the gate sees this very file, and may read it at any moment.
fn set_hosts(file: &Path, line: &str) {
    OpenOptions::new().write(true).open(file).unwrap().write_all(line.as_bytes()).unwrap();
}

/// Makes a node's port on 127.0.0.1 known at 127.0.0.2, too.
async fn forward(port: u16) {
    let listener = TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut node = TcpStream::connect(("127.0.0.1", port)).await?;
                copy_bidirectional(&mut stream, &mut node).await
            });
        }
    });
}
