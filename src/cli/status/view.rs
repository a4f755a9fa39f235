//! The status as text for people. Pure.

use std::fmt::Write as _;

use super::told::{Cluster, Node, Status};
use crate::cli::sessions::seconds;
use crate::cli::table::{harmless, table};
use crate::style::Style;

/// How many of a cluster's newest events are shown.
const EVENTS_SHOWN: usize = 5;
const DAY: f64 = 24.0 * 60.0 * 60.0;
/// A certificate that ends within so many days stands out.
const SOON: f64 = 14.0 * DAY;

/// Everything, with colours where they can be shown.
pub(super) fn render(status: &Status, colours: bool) -> String {
    let mut page = Page { text: String::new(), colours };
    let ready = if status.ready { (Style::Plain, "ready") } else { (Style::Red, "not ready") };
    page.line(ready.0, &format!("raftgate {}, {}", status.version, ready.1));
    for listener in &status.listeners {
        page.line(Style::Plain, &format!("listener {} on {}", listener.name, listener.address));
    }
    for (name, cluster) in &status.clusters {
        page.line(Style::Plain, "");
        page.cluster(name, cluster, status.now);
    }
    page.text
}

struct Page {
    text: String,
    colours: bool,
}

impl Page {
    fn line(&mut self, style: Style, content: &str) {
        let content = harmless(content.trim_end());
        let style = if self.colours { style } else { Style::Plain };
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{}", style.paint(&content));
    }

    fn cluster(&mut self, name: &str, cluster: &Cluster, now: f64) {
        let (style, route) = route(cluster, now);
        self.line(style, &format!("{name}: {route}"));
        if cluster.leaving {
            self.line(Style::Yellow, "  configured no more: here until its last session has ended");
        }
        self.line(Style::Plain, &format!("  leader changes: {}", cluster.leader_changes));
        self.line(
            if cluster.held > 0 { Style::Yellow } else { Style::Plain },
            &format!("  held clients: {}", cluster.held),
        );
        if !cluster.alarms.is_empty() {
            self.line(Style::Red, &format!("  alarms: {}", cluster.alarms.join(", ")));
        }
        self.line(Style::Plain, "");
        let rows = table(&node_rows(cluster, now));
        for (line, node) in rows.lines().zip(std::iter::once(None).chain(cluster.nodes.iter().map(Some))) {
            let style = node.map_or(Style::Dim, |node| style_of(node, now));
            self.line(style, line);
        }
        if !cluster.events.is_empty() {
            self.line(Style::Plain, "");
            let first = cluster.events.len().saturating_sub(EVENTS_SHOWN);
            for event in cluster.events[first..].iter().rev() {
                let age = format!("{} ago", seconds(now - event.at));
                self.line(Style::Dim, &format!("  {age:>14}  {}", event.message));
            }
        }
    }
}

/// Where clients go, in a sentence.
fn route(cluster: &Cluster, now: f64) -> (Style, String) {
    let since = seconds(now - cluster.since);
    let pinned = |name: &str| {
        let node = cluster.nodes.iter().find(|node| node.name == name);
        node.is_some_and(|node| node.overridden.as_deref() == Some("pin"))
    };
    match (&cluster.leader, &cluster.stand_in) {
        (Some(leader), _) => {
            let what = if pinned(leader) { "is pinned" } else { "leads" };
            let epoch = cluster.epoch.map_or_else(String::new, |epoch| format!(" (epoch {epoch})"));
            (Style::Bold, format!("{leader} {what}{epoch} since {since}"))
        }
        (None, Some(node)) => {
            (Style::Red, format!("no leader since {since}; clients go to {node} after hold.timeout"))
        }
        (None, None) => (Style::Red, format!("no leader since {since}; clients are held")),
    }
}

fn node_rows(cluster: &Cluster, now: f64) -> Vec<Vec<String>> {
    let head = [" ", "NODE", "ADDRESS", "VERDICT", "AGE", "LATENCY", "CERTIFICATE", "SESSIONS", "OVERRIDE"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(cluster.nodes.iter().map(|node| {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let leads = cluster.leader.as_ref() == Some(&node.name);
        vec![
            if leads { ">" } else { " " }.to_owned(),
            node.name.clone(),
            node.address.clone(),
            node.state.clone(),
            or_dash(node.last_verdict.map(|at| seconds(now - at))),
            or_dash(node.latency_ms.map(|ms| format!("{ms:.1}ms"))),
            or_dash(days_left(node, now).map(|days| format!("{days:.0} days"))),
            node.sessions.to_string(),
            or_dash(node.overridden.clone()),
        ]
    }));
    rows
}

/// Whole days until its certificate ends; below nothing if it has ended.
fn days_left(node: &Node, now: f64) -> Option<f64> {
    node.certificate.as_ref().map(|certificate| ((certificate.first_expiry() - now) / DAY).floor())
}

fn style_of(node: &Node, now: f64) -> Style {
    let ends_soon = days_left(node, now).is_some_and(|days| days * DAY < SOON);
    match node.state.as_str() {
        "unreachable" | "unfit" => Style::Red,
        _ if ends_soon || node.overridden.is_some() => Style::Yellow,
        "leader" => Style::Green,
        _ => Style::Plain,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status() -> Status {
        let node = |name: &str, state: &str, overridden: Option<&str>, sessions: i64| {
            json!({
                "name": name, "address": "10.0.0.1:1", "state": state, "override": overridden, "detail": "x",
                "latency_ms": 1.25, "last_verdict": 999.9, "sessions": sessions,
                "certificate": { "names": [], "not_after": 1000 + 40 * 86400 + 5 },
            })
        };
        let controllers = json!({
            "leader": "n1", "epoch": 4, "stand_in": null, "since": 925.0, "claims": 1, "leader_changes": 2,
            "alarms": ["override"], "held": 0, "first_round_done": true,
            "nodes": [node("n1", "leader", None, 12), node("n2", "follower", Some("drain"), 0)],
            "events": [{ "at": 990.0, "message": "n1 leads (epoch 4)" }, { "at": 995.5, "message": "n2 is drained" }],
        });
        let lost = json!({
            "leader": null, "epoch": null, "stand_in": null, "since": 999.0, "claims": 0, "leader_changes": 0,
            "alarms": ["leaderless"], "held": 3, "leaving": true, "first_round_done": true, "events": [],
            "nodes": [{ "name": "a", "address": "h:1", "state": "unknown", "override": null, "detail": "",
                        "latency_ms": null, "last_verdict": null, "certificate": null, "sessions": 0 }],
        });
        serde_json::from_value(json!({
            "version": "0.1.0", "now": 1000.0, "ready": true,
            "listeners": [{ "name": "edge", "address": "0.0.0.0:443" }],
            "clusters": { "controllers": controllers, "lost": lost },
        }))
        .unwrap()
    }

    #[test]
    fn everything_has_its_place() {
        let expected = "\
raftgate 0.1.0, ready
listener edge on 0.0.0.0:443

controllers: n1 leads (epoch 4) since 1m 15s
  leader changes: 2
  held clients: 0
  alarms: override

   NODE  ADDRESS     VERDICT   AGE   LATENCY  CERTIFICATE  SESSIONS  OVERRIDE
>  n1    10.0.0.1:1  leader    0.1s  1.2ms    40 days      12        -
   n2    10.0.0.1:1  follower  0.1s  1.2ms    40 days      0         drain

        4.5s ago  n2 is drained
       10.0s ago  n1 leads (epoch 4)

lost: no leader since 1.0s; clients are held
  configured no more: here until its last session has ended
  leader changes: 0
  held clients: 3
  alarms: leaderless

   NODE  ADDRESS  VERDICT  AGE  LATENCY  CERTIFICATE  SESSIONS  OVERRIDE
   a     h:1      unknown  -    -        -            0         -
";
        assert_eq!(render(&status(), false), expected);
    }

    #[test]
    fn colours_are_all_that_colours_add() {
        let coloured = render(&status(), true);
        let mut plain = String::new();
        for part in coloured.split("\x1b[") {
            plain.push_str(
                part.split_once('m').filter(|(code, _)| code.len() < 3).map_or(part, |(_, text)| text),
            );
        }
        assert_eq!(plain, render(&status(), false));
        assert!(coloured.contains("\x1b[32m>  n1"), "{coloured}");
    }

    #[test]
    fn a_route_that_is_no_leader_is_called_by_its_name() {
        let mut cluster = status().clusters["controllers"].clone();
        cluster.nodes[0].overridden = Some("pin".into());
        assert_eq!(route(&cluster, 1000.0).1, "n1 is pinned (epoch 4) since 1m 15s");
        (cluster.leader, cluster.stand_in) = (None, Some("n2".into()));
        assert!(route(&cluster, 1000.0).1.contains("clients go to n2 after hold.timeout"));
    }

    #[test]
    fn what_nodes_say_cannot_steer_a_terminal() {
        let mut status = status();
        status.clusters.get_mut("controllers").unwrap().events[0].message = "\x1b[2J\nspoof".into();
        let text = render(&status, false);
        assert!(text.contains("\u{fffd}[2J\u{fffd}spoof") && !text.contains('\x1b'), "{text}");
    }
}
