//! What the readers of a gate's answers hold for any bytes: whatever comes, no terminal is steered by it.

use super::told::Status;
use super::view::render;
use super::watch::Reporter;
use crate::cli::sessions::shown;
use crate::cli::socket::words_of;

/// An answer of a gate: its status, its list of sessions, or why it refuses.
pub fn gate_answer(bytes: &[u8]) {
    harmless(&words_of(bytes), |letter| letter == '\n');
    if let Some(list) = shown(bytes) {
        harmless(&list, |letter| letter == '\n');
    }
    let Ok(status) = serde_json::from_slice::<Status>(bytes) else { return };
    let plain = render(&status, false);
    harmless(&plain, |letter| letter == '\n');
    let coloured = render(&status, true);
    harmless(&coloured, |letter| letter == '\n' || letter == '\x1b');
    let mut reporter =
        Reporter::after(&Status { clusters: std::collections::BTreeMap::new(), ..status.clone() });
    let news = reporter.news(Ok(status.clone()));
    harmless(&news, |letter| letter == '\n');
    assert_eq!(reporter.news(Ok(status)), "", "told twice");
}

fn harmless(text: &str, is_ours: impl Fn(char) -> bool) {
    let foreign = text.chars().find(|letter| letter.is_control() && !is_ours(*letter));
    assert_eq!(foreign, None, "{text:?}");
}
