//! What processes cost: their CPU time and their memory, as the kernel counts them.

use std::fs;
use std::io;

use rustix::process::Pid;

/// A process and all that descend from it.
pub(crate) fn family(root: Pid) -> io::Result<Vec<Pid>> {
    let parents: Vec<(Pid, Pid)> = fs::read_dir("/proc")?
        .filter_map(|entry| {
            let process = entry.ok()?.file_name().to_str()?.parse().ok().and_then(Pid::from_raw)?;
            Some((process, parent(process)?))
        })
        .collect();
    let mut family = vec![root];
    let mut grown = 0;
    while let Some(&member) = family.get(grown) {
        family.extend(parents.iter().filter(|(_, parent)| *parent == member).map(|(child, _)| *child));
        grown += 1;
    }
    Ok(family)
}

/// The CPU time that all threads of a process have had, as the kernel's scheduler counts it (`schedstat`), or in ticks
/// of 10 ms where it does not (`stat`).
pub(crate) fn cpu_seconds(process: Pid) -> io::Result<f64> {
    let tasks = fs::read_dir(format!("{}/task", folder(process)))?;
    let exact: Option<f64> = tasks
        .map(|task| {
            let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<f64>().ok()
        })
        .sum();
    if let Some(nanoseconds) = exact {
        return Ok(nanoseconds / 1e9);
    }
    // User and system time.
    let ticks: Option<f64> =
        words(process)?.iter().skip(11).take(2).map(|ticks| ticks.parse::<f64>().ok()).sum();
    ticks.map(|ticks| ticks / 100.0).ok_or_else(|| io::Error::other("no times in stat"))
}

/// The memory of a process, in bytes: what it has in common with others is divided among them.
pub(crate) fn memory(process: Pid) -> io::Result<f64> {
    let text = fs::read_to_string(format!("{}/smaps_rollup", folder(process)))?;
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.map(|kib| kib * 1024.0).ok_or_else(|| io::Error::other("no Pss in smaps_rollup"))
}

fn parent(process: Pid) -> Option<Pid> {
    words(process).ok()?.get(1)?.parse().ok().and_then(Pid::from_raw)
}

/// What `stat` says after the name, which stands in parentheses and may have spaces.
fn words(process: Pid) -> io::Result<Vec<String>> {
    let stat = fs::read_to_string(format!("{}/stat", folder(process)))?;
    Ok(stat.rsplit(')').next().unwrap_or_default().split_whitespace().map(str::to_owned).collect())
}

fn folder(process: Pid) -> String {
    format!("/proc/{}", process.as_raw_nonzero())
}
