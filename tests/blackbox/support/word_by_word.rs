//! What the binary says, kept word by word in files beside what it is said about.
//!
//! `RAFTGATE_BLESS=1` writes the files anew.

use std::fs;
use std::path::{Path, PathBuf};

/// A folder of `tests/blackbox`.
pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/blackbox").join(name)
}

/// The files of a folder with this extension, sorted.
pub(crate) fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        all.filter(|path| path.extension().is_some_and(|it| it == extension)).collect();
    files.sort();
    files
}

pub(crate) fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// What was said in other words than are kept.
#[derive(Default)]
pub(crate) struct Changes(Vec<String>);

impl Changes {
    /// Compares what is said with the file that keeps it; nothing said has no file. Writes it down if that is wanted.
    pub(crate) fn compare(&mut self, kept: &Path, said: Option<&str>) {
        if fs::read_to_string(kept).ok().as_deref() == said {
            return;
        }
        let bless = std::env::var_os("RAFTGATE_BLESS").is_some_and(|value| value == "1");
        match said {
            Some(text) if bless => fs::write(kept, text).unwrap(),
            None if bless => fs::remove_file(kept).unwrap(),
            _ => self.0.push(format!("--- {}\n{}", name(kept), said.unwrap_or("(no such file)"))),
        }
    }

    pub(crate) fn assert_none(&self) {
        assert!(
            self.0.is_empty(),
            "other words than in the files; if they are right, RAFTGATE_BLESS=1 writes them down:\n{}",
            self.0.join("\n")
        );
    }
}
