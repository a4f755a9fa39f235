//! Nodes that mean harm: each probe of them fails for a reason that is told, the gate does not grow, and nobody else
//! suffers.

use serde_json::Value;

use crate::support::gate::{Gate, sum};
use crate::support::hostile::Malice;
use crate::support::scene::{Scene, Settings};
use crate::support::wait::until;

/// Each malice, what it counts as, and what is told of it.
const CASES: [(&str, Malice, &str, &str); 6] = [
    ("garbage", Malice::Garbage, "tls", "what the node sent is not TLS"),
    ("stalled", Malice::StalledHandshake, "timeout", "the TLS handshake was not done"),
    ("chain", Malice::HugeChain, "tls", "larger than 64 KiB"),
    ("head", Malice::EndlessHead, "protocol", "head has no end within 16384 bytes"),
    ("body", Malice::EndlessBody, "protocol", "body is larger than 65536 bytes"),
    ("trickle", Malice::Trickle, "timeout", "no answer within 1s: it was asked"),
];

/// Probes of each node after which the gate has all the memory that it will ever need, but for a little.
const WARM_UP: f64 = 40.0;
/// Further probes that must not cost memory. Each of those that flood could cost 16 KiB at least.
const MORE: f64 = 300.0;
/// What the gate may grow by meanwhile: less than a sixth of what 16 KiB a probe of one flooding node would amount to.
const SLACK: usize = 800 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l6_hostile_nodes_are_named_and_cost_neither_memory_nor_the_other_nodes_anything() {
    let hostile = CASES.map(|(name, malice, ..)| (name, malice));
    let cluster = "probe.interval = \"10ms\"\nprobe.fast_interval = \"10ms\"\nprobe.timeout = \"1s\"";
    let settings = Settings { cluster, hostile: &hostile, ..Settings::default() };
    let scene = Scene::with(&["lead", "follow"], settings).await;
    let gate = &scene.gate;

    probed(gate, "head", WARM_UP).await;
    probed(gate, "body", WARM_UP).await;
    probed(gate, "chain", WARM_UP).await;
    let (memory, before) = (gate.resident_memory(), verdicts(gate).await);
    for name in ["head", "body", "chain"] {
        probed(gate, name, WARM_UP + MORE).await;
    }
    let grown = gate.resident_memory().saturating_sub(memory);
    assert!(grown < SLACK, "{grown} bytes more than the {memory} before");

    for (name, _, result, words) in CASES {
        is_told(gate, name, words).await;
        let verdict = format!("unreachable ({result})");
        let lines = gate.log().lines_saying("node's verdict changed");
        let logged = lines.iter().any(|line| line["node"] == name && line["verdict"] == verdict.as_str());
        assert!(logged, "no line tells that {name} is {verdict}");
        let metrics = gate.metrics().await.unwrap();
        let probes = sum(&metrics, "raftgate_probes_total", &format!("node=\"{name}\""));
        let label = format!("node=\"{name}\",result=\"{result}\"");
        let failed = sum(&metrics, "raftgate_probes_total", &label);
        // On a machine that stands still for a second, any probe may time out.
        assert!(failed > probes / 2.0, "{name}: {failed} of {probes} are {result}");
    }

    // The others were asked all the while, and say what they always said.
    for (name, after) in verdicts(gate).await {
        let before = before.iter().find(|(node, _)| *node == name).expect("the same nodes").1;
        assert!(after > before, "{name} was not heard while the others were probed {MORE} times");
    }
    assert_eq!(gate.leader().await.as_deref(), Some("n1"));
    let changes = sum(&gate.metrics().await.unwrap(), "raftgate_leader_changes_total", "");
    assert!((changes - 1.0).abs() < 0.5, "the leader changed {changes} times");
    gate.assert_books_balance().await;
}

/// Waits until a node has been probed this often.
async fn probed(gate: &Gate, node: &str, times: f64) {
    gate.counts("raftgate_probes_total", &format!("node=\"{node}\""), |probes| probes >= times).await;
}

/// When each good node was last heard.
async fn verdicts(gate: &Gate) -> Vec<(String, f64)> {
    let metrics = gate.metrics().await.unwrap();
    ["n1", "n2"]
        .map(|node| {
            let at =
                sum(&metrics, "raftgate_node_last_verdict_timestamp_seconds", &format!("node=\"{node}\""));
            (node.to_owned(), at)
        })
        .into()
}

/// Waits until the status tells this of a node.
async fn is_told(gate: &Gate, name: &str, words: &str) {
    until(&format!("{name}: {words}"), async || {
        let status: Value = serde_json::from_str(&gate.get("/status").await?.1).ok()?;
        let nodes = status["clusters"]["controllers"]["nodes"].as_array()?.clone();
        let node = nodes.iter().find(|node| node["name"] == name)?;
        node["detail"].as_str()?.contains(words).then_some(())
    })
    .await;
}
