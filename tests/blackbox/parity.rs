//! The same `haproxy.cfg` given to HAProxy and to Raftgate, before the same nodes and for the same clients: what HAProxy
//! does, Raftgate does, or better. README ("Coming from HAProxy") lists where it is better.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout};

use crate::support::bulk;
use crate::support::certs::Authority;
use crate::support::client::{Outcome, Stream, Trust, assert_echo, half_close, hear, say};
use crate::support::gate::Gate;
use crate::support::haproxy::{Haproxy, is_installed, own_addresses};
use crate::support::node::Node;
use crate::support::wait::{until, within_deadline};

/// How long either lets a session be silent.
const SILENCE: Duration = Duration::from_secs(1);
/// How often HAProxy asks a node that it has no doubts of.
const ASKED: Duration = Duration::from_millis(500);

/// Both of them before the same nodes.
struct Twins {
    haproxy: SocketAddr,
    raftgate: SocketAddr,
    nodes: Vec<Node>,
    trust: Trust,
    gate: Gate,
    _haproxy: Haproxy,
    _folder: TempDir,
}

/// How a connection ends for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Fin,
    Reset,
}

impl Twins {
    /// Starts both with one and the same text; only the variable in it differs.
    async fn start(orders: [&str; 2]) -> Self {
        let authority = Authority::new();
        let mut nodes = Vec::new();
        for (name, order) in ["n1", "n2"].iter().zip(orders) {
            nodes.push(Node::start(&authority, name, order).await);
        }
        let text = configuration(&nodes);
        let [haproxy] = own_addresses();
        let bind = haproxy.to_string();
        let theirs = Haproxy::run(&text, &[("BIND", bind.as_str())], &[haproxy]).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("haproxy.cfg");
        std::fs::write(&file, text).unwrap();
        let beside = [
            ("BIND", "127.0.0.1:0"),
            ("RAFTGATE_ADMIN__BIND", "127.0.0.1:0"),
            ("RAFTGATE_LOG__FORMAT", "json"),
        ];
        let gate = Gate::start_with(&file, &beside).await;
        let trust = Trust::new(&authority, &nodes);
        Twins { haproxy, raftgate: gate.address, nodes, trust, gate, _haproxy: theirs, _folder: folder }
    }

    fn both(&self) -> [SocketAddr; 2] {
        [self.haproxy, self.raftgate]
    }

    /// Waits until both serve from this node and from no other: for as long as it takes HAProxy to ask all nodes. As long
    /// as it takes two for leaders, it sends clients to both.
    async fn settle_at(&self, node: &str) {
        let settle = async |address| {
            until(&format!("{address} serves from {node} alone"), async || {
                let begun = Instant::now();
                while begun.elapsed() < ASKED * 2 {
                    self.trust.visit(address).await.is_served_by(node).then_some(())?;
                }
                Some(())
            })
            .await;
        };
        tokio::join!(settle(self.haproxy), settle(self.raftgate));
    }

    async fn turned_away_by_haproxy(&self) {
        until("HAProxy turns clients away", async || {
            let visit = self.trust.visit(self.haproxy).await;
            matches!(visit.outcome, Outcome::Failed(_)).then_some(())
        })
        .await;
    }

    /// A client of Raftgate waits until n1 obeys this, and is served by it.
    async fn served_once(&mut self, order: &str) {
        let (trust, gate) = (self.trust.clone(), self.raftgate);
        let waiting = tokio::spawn(async move { trust.visit(gate).await });
        self.gate.counts("raftgate_held_connections", "", |held| held > 0.5).await;
        self.nodes[0].order(order).await;
        let visit = within_deadline("the client that waits", waiting).await.unwrap();
        assert!(visit.is_served_by("n1"), "{visit:?}");
        self.settle_at("n1").await;
    }

    /// Sessions that echo: one with each, in that order.
    async fn echoing(&self) -> Vec<Stream> {
        let mut sessions = Vec::new();
        for address in self.both() {
            sessions.push(self.echoing_at(address).await);
        }
        sessions
    }

    async fn echoing_at(&self, address: SocketAddr) -> Stream {
        let (mut session, _) = self.trust.connect(address).await.unwrap();
        say(&mut session, "ECHO").await.unwrap();
        assert_echo(&mut session).await;
        session
    }
}

/// Checks that are fast, but bear a machine that is slow for a moment: `inter` is also what one may take.
fn configuration(nodes: &[Node]) -> String {
    let [ms, asked] = [SILENCE, ASKED].map(|time| time.as_millis());
    let mut text = format!(
        "defaults\n  mode tcp\n  timeout connect 2s\n  timeout client {ms}\n  timeout server {ms}\n\
         frontend edge\n  bind \"$BIND\"\n  default_backend controllers\n\
         backend controllers\n  option httpchk GET /health-checks/controller/raft\n  http-check expect status 200\n  \
         default-server check check-ssl verify none inter {asked} fastinter 50ms downinter 50ms rise 1 fall 1 \
         on-marked-down shutdown-sessions\n"
    );
    for node in nodes {
        let (name, host, port, probe_port) = (&node.name, node.host, node.port, node.probe_port);
        writeln!(text, "  server {name} {host}:{port} port {probe_port}")
            .expect("writing to a string does not fail");
    }
    text
}

async fn end_of(session: &mut Stream) -> End {
    // Below TLS: an end without TLS's farewell is an error there.
    let (raw, _) = session.get_mut();
    match within_deadline("the end", raw.read(&mut [0; 64])).await {
        Ok(0) => End::Fin,
        Ok(_) => panic!("bytes instead of an end"),
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            End::Reset
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_serve_from_the_same_node_whoever_leads() {
    if !is_installed("Raftgate beside HAProxy") {
        return;
    }
    let mut twins = Twins::start(["lead", "follow"]).await;
    twins.settle_at("n1").await;
    for (from, to) in [(0, 1), (1, 0)] {
        twins.nodes[from].order("follow").await;
        twins.nodes[to].order("lead").await;
        let name = twins.nodes[to].name.clone();
        twins.settle_at(&name).await;
    }
    twins.nodes[0].kill().await;
    twins.nodes[1].order("lead").await;
    twins.settle_at("n2").await;
    twins.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s6_half_closed_sessions_go_on_alike() {
    if !is_installed("half-closes beside HAProxy") {
        return;
    }
    let twins = Twins::start(["lead", "follow"]).await;
    twins.settle_at("n1").await;
    for address in twins.both() {
        let (mut up, _) = twins.trust.connect(address).await.unwrap();
        say(&mut up, "SINK").await.unwrap();
        let sent = bulk::send(&mut up, 3, 1_000_000).await.unwrap();
        half_close(&mut up).await.unwrap();
        let answer = within_deadline("the node's answer", hear(&mut up)).await.unwrap();
        assert_eq!(answer, format!("{} {}", sent.bytes, sent.digest), "{address}");

        let (mut down, _) = twins.trust.connect(address).await.unwrap();
        say(&mut down, "FAREWELL").await.unwrap();
        assert_eq!(hear(&mut down).await.unwrap(), "farewell");
        assert_eq!(end_of(&mut down).await, End::Fin, "{address}");
        let sent = bulk::send(&mut down, 4, 100_000).await.unwrap();
        half_close(&mut down).await.unwrap();
        assert_eq!(twins.nodes[0].farewell_sum().await, sent, "{address}");
    }
    twins.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s6_silent_sessions_end_after_the_time_in_the_file() {
    if !is_installed("silence beside HAProxy") {
        return;
    }
    let twins = Twins::start(["lead", "follow"]).await;
    twins.settle_at("n1").await;
    for address in twins.both() {
        let mut session = twins.echoing_at(address).await;
        let early = timeout(SILENCE / 2, end_of(&mut session)).await;
        assert!(early.is_err(), "ended before its time: {early:?}");
        assert_eq!(end_of(&mut session).await, End::Fin);
    }
    let closed = "reason=\"idle\"";
    twins.gate.counts("raftgate_connections_closed_total", closed, |closed| closed > 0.5).await;
    twins.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_sessions_end_with_the_node_that_the_file_gives_up() {
    if !is_installed("a dead node beside HAProxy") {
        return;
    }
    let mut twins = Twins::start(["lead", "follow"]).await;
    twins.settle_at("n1").await;
    let sessions = twins.echoing().await;
    twins.nodes[0].order("follow").await;
    twins.nodes[1].order("lead").await;
    for mut session in sessions {
        // `on-marked-down shutdown-sessions`: a follower is down to HAProxy.
        end_of(&mut session).await;
    }
    twins.settle_at("n2").await;
    twins.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2_s3_who_finds_nobody_is_turned_away_by_haproxy_and_waits_here() {
    if !is_installed("a refusing node beside HAProxy") {
        return;
    }
    let mut twins = Twins::start(["lead", "follow"]).await;
    twins.settle_at("n1").await;
    // Alive, but nobody listens where clients go.
    let data = twins.nodes[0].port;
    twins.nodes[0].order("refuse").await;
    twins.turned_away_by_haproxy().await;
    twins.served_once(&format!("listen 127.0.0.1:{data}")).await;
    // Nobody leads.
    twins.nodes[0].order("follow").await;
    twins.turned_away_by_haproxy().await;
    twins.gate.routes_to(None).await;
    twins.served_once("lead").await;
    twins.gate.assert_books_balance().await;
}
