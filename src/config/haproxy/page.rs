//! The TOML that a `haproxy.cfg` amounts to, and where each of its keys comes from.

use std::fmt::Write as _;
use std::ops::Range;

use toml_edit::{Key, Value};

use crate::config::findings::KeyPath;

/// Keys in the order in which they are written.
#[derive(Debug, Default)]
pub(super) struct Page(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    keys: Vec<String>,
    value: Value,
    span: Range<usize>,
}

impl Page {
    pub(super) fn set(&mut self, keys: &[&str], value: impl Into<Value>, span: &Range<usize>) {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        self.0.push(Entry { keys, value: value.into(), span: span.clone() });
    }

    /// Where each key was written.
    pub(super) fn spans(&self) -> Vec<(KeyPath, Range<usize>)> {
        self.0.iter().map(|entry| (KeyPath(entry.keys.clone()), entry.span.clone())).collect()
    }

    /// What belongs to the whole program (its keys are short) first, then a table for each listener and cluster.
    pub(super) fn toml(&self) -> String {
        let mut text = String::new();
        let mut open: Option<&[String]> = None;
        let (tables, top): (Vec<&Entry>, Vec<&Entry>) = self.0.iter().partition(|entry| entry.keys.len() > 2);
        for entry in top.into_iter().chain(tables) {
            let (table, keys) = entry.keys.split_at(if entry.keys.len() > 2 { 2 } else { 0 });
            if !table.is_empty() && open != Some(table) {
                let gap = if text.is_empty() { "" } else { "\n" };
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{gap}[{}]", dotted(table));
                open = Some(table);
            }
            let _ = writeln!(text, "{} = {}", dotted(keys), entry.value.to_string().trim());
        }
        text
    }
}

fn dotted(keys: &[String]) -> String {
    keys.iter().map(|key| Key::new(key).to_string()).collect::<Vec<_>>().join(".")
}
