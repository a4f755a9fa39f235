//! Where each key was written, so that a finding can say so: a line of the file, a variable, or a flag.

use std::fmt;
use std::ops::Range;

use figment::Figment;
use figment::value::{Tag, Value};
use toml_edit::{ImDocument, Item, TableLike};

use super::findings::{Finding, KeyPath};
use super::layers::{Layer, Original, Setting, Text};
use super::quote::quote;

/// The merged values, and what is known of their origins.
pub(super) struct Origins<'a> {
    figment: Figment,
    merged: Value,
    file: Option<(&'a Text, &'a ImDocument<&'a str>)>,
    environment: &'a [Setting],
    flags: &'a [Setting],
}

/// Where something was written. Sorted as it is read: the file from top to bottom, then the rest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Line(String, Spot),
    File(String),
    Variable(String),
    Flag(String),
    Unknown,
}

/// A part of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Spot {
    line: usize,
    /// In bytes.
    start: usize,
    end: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line(file, spot) => write!(f, "{file}:{}: ", spot.line),
            Place::File(file) => write!(f, "{file}: "),
            Place::Variable(name) => write!(f, "environment variable {name}: "),
            Place::Flag(name) => write!(f, "{name}: "),
            Place::Unknown => Ok(()),
        }
    }
}

impl<'a> Origins<'a> {
    pub(super) fn new(
        figment: Figment,
        file: Option<(&'a Text, &'a ImDocument<&'a str>)>,
        environment: &'a [Setting],
        flags: &'a [Setting],
    ) -> Self {
        let merged =
            figment.find_value("").unwrap_or_else(|_| Value::Dict(Tag::Default, figment::value::Dict::new()));
        Origins { figment, merged, file, environment, flags }
    }

    /// All layers, laid over one another.
    pub(super) fn merged(&self) -> &Value {
        &self.merged
    }

    /// The variable that set exactly this key, if a variable did.
    pub(super) fn variable(&self, key: &KeyPath) -> Option<&Setting> {
        let value = follow(&self.merged, &key.0)?;
        (Layer::of(&self.figment, value) == Some(Layer::Environment))
            .then(|| self.environment.iter().rfind(|setting| setting.key == *key))?
    }

    /// One line for each finding, in the order of the file.
    pub(super) fn tell(&self, findings: Vec<Finding>) -> Vec<String> {
        self.placed(findings).iter().map(|(place, finding)| in_a_line(place, finding)).collect()
    }

    /// The same, with the line of the file below each that is about one.
    pub(super) fn show(&self, findings: Vec<Finding>) -> Vec<String> {
        let show = |(place, finding): &(Place, Finding)| {
            let line = in_a_line(place, finding);
            self.quote(place, &finding.key).map_or(line.clone(), |quote| format!("{line}\n{quote}"))
        };
        self.placed(findings).iter().map(show).collect()
    }

    fn placed(&self, findings: Vec<Finding>) -> Vec<(Place, Finding)> {
        let mut placed: Vec<(Place, Finding)> =
            findings.into_iter().map(|finding| (self.place(&finding.key), finding)).collect();
        placed.sort_by(|one, other| one.0.cmp(&other.0));
        placed
    }

    fn quote(&self, place: &Place, key: &KeyPath) -> Option<String> {
        let (Place::Line(_, spot), Some((text, _))) = (place, self.file) else { return None };
        // Any header may carry a secret, whatever its name.
        let in_headers = key.0.iter().any(|key| key == "headers");
        if in_headers { None } else { quote(text.written(), spot.start..spot.end) }
    }

    /// Where a key was written; for one that is missing, the table that it is missing in.
    fn place(&self, key: &KeyPath) -> Place {
        let written = (0..=key.0.len()).rev().find_map(|depth| {
            let keys = &key.0[..depth];
            follow(&self.merged, keys).map(|value| (keys, value))
        });
        let in_file = |keys| self.file.map(|(text, document)| place_in(text, document, keys));
        let Some((keys, value)) = written.filter(|(keys, _)| !keys.is_empty()) else {
            return self.file.map_or(Place::Unknown, |(text, _)| Place::File(text.name.clone()));
        };
        // A table may be of several layers: it is where the file says, else where its first key is set.
        if value.as_dict().is_some()
            && let Some(place @ Place::Line(..)) = in_file(keys)
        {
            return place;
        }
        let starts = |setting: &&Setting| setting.key.0.starts_with(keys) || keys.starts_with(&setting.key.0);
        match Layer::of(&self.figment, value) {
            Some(Layer::Environment) => {
                self.environment.iter().rfind(starts).map(|s| Place::Variable(s.name.clone()))
            }
            Some(Layer::Flags) => self.flags.iter().rfind(starts).map(|s| Place::Flag(s.name.clone())),
            Some(Layer::File) | None => in_file(keys),
        }
        .unwrap_or(Place::Unknown)
    }
}

fn in_a_line(place: &Place, Finding { key, message }: &Finding) -> String {
    match key.0.as_slice() {
        [] => format!("{place}{message}"),
        _ => format!("{place}{key}: {message}"),
    }
}

/// The value at the end of the keys.
fn follow<'v>(value: &'v Value, keys: &[String]) -> Option<&'v Value> {
    keys.iter().try_fold(value, |value, key| match value {
        Value::Dict(_, table) => table.get(key),
        Value::Array(_, list) => list.get(key.parse::<usize>().ok()?),
        _ => None,
    })
}

fn place_in(text: &Text, document: &ImDocument<&str>, keys: &[String]) -> Place {
    let file = text.name.clone();
    let span = match &text.original {
        Some(original) => span_before_translation(original, keys),
        None => span_of(document, keys),
    };
    match span {
        Some(Range { start, end }) => {
            Place::Line(file, Spot { line: line_of(text.written(), start), start, end })
        }
        None => Place::File(file),
    }
}

/// Where the key comes from that is nearest: itself, what contains it, or what it contains.
fn span_before_translation(original: &Original, keys: &[String]) -> Option<Range<usize>> {
    let alike =
        |written: &KeyPath| written.0.iter().zip(keys).take_while(|(one, other)| one == other).count();
    let near = original.spans.iter().filter(|(written, _)| alike(written) == keys.len().min(written.0.len()));
    // Of those alike, the first: `max_by_key` would take the last.
    near.rev().max_by_key(|(written, _)| alike(written)).map(|(_, span)| span.clone())
}

/// Where the last key with its value (or, in a list, the element; of a table, its name) stands, in bytes.
fn span_of(document: &ImDocument<&str>, keys: &[String]) -> Option<Range<usize>> {
    let mut here = Here::Table(document.as_table());
    let mut span = None;
    for key in keys {
        let (stands, next) = here.step(key)?;
        span = stands.or(span);
        here = next;
    }
    span
}

/// A cursor in the parsed file.
enum Here<'d> {
    Table(&'d dyn TableLike),
    List(&'d toml_edit::Array),
    Tables(&'d toml_edit::ArrayOfTables),
    Leaf,
}

impl<'d> Here<'d> {
    fn step(&self, key: &str) -> Option<(Option<Range<usize>>, Here<'d>)> {
        match self {
            Here::Table(table) => {
                let (spelled, item) = table.get_key_value(key)?;
                let value = item.as_value().and_then(toml_edit::Value::span);
                let span = match (spelled.span(), value) {
                    (Some(key), Some(value)) => Some(key.start..value.end.max(key.end)),
                    (key, value) => key.or(value).or_else(|| item.span()),
                };
                Some((span, Here::of(item)))
            }
            Here::List(list) => {
                let value = list.get(key.parse().ok()?)?;
                Some((value.span(), Here::of_value(value)))
            }
            Here::Tables(tables) => {
                let table = tables.get(key.parse().ok()?)?;
                Some((table.span(), Here::Table(table)))
            }
            Here::Leaf => None,
        }
    }

    fn of(item: &'d Item) -> Here<'d> {
        match item {
            Item::Table(table) => Here::Table(table),
            Item::ArrayOfTables(tables) => Here::Tables(tables),
            Item::Value(value) => Here::of_value(value),
            Item::None => Here::Leaf,
        }
    }

    fn of_value(value: &'d toml_edit::Value) -> Here<'d> {
        match value {
            toml_edit::Value::InlineTable(table) => Here::Table(table),
            toml_edit::Value::Array(list) => Here::List(list),
            _ => Here::Leaf,
        }
    }
}

/// The number, from 1, of the line that a byte is in.
pub(super) fn line_of(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|byte| *byte == b'\n').count() + 1
}
