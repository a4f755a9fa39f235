//! What is said about a wrong configuration, word by word.
//!
//! Each `invalid/NAME.toml` has one mistake or one family of them; `invalid/NAME.txt` is what `raftgate check` then
//! says. Read the messages as somebody who has to mend the file: where is it, what was found, what is expected?
//! After a change on purpose, `RAFTGATE_BLESS=1 cargo test --test blackbox invalid` writes them anew; read the diff.

use std::fs;
use std::path::{Path, PathBuf};

use raftgate::config::{ConfigError, load_text};

use crate::support::gate::raftgate;
use crate::support::wait::within_deadline;
use crate::support::word_by_word::{self, Changes, folder, name};

/// So many at least: a test that finds no files proves nothing.
const FEWEST: usize = 40;

/// The files of the folder with this extension, sorted.
fn files(extension: &str) -> Vec<PathBuf> {
    word_by_word::files(&folder("invalid"), extension)
}

/// What is said about a file, under its short name.
fn said_about(path: &Path) -> String {
    let name = name(path);
    match load_text(name, &fs::read_to_string(path).unwrap()) {
        Err(error @ ConfigError::Invalid(_)) => format!("{error}\n"),
        Err(error) => panic!("{name}: {error}"),
        Ok(_) => panic!("{name} is valid"),
    }
}

#[test]
fn o1_every_mistake_is_told_in_these_words() {
    let files = files("toml");
    assert!(files.len() >= FEWEST, "only {} files", files.len());
    let mut changes = Changes::default();
    for path in &files {
        changes.compare(&path.with_extension("txt"), Some(&said_about(path)));
    }
    changes.assert_none();
}

#[test]
fn every_expectation_has_its_file() {
    for expected in files("txt") {
        assert!(expected.with_extension("toml").is_file(), "{} is left over", expected.display());
    }
}

#[tokio::test]
async fn the_binary_says_the_same_on_standard_error() {
    let path = folder("invalid").join("unknown_key.toml");
    let output = within_deadline("raftgate check", raftgate().arg("check").arg("-c").arg(&path).output())
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert_eq!(output.stdout, b"");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.replace(path.to_str().unwrap(), "unknown_key.toml"), said_about(&path));
}
