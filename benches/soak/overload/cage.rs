//! A bound on a process's memory, its kernel buffers included: a control group of its own, where this machine has them.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Pid;

/// Where control groups are, by version: the files that hold a bound, and how many times it was met.
const PLACES: [(&str, &str); 2] =
    [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];

/// A control group; it goes when this is dropped, provided that nobody is in it any more.
pub(super) struct Cage(PathBuf);

impl Cage {
    /// Puts a process into a group that may have so many bytes, or tells why it cannot be.
    pub(super) fn around(process: Pid, bytes: u64) -> Result<Self, String> {
        let mut objections = Vec::new();
        for (place, bound) in PLACES {
            let folder = Path::new(place).join(format!("raftgate-soak-{}", process.as_raw_nonzero()));
            match lock_in(&folder, bound, process, bytes) {
                Ok(()) => return Ok(Cage(folder)),
                Err(error) => objections.push(format!("{}: {error}", folder.display())),
            }
            drop(fs::remove_dir(&folder));
        }
        Err(objections.join("; "))
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        // A moment after its last process has ended; else it stays, empty.
        for _ in 0..50 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

fn lock_in(folder: &Path, bound: &str, process: Pid, bytes: u64) -> std::io::Result<()> {
    fs::create_dir(folder)?;
    fs::write(folder.join(bound), bytes.to_string())?;
    fs::write(folder.join("cgroup.procs"), process.as_raw_nonzero().to_string())
}
