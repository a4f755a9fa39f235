//! `raftgate sessions`: who is connected to whom.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;

use super::orders::name;
use super::socket::{self, ControlError, Where};
use super::table::table;
use super::{Exit, complain, print};

/// List the sessions of a running gate, and the clients that wait to become one.
#[derive(Args, Debug)]
pub(super) struct Options {
    /// Sessions of this cluster alone.
    #[arg(long, value_parser = name)]
    cluster: Option<String>,
    /// Sessions with this node alone.
    #[arg(long, value_parser = name)]
    node: Option<String>,
    /// List so many at most.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    limit: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Where,
}

#[derive(Debug, Deserialize)]
struct Listing {
    now: f64,
    total: usize,
    sessions: Vec<Session>,
}

#[derive(Debug, Deserialize)]
struct Session {
    listener: String,
    client: String,
    cluster: Option<String>,
    node: Option<String>,
    epoch: Option<u64>,
    state: String,
    since: f64,
    to_node: u64,
    to_client: u64,
}

pub(super) fn run(options: &Options) -> Exit {
    match options.text() {
        Ok(text) => print("the sessions", &text, Exit::Done),
        Err(error) => {
            complain(format_args!("raftgate: {error}"));
            error.exit()
        }
    }
}

impl Options {
    fn text(&self) -> Result<String, ControlError> {
        let path = self.place.path()?;
        let body = socket::get(&path, &self.target())?;
        if self.json {
            return Ok(String::from_utf8_lossy(&body).into_owned());
        }
        shown(&body).ok_or(ControlError::NoAnswer { path })
    }

    fn target(&self) -> String {
        let mut target = format!("/sessions?limit={}", self.limit);
        for (key, value) in [("cluster", &self.cluster), ("node", &self.node)] {
            if let Some(value) = value {
                // Writing to a string cannot fail.
                let _ = write!(target, "&{key}={value}");
            }
        }
        target
    }
}

/// A gate's list as text, if it is one.
pub(super) fn shown(body: &[u8]) -> Option<String> {
    serde_json::from_slice(body).ok().map(|listing| render(&listing))
}

fn render(listing: &Listing) -> String {
    let head = ["CLIENT", "LISTENER", "CLUSTER", "NODE", "EPOCH", "STATE", "AGE", "TO NODE", "TO CLIENT"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    rows.extend(listing.sessions.iter().map(|session| {
        vec![
            session.client.clone(),
            session.listener.clone(),
            or_dash(session.cluster.clone()),
            or_dash(session.node.clone()),
            or_dash(session.epoch.map(|epoch| epoch.to_string())),
            session.state.clone(),
            seconds(listing.now - session.since),
            session.to_node.to_string(),
            session.to_client.to_string(),
        ]
    }));
    let mut text = table(&rows);
    let (shown, total) = (listing.sessions.len(), listing.total);
    // Writing to a string cannot fail.
    let _ = match (shown, total) {
        (1, 1) => writeln!(text, "1 session"),
        _ if shown == total => writeln!(text, "{total} sessions"),
        _ => writeln!(text, "{shown} of {total} sessions; --limit N shows more"),
    };
    text
}

/// A span for people: to the tenth of a second, or where it is longer than a minute to the second.
pub(super) fn seconds(seconds: f64) -> String {
    let span = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    if span < Duration::from_mins(1) {
        format!("{:.1}s", span.as_secs_f64())
    } else {
        humantime::format_duration(Duration::from_secs(span.as_secs())).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(node: Option<&str>, state: &str, since: f64) -> Session {
        Session {
            listener: "edge".into(),
            client: "192.0.2.1:7".into(),
            cluster: Some("ctrl".into()),
            node: node.map(Into::into),
            epoch: node.map(|_| 3),
            state: state.into(),
            since,
            to_node: 10,
            to_client: 2000,
        }
    }

    #[test]
    fn sessions_are_a_table_that_says_what_it_leaves_out() {
        let sessions = vec![session(Some("n1"), "joined", 900.0), session(None, "held", 999.5)];
        let text = render(&Listing { now: 1000.0, total: 2, sessions });
        let expected = "\
CLIENT       LISTENER  CLUSTER  NODE  EPOCH  STATE   AGE     TO NODE  TO CLIENT
192.0.2.1:7  edge      ctrl     n1    3      joined  1m 40s  10       2000
192.0.2.1:7  edge      ctrl     -     -      held    0.5s    10       2000
2 sessions
";
        assert_eq!(text, expected, "{text}");
        let few = render(&Listing { now: 1000.0, total: 70, sessions: vec![session(None, "held", 999.0)] });
        assert!(few.ends_with("\n1 of 70 sessions; --limit N shows more\n"), "{few}");
    }
}
