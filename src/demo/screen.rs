//! Where the demo is watched: a table drawn again and again on a terminal, else one line for each thing that happens.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::table::{self, Frame};
use crate::style;

/// Standard output.
pub(super) struct Screen {
    terminal: bool,
    coloured: bool,
    began: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What is going on.
    now: String,
    /// How many lines the last table took, to be drawn over.
    drawn: usize,
}

impl Screen {
    /// Standard output as it is.
    pub(super) fn open() -> Self {
        Screen {
            terminal: style::is_drawable(&io::stdout()),
            coloured: style::is_coloured(&io::stdout()),
            began: Instant::now(),
            state: Mutex::default(),
        }
    }

    /// Tells what is going on.
    pub(super) fn say(&self, what: &str) {
        self.with(|state| what.clone_into(&mut state.now));
        self.print_plain(what);
    }

    /// Tells a result that also has its place in the table.
    pub(super) fn record(&self, result: &str) {
        self.print_plain(result);
    }

    /// What was last said to go on.
    pub(super) fn now(&self) -> String {
        self.with(|state| state.now.clone())
    }

    /// Draws the table over the last one; only where there is a terminal.
    pub(super) fn draw(&self, frame: &Frame) {
        if !self.terminal {
            return;
        }
        let text = table::render(frame, self.coloured);
        self.with(|state| {
            let up = if state.drawn > 0 { format!("\x1b[{}A", state.drawn) } else { String::new() };
            state.drawn = text.lines().count();
            // Lines that are too long are cut off, not wrapped: a wrapped one would spoil the counting.
            write_out(&format!("{up}\x1b[J\x1b[?7l{text}\x1b[?7h"));
        });
    }

    fn print_plain(&self, what: &str) {
        if !self.terminal {
            write_out(&format!("{:7.2} s  {what}\n", self.began.elapsed().as_secs_f64()));
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whoever no longer reads is not told: the demo goes on to its end either way.
pub(super) fn write_out(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}
