//! One cluster: who leads and since when, what is wrong, its nodes, and what it has lived through.

use super::html::Html;
use super::time::{clock, in_full, span};
use super::{nodes, tenures};
use crate::admin::status::{Cluster, History};
use crate::leader::Alarm;

pub(super) fn show(html: &mut Html, now: f64, number: usize, name: &str, cluster: &Cluster) {
    html.add("<section class=\"panel\" aria-labelledby=\"cluster-{}\">", &[&number]);
    html.add("<h2 id=\"cluster-{}\"><a href=\"?cluster={}\">{}</a></h2>", &[&number, &name, &name]);
    lead(html, now, cluster);
    figures(html, cluster);
    alarms(html, cluster);
    nodes::show(html, now, cluster);
    if let Some(history) = &cluster.history {
        tenures::show(html, now, history);
        events(html, now, history);
    }
    html.add("</section>", &[]);
}

/// Who leads, in a sentence.
fn lead(html: &mut Html, now: f64, cluster: &Cluster) {
    let status = &cluster.status;
    match (&status.leader, &status.stand_in) {
        (Some(leader), _) => html.add("<p class=\"lead\"><strong>{}</strong> leads since ", &[leader]),
        (None, None) => html.add("<p class=\"lead none\"><strong>Nobody</strong> leads since ", &[]),
        (None, Some(node)) => html.add(
            "<p class=\"lead none\"><strong>Nobody</strong> leads (<b>{}</b> stands in after hold.timeout) since ",
            &[node],
        ),
    }
    let leaving =
        if cluster.leaving { "; configured no more: here until its last session has ended" } else { "" };
    html.add(
        "<time datetime=\"{}\">{}</time>, {}{}</p>",
        &[&in_full(status.since), &clock(status.since, now), &span(now - status.since), &leaving],
    );
}

fn figures(html: &mut Html, cluster: &Cluster) {
    let status = &cluster.status;
    let sessions: i64 = cluster.nodes.iter().map(|node| node.sessions).sum();
    let epoch = status.epoch.map_or_else(|| "none".to_owned(), |epoch| epoch.to_string());
    html.add(
        "<dl class=\"figures\"><div><dt>sessions</dt><dd>{}</dd></div><div><dt>held</dt><dd>{}</dd></div>\
         <div><dt>claims</dt><dd>{}</dd></div><div><dt>epoch</dt><dd>{}</dd></div>\
         <div><dt>leader changes</dt><dd>{}</dd></div></dl>",
        &[&sessions, &cluster.held, &status.claims, &epoch, &status.leader_changes],
    );
}

fn alarms(html: &mut Html, cluster: &Cluster) {
    if cluster.status.alarms.is_empty() {
        return;
    }
    html.add("<ul class=\"alarms\" aria-label=\"Alarms\">", &[]);
    for name in &cluster.status.alarms {
        let alarm = Alarm::ALL.into_iter().find(|alarm| alarm.as_str() == *name);
        let meaning = alarm.map_or("", Alarm::explanation);
        let trouble = cluster.status.not_serving.as_deref().filter(|_| alarm == Some(Alarm::NotServing));
        html.add("<li><strong>{}</strong> {}</li>", &[name, &trouble.unwrap_or(meaning)]);
    }
    html.add("</ul>", &[]);
}

/// What happened, the newest first; closed at first.
fn events(html: &mut Html, now: f64, history: &History) {
    let Some(first) = history.events.first() else { return };
    html.add(
        "<details><summary>Events <small>{}, since {}</small></summary><ol class=\"events\">",
        &[&history.events.len(), &clock(first.at, now)],
    );
    for event in history.events.iter().rev() {
        html.add(
            "<li><time datetime=\"{}\">{}</time> {}</li>",
            &[&in_full(event.at), &clock(event.at, now), &event.what],
        );
    }
    html.add("</ol></details>", &[]);
}
