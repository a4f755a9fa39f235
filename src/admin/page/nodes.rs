//! A cluster's nodes, a line each, under the line of its route: what each counted as over the last minutes, and how it
//! does now.

use super::html::Html;
use super::strip::{self, Period};
use super::time::{clock, days_left, in_full, span};
use crate::admin::status::{Cluster, Node};
use crate::board::{NodeStatus, TenureStatus, VerdictStatus};
use crate::leader::NodeState;

/// So many days before its end a certificate wants to be renewed.
const RENEW: f64 = 21.0;
/// So many days before its end it is late for that.
const LATE: f64 = 7.0;
/// A verdict older than this is told with its age, in seconds.
const OLD: f64 = 5.0;

pub(super) fn show(html: &mut Html, now: f64, cluster: &Cluster) {
    html.add("<table class=\"nodes\" role=\"table\"><caption class=\"unseen\">Nodes</caption>", &[]);
    html.add_columns(&[
        ("", "Node"),
        ("", "State"),
        (
            "time",
            "<span class=\"unseen\">Verdicts over the last 10 minutes</span>\
             <span class=\"axis\" aria-hidden=\"true\"><i>10 min ago</i><i>5 min</i><i>now</i></span>",
        ),
        ("number", "Sessions"),
        ("number", "Probe"),
        ("number", "Certificate"),
    ]);
    route(html, now, cluster);
    for node in &cluster.nodes {
        show_one(html, now, node, cluster);
    }
    html.add("</tbody></table>", &[]);
}

/// Who was the route when.
fn route(html: &mut Html, now: f64, cluster: &Cluster) {
    let leader = cluster.status.leader.as_deref().unwrap_or("none");
    html.add(
        "<tr role=\"row\" class=\"route\"><th role=\"rowheader\" scope=\"row\">route</th>\
         <td role=\"cell\" class=\"name\">{}</td><td role=\"cell\" class=\"time\">",
        &[&leader],
    );
    let tenures = cluster.history.as_ref().map_or(&[][..], |history| &history.tenures);
    strip::draw(html, now, &route_periods(tenures, now));
    html.add("</td><td role=\"cell\" colspan=\"3\"></td></tr>", &[]);
}

/// Tenures, and what lies between them.
fn route_periods(tenures: &[TenureStatus], now: f64) -> Vec<Period> {
    let gap = |from: f64, until: f64| Period {
        look: "none",
        what: "no leader".to_owned(),
        label: String::new(),
        from,
        until,
    };
    let mut periods = Vec::new();
    for tenure in tenures {
        if tenure.leaderless_ms > 0 {
            periods.push(gap(
                tenure.from - std::time::Duration::from_millis(tenure.leaderless_ms).as_secs_f64(),
                tenure.from,
            ));
        }
        periods.push(Period {
            look: "lead",
            what: format!("{} leads", tenure.node),
            label: tenure.node.to_string(),
            from: tenure.from,
            until: tenure.until.unwrap_or(now),
        });
    }
    let ended = tenures.last().and_then(|tenure| tenure.until);
    periods.extend(ended.map(|ended| gap(ended, now)));
    periods
}

fn show_one(html: &mut Html, now: f64, node: &Node, cluster: &Cluster) {
    let status = &node.status;
    html.add(
        "<tr role=\"row\" class=\"{}\"><th role=\"rowheader\" scope=\"row\">{} <small>{}</small></th>",
        &[&status.state, &status.name, &status.address],
    );
    html.add("<td role=\"cell\" class=\"state\" title=\"{}\">{}", &[&status.detail, &status.state]);
    if let Some(overridden) = status.overridden {
        html.add(" <mark>{}</mark>", &[&overridden]);
    }
    for (to, names) in &cluster.status.readers {
        if names.contains(&status.name) {
            html.add(" <small>serves {}</small>", &[to]);
        }
    }
    html.add("</td><td role=\"cell\" class=\"time\">", &[]);
    strip::draw(html, now, &verdict_periods(node.verdicts.as_deref().unwrap_or_default(), now));
    html.add("</td><td role=\"cell\" class=\"number\" data-label=\"sessions\">{}</td>", &[&node.sessions]);
    probe(html, now, status);
    certificate(html, now, status);
    html.add("</tr>", &[]);
    if !matches!(status.state, "leader" | "follower") {
        // What is wrong with it wants to be read without pointing at anything.
        html.add(
            "<tr role=\"row\" class=\"detail\"><td role=\"cell\" colspan=\"6\">{}: {}</td></tr>",
            &[&status.name, &status.detail],
        );
    }
}

fn verdict_periods(verdicts: &[VerdictStatus], now: f64) -> Vec<Period> {
    let ends = verdicts.iter().skip(1).map(|next| next.at).chain([now]);
    let period = |(verdict, until): (&VerdictStatus, f64)| Period {
        look: look(verdict.state),
        what: match verdict.silence {
            None => verdict.state.to_string(),
            Some(silence) => format!("{} ({silence})", verdict.state),
        },
        label: String::new(),
        from: verdict.at,
        until,
    };
    verdicts.iter().zip(ends).map(period).collect()
}

fn look(state: NodeState) -> &'static str {
    state.as_str()
}

fn probe(html: &mut Html, now: f64, status: &NodeStatus) {
    html.add("<td role=\"cell\" class=\"number\" data-label=\"probe\">", &[]);
    match (status.latency_ms, status.last_verdict) {
        (Some(ms), Some(at)) => {
            html.add("<span title=\"answered at {}\">{}</span>", &[&clock(at, now), &latency(ms)]);
            if now - at > OLD {
                html.add(" <span class=\"warn\">{} ago</span>", &[&span(now - at)]);
            }
        }
        _ => html.add("none yet", &[]),
    }
    html.add("</td>", &[]);
}

/// To three digits: probes on one machine take less than a millisecond.
fn latency(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 => format!("{ms:.2} ms"),
        ms if ms < 100.0 => format!("{ms:.1} ms"),
        ms => span(ms / 1e3),
    }
}

fn certificate(html: &mut Html, now: f64, status: &NodeStatus) {
    let Some(certificate) = &status.certificate else {
        html.add("<td role=\"cell\" class=\"number\" data-label=\"certificate\">none</td>", &[]);
        return;
    };
    let (_, not_after) = certificate.first_expiry();
    #[expect(clippy::cast_precision_loss, reason = "seconds of the next millennia are exact")]
    let end = in_full(not_after as f64);
    let left = days_left(not_after, now);
    let class = match left {
        left if left < LATE => "number bad",
        left if left < RENEW => "number warn",
        _ => "number",
    };
    html.add(
        "<td role=\"cell\" class=\"{}\" data-label=\"certificate\" title=\"{}, until {}\">",
        &[&class, &certificate.names.join(", "), &end],
    );
    if left < 0.0 {
        html.add("expired</td>", &[]);
    } else {
        html.add("{} d</td>", &[&left]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenure(node: &str, from: f64, until: Option<f64>, leaderless_ms: u64) -> TenureStatus {
        TenureStatus {
            node: node.into(),
            epoch: 1,
            pinned: false,
            from,
            until,
            ended: until.map(|_| "silent"),
            leaderless_ms,
            failover_ms: None,
        }
    }

    #[test]
    fn the_route_has_no_hole_where_nobody_led() {
        let tenures = [tenure("n1", 10.0, Some(20.0), 500), tenure("n2", 22.0, Some(30.0), 2000)];
        let told: Vec<_> =
            route_periods(&tenures, 33.0).into_iter().map(|p| (p.look, p.from, p.until)).collect();
        assert_eq!(
            told,
            [
                ("none", 9.5, 10.0),
                ("lead", 10.0, 20.0),
                ("none", 20.0, 22.0),
                ("lead", 22.0, 30.0),
                ("none", 30.0, 33.0)
            ]
        );
    }

    #[test]
    fn a_verdict_lasts_until_the_next_and_the_newest_until_now() {
        let verdict = |at, state| VerdictStatus { at, state, silence: None };
        let told: Vec<_> =
            verdict_periods(&[verdict(1.0, NodeState::Unknown), verdict(2.0, NodeState::Leader)], 5.0)
                .into_iter()
                .map(|p| (p.look, p.from, p.until))
                .collect();
        assert_eq!(told, [("unknown", 1.0, 2.0), ("leader", 2.0, 5.0)]);
    }
}
