//! The sections of a `haproxy.cfg`: which lines are whose, and which `defaults` stand before them.

use std::collections::BTreeMap;
use std::ops::Range;

use super::remarks::Remarks;
use super::tokens::{Variables, Word, words};

/// Every word that begins a section.
const SECTIONS: [&str; 16] = [
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "userlist",
    "peers",
    "mailers",
    "resolvers",
    "cache",
    "program",
    "ring",
    "http-errors",
    "fcgi-app",
    "log-forward",
    "crt-store",
];

/// One line with at least one word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The first word; after `no`, the one that follows.
    pub(super) keyword: Word,
    pub(super) arguments: Vec<Word>,
    /// Whether `no` stands before it.
    pub(super) negated: bool,
}

impl Line {
    fn new(words: Vec<Word>) -> Option<Self> {
        let mut words = words.into_iter();
        let first = words.next()?;
        let negated = first.is("no") || first.is("default");
        let keyword = if negated { words.next().unwrap_or(first) } else { first };
        Some(Line { keyword, arguments: words.collect(), negated })
    }

    pub(super) fn argument(&self, place: usize) -> &str {
        self.arguments.get(place).map_or("", |word| &word.text)
    }

    /// From the first word to the last.
    pub(super) fn span(&self) -> Range<usize> {
        self.keyword.span.start..self.arguments.last().map_or(self.keyword.span.end, |word| word.span.end)
    }

    /// From an argument to the last word.
    pub(super) fn span_from(&self, place: usize) -> Range<usize> {
        let start = self.arguments.get(place).map_or(self.keyword.span.start, |word| word.span.start);
        start..self.span().end
    }
}

/// A section: its first line, and those below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) head: Line,
    pub(super) lines: Vec<Line>,
    /// The `defaults` section that stands before it, by its place.
    pub(super) defaults: Option<usize>,
}

impl Section {
    pub(super) fn kind(&self) -> &str {
        &self.head.keyword.text
    }
}

/// Whether a text begins as a `haproxy.cfg` does.
pub(in crate::config) fn begins_with_section(text: &str) -> bool {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    first.and_then(|line| line.split_whitespace().next()).is_some_and(|word| SECTIONS.contains(&word))
}

/// Takes the whole text apart. Variables that the file sets itself win over those of the environment.
pub(super) fn sections(text: &str, environment: &Variables<'_>, remarks: &mut Remarks) -> Vec<Section> {
    let mut own = BTreeMap::new();
    let mut sections: Vec<Section> = Vec::new();
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let variables = |name: &str| variable(name, environment, &own);
        let read = words(line, offset, &variables);
        offset += line.len();
        let line = match read {
            Ok(words) => Line::new(words),
            Err(error) => remarks.refused(&error.span, "the line", error.why),
        };
        let Some(line) = line else { continue };
        if is_variable(&line, environment, &mut own) {
            continue;
        }
        add(line, &mut sections, remarks);
    }
    link_defaults(&mut sections, remarks);
    sections
}

fn add(line: Line, sections: &mut Vec<Section>, remarks: &mut Remarks) {
    let keyword = &line.keyword;
    if SECTIONS.contains(&keyword.text.as_str()) && !line.negated {
        sections.push(Section { head: line, lines: Vec::new(), defaults: None });
    } else if keyword.text.starts_with('.') {
        let why =
            "Raftgate does not read conditional blocks and messages; keep the lines that apply, without it";
        remarks.refuse(&keyword.span, &keyword.text, why);
    } else if let Some(section) = sections.last_mut() {
        section.lines.push(line);
    } else {
        let why = "it stands before any section; begin with global, defaults, frontend, backend or listen";
        remarks.refuse(&keyword.span, &keyword.text, why);
    }
}

/// Whether a line does no more than set a variable, which then is done.
fn is_variable(line: &Line, environment: &Variables<'_>, own: &mut BTreeMap<String, Option<String>>) -> bool {
    let (name, value) = (line.argument(0).to_owned(), line.argument(1).to_owned());
    match line.keyword.text.as_str() {
        "presetenv" if variable(&name, environment, own).is_some() => {}
        "setenv" | "presetenv" => {
            own.insert(name, Some(value));
        }
        "unsetenv" => own.extend(line.arguments.iter().map(|name| (name.text.clone(), None))),
        _ => return false,
    }
    true
}

/// A variable as the file has left it so far.
fn variable(
    name: &str,
    environment: &Variables<'_>,
    own: &BTreeMap<String, Option<String>>,
) -> Option<String> {
    own.get(name).cloned().unwrap_or_else(|| environment(name))
}

/// A section takes the `defaults` that it names with `from`, else the last one above it.
fn link_defaults(sections: &mut [Section], remarks: &mut Remarks) {
    let mut last = None;
    for place in 0..sections.len() {
        let (before, here) = sections.split_at_mut(place);
        let Some(section) = here.first_mut() else { continue };
        let is_defaults = section.kind() == "defaults";
        let from = section.head.arguments.iter().position(|word| word.is("from"));
        section.defaults = match from {
            Some(from) => named(before, section, from + 1, remarks),
            None if is_defaults => None,
            None => last,
        };
        if is_defaults {
            last = Some(place);
        }
    }
}

fn named(before: &[Section], section: &Section, place: usize, remarks: &mut Remarks) -> Option<usize> {
    let name = section.head.argument(place);
    let found = before.iter().rposition(|earlier| {
        earlier.kind() == "defaults" && earlier.head.argument(0) == name && !name.is_empty() && name != "from"
    });
    found.or_else(|| {
        let why = format!("there is no section `defaults {name}` above it; name one that is there");
        remarks.refused(&section.head.span_from(place), "from", why)
    })
}

/// What a section is made of: the `defaults` that it takes, the farthest first, and itself.
pub(super) fn layers_of(sections: &[Section], place: usize) -> Vec<&Section> {
    let mut layers = Vec::new();
    let mut next = Some(place);
    // Each stands above the one before, so this ends.
    while let Some(section) = next.and_then(|place| sections.get(place)) {
        layers.push(section);
        next = section.defaults;
    }
    layers.reverse();
    layers
}
