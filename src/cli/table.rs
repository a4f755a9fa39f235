//! Text in columns, and text that cannot harm whoever reads it.

use std::fmt::Write as _;

/// Aligned columns, two spaces apart.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| harmless(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a string cannot fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// What others have written, certificates' names and nodes' answers, must not steer a terminal or begin a line.
pub(super) fn harmless(text: &str) -> String {
    text.chars().map(harmless_letter).collect()
}

/// The same for a text of several lines, such as all mistakes of a configuration: its lines stay lines.
pub(super) fn harmless_lines(text: &str) -> String {
    text.lines().map(harmless).collect::<Vec<_>>().join("\n")
}

fn harmless_letter(letter: char) -> char {
    match letter {
        // Directions of writing, which would show a text in another order than it has.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        letter if letter.is_control() => '\u{fffd}',
        letter => letter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o6_lines_stay_lines_and_steer_no_terminal() {
        let text = "a.toml:1: \x1b[2Jx\r\n  1 | \u{202e}y\n    | ^\u{9b}\n";
        assert_eq!(harmless_lines(text), "a.toml:1: \u{fffd}[2Jx\n  1 | \u{fffd}y\n    | ^\u{fffd}");
        assert_eq!(harmless("a\nb"), "a\u{fffd}b");
    }
}
