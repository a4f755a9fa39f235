//! A line of the file as it is shown below a finding, with what the finding is about underlined.

use std::ops::Range;

use super::origins::line_of;
use super::words::may_be_secret;

/// Longer lines are cut: they would wrap, and the underline with them.
const WIDEST: usize = 160;

/// The line in which `about` (bytes of `text`) begins, and below it an underline as far as `about` goes on that line.
/// `None` if the line may hold a secret.
pub(super) fn quote(text: &str, about: Range<usize>) -> Option<String> {
    let begin = text.get(..about.start)?.rfind('\n').map_or(0, |end| end + 1);
    let line = text[begin..].lines().next().unwrap_or_default();
    // Findings end up in logs.
    if may_be_secret(line) {
        return None;
    }
    let before = line.get(..about.start - begin).unwrap_or(line);
    let inside = line.get(before.len()..about.end.saturating_sub(begin).min(line.len())).unwrap_or_default();
    let number = line_of(text, about.start).to_string();
    let margin = " ".repeat(number.len());
    let (indent, width) = (before.chars().count(), inside.trim_end().chars().count().max(1));
    if indent >= WIDEST {
        return None;
    }
    let shown: String = line.chars().take(WIDEST).map(printable).collect();
    let underline = "^".repeat(width.min(WIDEST - indent));
    Some(format!("  {number} | {}\n  {margin} | {}{underline}", shown.trim_end(), " ".repeat(indent)))
}

/// One column each, and nothing that a terminal would obey.
fn printable(letter: char) -> char {
    match letter {
        '\t' => ' ',
        letter if letter.is_control() => '\u{fffd}',
        letter => letter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_underline_is_below_what_the_finding_is_about() {
        let text = "a = 1\n\tbé = [1,\n2]\r\n";
        assert_eq!(quote(text, 0..1).unwrap(), "  1 | a = 1\n    | ^");
        assert_eq!(quote(text, 7..20).unwrap(), "  2 |  bé = [1,\n    |  ^^^^^^^^");
        assert_eq!(quote(text, 17..18).unwrap(), "  3 | 2]\n    | ^");
        // Where something is missing at the end, nothing could be underlined but the end.
        assert_eq!(quote("a = ", 4..4).unwrap(), "  1 | a =\n    |     ^");
        assert_eq!(quote("", 0..0).unwrap(), "  1 | \n    | ^");
        assert_eq!(quote("a", 5..9), None);
    }

    #[test]
    fn lines_that_may_hold_a_secret_are_not_shown() {
        assert_eq!(quote("x = 1\nAuthorization = \"s3", 6..7), None);
        assert!(quote("x = 1\nAuthorization = \"s3", 0..1).is_some());
    }

    #[test]
    fn whatever_a_line_holds_it_stays_one_short_line() {
        let long = format!("a = \"{}\"", "\u{1b}x".repeat(1000));
        let shown = quote(&long, 0..long.len()).unwrap();
        assert_eq!(shown.lines().count(), 2);
        assert!(shown.lines().all(|line| line.chars().count() < 180) && !shown.contains('\u{1b}'));
        assert_eq!(quote(&long, long.len()..long.len()), None);
    }
}
