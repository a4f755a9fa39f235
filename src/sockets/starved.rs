//! For tests of what becomes of a process without descriptors: the limit is everybody's in a process, so each runs in one of
//! its own.

use std::env;
use std::fs::File;
use std::process::Command;

const MARK: &str = "RAFTGATE_TEST_WITHOUT_DESCRIPTORS";

/// Whether this is a process that may have few descriptors. If not, the test by this whole name has passed in one that is
/// when this returns.
pub fn is_starved(test: &str) -> bool {
    if env::var_os(MARK).is_some() {
        return true;
    }
    let mut starved = Command::new("sh");
    starved.args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""]);
    starved.arg(env::current_exe().unwrap()).args(["--exact", test]).env(MARK, "1");
    let output = starved.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    false
}

/// All descriptors that are left.
pub fn all_descriptors() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}
