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

/// So many at least: a test that finds no files proves nothing.
const FEWEST: usize = 40;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/blackbox/invalid")
}

/// The files of the folder with this extension, sorted.
fn files(extension: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        all.filter(|path| path.extension().is_some_and(|it| it == extension)).collect();
    files.sort();
    files
}

/// What is said about a file, under its short name.
fn said_about(path: &Path) -> String {
    let name = path.file_name().unwrap().to_str().unwrap();
    match load_text(name, &fs::read_to_string(path).unwrap()) {
        Err(error @ ConfigError::Invalid(_)) => format!("{error}\n"),
        Err(error) => panic!("{name}: {error}"),
        Ok(_) => panic!("{name} is valid"),
    }
}

#[test]
fn o1_every_mistake_is_told_in_these_words() {
    let bless = std::env::var_os("RAFTGATE_BLESS").is_some_and(|value| value == "1");
    let files = files("toml");
    assert!(files.len() >= FEWEST, "only {} files in {}", files.len(), folder().display());
    let mut changed = Vec::new();
    for path in &files {
        let said = said_about(path);
        let expected = path.with_extension("txt");
        if fs::read_to_string(&expected).ok().as_ref() == Some(&said) {
            continue;
        }
        if bless {
            fs::write(&expected, &said).unwrap();
        } else {
            changed.push(format!("--- {}\n{said}", path.file_name().unwrap().display()));
        }
    }
    assert!(
        changed.is_empty(),
        "other words than in the .txt files; if they are right, RAFTGATE_BLESS=1 writes them down:\n{}",
        changed.join("\n")
    );
}

#[test]
fn every_expectation_has_its_file() {
    for expected in files("txt") {
        assert!(expected.with_extension("toml").is_file(), "{} is left over", expected.display());
    }
}

#[tokio::test]
async fn the_binary_says_the_same_on_standard_error() {
    let path = folder().join("unknown_key.toml");
    let output = within_deadline("raftgate check", raftgate().arg("check").arg("-c").arg(&path).output())
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert_eq!(output.stdout, b"");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.replace(path.to_str().unwrap(), "unknown_key.toml"), said_about(&path));
}
