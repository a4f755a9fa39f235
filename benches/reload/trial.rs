//! One gate's reloads, and what clients, sessions and nodes lived through.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::gates::Kind;
use crate::support::certs::Authority;
use crate::support::client::{Trust, assert_echo, hear, say};
use crate::support::clock::Stamp;
use crate::support::crowd::Crowd;
use crate::support::node::Node;
use crate::support::wait::until;

/// Sessions that last all the time.
const SESSIONS: usize = 20;
/// How long the echo of a session that lives may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The head of the table.
pub(crate) const HEAD: &str = "\
    | gate | clients | failed | at a follower | slowest client | sessions cut | longest a node was not asked | processes at the end |\n\
    |---|---|---|---|---|---|---|---|";

/// A row of the table.
pub(crate) async fn run(kind: Kind, reloads: u32, every: u64) -> String {
    let authority = Authority::new();
    let mut nodes = Vec::new();
    for (name, order) in [("n1", "lead"), ("n2", "follow"), ("n3", "follow")] {
        nodes.push(Node::start(&authority, name, order).await);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).expect("the folder can be written");
    let trust = Trust::new(&authority, &nodes);
    let gate = kind.start(&nodes, folder.path()).await;
    // Until each gate knows who follows: HAProxy takes all for leaders at first.
    until("ten clients in a row are served by the leader", async || {
        for _ in 0..10 {
            trust.visit(gate.address()).await.is_served_by("n1").then_some(())?;
        }
        Some(())
    })
    .await;
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        let (mut session, _) = trust.connect(gate.address()).await.expect("the leader is there");
        say(&mut session, "ECHO").await.expect("the session is there");
        assert_echo(&mut session).await;
        sessions.push(session);
    }
    let (begin, crowd) = (Stamp::now(), Crowd::arrive(&trust, gate.address()));
    for _ in 0..reloads {
        gate.reload();
        sleep(Duration::from_millis(every)).await;
    }
    crowd.served_by("n1", 100, Stamp::now()).await;
    let (end, visits) = (Stamp::now(), crowd.leave().await);
    let processes = gate.processes();
    let mut cut = 0;
    for session in &mut sessions {
        let echo = async { say(session, "still there?").await.is_ok() && hear(session).await.is_ok() };
        cut += usize::from(!timeout(PATIENCE, echo).await.unwrap_or(false));
    }
    let failed = visits.iter().filter(|visit| visit.is_failed(None)).count();
    let misled = visits.iter().filter(|visit| !visit.is_failed(None) && !visit.is_served_by("n1")).count();
    let slowest = visits.iter().map(|visit| visit.ended.since(visit.started)).max().unwrap_or_default();
    let unasked = nodes.iter().map(|node| longest_gap(node, begin, end)).max().unwrap_or_default();
    drop(sessions);
    gate.end().await;
    format!(
        "| {kind:?} | {} | {failed} | {misled} | {} ms | {cut} of {SESSIONS} | {} ms | {processes} |",
        visits.len(),
        slowest.as_millis(),
        unasked.as_millis()
    )
}

/// The longest time between two probes of a node.
fn longest_gap(node: &Node, begin: Stamp, end: Stamp) -> Duration {
    let mut at: Vec<Stamp> =
        node.probes().iter().map(|probe| probe.arrived).filter(|at| *at > begin && end > *at).collect();
    at.push(end);
    at.windows(2).map(|pair| pair[1].since(pair[0])).max().unwrap_or_default()
}
