//! S8: out of descriptors in earnest. `max_connections` keeps some back, so the limit sinks while the gate runs: what
//! is there stays, who is new waits, nothing spins, nodes are still asked, and whoever watches still gets answers.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::support::attack::{Attack, begin};
use crate::support::clock::Stamp;
use crate::support::crowd::Crowd;
use crate::support::gate::{Gate, sum};
use crate::support::scene::{Scene, Settings};
use crate::support::wait::{until, within_deadline};

/// Descriptors that the gate may still have; each client that says nothing takes one.
const FREE: u32 = 16;
/// Those that the admin listener keeps for itself, until a client is quicker.
const RESERVE: u32 = 4;
/// More than there are descriptors for.
const CLIENTS: u16 = 40;
/// The gate's workers: each accepts, and pauses, by itself.
const WORKERS: f64 = 2.0;
/// How long accepting pauses at least.
const PAUSE: Duration = Duration::from_millis(50);
/// Pauses that are watched.
const PAUSES: f64 = 20.0;
/// Leader's answers that are watched, each on a connection that is due for its renewal.
const ANSWERS: f64 = 10.0;
/// How often a client comes that wants to be served.
const EVERY: Duration = Duration::from_millis(10);
/// So many of those who come afterwards are to be.
const SERVED: usize = 50;

const PAUSES_TOTAL: &str = "raftgate_accept_pauses_total";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s8_without_descriptors_new_clients_wait_and_nothing_spins() {
    // L6: every probe wants a new connection, and can have none.
    let settings = Settings { cluster: "probe.renew = \"1ms\"", ..Settings::default() };
    let scene = Scene::with(&["lead", "follow"], settings).await;
    let gate = &scene.gate;
    gate.leave_descriptors(FREE);

    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(within_deadline("the kernel's queue", TcpStream::connect(gate.address)).await.unwrap());
    }
    let before = gate.counts(PAUSES_TOTAL, "", |pauses| pauses > 0.0).await;
    let since = Instant::now();
    let pauses = gate.counts(PAUSES_TOTAL, "", |pauses| pauses >= before + PAUSES).await - before;
    let most = WORKERS * (since.elapsed().div_duration_f64(PAUSE) + 1.0);
    assert!(pauses <= most, "{pauses} pauses where there is time for {most}");

    let answers = value(gate, "raftgate_probes_total", "result=\"leader\"").await;
    gate.counts("raftgate_probes_total", "result=\"leader\"", |now| now >= answers + ANSWERS).await;
    let active = value(gate, "raftgate_connections_active", "").await;
    assert!((1.0..=f64::from(FREE + RESERVE)).contains(&active), "{active} clients are in");
    let leads = value(gate, "raftgate_leader", "node=\"n1\"").await;
    let changes = value(gate, "raftgate_leader_changes_total", "").await;
    assert!(leads > 0.5 && changes < 1.5, "n1 leads: {leads}, after {changes} changes");
    let told = gate.log().lines().iter().filter(|line| line.contains("cannot accept")).count();
    assert!((1..10).contains(&told), "told {told} times");

    drop(clients);
    let visit = scene.trust.visit(gate.address).await;
    assert!(visit.is_served_by("n1"), "{visit:?}");
    gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s8_descriptors_that_come_back_are_not_all_taken_by_clients_for_whom_no_node_is_left() {
    let scene = Scene::start(&["lead", "follow"]).await;
    let gate = &scene.gate;
    gate.leave_descriptors(2 * FREE);
    let mut silent = begin(Attack::Silence, &scene.trust, gate.address, 10 * CLIENTS);
    gate.counts(PAUSES_TOTAL, "", |pauses| pauses > 0.0).await;
    // They wait in the queue, and all want in at once when there is room: each takes one descriptor then, and needs two.
    let crowd = Crowd::arrive_every(EVERY, &scene.trust, gate.address);
    let before = value(gate, PAUSES_TOTAL, "").await;
    gate.counts(PAUSES_TOTAL, "", |pauses| pauses >= before + 8.0 * PAUSES).await;
    silent.shutdown().await;
    crowd.served_by("n1", SERVED, Stamp::now()).await;
    drop(crowd);
    // Who has given up meanwhile is still in the queue, and is counted when it comes in.
    until("nobody waits", async || (waiting(gate.address) == 0).then_some(())).await;
    gate.assert_books_balance().await;
}

/// How many wait to be accepted at an address.
fn waiting(address: SocketAddr) -> u64 {
    const LISTENS: &str = "0A";
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = format!(":{:04X}", address.port());
    let rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    let sockets = rows.filter(|row| row.len() > 4 && row[1].ends_with(&port) && row[3] == LISTENS);
    sockets.map(|row| u64::from_str_radix(row[4].split(':').nth(1).unwrap(), 16).unwrap()).sum()
}

/// The sum of a metric now, asked over a connection of its own as a scraper would.
async fn value(gate: &Gate, name: &str, label: &str) -> f64 {
    sum(
        &within_deadline("the metrics", gate.metrics()).await.expect("the admin listener answers"),
        name,
        label,
    )
}
