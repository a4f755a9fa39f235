//! From layers to what users write; what does not fit is reported, taken out, and the rest read again, so that every
//! misspelled or mistyped key is told at once.

use std::cell::RefCell;

use figment::Error;
use figment::error::{Actual, Kind};
use figment::value::Value;
use serde::Deserialize;

use super::findings::{Finding, Findings, KeyPath};
use super::nearest::nearest;
use super::origins::Origins;
use super::raw::Raw;

/// Reads all that fits; the findings tell what does not.
pub(super) fn extract(origins: &Origins<'_>, findings: &RefCell<Findings>) -> Raw {
    let mut values = origins.merged().clone();
    loop {
        let error = match Raw::deserialize(&values) {
            Ok(raw) => return raw,
            Err(error) => error,
        };
        let key = KeyPath(error.path.clone());
        if !take_text_instead(&mut values, origins, &error, &key) {
            report(origins, &error, &key, &mut findings.borrow_mut());
            if !remove(&mut values, &key.0) {
                return Raw::default();
            }
        }
    }
}

/// A variable's text is guessed to be a number or a list where it looks like one; where a string is expected, it was
/// none. Returns whether the guess has been corrected.
fn take_text_instead(values: &mut Value, origins: &Origins<'_>, error: &Error, key: &KeyPath) -> bool {
    let Kind::InvalidType(actual, expected) = &error.kind else { return false };
    let (Some(setting), Some(value)) = (origins.variable(key), find_mut(values, &key.0)) else {
        return false;
    };
    let corrects = expected == "a string" && !matches!(actual, Actual::Str(_));
    if corrects {
        *value = Value::from(setting.text.clone());
    }
    corrects
}

fn report(origins: &Origins<'_>, error: &Error, key: &KeyPath, findings: &mut Findings) {
    let finding = |message| Finding { key: key.clone(), message };
    match (&error.kind, origins.variable(key)) {
        // A Kubernetes service named raftgate injects RAFTGATE_PORT and the like.
        (Kind::UnknownField(..), Some(_)) => {
            findings.warnings.push(finding("ignored: there is no such key".to_owned()));
        }
        (Kind::UnknownField(name, known), None) => findings.errors.push(finding(unknown_key(name, known))),
        // What was found may be a secret.
        (_, None) if key.0.iter().rev().skip(1).any(|key| key == "headers") => {
            findings.errors.push(finding("is not a text in quotes".to_owned()));
        }
        (kind, _) => findings.errors.push(finding(in_words(kind))),
    }
}

fn unknown_key(name: &str, known: &[&'static str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("there is no such key; did you mean `{near}`?"),
        None => format!("there is no such key; known here: {}", known.join(", ")),
    }
}

fn in_words(kind: &Kind) -> String {
    match kind {
        Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
            format!("found {}, expected {}", found(actual), expectation(expected))
        }
        other => other.to_string(),
    }
}

fn found(actual: &Actual) -> String {
    match actual {
        Actual::Bool(value) => value.to_string(),
        Actual::Unsigned(value) => value.to_string(),
        Actual::Signed(value) => value.to_string(),
        Actual::Float(value) => value.to_string(),
        Actual::Str(text) => format!("{text:?}"),
        Actual::Seq => "a list".to_owned(),
        Actual::Map => "a table".to_owned(),
        other => other.to_string(),
    }
}

/// What serde calls a type, in the words of who wrote the file.
fn expectation(expected: &str) -> &str {
    match expected {
        "usize" | "u32" | "u16" => "a whole number, not negative",
        "i32" => "a whole number",
        "a string" => "a text in quotes",
        "a boolean" => "true or false",
        "a map" => "a table",
        "a sequence" => "a list",
        other if other.starts_with("struct ") => "a table",
        other => other,
    }
}

fn find_mut<'v>(value: &'v mut Value, keys: &[String]) -> Option<&'v mut Value> {
    keys.iter().try_fold(value, |value, key| match value {
        Value::Dict(_, table) => table.get_mut(key),
        Value::Array(_, list) => list.get_mut(key.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Takes a value out. Of a list, all of it: the places of the other elements must not change.
fn remove(values: &mut Value, keys: &[String]) -> bool {
    let Some((last, tables)) = keys.split_last() else { return false };
    match find_mut(values, tables) {
        Some(Value::Dict(_, table)) => table.remove(last).is_some(),
        Some(Value::Array(..)) => remove(values, tables),
        _ => false,
    }
}
