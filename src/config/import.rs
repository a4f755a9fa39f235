//! What kind of file a configuration is, and the TOML that a `haproxy.cfg` amounts to.

use std::ops::Range;
use std::path::Path;

use toml_edit::ImDocument;

use super::findings::KeyPath;
use super::haproxy::{self, Remark, Translation, Variables};
use super::layers::{Layers, Original, Text};
use super::origins::line_of;
use super::quote::quote;
use super::{Config, ConfigError, Loaded, environment, read};

/// A `haproxy.cfg` that Raftgate can stand in for.
#[derive(Clone, Debug)]
pub struct Imported {
    /// What it amounts to.
    pub toml: String,
    /// The same, checked.
    pub config: Config,
    /// What is not the same, and what is left out without harm; one line each.
    pub remarks: Vec<String>,
    /// What is allowed in the TOML, but probably not meant; one line each.
    pub warnings: Vec<String>,
}

/// Reads a `haproxy.cfg`, with the process's environment where it names variables.
///
/// # Errors
///
/// The file cannot be read, or something in it cannot be taken over; then all of that is told at once.
pub fn import(file: &Path) -> Result<Imported, ConfigError> {
    let text = haproxy_text(&read(file)?);
    let environment = environment();
    import_text(&file.display().to_string(), &text, &|name| value_of(&environment, name))
}

/// The same with a text and the variables that it may name; no look at the files that it names.
///
/// # Errors
///
/// Something in the text cannot be taken over; then all of that is told at once, with `name` as the file's.
pub fn import_text(
    name: &str,
    text: &str,
    variables: &dyn Fn(&str) -> Option<String>,
) -> Result<Imported, ConfigError> {
    let file = translated(name, text.to_owned(), variables)?;
    let toml = file.toml.clone();
    let remarks = file.original.as_ref().map_or_else(Vec::new, |original| original.remarks.clone());
    let Loaded { config, mut warnings } = Layers { file: Some(file), ..Layers::default() }.assemble()?;
    // They begin with the remarks.
    warnings.drain(..remarks.len().min(warnings.len()));
    Ok(Imported { toml, config, remarks, warnings })
}

/// Whether a file is a `haproxy.cfg`: by its name or, since nothing else begins so, by its first word.
pub(super) fn is_haproxy(name: &str, text: &str) -> bool {
    let is_named_so = Path::new(name).extension().is_some_and(|extension| extension == "cfg");
    is_named_so || haproxy::begins_with_section(text) && ImDocument::parse(text).is_err()
}

/// A file of either kind.
pub(super) fn text(
    name: &str,
    bytes: Vec<u8>,
    environment: &[(String, String)],
) -> Result<Text, ConfigError> {
    let text = haproxy_text(&bytes);
    if is_haproxy(name, &text) {
        translated(name, text, &|name| value_of(environment, name))
    } else {
        toml_bytes(name, bytes)
    }
}

/// HAProxy takes any bytes. What is not UTF-8 does no harm in a comment, and in a value the replacement is found.
fn haproxy_text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A file that is TOML, which is UTF-8 by definition.
pub(super) fn toml_bytes(name: &str, bytes: Vec<u8>) -> Result<Text, ConfigError> {
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(valid).filter(|byte| **byte == b'\n').count() + 1;
        let told = "there are bytes that are not UTF-8, as TOML has to be; write the line in UTF-8";
        ConfigError::Invalid(vec![format!("{name}:{line}: {told}")])
    })?;
    Ok(toml(name, &text))
}

/// A file that is TOML.
pub(super) fn toml(name: &str, toml: &str) -> Text {
    Text { name: name.to_owned(), toml: toml.to_owned(), original: None }
}

fn value_of(environment: &[(String, String)], name: &str) -> Option<String> {
    environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

fn translated(name: &str, text: String, variables: &Variables<'_>) -> Result<Text, ConfigError> {
    let Translation { toml, spans, remarks } = haproxy::translate(&text, variables);
    let tell = |remark: &Remark| format!("{name}:{}: {remark}", line_of(&text, remark.span.start));
    let show = |remark: &Remark| match quote(&text, remark.span.clone()) {
        Some(quote) => format!("{}\n{quote}", tell(remark)),
        None => tell(remark),
    };
    let refused: Vec<&Remark> = remarks.iter().filter(|remark| remark.is_refusal()).collect();
    if !refused.is_empty() {
        let mut told: Vec<String> = refused.iter().copied().map(show).collect();
        let is_told = |span: &Range<usize>| {
            refused.iter().any(|remark| remark.span.start < span.end && span.start < remark.span.end)
        };
        told.extend(mistakes_in_values(name, &text, toml, spans, is_told));
        return Err(ConfigError::Invalid(told));
    }
    let remarks = remarks.iter().map(tell).collect();
    Ok(Text { name: name.to_owned(), toml, original: Some(Original { text, spans, remarks }) })
}

/// The mistakes in the values of a file of which parts are refused: all mistakes are told at once (O1). What is
/// missing, or leads to what is missing, follows from the refusals.
fn mistakes_in_values(
    name: &str,
    text: &str,
    toml: String,
    spans: Vec<(KeyPath, Range<usize>)>,
    is_told: impl Fn(&Range<usize>) -> bool,
) -> Vec<String> {
    let written = spans.clone();
    let is_new = |key: &KeyPath| {
        let mut of_key = written.iter().filter(|(written, _)| key.0.starts_with(&written.0)).peekable();
        let leads_on = key.0.last().is_some_and(|last| last == "cluster");
        of_key.peek().is_some() && !leads_on && !of_key.any(|(_, span)| is_told(span))
    };
    let original = Original { text: text.to_owned(), spans, remarks: Vec::new() };
    let file = Text { name: name.to_owned(), toml, original: Some(original) };
    Layers { file: Some(file), ..Layers::default() }.mistakes(is_new)
}
