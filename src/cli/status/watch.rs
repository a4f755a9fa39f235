//! The status as it goes on: on a terminal drawn again and again in its place, elsewhere a line for each event.

use std::io::{self, Write};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use super::told::{Event, Status};
use super::{colours, view};
use crate::cli::Exit;
use crate::cli::socket::ControlError;
use crate::cli::table::harmless;
use crate::style::is_drawable;

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(1);
/// To the first place, and nothing below; lines that are too long are cut off, not wrapped.
const BEGIN: &str = "\x1b[H\x1b[J\x1b[?7l";
const END: &str = "\x1b[?7h";
/// The last one that RFC 3339 can name, in seconds since the Unix epoch.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// Shows the status from `first` on until Ctrl-C, or until nobody reads any more.
pub(super) fn go_on(first: &Status, ask: impl Fn() -> Result<Status, ControlError>) -> Exit {
    let shown = if is_drawable(&io::stdout()) { redraw(first, ask) } else { report(first, ask) };
    match shown {
        Ok(()) => Exit::Done,
        // `raftgate status --watch | head` has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
        Err(error) => {
            crate::cli::complain(format_args!("raftgate: cannot write the status: {error}"));
            Exit::Failed
        }
    }
}

/// A gate that does not answer may be restarting: it is asked again.
fn redraw(first: &Status, ask: impl Fn() -> Result<Status, ControlError>) -> io::Result<()> {
    let mut text = view::render(first, colours());
    loop {
        write_out(&format!("{BEGIN}{text}\nCtrl-C ends it\n{END}"))?;
        thread::sleep(PERIOD);
        text = match ask() {
            Ok(status) => view::render(&status, colours()),
            Err(error) => format!("raftgate: {}\n", harmless(&error.to_string())),
        };
    }
}

fn report(first: &Status, ask: impl Fn() -> Result<Status, ControlError>) -> io::Result<()> {
    write_out(&view::render(first, false))?;
    let mut reporter = Reporter::after(first);
    loop {
        thread::sleep(PERIOD);
        write_out(&reporter.news(ask()))?;
    }
}

/// Tells each event once, and once that the gate does not answer.
#[derive(Debug)]
pub(super) struct Reporter {
    /// When the newest event was that has been told.
    told: f64,
    complained: bool,
}

impl Reporter {
    pub(super) fn after(status: &Status) -> Self {
        let mut reporter = Reporter { told: 0.0, complained: false };
        reporter.take(status);
        reporter
    }

    pub(super) fn news(&mut self, asked: Result<Status, ControlError>) -> String {
        match asked {
            Ok(status) => {
                self.complained = false;
                self.take(&status)
            }
            Err(_) if self.complained => String::new(),
            Err(error) => {
                self.complained = true;
                format!("raftgate: {}\n", harmless(&error.to_string()))
            }
        }
    }

    fn take(&mut self, status: &Status) -> String {
        let all = status.clusters.iter();
        let mut events: Vec<_> = all
            .flat_map(|(name, cluster)| cluster.events.iter().map(move |event| (event.at, name, event)))
            .collect();
        events.retain(|(at, ..)| *at > self.told);
        events.sort_by(|one, other| one.0.total_cmp(&other.0));
        self.told = events.last().map_or(self.told, |(at, ..)| *at);
        let line = |(at, cluster, event): (f64, &String, &Event)| {
            harmless(&format!("{} {cluster}: {}", time(at), event.message)) + "\n"
        };
        events.into_iter().map(line).collect()
    }
}

/// Times that nobody can mean, before 1970 or after 9999, are shown as the nearest of these.
fn time(at: f64) -> String {
    let since = Duration::try_from_secs_f64(at.min(LAST_SECOND)).unwrap_or_default();
    humantime::format_rfc3339_millis(UNIX_EPOCH + since).to_string()
}

fn write_out(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::told::Cluster;
    use super::*;

    fn status(events: &[(f64, &str)]) -> Status {
        let events = events.iter().map(|(at, message)| Event { at: *at, message: (*message).to_owned() });
        let cluster = Cluster {
            leader: None,
            epoch: None,
            stand_in: None,
            since: 0.0,
            leader_changes: 0,
            leaving: false,
            alarms: Vec::new(),
            held: 0,
            nodes: Vec::new(),
            events: events.collect(),
        };
        let clusters = BTreeMap::from([("c".to_owned(), cluster)]);
        Status {
            version: String::new(),
            now: 9.0,
            ready: true,
            not_ready: None,
            listeners: Vec::new(),
            clusters,
        }
    }

    #[test]
    fn each_event_is_told_once_in_order() {
        let mut reporter = Reporter::after(&status(&[(1.0, "old")]));
        assert_eq!(reporter.news(Ok(status(&[(1.0, "old")]))), "");
        let news = reporter.news(Ok(status(&[(1.0, "old"), (3.5, "newer"), (2.0, "new")])));
        assert_eq!(news, "1970-01-01T00:00:02.000Z c: new\n1970-01-01T00:00:03.500Z c: newer\n");
        assert_eq!(reporter.news(Ok(status(&[(3.5, "newer")]))), "");
    }

    #[test]
    fn times_that_nobody_can_mean_are_told_all_the_same() {
        assert_eq!(time(1.5), "1970-01-01T00:00:01.500Z");
        for (at, shown) in [
            (1e300, "9999-12-31T23:59:59.000Z"),
            (1e12, "9999-12-31T23:59:59.000Z"),
            (-1.0, "1970-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(time(at), shown);
        }
    }

    #[test]
    fn no_name_that_a_gate_tells_steers_the_terminal() {
        let mut told = status(&[(1.0, "\x1b[2J")]);
        let cluster = told.clusters.remove("c").unwrap();
        told.clusters.insert("c\x1b[2J".to_owned(), cluster);
        let news = Reporter::after(&status(&[])).news(Ok(told));
        assert_eq!(news, "1970-01-01T00:00:01.000Z c\u{fffd}[2J: \u{fffd}[2J\n");
    }

    #[test]
    fn a_gate_that_does_not_answer_is_mentioned_once() {
        let mut reporter = Reporter::after(&status(&[]));
        let dead = || Err(ControlError::Dead { path: "/run/x".into() });
        assert!(reporter.news(dead()).contains("/run/x"));
        assert_eq!(reporter.news(dead()), "");
        assert_eq!(reporter.news(Ok(status(&[]))), "");
        assert!(reporter.news(dead()).contains("/run/x"));
    }
}
