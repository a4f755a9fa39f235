//! What the demo looks like at one moment, as text.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use super::standing::{Condition, NAMES, Standing};
use super::summary::{HEADING, Totals};
use crate::style::Style;

/// How many of the newest failovers are shown.
pub(super) const FAILOVERS_SHOWN: usize = 9;

/// One moment.
pub(super) struct Frame {
    /// Where the gate listens.
    pub(super) gate: SocketAddr,
    /// Since the first client.
    pub(super) elapsed: Duration,
    /// The nodes, by their places.
    pub(super) nodes: Vec<Row>,
    /// The gate's route.
    pub(super) route: Option<String>,
    /// What became of the clients.
    pub(super) totals: Totals,
    /// How many of them have no answer yet.
    pub(super) waiting: usize,
    /// The newest failovers, a line each.
    pub(super) failovers: Vec<String>,
    /// What is going on.
    pub(super) now: String,
}

/// One node: the truth, and what the gate knows.
pub(super) struct Row {
    /// Where it serves.
    pub(super) address: SocketAddr,
    /// How it stands.
    pub(super) standing: Standing,
    /// What the gate holds it for.
    pub(super) seen: String,
}

/// The frame as lines, with colours where they can be shown.
pub(super) fn render(frame: &Frame, colours: bool) -> String {
    let paint = |style: Style, text: String| if colours { style.paint(&text) } else { text };
    let mut text = String::new();
    let seconds = frame.elapsed.as_secs();
    line(
        &mut text,
        &format!(
            "{}  three raft nodes, a gate on {}, a new TLS client every 10 ms  {:02}:{:02}",
            paint(Style::Bold, "raftgate demo".to_owned()),
            frame.gate,
            seconds / 60,
            seconds % 60,
        ),
    );
    line(&mut text, "");
    line(&mut text, "  node    address            it says       term   the gate sees");
    for (row, name) in frame.nodes.iter().zip(NAMES) {
        let (style, says) = says(row.standing);
        let mark = if frame.route.as_deref() == Some(name) { '>' } else { ' ' };
        let row = format!(
            "{mark} {name:<7} {:<18} {says:<12} {:>5}   {}",
            row.address, row.standing.term, row.seen
        );
        line(&mut text, &paint(style, row));
    }
    line(&mut text, "");
    let route = frame.route.as_deref().unwrap_or("none: clients are held");
    line(&mut text, &format!("  route     {route}"));
    clients(&mut text, frame, paint);
    line(&mut text, "");
    if !frame.failovers.is_empty() {
        line(&mut text, &paint(Style::Dim, HEADING.to_owned()));
        for failover in &frame.failovers {
            let style = if failover.contains("FAILED") { Style::Red } else { Style::Plain };
            line(&mut text, &paint(style, failover.clone()));
        }
        line(&mut text, "");
    }
    line(&mut text, &format!("  {}", frame.now));
    line(&mut text, &paint(Style::Dim, "  Ctrl-C ends the demo with a summary".to_owned()));
    text
}

fn clients(text: &mut String, frame: &Frame, paint: impl Fn(Style, String) -> String) {
    let Totals { served, served_elsewhere, interrupted, failed, .. } = frame.totals;
    let failed_style = if failed > 0 { Style::Red } else { Style::Plain };
    let failures = paint(failed_style, format!("{failed} failed"));
    line(text, &format!("  clients   {served} served by the leader, {failures}, {} waiting", frame.waiting));
    line(
        text,
        &format!(
            "            {interrupted} cut off by their node's death, {served_elsewhere} served by a former leader"
        ),
    );
    let Totals { sessions_open, sessions_ended_with_node, sessions_broken, .. } = frame.totals;
    line(
        text,
        &format!(
            "  sessions  {sessions_open} open, {sessions_ended_with_node} ended with their node, {sessions_broken} broken"
        ),
    );
}

fn says(standing: Standing) -> (Style, &'static str) {
    match standing.condition {
        Condition::Down => (Style::Red, "(killed)"),
        Condition::Frozen => (Style::Cyan, "(frozen)"),
        Condition::Up if standing.leads => (Style::Green, "I lead"),
        Condition::Up => (Style::Plain, "I follow"),
    }
}

fn line(text: &mut String, content: &str) {
    let _ = writeln!(text, "{}", content.trim_end());
}

#[cfg(test)]
mod tests;
