//! Presets in front of what they were made for: nodes that answer as Patroni and as Vault do.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::client::{assert_echo, assert_reset};
use crate::support::clock::Stamp;
use crate::support::gate::Gate;
use crate::support::scene::{Scene, Settings};
use crate::support::wait::within_deadline;

/// A Patroni's answers: status, role and state; changed while it is asked.
type Says = Arc<Mutex<(u16, &'static str, &'static str)>>;

const REPLICA: (u16, &str, &str) = (503, "replica", "running");
const PRIMARY: (u16, &str, &str) = (200, "primary", "running");
/// It has the leader's lock, but PostgreSQL takes no writes yet.
const PROMOTING: (u16, &str, &str) = (200, "replica", "running");

/// Answers each connection once, in HTTP/1.0, without a length, and closes it: as Python's plain server does.
async fn patroni(says: Says) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (status, role, state) = *says.lock().unwrap();
            let body =
                format!("{{\"state\": \"{state}\", \"role\": \"{role}\", \"server_version\": 160004}}");
            let answer = format!("HTTP/1.0 {status} X\r\nContent-Type: application/json\r\n\r\n{body}");
            // A probe that goes away in between is the gate's business.
            tokio::spawn(async move { answer_once(stream, &answer).await.ok() });
        }
    });
    address
}

async fn answer_once(mut stream: TcpStream, answer: &str) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    assert!(request.starts_with(b"GET /primary HTTP/1.1\r\n"), "{}", String::from_utf8_lossy(&request));
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// A server that speaks first: its name, to each client.
async fn postgres(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(name.as_bytes()).await;
        }
    });
    address
}

/// The name of the server that a new client reaches.
async fn reached(gate: &Gate) -> String {
    let ask = async {
        let mut name = String::new();
        TcpStream::connect(gate.address).await.unwrap().read_to_string(&mut name).await.unwrap();
        name
    };
    within_deadline("a server's name", ask).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patroni_leads_clients_to_the_primary_once_it_takes_writes() {
    let says = [PRIMARY, REPLICA].map(|first| Says::new(Mutex::new(first)));
    let mut config = "workers = 1\nlog.format = \"json\"\nadmin.bind = \"127.0.0.1:0\"\n\
        listeners.edge = { bind = \"127.0.0.1:0\", cluster = \"controllers\" }\n\
        [clusters.controllers]\npreset = \"patroni\"\n"
        .to_owned();
    for (name, says) in ["n1", "n2"].into_iter().zip(&says) {
        let (address, probe_address) = (postgres(name).await, patroni(Arc::clone(says)).await);
        writeln!(config, "nodes.{name} = {{ address = \"{address}\", probe_address = \"{probe_address}\" }}")
            .expect("writing to a string does not fail");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("raftgate.toml");
    std::fs::write(&file, config).unwrap();
    let gate = Gate::start(&file).await;
    gate.routes_to(Some("n1")).await;
    gate.sees("n2", "follower").await;
    assert_eq!(reached(&gate).await, "n1");

    *says[0].lock().unwrap() = REPLICA;
    *says[1].lock().unwrap() = PROMOTING;
    gate.routes_to(None).await;
    gate.sees("n2", "unfit").await;
    assert_eq!(gate.leader().await, None, "it has the lock, but is not promoted yet");
    *says[1].lock().unwrap() = PRIMARY;
    gate.routes_to(Some("n2")).await;
    assert_eq!(reached(&gate).await, "n2");
    gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_vault_sessions_outlive_a_step_down_by_the_drain() {
    // The nodes answer with Vault's statuses, 200 and 429, at a path of their own.
    let settings = Settings {
        preset: Some("vault"),
        cluster: "probe.path = \"/health-checks/controller/raft\"\nprobe.follower.status = 429",
        ..Settings::default()
    };
    let mut scene = Scene::with(&["lead", "follow"], settings).await;
    let mut session = scene.echo_session().await;
    let (stepped_down, _) = scene.hand_over(0, 1).await;
    scene.gate.routes_to(Some("n2")).await;
    // The standby answers the request that was in flight; the session's node does not change.
    assert_echo(&mut session).await;
    assert_reset(&mut session).await;
    let lasted = Stamp::now().since(stepped_down);
    assert!(lasted >= Duration::from_secs(5), "the session was reset {lasted:?} after the step-down");
    let drained = "reason=\"drained\"";
    scene.gate.counts("raftgate_connections_closed_total", drained, |closed| closed >= 1.0).await;
    scene.gate.assert_books_balance().await;
}
