//! `connect.source` where ports are few: each source has all of them for each node, and once they are gone that is
//! nobody's fault but this machine's.

use std::net::SocketAddr;

use tokio::net::TcpSocket;
use tokio::process::Command;

use crate::AS_ON_LINUX;
use crate::support::client::{Stream, assert_echo, say};
use crate::support::scene::{Scene, Settings};
use crate::support::wait::within_deadline;
use crate::support::{not_run, require_tool, skip};

/// In a network of its own the test runs itself again, with this in its environment.
const MARKER: &str = "TEST_IN_NETWORK_OF_FEW_PORTS";
const ENTRY: &str = "ports::in_a_network_of_few_ports";
const RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// Ports that connects may use, once there are few.
const PORTS: u8 = 4;
/// Addresses that the gate connects from.
const SOURCES: u8 = 2;

/// Runs what follows in a network of its own.
fn in_own_network() -> Command {
    let mut command = Command::new("unshare");
    command.args(["-rn", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""]).kill_on_drop(true);
    command
}

#[tokio::test]
async fn l5_ports_that_run_out_are_no_fault_of_the_nodes() {
    let what = "connect.source with few ports";
    if !AS_ON_LINUX {
        return not_run(&format!("{what}: elsewhere a source has its ports but once for all nodes"));
    }
    if !require_tool("unshare", what) || !require_tool("ip", what) {
        return;
    }
    let narrows = format!("echo 50000 50003 > {RANGE}");
    if !in_own_network().args(["sh", "-c", &narrows]).status().await.is_ok_and(|status| status.success()) {
        return skip(&format!("{what}: no network of its own to be had here"));
    }
    let mut inside = in_own_network();
    inside.arg(std::env::current_exe().unwrap()).args(["--exact", ENTRY, "--nocapture", "--test-threads=1"]);
    let output = within_deadline("the test inside", inside.env(MARKER, "1").output()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Nothing at all in a normal run of the tests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_network_of_few_ports() {
    if std::env::var_os(MARKER).is_none() {
        return;
    }
    let settings = Settings {
        cluster: "connect.source = [\"127.0.0.2\", \"127.0.0.3\"]\nhold.timeout = \"200ms\"",
        ..Settings::default()
    };
    let mut scene = Scene::with(&["lead", "follow"], settings).await;
    std::fs::write(RANGE, "50000 50003").unwrap();
    let (mut sessions, mut number) = (Vec::new(), 0);
    for leader in ["n1", "n2"] {
        if leader == "n2" {
            scene.hand_over(0, 1).await;
            scene.gate.routes_to(Some(leader)).await;
        }
        for _ in 0..PORTS * SOURCES {
            number += 1;
            let (session, node) = session(&scene, number).await.expect("there is a port left");
            assert_eq!(node, leader);
            sessions.push(session);
        }
        // Every port of every source is taken toward this node, and toward this node alone.
        number += 1;
        assert!(session(&scene, number).await.is_none(), "there was one more port");
        let label = format!("node=\"{leader}\",reason=\"local\"");
        scene.gate.counts("raftgate_connect_failures_total", &label, |count| count > 0.0).await;
    }
    for reason in ["refused", "unreachable", "timeout"] {
        let label = format!("reason=\"{reason}\"");
        let count = scene.gate.counts("raftgate_connect_failures_total", &label, |_| true).await;
        assert!(count < 0.5, "{count} {reason}");
    }
    for session in &mut sessions {
        assert_echo(session).await;
    }
    drop(sessions);
    scene.gate.assert_books_balance().await;
}

/// A session; `None` if the gate had no port for it. Its client takes none of the few itself, nor binds one: a port that
/// somebody has bound is not for connects, whatever its address.
async fn session(scene: &Scene, number: usize) -> Option<(Stream, String)> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 1, 1], 40_000 + u16::try_from(number).unwrap()))).unwrap();
    let stream = within_deadline("a connection", socket.connect(scene.gate.address)).await.unwrap();
    let (mut session, node) = within_deadline("a session", scene.trust.greet(stream)).await.ok()?;
    say(&mut session, "ECHO").await.unwrap();
    assert_echo(&mut session).await;
    Some((session, node))
}
