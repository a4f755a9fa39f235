//! How words stand out on a terminal, and whether they may.

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;

/// What a text is to look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As all text.
    Plain,
    /// Heavier.
    Bold,
    /// Fainter.
    Dim,
    /// What is bad.
    Red,
    /// What is good.
    Green,
    /// What wants attention.
    Yellow,
    /// What is under way.
    Cyan,
}

impl Style {
    /// The text, for a terminal that knows ECMA-48's SGR sequences; nothing is added to an empty one.
    pub fn paint(self, text: &str) -> String {
        let code = match self {
            Style::Plain => return text.to_owned(),
            _ if text.is_empty() => return String::new(),
            Style::Bold => 1,
            Style::Dim => 2,
            Style::Red => 31,
            Style::Green => 32,
            Style::Yellow => 33,
            Style::Cyan => 36,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Whether this output can be drawn on: it is a terminal that knows control sequences.
pub fn is_drawable(out: &impl IsTerminal) -> bool {
    out.is_terminal() && knows_sequences(std::env::var_os("TERM").as_deref())
}

/// Whether this output is to have colours: it can be drawn on, and `NO_COLOR` is not set (<https://no-color.org>).
pub fn is_coloured(out: &impl IsTerminal) -> bool {
    is_drawable(out) && allows_colours(std::env::var_os("NO_COLOR"))
}

fn knows_sequences(term: Option<&OsStr>) -> bool {
    term.is_none_or(|term| term != "dumb")
}

fn allows_colours(no_color: Option<OsString>) -> bool {
    no_color.is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_that_know_and_want_them() {
        assert!(knows_sequences(None) && knows_sequences(Some("xterm".as_ref())));
        assert!(!knows_sequences(Some("dumb".as_ref())));
        assert!(allows_colours(None) && allows_colours(Some("".into())));
        assert!(!allows_colours(Some("1".into())));
    }
}
