//! What is wrong with a configuration, collected key by key so that all of it is told at once.

use std::cell::RefCell;
use std::fmt;

/// The place of a value: the keys that lead to it; a list's elements count from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyPath(pub(super) Vec<String>);

impl KeyPath {
    /// Whether one of the two contains the other.
    fn overlaps(&self, other: &KeyPath) -> bool {
        self.0.iter().zip(&other.0).all(|(mine, theirs)| mine == theirs)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, key) in self.0.iter().enumerate() {
            let dot = if place == 0 { "" } else { "." };
            write!(f, "{dot}{}", toml_edit::Key::new(key))?;
        }
        Ok(())
    }
}

/// One mistake, or one doubt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// Where.
    pub(super) key: KeyPath,
    /// What was found, what is expected, what to do.
    pub(super) message: String,
}

/// Everything found so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) errors: Vec<Finding>,
    pub(super) warnings: Vec<Finding>,
}

/// A place that is being checked, and where to say what is wrong with it.
#[derive(Clone, Debug)]
pub(super) struct At<'f> {
    key: KeyPath,
    findings: &'f RefCell<Findings>,
}

impl<'f> At<'f> {
    /// The whole configuration.
    pub(super) fn root(findings: &'f RefCell<Findings>) -> Self {
        At { key: KeyPath::default(), findings }
    }

    /// The value of a key of this table.
    pub(super) fn key(&self, key: &str) -> At<'f> {
        let mut path = self.key.clone();
        path.0.push(key.to_owned());
        At { key: path, findings: self.findings }
    }

    /// An element of this list.
    pub(super) fn element(&self, index: usize) -> At<'f> {
        self.key(&index.to_string())
    }

    /// Reports a mistake; the `None` stands for the value that there is not.
    ///
    /// A place that overlaps an earlier mistake stays quiet: its complaint would only be a consequence.
    pub(super) fn reject<T>(&self, message: impl Into<String>) -> Option<T> {
        let mut findings = self.findings.borrow_mut();
        if !findings.errors.iter().any(|earlier| earlier.key.overlaps(&self.key)) {
            findings.errors.push(Finding { key: self.key.clone(), message: message.into() });
        }
        None
    }

    /// Reports something allowed, but probably not meant.
    pub(super) fn warn(&self, message: impl Into<String>) {
        let finding = Finding { key: self.key.clone(), message: message.into() };
        self.findings.borrow_mut().warnings.push(finding);
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.key.fmt(f)
    }
}

/// All or nothing, but only after every element has been looked at: each may have a mistake to tell.
pub(super) fn all<T>(checked: impl IntoIterator<Item = Option<T>>) -> Option<Vec<T>> {
    let checked: Vec<Option<T>> = checked.into_iter().collect();
    checked.into_iter().collect()
}
