//! Where each key was written, so that a finding can say so: a line of the file, a variable, or a flag.

use std::fmt;

use figment::Figment;
use figment::value::{Tag, Value};
use toml_edit::{ImDocument, Item, TableLike};

use super::findings::{Finding, KeyPath};
use super::layers::{Layer, Setting, Text};

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
    Line(String, usize),
    File(String),
    Variable(String),
    Flag(String),
    Unknown,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line(file, line) => write!(f, "{file}:{line}: "),
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
        let mut placed: Vec<(Place, Finding)> =
            findings.into_iter().map(|finding| (self.place(&finding.key), finding)).collect();
        placed.sort_by(|one, other| one.0.cmp(&other.0));
        placed
            .into_iter()
            .map(|(place, Finding { key, message })| match key.0.as_slice() {
                [] => format!("{place}{message}"),
                _ => format!("{place}{key}: {message}"),
            })
            .collect()
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

/// The value at the end of the keys.
fn follow<'v>(value: &'v Value, keys: &[String]) -> Option<&'v Value> {
    keys.iter().try_fold(value, |value, key| match value {
        Value::Dict(_, table) => table.get(key),
        Value::Array(_, list) => list.get(key.parse::<usize>().ok()?),
        _ => None,
    })
}

fn place_in(text: &Text, document: &ImDocument<&str>, keys: &[String]) -> Place {
    let line = span_of(document, keys).map(|start| line_of(&text.toml, start));
    line.map_or_else(|| Place::File(text.name.clone()), |line| Place::Line(text.name.clone(), line))
}

/// Where the last key (or, in a list, the element) begins, in bytes.
fn span_of(document: &ImDocument<&str>, keys: &[String]) -> Option<usize> {
    let mut here = Here::Table(document.as_table());
    let mut start = None;
    for key in keys {
        let (begins, next) = here.step(key)?;
        start = begins.or(start);
        here = next;
    }
    start
}

/// A cursor in the parsed file.
enum Here<'d> {
    Table(&'d dyn TableLike),
    List(&'d toml_edit::Array),
    Tables(&'d toml_edit::ArrayOfTables),
    Leaf,
}

impl<'d> Here<'d> {
    fn step(&self, key: &str) -> Option<(Option<usize>, Here<'d>)> {
        match self {
            Here::Table(table) => {
                let (spelled, item) = table.get_key_value(key)?;
                let span = spelled.span().or_else(|| item.span());
                Some((span.map(|span| span.start), Here::of(item)))
            }
            Here::List(list) => {
                let value = list.get(key.parse().ok()?)?;
                Some((value.span().map(|span| span.start), Here::of_value(value)))
            }
            Here::Tables(tables) => {
                let table = tables.get(key.parse().ok()?)?;
                Some((table.span().map(|span| span.start), Here::Table(table)))
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
