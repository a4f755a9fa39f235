//! The descriptors of another process: those that it has, and how many it may have. Linux alone tells and lets.

use std::collections::BTreeSet;
use std::io;

use rustix::process::Pid;

/// The numbers of all that it has.
pub(crate) fn open(process: Pid) -> io::Result<BTreeSet<u64>> {
    let folder = std::fs::read_dir(format!("/proc/{}/fd", process.as_raw_nonzero()))?;
    let number = |entry: io::Result<std::fs::DirEntry>| {
        let name = entry?.file_name();
        name.to_string_lossy().parse().map_err(io::Error::other)
    };
    folder.map(number).collect()
}

/// Lets it have only so many more than it has now.
pub(crate) fn leave(process: Pid, free: u32) -> io::Result<()> {
    let open = open(process)?;
    // The limit is on the number that a new one gets, which is the lowest that is free.
    let last = (0..).filter(|number| !open.contains(number)).nth(free as usize).expect("numbers go on");
    limit(process, last)
}

#[cfg(target_os = "linux")]
fn limit(process: Pid, most: u64) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, prlimit};
    let limit = Rlimit { current: Some(most), maximum: Some(most) };
    Ok(prlimit(Some(process), Resource::Nofile, limit).map(drop)?)
}

#[cfg(not(target_os = "linux"))]
fn limit(_: Pid, _: u64) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "a process sets no limits of another one here"))
}
