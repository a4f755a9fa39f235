//! What Prometheus gets: every series from the start, a text without a fault, and answers to what operators ask.

use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::support::client::{hear, say};
use crate::support::prometheus::Prometheus;
use crate::support::require_tool;
use crate::support::scene::Scene;
use crate::support::wait::within_deadline;

/// The series that are there before anything has happened; `*` stands for each node.
const FROM_THE_START: &[&str] = &[
    "raftgate_leader_last_change_timestamp_seconds{cluster=\"controllers\"}",
    "raftgate_leader_changes_total{cluster=\"controllers\"}",
    "raftgate_leader{cluster=\"controllers\",node=\"*\"}",
    "raftgate_leaderless_seconds_total{cluster=\"controllers\"}",
    "raftgate_leaders_observed{cluster=\"controllers\"}",
    "raftgate_failover_duration_seconds_count{cluster=\"controllers\"}",
    "raftgate_cluster_leaving{cluster=\"controllers\"}",
    "raftgate_node_healthy{cluster=\"controllers\",node=\"*\"}",
    "raftgate_node_last_verdict_timestamp_seconds{cluster=\"controllers\",node=\"*\"}",
    "raftgate_probe_interval_seconds{cluster=\"controllers\"}",
    "raftgate_probe_duration_seconds_count{cluster=\"controllers\",node=\"*\"}",
    "raftgate_sessions_active{cluster=\"controllers\",node=\"*\"}",
    "raftgate_held_connections{cluster=\"controllers\"}",
    "raftgate_hold_duration_seconds_count{cluster=\"controllers\"}",
    "raftgate_hold_timeouts_total{cluster=\"controllers\"}",
    "raftgate_connect_duration_seconds_count{cluster=\"controllers\"}",
    "raftgate_connections_moved_total{cluster=\"controllers\"}",
    "raftgate_connections_total{listener=\"edge\"}",
    "raftgate_connections_active{listener=\"edge\"}",
    "raftgate_accept_pauses_total{listener=\"edge\"}",
    "raftgate_bytes_total{direction=\"to_node\",listener=\"edge\"}",
    "raftgate_bytes_total{direction=\"to_client\",listener=\"edge\"}",
    "raftgate_pipe_refusals_total",
    "raftgate_log_lines_dropped_total",
    "raftgate_task_panics_total",
    "raftgate_task_hangs_total",
    "raftgate_config_last_reload_successful",
    "raftgate_config_last_reload_success_timestamp_seconds",
];

/// Series with one label that has these values from the start: a rate over one that appears later misses its first.
const ENUMERATED: &[(&str, &[&str])] = &[
    (
        "raftgate_node_state{cluster=\"controllers\",node=\"*\",state=\"?\"}",
        &["unknown", "leader", "follower", "unfit", "unreachable"],
    ),
    (
        "raftgate_probes_total{cluster=\"controllers\",node=\"*\",result=\"?\"}",
        &[
            "leader",
            "follower",
            "unfit",
            "refused",
            "timeout",
            "tls",
            "certificate",
            "protocol",
            "closed",
            "dns",
        ],
    ),
    (
        "raftgate_connections_closed_total{listener=\"edge\",reason=\"?\"}",
        &[
            "client",
            "node",
            "idle",
            "half_closed",
            "first_byte_timeout",
            "cut",
            "drained",
            "client_error",
            "node_error",
            "leaderless",
            "shutdown",
        ],
    ),
    (
        "raftgate_connections_refused_total{listener=\"edge\",reason=\"?\"}",
        &["denied", "limit", "source_limit", "hold_limit"],
    ),
    (
        "raftgate_connect_failures_total{cluster=\"controllers\",node=\"*\",reason=\"?\"}",
        &["refused", "unreachable", "timeout", "local"],
    ),
];

/// One pattern for each of the nodes.
fn of_each_node(pattern: &str) -> Vec<String> {
    ["n1", "n2"].map(|node| pattern.replace('*', node)).into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_series_is_there_before_anything_happens() {
    let scene = Scene::start(&["follow", "follow"]).await;
    let metrics = within_deadline("the metrics", scene.gate.metrics()).await.expect("the gate runs");
    let plain = FROM_THE_START.iter().flat_map(|pattern| of_each_node(pattern));
    let enumerated = ENUMERATED.iter().flat_map(|(pattern, values)| {
        values.iter().flat_map(|value| of_each_node(&pattern.replace('?', value)))
    });
    let missing: Vec<String> =
        plain.chain(enumerated).filter(|series| !metrics.contains_key(series)).collect();
    assert!(missing.is_empty(), "{missing:#?} are not in {:#?}", metrics.keys());
    let value = |series: &str| metrics.get(series).copied().unwrap_or_else(|| panic!("no {series}"));
    assert!(value("raftgate_config_last_reload_successful") > 0.5);
    assert!(value("raftgate_config_last_reload_success_timestamp_seconds") > 1e9);
    assert!(
        value("raftgate_node_healthy{cluster=\"controllers\",node=\"n1\"}") > 0.5,
        "it follows, and is well"
    );
    if cfg!(target_os = "linux") {
        for name in ["process_cpu_seconds_total", "process_open_fds", "process_resident_memory_bytes"] {
            value(name);
        }
    }
    assert!(metrics.keys().any(|series| series.starts_with("raftgate_build_info{version=")));
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promtool_finds_no_fault() {
    if !require_tool("promtool", "the check of /metrics by promtool") {
        return;
    }
    let mut scene = Scene::start(&["lead", "follow"]).await;
    // With traffic and a failover, so that every family has something to show.
    let (mut stream, _) = scene.trust.connect(scene.gate.address).await.unwrap();
    say(&mut stream, "ECHO").await.unwrap();
    say(&mut stream, "word").await.unwrap();
    assert_eq!(hear(&mut stream).await.unwrap(), "word");
    scene.hand_over(0, 1).await;
    scene.gate.routes_to(Some("n2")).await;
    let (_, text) = within_deadline("the metrics", scene.gate.get("/metrics")).await.expect("the gate runs");

    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = promtool.stdin.take().expect("it is piped");
    stdin.write_all(text.as_bytes()).await.unwrap();
    drop(stdin);
    let output = within_deadline("promtool", promtool.wait_with_output()).await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}\nin\n{text}", String::from_utf8_lossy(&said));
    drop(stream);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_scrapes_it_and_answers_who_leads() {
    if !require_tool("prometheus", "a scrape by a real Prometheus") {
        return;
    }
    let mut scene = Scene::start(&["lead", "follow"]).await;
    let prometheus = Prometheus::scraping(scene.gate.admin_address()).await;
    prometheus.answers("up{job=\"raftgate\"} == 1", &[""]).await;
    prometheus.answers("raftgate_leader == 1", &["n1"]).await;
    prometheus.answers("raftgate_node_healthy == 1", &["n1", "n2"]).await;
    prometheus.answers("raftgate_node_state{state=\"follower\"} == 1", &["n2"]).await;
    scene.hand_over(0, 1).await;
    scene.gate.routes_to(Some("n2")).await;
    prometheus.answers("raftgate_leader == 1", &["n2"]).await;
    prometheus.answers("raftgate_leader_changes_total >= 2", &[""]).await;
    prometheus.answers("raftgate_failover_duration_seconds_count >= 1", &[""]).await;
    // Nothing ever came in that was not refused, closed or still active.
    let unaccounted = "raftgate_connections_total - sum by (listener, instance, job) (raftgate_connections_refused_total) \
        - sum by (listener, instance, job) (raftgate_connections_closed_total) - raftgate_connections_active == 0";
    prometheus.answers(unaccounted, &[""]).await;
    scene.gate.assert_books_balance().await;
}
