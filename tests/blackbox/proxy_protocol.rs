//! The PROXY protocol with HAProxy as the proxy in front of the gate, and before its nodes: who the client is, is known
//! on the whole way. And who may say so.

use std::fmt::Write as _;
use std::net::SocketAddr;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::certs::{Authority, own_name};
use crate::support::client::{Stream, Trust, assert_echo, say};
use crate::support::gate::{Gate, raftgate};
use crate::support::haproxy::{Haproxy, is_installed, own_addresses};
use crate::support::node::Node;
use crate::support::scene::{Scene, Settings};
use crate::support::wait::{until, within_deadline};

/// Who is asked, by way of a HAProxy that wants a PROXY header of everybody, the probes too.
struct Chain {
    gate: Gate,
    nodes: Vec<Node>,
    trust: Trust,
    /// Before the nodes.
    behind: Haproxy,
    /// In front of the gate, and where clients come to it.
    before: Haproxy,
    front: SocketAddr,
    folder: TempDir,
}

impl Chain {
    /// The versions are those of the headers in and out, as HAProxy spells them and as the gate does.
    async fn start(send_proxy: &str, version: &str) -> Self {
        let authority = Authority::new();
        let mut nodes = Vec::new();
        for (name, order) in [("n1", "lead"), ("n2", "follow")] {
            nodes.push(Node::start(&authority, name, order).await);
        }
        let [one, other] = own_addresses();
        let mut sections = String::new();
        for (address, node) in [one, other].iter().zip(&nodes) {
            write!(
                sections,
                "listen {name}\n  bind {address} accept-proxy\n  server {name} {host}:{port}\n",
                name = node.name,
                host = node.host,
                port = node.port,
            )
            .expect("writing to a string does not fail");
        }
        let behind = Haproxy::start(&sections, &[one, other]).await;

        let folder = tempfile::tempdir().unwrap();
        let [file, roots] = ["raftgate.toml", "ca.pem"].map(|name| folder.path().join(name));
        std::fs::write(&roots, authority.pem()).unwrap();
        let name = own_name("n1");
        let other_name = own_name("n2");
        let text = format!(
            "workers = 2\nlog.format = \"json\"\nlog.level = \"debug\"\nadmin.bind = \"127.0.0.1:0\"\n\
             [listeners.edge]\nbind = \"127.0.0.1:0\"\ncluster = \"controllers\"\naccept_proxy_from = \"127.0.0.0/8\"\n\
             public_names = \"{name}\"\n\
             [clusters.controllers]\npreset = \"openziti\"\nprobe.tls.ca_file = \"{}\"\nconnect.send_proxy = \"{version}\"\n\
             sessions.on_unreachable = \"keep\"\n\
             nodes.n1 = {{ address = \"{one}\", server_name = \"{name}\" }}\n\
             nodes.n2 = {{ address = \"{other}\", server_name = \"{other_name}\" }}\n",
            roots.display(),
        );
        std::fs::write(&file, text).unwrap();
        let gate = Gate::start(&file).await;
        gate.routes_to(Some("n1")).await;

        let [front] = own_addresses();
        // A check each 20 ms, with a header that says that it is none of a client's.
        let sections = format!(
            "listen front\n  bind {front}\n  server gate {} {send_proxy} check inter 20ms\n",
            gate.address
        );
        let before = Haproxy::start(&sections, &[front]).await;
        let trust = Trust::new(&authority, &nodes);
        Chain { gate, nodes, trust, behind, before, front, folder }
    }

    /// A session by way of everybody; whom it reached, and where it comes from.
    async fn session(&self) -> (Stream, String, SocketAddr) {
        let (stream, node) =
            within_deadline("a session", self.trust.connect(self.front)).await.expect("it is served");
        let client = stream.get_ref().0.local_addr();
        (stream, node, client)
    }

    /// Ends the checks, so that the gate's books can be looked at.
    async fn ends(self) {
        drop(self.before);
        self.gate.assert_books_balance().await;
    }
}

async fn known_on_the_whole_way(send_proxy: &str, version: &str) {
    let mut chain = Chain::start(send_proxy, version).await;
    let (mut session, node, client) = chain.session().await;
    assert_eq!(node, "n1");
    say(&mut session, "ECHO").await.unwrap();
    assert_echo(&mut session).await;
    drop(session);
    chain.behind.saw("n1", client, chain.front).await;
    let closed = until("the gate logs the session", async || {
        let lines = chain.gate.log().lines_saying("connection closed");
        lines.into_iter().find(|line| line["client"] == client.to_string())
    })
    .await;
    assert!(closed["via"].as_str().unwrap().starts_with("127.0.0.1:"), "{closed}");

    // Moved to the next leader, it is introduced there, too (S4).
    chain.nodes[0].freeze().await;
    let (trust, front) = (chain.trust.clone(), chain.front);
    let waiting = tokio::spawn(async move {
        let stream = TcpStream::connect(front).await.unwrap();
        let client = stream.local_addr().unwrap();
        (trust.greet(stream).await.expect("it is served").1, client)
    });
    chain.gate.counts("raftgate_sessions_active", "node=\"n1\"", |active| active >= 1.0).await;
    chain.nodes[1].order("lead").await;
    let (node, client) = within_deadline("the moved client", waiting).await.unwrap();
    assert_eq!(node, "n2");
    chain.behind.saw("n2", client, chain.front).await;
    chain.nodes[0].wake();

    // HAProxy has checked all the while, and nobody took that for a mistake.
    chain.gate.counts("raftgate_connections_total", "", |count| count >= 20.0).await;
    let refused = chain.gate.counts("raftgate_connections_refused_total", "", |_| true).await;
    assert!(refused < 0.5, "{refused} were refused");
    chain.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s4_a_client_by_haproxy_is_known_on_the_whole_way_by_version_1() {
    if is_installed("the PROXY protocol, version 1, with HAProxy on both sides") {
        known_on_the_whole_way("send-proxy check-send-proxy", "v1").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s4_a_client_by_haproxy_is_known_on_the_whole_way_by_version_2() {
    if is_installed("the PROXY protocol, version 2, with HAProxy on both sides") {
        known_on_the_whole_way("send-proxy-v2 proxy-v2-options crc32c", "v2").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_probe_asks_nodes_that_want_a_header_of_everybody() {
    if !is_installed("check --probe with nodes that want a PROXY header") {
        return;
    }
    let chain = Chain::start("send-proxy", "v2").await;
    let file = chain.folder.path().join("raftgate.toml");
    let check = raftgate().args(["check", "--probe", "-c"]).arg(&file).output();
    let output = within_deadline("the check", check).await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("leader") && said.contains("follower"), "{said}");
    // What each shows to clients was seen as well: n1's certificate is for the name that is asked for.
    assert!(said.contains(&format!("{} ", own_name("n1"))), "{said}");
    assert!(!said.contains("closed") && !said.contains("nothing within"), "{said}");
    chain.ends().await;
}

/// A scene whose clients come by a proxy at 127.0.0.2.
async fn scene(listener: &str) -> Scene {
    let listener = format!("accept_proxy_from = \"127.0.0.2\"\n{listener}");
    let settings = Settings { top: "log.level = \"debug\"", listener: &listener, ..Settings::default() };
    Scene::with(&["lead"], settings).await
}

/// A connection from one of this machine's loopback addresses.
async fn connect_from(source: [u8; 4], gate: SocketAddr) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((source, 0))).unwrap();
    within_deadline("a connection", socket.connect(gate)).await.unwrap()
}

async fn assert_reset(mut stream: TcpStream) {
    let error = within_deadline("a reset", stream.read(&mut [0])).await.expect_err("it is reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_from_elsewhere_or_none_from_a_proxy_is_refused_and_told() {
    let scene = scene("").await;
    let refused = [
        ([127, 0, 0, 1], &b"PROXY TCP4 192.0.2.7 203.0.113.9 1 443\r\n"[..], "accept_proxy_from"),
        ([127, 0, 0, 2], b"GET / HTTP/1.0\r\n\r\n", "what came is no PROXY header"),
        ([127, 0, 0, 2], b"PROXY TCP4 192.0.2.7 203.0.113.9 1 443\n", "the line does not end by CR LF"),
    ];
    for (source, words, why) in refused {
        let mut stream = connect_from(source, scene.gate.address).await;
        stream.write_all(words).await.unwrap();
        assert_reset(stream).await;
        until("the gate tells why", async || {
            let told = scene.gate.log().lines_saying("client refused");
            told.iter().any(|line| line["why"].as_str().is_some_and(|it| it.contains(why))).then_some(())
        })
        .await;
    }
    scene.gate.counts("raftgate_connections_refused_total", "proxy_header", |count| count >= 3.0).await;
    // Who says nothing of itself is served, and so is whom the proxy introduces.
    let plain = connect_from([127, 0, 0, 1], scene.gate.address).await;
    let mut introduced = connect_from([127, 0, 0, 2], scene.gate.address).await;
    introduced.write_all(b"PROXY TCP6 2001:db8::7 2001:db8::9 56324 443\r\n").await.unwrap();
    for stream in [plain, introduced] {
        let (mut session, _) = within_deadline("a session", scene.trust.greet(stream)).await.unwrap();
        say(&mut session, "ECHO").await.unwrap();
        assert_echo(&mut session).await;
    }
    until("the gate names the client", async || {
        let closed = scene.gate.log().lines_saying("connection closed");
        closed.iter().any(|line| line["client"] == "[2001:db8::7]:56324").then_some(())
    })
    .await;
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s8_who_may_come_in_is_asked_of_the_client_that_the_proxy_names() {
    let scene = scene("deny = [\"192.0.2.0/24\"]").await;
    let mut denied = connect_from([127, 0, 0, 2], scene.gate.address).await;
    denied.write_all(b"PROXY TCP4 192.0.2.7 203.0.113.9 1 443\r\n").await.unwrap();
    assert_reset(denied).await;
    scene.gate.counts("raftgate_connections_refused_total", "denied", |count| count >= 1.0).await;
    scene.gate.assert_books_balance().await;
}

#[tokio::test]
async fn a_source_that_this_machine_does_not_have_is_told_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("raftgate.toml");
    let text = "admin.bind = \"\"\n[listeners.edge]\nbind = \"127.0.0.1:0\"\ncluster = \"c\"\n\
                [clusters.c]\nnodes.a = \"127.0.0.1:1\"\nconnect.source = [\"127.0.0.2\", \"240.0.0.1\"]\n";
    std::fs::write(&file, text).unwrap();
    for command in ["check", "run"] {
        let output = within_deadline("the command", raftgate().args([command, "-c"]).arg(&file).output())
            .await
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap().replace(folder.path().to_str().unwrap(), "DIR");
        let expected = "DIR/raftgate.toml:7: clusters.c.connect.source.1: no interface of this machine has the address \
                        240.0.0.1; `ip address` shows those it has\n  7 | connect.source = [\"127.0.0.2\", \"240.0.0.1\"]\n    \
                        |                                ^^^^^^^^^^^\n";
        assert_eq!((output.status.code(), said.as_str()), (Some(78), expected), "{command}");
    }
}
