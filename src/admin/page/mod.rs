//! `GET /`: the gate at a glance, for people. The HTML is complete without JavaScript; with it, `page.js` fetches it
//! anew whenever `/events` tells of a change, and replaces what differs.

mod cluster;
mod html;
mod nodes;
mod strip;
mod tenures;
mod time;

use html::Html;
use time::{clock, in_full, span};

use super::status::Snapshot;

/// The page's look.
pub(super) const CSS: &str = include_str!("page.css");
/// What keeps it up to date.
pub(super) const JS: &str = include_str!("page.js");
/// What stands for it in a browser's tabs.
pub(super) const ICON: &str = include_str!("icon.svg");

const FRAME: &str = include_str!("page.html");
/// Where the gate as it is has its place in the frame.
const PLACE: &str = "<!-- the gate as it is -->";
/// So many clusters are shown in full; of more, only those with an alarm are, and each on its own page.
const SHOWN_IN_FULL: usize = 16;

/// The whole page, or that of one cluster.
pub(super) fn render(snapshot: &Snapshot, only: Option<&str>) -> String {
    let (before, after) = FRAME.split_once(PLACE).unwrap_or((FRAME, ""));
    let mut html = Html::default();
    html.add(before, &[&title(snapshot)]);
    head(&mut html, snapshot);
    match only {
        None => all(&mut html, snapshot),
        Some(name) => one(&mut html, snapshot, name),
    }
    html.add(after, &[]);
    html.into_text()
}

/// What is wrong comes first: it is all that is seen of a page among many tabs.
fn title(snapshot: &Snapshot) -> String {
    let alarmed: Vec<&str> = snapshot
        .clusters
        .iter()
        .filter(|(_, cluster)| !cluster.status.alarms.is_empty())
        .map(|(name, _)| &**name)
        .collect();
    match (&*alarmed, &snapshot.not_ready) {
        ([], None) => "Raftgate".to_owned(),
        ([], Some(_)) => "not ready - Raftgate".to_owned(),
        ([one], _) => format!("! {one} - Raftgate"),
        (many, _) => format!("! {} clusters - Raftgate", many.len()),
    }
}

fn head(html: &mut Html, snapshot: &Snapshot) {
    html.add("<header><h1><a href=\"./\">Raftgate</a> <small>{}</small></h1>", &[&snapshot.version]);
    match &snapshot.not_ready {
        None => html.add("<p class=\"ready\">ready</p>", &[]),
        Some(why) => html.add("<p class=\"ready not\">not ready: {}</p>", &[why]),
    }
    let started = in_full(snapshot.started);
    html.add(
        "<p class=\"aside\">up <time datetime=\"{}\" title=\"since {}\">{}</time>",
        &[&started, &started, &span(snapshot.now - snapshot.started)],
    );
    html.add(
        ", as of <time datetime=\"{}\">{}</time></p></header>",
        &[&in_full(snapshot.now), &clock(snapshot.now, snapshot.now)],
    );
}

fn all(html: &mut Html, snapshot: &Snapshot) {
    let few = snapshot.clusters.len() <= SHOWN_IN_FULL;
    if snapshot.clusters.len() > 1 {
        overview(html, snapshot);
    }
    let in_full = snapshot.clusters.iter().filter(|(_, cluster)| few || !cluster.status.alarms.is_empty());
    for (number, (name, cluster)) in in_full.take(SHOWN_IN_FULL).enumerate() {
        cluster::show(html, snapshot.now, number, name, cluster);
    }
    listeners(html, snapshot);
}

fn one(html: &mut Html, snapshot: &Snapshot, name: &str) {
    match snapshot.clusters.get(name) {
        Some(cluster) => cluster::show(html, snapshot.now, 0, name, cluster),
        None => html.add("<p class=\"lead\">There is no cluster {}.</p>", &[&name]),
    }
    html.add("<p class=\"back\"><a href=\"./\">The whole gate</a></p>", &[]);
}

/// All clusters, a line each.
fn overview(html: &mut Html, snapshot: &Snapshot) {
    html.begin_panel(
        "clusters",
        "Clusters",
        &[
            ("", "Cluster"),
            ("", "Leader"),
            ("", "For"),
            ("number", "Changes"),
            ("number", "Sessions"),
            ("number", "Held"),
            ("", "Alarms"),
        ],
    );
    for (name, cluster) in &snapshot.clusters {
        let status = &cluster.status;
        html.add(
            "<tr role=\"row\"><th role=\"rowheader\" scope=\"row\"><a href=\"?cluster={}\">{}</a></th>",
            &[name, name],
        );
        match &status.leader {
            Some(leader) => html.add("<td role=\"cell\" class=\"name\">{}</td>", &[leader]),
            None => html.add("<td role=\"cell\" class=\"bad\">none</td>", &[]),
        }
        let sessions: i64 = cluster.nodes.iter().map(|node| node.sessions).sum();
        html.add(
            "<td role=\"cell\" data-label=\"for\">{}</td><td role=\"cell\" class=\"number\" data-label=\"changes\">{}</td>\
             <td role=\"cell\" class=\"number\" data-label=\"sessions\">{}</td>\
             <td role=\"cell\" class=\"number\" data-label=\"held\">{}</td><td role=\"cell\">{}</td></tr>",
            &[
                &span(snapshot.now - status.since),
                &status.leader_changes,
                &sessions,
                &cluster.held,
                &status.alarms.join(", "),
            ],
        );
    }
    html.end_panel();
}

fn listeners(html: &mut Html, snapshot: &Snapshot) {
    html.begin_panel(
        "listeners",
        "Listeners",
        &[
            ("", "Listener"),
            ("", "Address"),
            ("number", "Connections"),
            ("number", "Accepted"),
            ("number", "Refused"),
        ],
    );
    for (name, traffic) in &snapshot.connections {
        let addresses: Vec<String> = snapshot
            .listeners
            .iter()
            .filter(|listener| listener.name == *name)
            .map(|listener| listener.address.to_string())
            .collect();
        html.add(
            "<tr role=\"row\"><th role=\"rowheader\" scope=\"row\">{}</th><td role=\"cell\" class=\"name\">{}</td>\
             <td role=\"cell\" class=\"number\" data-label=\"connections\">{}</td>\
             <td role=\"cell\" class=\"number\" data-label=\"accepted\">{}</td>\
             <td role=\"cell\" class=\"number\" data-label=\"refused\">{}</td></tr>",
            &[name, &addresses.join(", "), &traffic.active, &traffic.accepted, &traffic.refused],
        );
    }
    html.end_panel();
}

#[cfg(test)]
mod tests;
