//! The first moments of a gate (L1): the first client is served after one probe of each node; a node that comes up
//! later, or whose name can only be looked up later, is found by itself.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::support::certs::Authority;
use crate::support::client::{Trust, Visit};
use crate::support::clock::Stamp;
use crate::support::gate::{Gate, can_have_own_files};
use crate::support::node::Node;
use crate::support::scene::{Scene, Settings, configuration};
use crate::support::skip;
use crate::support::wait::{until, within_deadline};

fn first_client(scene: &Scene) -> JoinHandle<Visit> {
    let (trust, gate) = (scene.trust.clone(), scene.gate.address);
    tokio::spawn(async move { trust.visit(gate).await })
}

async fn assert_held_then_served(scene: &mut Scene, client: JoinHandle<Visit>) {
    let visit = within_deadline("the first client", client).await.unwrap();
    assert!(visit.is_served_by("n1"), "{visit:?}");
    scene.gate.assert_books_balance().await;
}

/// Makes a port on 127.0.0.1 known at 127.0.0.2, too.
async fn open_at_127_0_0_2(port: u16) {
    let listener = TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut node = TcpStream::connect(("127.0.0.1", port)).await?;
                tokio::io::copy_bidirectional(&mut stream, &mut node).await
            });
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l1_the_first_client_is_served_after_one_probe_of_each_node() {
    // Nobody lives to see a second probe: whatever needed one would fail the client.
    let cluster = "probe.interval = \"60s\"\nprobe.fast_interval = \"60s\"\nprobe.timeout = \"20s\"";
    let authority = Authority::new();
    let mut nodes = Vec::new();
    for (name, order) in [("n1", "follow"), ("n2", "lead"), ("n3", "follow")] {
        nodes.push(Node::start(&authority, name, order).await);
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    let file = folder.path().join("raftgate.toml");
    let settings = Settings { cluster, ..Settings::default() };
    std::fs::write(&file, configuration(&nodes, folder.path(), settings)).unwrap();
    // One of them answers late: the client is there before the round of probes is over.
    nodes[0].freeze().await;
    let begin = Stamp::now();
    let gate = Gate::start(&file).await;
    let (trust, address) = (Trust::new(&authority, &nodes), gate.address);
    let client = tokio::spawn(async move { trust.visit(address).await });
    gate.counts("raftgate_connections_active", "", |active| active >= 1.0).await;
    nodes[0].wake();
    let visit = within_deadline("the first client", client).await.unwrap();
    assert!(visit.is_served_by("n2"), "{visit:?}");
    for node in &nodes {
        // A node tells of a probe after it has answered.
        node.probed_after(begin).await;
        let probes = node.probes().into_iter().filter(|probe| probe.arrived < visit.ended).count();
        assert!(probes <= 1, "{} was probed {probes} times before the first client was served", node.name);
    }
    gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l3_at_the_start_a_stale_claim_waits_for_slow_nodes() {
    let authority = Authority::new();
    let mut nodes = Vec::new();
    for (name, order) in [("n1", "lead"), ("n2", "lead"), ("n3", "follow")] {
        nodes.push(Node::start(&authority, name, order).await);
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    let file = folder.path().join("raftgate.toml");
    let settings = Settings { cluster: "probe.timeout = \"20s\"", ..Settings::default() };
    std::fs::write(&file, configuration(&nodes, folder.path(), settings)).unwrap();
    // The leader is far away: its first answer comes after many of the stale one's.
    nodes[1].freeze().await;
    let gate = Gate::start(&file).await;
    let (trust, address) = (Trust::new(&authority, &nodes), gate.address);
    let client = tokio::spawn(async move { trust.visit(address).await });
    until("n1 has claimed ten times", async || (nodes[0].probes().len() >= 10).then_some(())).await;
    let down = nodes[0].order("follow").await;
    nodes[1].wake();
    let visit = within_deadline("the first client", client).await.unwrap();
    assert!(visit.is_served_by("n2") && visit.ended > down, "{visit:?}");
    gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l1_a_node_that_comes_up_later_gets_the_clients_that_wait_for_it() {
    // Nobody listens there yet.
    let settings = Settings { host: Some("127.0.0.2"), ..Settings::default() };
    let mut scene = Scene::with(&["follow", "follow"], settings).await;
    for name in ["n1", "n2"] {
        scene.gate.sees(name, "unreachable").await;
    }
    let client = first_client(&scene);
    scene.gate.counts("raftgate_held_connections", "", |held| held >= 1.0).await;
    scene.nodes[0].order("lead").await;
    open_at_127_0_0_2(scene.nodes[0].port).await;
    assert_held_then_served(&mut scene, client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l1_a_name_that_can_only_be_looked_up_later_leads_to_its_node_then() {
    if !can_have_own_files().await {
        return skip("a name that is known later: no mount namespace for the gate's own /etc/hosts");
    }
    let hosts = tempfile::NamedTempFile::new().unwrap();
    set_hosts(hosts.path(), "#27.0.0.1 late.test\n");
    let settings = Settings {
        cluster: "dns.refresh = \"50ms\"",
        host: Some("late.test"),
        own_file: Some((hosts.path(), "/etc/hosts")),
        ..Settings::default()
    };
    let mut scene = Scene::with(&["follow", "follow"], settings).await;
    scene.gate.counts("raftgate_probes_total", "result=\"dns\"", |probes| probes >= 2.0).await;
    let client = first_client(&scene);
    scene.gate.counts("raftgate_held_connections", "", |held| held >= 1.0).await;
    scene.nodes[0].order("lead").await;
    set_hosts(hosts.path(), "127.0.0.1 late.test\n");
    assert_held_then_served(&mut scene, client).await;
}

/// Writes the file in one piece and in place: the gate sees this very file, and may read it at any moment.
fn set_hosts(file: &Path, line: &str) {
    OpenOptions::new().write(true).open(file).unwrap().write_all(line.as_bytes()).unwrap();
}
