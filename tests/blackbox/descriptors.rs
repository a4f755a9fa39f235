//! S8: out of descriptors in earnest. `max_connections` keeps some back, so the limit sinks while the gate runs: what
//! is there stays, who is new waits, and nothing spins.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::support::scene::{Scene, Settings};
use crate::support::wait::{until, within_deadline};

/// Descriptors that the gate may still have; each client that says nothing takes one.
const FREE: u32 = 16;
/// More than there are descriptors for.
const CLIENTS: usize = 40;
/// The gate's workers: each accepts, and pauses, by itself.
const WORKERS: f64 = 2.0;
/// How long accepting pauses at least.
const PAUSE: Duration = Duration::from_millis(50);
/// Pauses that are watched.
const PAUSES: f64 = 20.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s8_without_descriptors_new_clients_wait_and_nothing_spins() {
    // Connections for probes that are there already need no descriptor.
    let settings = Settings { cluster: "probe.renew = \"1h\"", ..Settings::default() };
    let scene = Scene::with(&["lead", "follow"], settings).await;
    let gate = &scene.gate;
    let mut admin = Admin::connect(gate.admin_address()).await;
    gate.leave_descriptors(FREE);

    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(within_deadline("the kernel's queue", TcpStream::connect(gate.address)).await.unwrap());
    }
    admin.pauses_reach(1.0).await;
    let since = Instant::now();
    let before = admin.pauses().await;
    admin.pauses_reach(before + PAUSES).await;
    let pauses = admin.pauses().await - before;
    let most = WORKERS * (since.elapsed().div_duration_f64(PAUSE) + 1.0);
    assert!(pauses <= most, "{pauses} pauses where there is time for {most}");

    let active = admin.value("raftgate_connections_active{listener=\"edge\"}").await;
    assert!((1.0..=f64::from(FREE)).contains(&active), "{active} clients are in");
    let leads = admin.value("raftgate_leader{cluster=\"controllers\",node=\"n1\"}").await;
    let changes = admin.value("raftgate_leader_changes_total{cluster=\"controllers\"}").await;
    assert!(leads > 0.5 && changes < 1.5, "n1 leads: {leads}, after {changes} changes");
    let told = gate.log().lines().iter().filter(|line| line.contains("cannot accept")).count();
    assert!((1..10).contains(&told), "told {told} times");

    drop(clients);
    let visit = scene.trust.visit(gate.address).await;
    assert!(visit.is_served_by("n1"), "{visit:?}");
    gate.assert_books_balance().await;
}

/// One connection to the admin endpoint, for while no other can be had.
struct Admin(SendRequest<Empty<Bytes>>);

impl Admin {
    async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (requests, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut admin = Admin(requests);
        // Answered, so it is out of the kernel's queue and has its descriptor.
        admin.pauses().await;
        admin
    }

    async fn pauses(&mut self) -> f64 {
        self.value("raftgate_accept_pauses_total{listener=\"edge\"}").await
    }

    async fn pauses_reach(&mut self, wanted: f64) {
        let what = format!("accepting has paused {wanted} times");
        until(&what, async || (self.pauses().await >= wanted).then_some(())).await;
    }

    /// The value of one series of `/metrics`.
    async fn value(&mut self, series: &str) -> f64 {
        let request = Request::get("/metrics").header("Host", "gate").body(Empty::new()).unwrap();
        let answer = async {
            self.0.ready().await?;
            self.0.send_request(request).await?.into_body().collect().await
        };
        let body = within_deadline("/metrics", answer).await.unwrap().to_bytes();
        let page = std::str::from_utf8(&body).unwrap();
        let value = page.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
        value.unwrap_or_else(|| panic!("no {series} in\n{page}"))
    }
}
