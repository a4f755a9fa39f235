//! What lies in `config/prometheus` and `config/grafana`: alerts that fire when they should, and a dashboard whose every
//! panel has something to show, both over the metrics that the gate really has.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use crate::support::clock::Stamp;
use crate::support::prometheus::Prometheus;
use crate::support::require_tool;
use crate::support::scene::{Scene, Settings};
use crate::support::wait::{until, within_deadline};

const ALERTS: &str = include_str!("../../config/prometheus/alerts.yml");
const ALERTS_TEST: &str = include_str!("../../config/prometheus/alerts_test.yml");
const DASHBOARD: &str = include_str!("../../config/grafana/raftgate.json");

/// Clients that have to be served before and after a failover.
const ENOUGH: usize = 30;

/// An alert, as far as it is looked at here.
struct Alert {
    name: &'static str,
    expr: String,
}

/// The alerts in the order of the file: the text is ours, so that lines are enough to find them.
fn alerts() -> Vec<Alert> {
    let rules = ALERTS.split("      - alert: ").skip(1);
    let alerts: Vec<Alert> = rules
        .map(|rule| {
            let (name, rest) = rule.split_once('\n').expect("a rule has several lines");
            let (_, expr) = rest.split_once("expr:").expect("a rule has an expression");
            let (expr, _) = expr.split_once("\n        for:").expect("a rule has a `for`");
            let expr = expr.trim().trim_start_matches(">-").split_whitespace().collect::<Vec<_>>().join(" ");
            Alert { name, expr }
        })
        .collect();
    assert!(alerts.len() >= 13, "the alerts were not found");
    alerts
}

/// The dashboard's panels' titles and queries, with what Grafana fills in.
fn queries() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let queries: Vec<(String, String)> = panels
        .flat_map(|panel| {
            let title = panel["title"].as_str().unwrap();
            let targets = panel["targets"].as_array().into_iter().flatten();
            targets.map(|target| (title.to_owned(), filled_in(target["expr"].as_str().unwrap())))
        })
        .collect();
    assert!(queries.len() >= 20, "the queries were not found");
    queries
}

fn filled_in(query: &str) -> String {
    let filled = [
        ("$__rate_interval", "5s"),
        ("$__range", "60s"),
        ("$instance", ".*"),
        ("$cluster", "controllers"),
        ("$listener", "edge"),
    ]
    .iter()
    .fold(query.to_owned(), |query, (variable, value)| query.replace(variable, value));
    assert!(!filled.contains('$'), "a variable that this test does not know: {filled}");
    filled
}

/// The names of metrics in a text.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("raftgate_") || word.starts_with("process_")).collect()
}

async fn promtool(arguments: &[&str]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/prometheus");
    let mut promtool = Command::new("promtool");
    let output = promtool.args(arguments).current_dir(folder).kill_on_drop(true).output();
    let output = within_deadline("promtool", output).await.unwrap();
    assert!(output.status.success(), "promtool {arguments:?}: {output:#?}");
}

#[tokio::test]
async fn l8_alerts_fire_when_they_should_and_only_then() {
    if !require_tool("promtool", "the tests of the alerts by promtool") {
        return;
    }
    promtool(&["check", "config", "prometheus.yml"]).await;
    promtool(&["test", "rules", "alerts_test.yml"]).await;
}

#[test]
fn l8_each_alert_is_seen_firing_and_says_what_to_do() {
    let each = ALERTS.split("      - alert: ").skip(1).zip(alerts());
    for (text, Alert { name, .. }) in each {
        let fires = format!("alertname=\"{name}\", instance=\"bad\"");
        assert!(ALERTS_TEST.contains(&fires), "alerts_test.yml does not see {name} fire");
        for key in ["for: ", "severity: ", "summary: ", "description: "] {
            assert_eq!(text.matches(key).count(), 1, "{name}: {key}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_and_dashboard_are_over_metrics_that_there_are() {
    let scene = Scene::start(&["lead", "follow"]).await;
    let (_, text) = within_deadline("the metrics", scene.gate.get("/metrics")).await.expect("the gate runs");
    let exported = metrics_in(&text);
    let asked: BTreeSet<&str> = metrics_in(ALERTS).into_iter().chain(metrics_in(DASHBOARD)).collect();
    assert!(asked.len() > 20, "the metrics were not found: {asked:?}");
    let missing: Vec<_> = asked.difference(&exported).collect();
    assert!(missing.is_empty(), "not exported: {missing:?}");
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l8_alerts_are_silent_over_a_healthy_gate_and_see_that_nobody_leads() {
    if !require_tool("prometheus", "the alerts over a real gate") {
        return;
    }
    let mut scene = Scene::start(&["lead", "follow", "follow"]).await;
    scene.gate.sees("n2", "follower").await;
    let prometheus = Prometheus::scraping(scene.gate.admin_address()).await;
    prometheus.answers("raftgate_node_healthy == 1", &["n1", "n2", "n3"]).await;
    for Alert { name, expr } in alerts() {
        let raised = until("an answer", async || prometheus.samples(&expr).await).await;
        assert!(raised.is_empty(), "{name}: {raised:?}");
    }
    let raised = async |name: &str, scene: &Scene| {
        let alert = alerts().into_iter().find(|alert| alert.name == name).expect("there is this alert");
        until(&format!("{name} is raised"), async || {
            let samples = prometheus.samples(&alert.expr).await?;
            let target = scene.gate.admin_address().to_string();
            (samples.first()?["metric"]["instance"] == target).then_some(())
        })
        .await;
    };
    // Nobody is left beside the leader, then two claim to lead, then all that there are, then nobody.
    scene.nodes[1].kill().await;
    scene.nodes[2].order("status 503").await;
    raised("RaftgateNoSuccessor", &scene).await;
    scene.nodes[2].order("lead").await;
    raised("RaftgateSeveralLeaders", &scene).await;
    for leader in [0, 2] {
        scene.nodes[leader].order("follow").await;
    }
    raised("RaftgateNoLeader", &scene).await;
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_panel_of_the_dashboard_has_something_to_show() {
    if !require_tool("prometheus", "the dashboard over a real Prometheus") {
        return;
    }
    // So that some of those who come without a leader are refused.
    let settings = Settings { cluster: "hold.limit = 5", ..Settings::default() };
    let mut scene = Scene::with(&["lead", "follow", "follow"], settings).await;
    let prometheus = Prometheus::scraping(scene.gate.admin_address()).await;
    prometheus.answers("raftgate_leader == 1", &["n1"]).await;
    let begin = Stamp::now();
    let crowd = scene.crowd();
    crowd.served_by("n1", ENOUGH, begin).await;
    let session = scene.echo_session().await;
    scene.nodes[0].order("follow").await;
    scene.gate.counts("raftgate_connections_refused_total", "hold_limit", |refused| refused > 0.0).await;
    prometheus.answers("raftgate_held_connections > 0", &[""]).await;
    let claimed = scene.nodes[1].order("lead").await;
    crowd.served_by("n2", ENOUGH, claimed).await;
    for (title, query) in queries() {
        until(&format!("`{title}` shows something: {query}"), async || {
            prometheus.has_shown_something(&query).await?.then_some(())
        })
        .await;
    }
    drop((crowd.leave().await, session));
    scene.gate.assert_books_balance().await;
}

#[test]
fn the_dashboards_variables_are_of_labels_that_its_metrics_have() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    for (name, query) in [
        ("instance", "label_values(raftgate_build_info, instance)"),
        ("cluster", "label_values(raftgate_leaders_observed, cluster)"),
        ("listener", "label_values(raftgate_connections_total, listener)"),
    ] {
        let variable = variables.iter().find(|variable| variable["name"] == name).expect(name);
        assert_eq!(variable["query"]["query"], query);
    }
    assert!(
        variables.iter().any(|variable| variable["type"] == "datasource" && variable["name"] == "datasource")
    );
    assert_eq!(
        DASHBOARD.matches("\"uid\": \"${datasource}\"").count(),
        DASHBOARD.matches("\"uid\"").count() - 1
    );
}
