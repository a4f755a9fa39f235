//! What it all ran on.

use std::fs;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The machine in a few lines of Markdown, and the versions of what was compared.
pub(crate) fn description(network: &Result<(), String>) -> String {
    let read =
        |file: &str| fs::read_to_string(file).unwrap_or_else(|_| "unknown".to_owned()).trim().to_owned();
    let processor = read("/proc/cpuinfo");
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let place = match network {
        Ok(()) => "in a network namespace of the bench's own".to_owned(),
        Err(why) => format!("in the machine's own network ({why})"),
    };
    let profile = if cfg!(debug_assertions) {
        "**an unoptimised build: these are no results**"
    } else {
        "an optimised build"
    };
    format!(
        "- {} x {}, Linux {}, TCP congestion control {}, {place}\n- {}, {profile}\n- {}\n",
        cores,
        processor.trim_start_matches([' ', '\t', ':']),
        read("/proc/sys/kernel/osrelease"),
        read("/proc/sys/net/ipv4/tcp_congestion_control"),
        first_line(env!("CARGO_BIN_EXE_raftgate"), "--version"),
        first_line("/usr/sbin/haproxy", "-v"),
    )
}

/// The load averages of the last 1, 5 and 15 minutes.
pub(crate) fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// So many descriptors are enough for any bench.
const DESCRIPTORS: u64 = 65_536;

/// Lets the bench, and the gates it starts, have as many descriptors as they may: clients that wait have one each.
pub(crate) fn raise_descriptor_limit() {
    let allowed = getrlimit(Resource::Nofile).maximum;
    // Root may have more than it is given.
    let more = allowed.map(|allowed| allowed.max(DESCRIPTORS));
    let raise = |limit| setrlimit(Resource::Nofile, Rlimit { current: limit, maximum: limit });
    if let Err(error) = raise(more).or_else(|_| raise(allowed)) {
        eprintln!("the descriptor limit cannot be raised: {error}");
    }
}

fn first_line(program: &str, argument: &str) -> String {
    let said = Command::new(program).arg(argument).output();
    let said = said.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    match said.as_deref().map(|text| text.lines().next().unwrap_or_default()) {
        Ok(line) => line.to_owned(),
        Err(error) => format!("{program}: {error}"),
    }
}
