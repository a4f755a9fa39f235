//! O2: each thing that a reload can change is in force afterwards: for whom README says.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use rustix::process::Signal;
use socket2::{Domain, Socket, Type};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::support::client::assert_echo;
use crate::support::clock::Stamp;
use crate::support::crowd::assert_nobody_failed;
use crate::support::reload::{free_port, is_refused, second};
use crate::support::scene::{Scene, Settings};
use crate::support::wait::{until, within_deadline};

/// Clients that wait in the kernel's queue.
const QUEUED: usize = 20;

/// One more listener.
fn listener(name: &str, address: SocketAddr, more: &str) -> String {
    format!("\n[listeners.{name}]\nbind = \"{address}\"\ncluster = \"controllers\"\n{more}\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_s6_timeouts_hold_for_sessions_that_are_there() {
    let scene = Scene::start(&["lead"]).await;
    let mut session = scene.echo_session().await;
    scene.reload(&scene.text(Settings { cluster: "timeouts.idle = \"300ms\"", ..Settings::default() })).await;
    let end = within_deadline("the session's end", session.read(&mut [0])).await;
    assert!(!matches!(end, Ok(1..)), "{end:?}");
    scene.gate.counts("raftgate_connections_closed_total", "idle", |idle| idle > 0.5).await;
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_s6_one_clusters_timeouts_are_no_others() {
    let scene = Scene::start(&["lead"]).await;
    let (mut session, address) = (scene.echo_session().await, free_port());
    let more = second(&scene.nodes[0], scene.folder.path(), &address.to_string());
    let more = more.replace("preset =", "timeouts.idle = \"200ms\"\npreset =");
    scene.reload(&format!("{}{more}", scene.text(Settings::default()))).await;
    let (mut short, _) = within_deadline("a session", scene.trust.connect(address)).await.unwrap();
    let end = within_deadline("its end", short.read(&mut [0])).await;
    assert!(!matches!(end, Ok(1..)), "{end:?}");
    assert_echo(&mut session).await;
    drop(session);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_a_node_that_has_a_name_instead_of_an_address_is_looked_up() {
    let scene = Scene::start(&["lead", "follow"]).await;
    let crowd = scene.crowd();
    scene.reload(&scene.text(Settings { host: Some("localhost"), ..Settings::default() })).await;
    let moved = Stamp::now();
    scene.gate.routes_to(Some("n1")).await;
    crowd.served_by("n1", 10, moved).await;
    assert_nobody_failed(&crowd.leave().await, None);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_readers_may_come_after_the_leaders_clients() {
    let scene = Scene::start(&["lead", "follow"]).await;
    let mut session = scene.echo_session().await;
    let (text, reads) = (scene.text(Settings::default()), free_port());
    for (to, node) in [("followers", "n2"), ("leader", "n1"), ("followers", "n2")] {
        scene.reload(&format!("{text}{}", listener("reads", reads, &format!("to = \"{to}\"")))).await;
        // Who comes in the same moment may still have come before.
        until(&format!("clients who go to {to} get to {node}"), async || {
            scene.trust.visit(reads).await.is_served_by(node).then_some(())
        })
        .await;
    }
    assert_echo(&mut session).await;
    drop(session);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_an_address_that_somebody_else_has_is_not_shared_though_he_would() {
    let scene = Scene::start(&["lead"]).await;
    let (text, address) = (scene.text(Settings::default()), free_port());
    let own = format!("{text}{}", listener("own", (Ipv4Addr::new(127, 0, 0, 2), address.port()).into(), ""));
    scene.reload(&own).await;
    let other = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    other.set_reuse_port(true).unwrap();
    other.bind(&address.into()).unwrap();
    other.listen(1).unwrap();
    fs::write(scene.file(), format!("{own}{}", listener("more", address, ""))).unwrap();
    let (code, said) = scene.try_reload().await;
    assert!(code == Some(1) && said.contains("something already does"), "{said}");
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_s2_a_hold_ends_as_the_newest_file_says() {
    let ends = |then| format!("hold.timeout = \"100ms\"\nhold.then = \"{then}\"");
    let cluster = ends("refuse");
    let scene = Scene::with(&["follow"], Settings { cluster: &cluster, ..Settings::default() }).await;
    for (then, node) in [("any_reachable", Some("n1")), ("refuse", None)] {
        scene.reload(&scene.text(Settings { cluster: &ends(then), ..Settings::default() })).await;
        // Who comes in the same moment may still have come before.
        until(&format!("clients whose hold is over get to {node:?}"), async || {
            let visit = scene.trust.visit(scene.gate.address).await;
            (visit.node.as_deref() == node).then_some(())
        })
        .await;
    }
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o4_the_gate_stops_as_the_newest_file_says() {
    let settings = Settings { top: "shutdown.drain = \"1h\"", ..Settings::default() };
    let mut scene = Scene::with(&["lead"], settings).await;
    let _session = scene.echo_session().await;
    scene.reload(&scene.text(Settings { top: "shutdown.drain = \"100ms\"", ..Settings::default() })).await;
    scene.gate.signal(Signal::TERM);
    assert_eq!(scene.gate.exits().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_connections_are_logged_as_the_newest_file_says() {
    let scene = Scene::start(&["lead"]).await;
    for top in ["log.connections = false", "log.connections = true"] {
        scene.reload(&scene.text(Settings { top, ..Settings::default() })).await;
        assert!(scene.trust.visit(scene.gate.address).await.is_served_by("n1"));
        scene.gate.counts("raftgate_connections_active", "", |active| active < 0.5).await;
    }
    let closed = |line: &String| line.contains("connection closed");
    until("the second one's line", async || scene.gate.log().lines().iter().any(closed).then_some(())).await;
    let lines = scene.gate.log().lines();
    let first = lines.iter().position(closed).unwrap();
    let reloads = lines[..first].iter().filter(|line| line.contains("configuration reloaded")).count();
    assert_eq!(reloads, 2, "the first one has a line, too: {}", lines[first]);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o4_clients_in_the_kernels_queue_when_their_listener_goes_are_served() {
    let scene = Scene::start(&["lead"]).await;
    let (text, address) = (scene.text(Settings::default()), free_port());
    scene.reload(&format!("{text}{}", listener("more", address, ""))).await;
    scene.gate.signal(Signal::STOP);
    let mut queued = Vec::new();
    for _ in 0..QUEUED {
        queued.push(within_deadline("a connect", TcpStream::connect(address)).await.unwrap());
    }
    fs::write(scene.file(), &text).unwrap();
    scene.gate.signal(Signal::HUP);
    scene.gate.signal(Signal::CONT);
    until("the port is closed", async || is_refused(address).await.then_some(())).await;
    for stream in queued {
        let (_, node) = within_deadline("a handshake", scene.trust.greet(stream)).await.unwrap();
        assert_eq!(node, "n1");
    }
    scene.gate.assert_books_balance().await;
}
