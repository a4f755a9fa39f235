//! Finds the control socket in a configuration that may be wrong elsewhere.
//!
//! A reload that was refused leaves a wrong file behind, and just then an operator wants `raftgate status`. The commands
//! that control a gate need nothing of its file but `admin.socket`, so only what is said about `admin` has to be right.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml_edit::ImDocument;

use super::check::admin_socket;
use super::findings::{At, Findings};
use super::{ConfigError, Flags, Sources, import, load, raw, read};

#[cfg(test)]
mod tests;

/// The part of a configuration that matters here; all else may be as it likes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Excerpt {
    admin: raw::Admin,
}

/// The control socket of the gate that this file configures; `None` if it has none. A `haproxy.cfg` cannot name one, so
/// its gate has the default.
///
/// # Errors
///
/// The file cannot be read, or what it says about `admin` is wrong; then all mistakes of the file are told.
pub fn socket_path(file: &Path) -> Result<Option<PathBuf>, ConfigError> {
    let text = read(file)?;
    path_in(&file.display().to_string(), &String::from_utf8_lossy(&text)).or_else(|Wrong| {
        let sources = Sources { file: Some(file.to_owned()), flags: Flags::default() };
        Ok(load(&sources)?.config.admin_socket)
    })
}

/// What a text says about `admin` is wrong.
#[derive(Debug, PartialEq)]
struct Wrong;

/// The path in this text; `None` if the socket is off.
fn path_in(name: &str, text: &str) -> Result<Option<PathBuf>, Wrong> {
    let excerpt = if import::is_haproxy(name, text) {
        Excerpt::default()
    } else if ImDocument::parse(text).is_ok() {
        toml_edit::de::from_str(text).map_err(|_| Wrong)?
    } else {
        toml_edit::de::from_str(&lines_about_admin(text)).map_err(|_| Wrong)?
    };
    let findings = RefCell::new(Findings::default());
    admin_socket(excerpt.admin.socket.as_deref(), &At::root(&findings).key("admin").key("socket"))
        .ok_or(Wrong)
}

/// What a text that is not TOML says about `admin`, a line at a time.
fn lines_about_admin(text: &str) -> String {
    let mut excerpt = String::new();
    let (mut at_top, mut in_admin) = (true, false);
    for line in text.lines() {
        let words = line.trim_start();
        if let Some(table) = words.strip_prefix('[') {
            (at_top, in_admin) = (false, begins_with_admin(table));
        }
        if in_admin || at_top && begins_with_admin(words) {
            excerpt.push_str(line);
            excerpt.push('\n');
        }
    }
    excerpt
}

/// Whether a key or a table's name begins with `admin`, in quotes or without.
fn begins_with_admin(text: &str) -> bool {
    let name = text.trim_start().trim_start_matches(['"', '\'']);
    let rest = name.strip_prefix("admin").unwrap_or("x");
    !rest.starts_with(|letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-')
}
