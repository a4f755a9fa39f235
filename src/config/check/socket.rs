//! Checks where the gate is controlled.

use std::path::{Path, PathBuf};

use crate::config::DEFAULT_SOCKET;
use crate::config::findings::At;

/// What a socket's address has room for on every system (`sun_path`), in bytes.
const LONGEST_PATH: usize = 103;

/// Off is `Some(None)`.
#[expect(clippy::option_option, reason = "whether it was right, and whether it is on")]
pub(in crate::config) fn check(path: Option<&str>, at: &At<'_>) -> Option<Option<PathBuf>> {
    let path = match path {
        None => DEFAULT_SOCKET,
        Some("") => return Some(None),
        Some(path) => path,
    };
    if !Path::new(path).is_absolute() {
        return at.reject(format!(
            "found {path:?}, expected a path that begins with \"/\", such as {DEFAULT_SOCKET:?}, or \"\" for none"
        ));
    }
    if path.len() > LONGEST_PATH || path.contains('\0') {
        return at.reject(format!(
            "found a path of {} bytes, expected one of {LONGEST_PATH} at most, without a zero byte; choose another",
            path.len()
        ));
    }
    Some(Some(path.into()))
}
