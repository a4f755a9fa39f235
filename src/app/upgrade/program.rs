//! Which binary an upgrade starts: whatever lies then where this process's own lay when it was started. It is found at
//! the start, for afterwards nobody can tell: once a package has replaced the file, the process's own is one that is deleted.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A program with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::app) struct Program {
    /// An absolute path, unless there is none.
    pub(super) path: PathBuf,
    pub(super) arguments: Vec<OsString>,
}

impl Program {
    /// This process's own.
    pub(in crate::app) fn own() -> Self {
        let mut words = env::args_os();
        let called = words.next().unwrap_or_default();
        let folder = env::current_dir().unwrap_or_default();
        let own = env::current_exe().ok();
        let path = find(&called, env::var_os("PATH").as_deref(), &folder, own.as_deref());
        Program { path, arguments: words.collect() }
    }
}

/// Where a program lies that was called so. A link is not followed, since it may be made to point elsewhere; but what it is
/// called need not be where it lies, and then `own`, where the system says that it lies, counts.
fn find(called: &OsStr, search: Option<&OsStr>, folder: &Path, own: Option<&Path>) -> PathBuf {
    let called = Path::new(called);
    let candidates: Vec<PathBuf> = if called.components().count() > 1 {
        vec![folder.join(called)]
    } else {
        let folders = search.map(env::split_paths).into_iter().flatten();
        folders.map(|path| folder.join(path).join(called)).collect()
    };
    let is_own = |path: &PathBuf| own.is_none_or(|own| is_same_file(path, own));
    let found = candidates.into_iter().find(|path| path.is_file() && is_own(path));
    found.or_else(|| own.map(Path::to_owned)).unwrap_or_else(|| folder.join(called))
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn o3_the_path_is_the_one_that_it_was_called_by() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for name in ["one", "other"] {
            fs::create_dir(folder.join(name)).unwrap();
            fs::write(folder.join(name).join("gate"), name).unwrap();
        }
        let own = folder.join("one/gate");
        symlink(&own, folder.join("current")).unwrap();
        let search = env::join_paths([folder.join("other"), folder.join("one")]).unwrap();
        for (called, expected) in [
            ("one/gate", "one/gate"),
            ("./one/gate", "one/gate"),
            ("./current", "current"),
            // Found by the search path, but only where it is this program.
            ("gate", "one/gate"),
            // Called by any name at all: `exec -a`.
            ("-gate", "one/gate"),
            ("other/gate", "one/gate"),
            ("", "one/gate"),
        ] {
            let found = find(OsStr::new(called), Some(&search), folder, Some(&own));
            assert_eq!(found, folder.join(expected), "{called}");
        }
        let unknown = find(OsStr::new("./one/gate"), None, folder, None);
        assert_eq!(unknown, folder.join("one/gate"), "where the system does not say");
    }
}
