//! What happened in a schedule, line by line: the same seed has to bring the same bytes.

use std::fmt;
use std::fmt::Write;
use std::time::Duration;

use crate::leader::tests::raft::Micros;

/// How many lines of it are shown when a schedule fails.
const SHOWN: usize = 400;

/// A trace, if one is kept.
#[derive(Debug, Default)]
pub(super) struct Trace(Option<String>);

impl Trace {
    pub(super) fn kept(is_kept: bool) -> Self {
        Trace(is_kept.then(String::new))
    }

    pub(super) fn note(&mut self, now: Micros, what: fmt::Arguments<'_>) {
        if let Some(text) = &mut self.0 {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{:>9.3} {what}", Duration::from_micros(now).as_secs_f64());
        }
    }

    pub(super) fn text(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    /// Its last lines.
    pub(super) fn end(&self) -> String {
        let lines: Vec<&str> = self.text().lines().collect();
        lines[lines.len().saturating_sub(SHOWN)..].join("\n")
    }
}
