//! How words stand out on a terminal.

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
