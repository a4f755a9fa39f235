//! S8: attacks on a gate that goes on: good clients are served, nodes are asked, whoever watches gets answers, and when it
//! is over nothing is left of it. (Descriptors that run out: `descriptors`.)

use tokio::task::JoinSet;

use crate::AS_ON_LINUX;
use crate::support::attack::{Attack, NETWORK, begin};
use crate::support::clock::Stamp;
use crate::support::crowd::assert_nobody_failed;
use crate::support::gate::sum;
use crate::support::scene::{Scene, Settings};
use crate::support::wait::{until, within_deadline};

/// Good clients that are to be served meanwhile.
const CLIENTS: usize = 100;
/// Answers of each node that are to come meanwhile.
const ANSWERS: f64 = 8.0;
/// What a client that never reads may cost, in bytes: what was read of its node before it was seen not to read (where nothing
/// is spliced, as much as a worker's buffer holds), and its session, with room for an allocator.
const MEMORY_EACH: usize = if AS_ON_LINUX { 128 } else { 320 } * 1024;
/// Descriptors of the pipes that the gate may keep for its next bulk.
const KEPT_PIPES: usize = 2 * 64;

const ACTIVE: &str = "raftgate_connections_active";
const REFUSED: &str = "raftgate_connections_refused_total";

/// A scene under attack.
struct Attacked {
    scene: Scene,
    attackers: JoinSet<()>,
    /// Before the attack.
    descriptors: usize,
    /// Before the attack, in bytes.
    memory: usize,
}

impl Attacked {
    async fn by(attack: Attack, count: u16, listener: &str) -> Self {
        // On a busy machine the node itself, with a hundred streams to write, may take its time: that is not the question.
        let cluster = "probe.timeout = \"20s\"";
        let settings = Settings { listener, cluster, ..Settings::default() };
        let scene = Scene::with(&["lead", "follow"], settings).await;
        assert!(scene.trust.visit(scene.gate.address).await.is_served_by("n1"));
        let (descriptors, memory) = (scene.gate.descriptors(), scene.gate.resident_memory());
        let attackers = begin(attack, &scene.trust, scene.gate.address, count);
        Attacked { scene, attackers, descriptors, memory }
    }

    /// Waits until a count of the gate's is at least this.
    async fn counts(&self, name: &str, label: &str, least: f64) {
        self.scene.gate.counts(name, label, |count| count >= least).await;
    }

    /// Good clients come, probes go on, and the admin listener answers, as if nothing were.
    async fn business_as_usual(&self) {
        let (gate, begin) = (&self.scene.gate, Stamp::now());
        let metrics = within_deadline("the metrics", gate.metrics()).await.unwrap();
        let crowd = self.scene.crowd();
        crowd.served_by("n1", CLIENTS, begin).await;
        for node in ["n1", "n2"] {
            let label = format!("node=\"{node}\"");
            let before = sum(&metrics, "raftgate_probes_total", &label);
            gate.counts("raftgate_probes_total", &label, |probes| probes >= before + ANSWERS).await;
        }
        assert_nobody_failed(&crowd.leave().await, None);
        gate.counts("raftgate_leader_changes_total", "", |changes| (changes - 1.0).abs() < 0.5).await;
    }

    /// The attack ends, and nothing is left of it.
    async fn recovers(mut self) {
        self.attackers.shutdown().await;
        self.scene.gate.assert_books_balance().await;
        until("the descriptors are given back, but for some pipes", async || {
            (self.scene.gate.descriptors() <= self.descriptors + KEPT_PIPES).then_some(())
        })
        .await;
        assert!(self.scene.trust.visit(self.scene.gate.address).await.is_served_by("n1"));
        self.scene.gate.assert_books_balance().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s8_hellos_byte_by_byte_harm_nobody_else() {
    let listener =
        "routes = [{ server_names = [\"gate.test\"], cluster = \"controllers\" }]\nhello_timeout = \"1s\"";
    let attacked = Attacked::by(Attack::SlowHello, 300, listener).await;
    attacked.counts(ACTIVE, "", 200.0).await;
    attacked.business_as_usual().await;
    // Who takes too long for a hello is taken for none, and is the default cluster's.
    attacked.counts("raftgate_sessions_active", "node=\"n1\"", 100.0).await;
    attacked.recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s8_proxy_headers_byte_by_byte_are_refused_in_time_and_harm_nobody_else() {
    let listener = format!("accept_proxy_from = [\"{NETWORK}\"]");
    let attacked = Attacked::by(Attack::SlowProxyHeader, 300, &listener).await;
    attacked.counts(ACTIVE, "", 200.0).await;
    attacked.business_as_usual().await;
    // No byte gives a header more time: it would go on for minutes.
    attacked.counts(REFUSED, "reason=\"proxy_header\"", 300.0).await;
    attacked.recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s8_clients_that_never_read_cost_little_and_harm_nobody_else() {
    const COUNT: u16 = 100;
    let attacked = Attacked::by(Attack::NeverReads, COUNT, "").await;
    attacked.counts("raftgate_sessions_active", "node=\"n1\"", COUNT.into()).await;
    let mut before = 0.0;
    until("no client takes any more", async || {
        let bytes = sum(&attacked.scene.gate.metrics().await?, "raftgate_bytes_total", "to_client");
        let stands = bytes > 1e6 && (bytes - before).abs() < 0.5;
        before = bytes;
        stands.then_some(())
    })
    .await;
    attacked.business_as_usual().await;
    let grown = attacked.scene.gate.resident_memory().saturating_sub(attacked.memory);
    assert!(grown < usize::from(COUNT) * MEMORY_EACH, "{grown} bytes more than {}", attacked.memory);
    attacked.recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s8_a_flood_of_connects_from_everywhere_harms_nobody_else() {
    let listener = "max_connections_per_source = 1000\nallow = [\"127.0.0.0/8\"]";
    let attacked = Attacked::by(Attack::Flood, 20, listener).await;
    attacked.counts("raftgate_connections_total", "", 1_000.0).await;
    attacked.business_as_usual().await;
    attacked.recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s8_a_crowd_of_one_source_keeps_nobody_else_out() {
    let listener = "max_connections = 100\nmax_connections_per_source = 50";
    let attacked = Attacked::by(Attack::SilenceOfOne, 300, listener).await;
    attacked.counts(REFUSED, "reason=\"source_limit\"", 100.0).await;
    attacked.business_as_usual().await;
    attacked.recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s8_a_silent_crowd_beyond_all_bounds_is_turned_away_and_stops_neither_probes_nor_answers() {
    const MOST: f64 = 100.0;
    let attacked = Attacked::by(Attack::Silence, 300, &format!("max_connections = {MOST}")).await;
    attacked.counts(REFUSED, "reason=\"limit\"", 300.0).await;
    let gate = &attacked.scene.gate;
    for node in ["n1", "n2"] {
        let label = format!("node=\"{node}\"");
        let before = gate.counts("raftgate_probes_total", &label, |_| true).await;
        gate.counts("raftgate_probes_total", &label, |probes| probes >= before + ANSWERS).await;
    }
    gate.counts(ACTIVE, "", |active| active <= MOST).await;
    attacked.recovers().await;
}
