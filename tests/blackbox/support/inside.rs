//! Tests that need a network of their own, in which packets may get lost: each runs itself again in there.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::wait::DEADLINE;
use super::{require_tool, skip};

/// Set inside, to the test's own name.
const MARKER: &str = "TEST_INSIDE_OWN_NETWORK";
/// Makes the loopback device pass everything to filters, and one whose packets vanish.
const PREPARE: &str = "ip link set lo up && tc qdisc add dev lo root handle 1: htb \
    && ip link add sink type veth peer name nowhere && ip link set sink up";
/// Longer than each of a test's own deadlines.
const PATIENCE: Duration = DEADLINE.saturating_mul(4);
/// What a filter does to the packets that it takes.
const VANISH: &str = "action mirred egress redirect dev sink";

/// Whether this is the run inside. If not, the test `entry` is run there, must pass, and has nothing more to do here; or it
/// cannot be, which is said.
pub(crate) async fn is_inside(entry: &str, what: &str) -> bool {
    if std::env::var(MARKER).is_ok_and(|inside| inside == entry) {
        return true;
    }
    if !["unshare", "ip", "tc"].into_iter().all(|tool| require_tool(tool, what)) {
        return false;
    }
    let loses = format!("{PREPARE} && tc filter add dev lo parent 1: {}", loss(50, &[1]));
    if !unshare(&loses).arg("true").status().await.is_ok_and(|status| status.success()) {
        skip(&format!("{what}: no network of its own with lossy filters to be had here"));
        return false;
    }
    let mut inside = unshare(PREPARE);
    inside.arg(std::env::current_exe().unwrap());
    inside.args(["--exact", entry, "--nocapture", "--test-threads=1"]).env(MARKER, entry);
    let output = timeout(PATIENCE, inside.output()).await.expect("the test inside ends in time").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    false
}

/// From now on, so many percent of all packets from and to these ports get lost.
pub(crate) async fn lose(percent: u32, ports: &[u16]) {
    filter("add", &loss(percent, ports)).await;
}

/// From now on, no connect gets to this port; connections that are there go on.
pub(crate) async fn swallow(port: u16) {
    // SYN without ACK, in the 14th byte of TCP's header, which follows an IPv4 header without options.
    let connects = format!("match ip protocol 6 0xff match ip dport {port} 0xffff match u8 0x02 0x12 at 33");
    filter("add", &format!("protocol ip prio 1 u32 {connects} {VANISH}")).await;
}

/// From now on, all packets arrive again.
pub(crate) async fn pass() {
    filter("del", "prio 1").await;
}

async fn filter(what: &str, filter: &str) {
    let command = format!("tc filter {what} dev lo parent 1: {filter}");
    let status = Command::new("sh").args(["-c", &command]).status().await.unwrap();
    assert!(status.success(), "{command}: {status}");
}

/// A classifier that takes so many percent of the packets from and to these ports, as a program of the classic BPF: it
/// compares ports, and 32 random bits, which the kernel has at an offset of their own, with the share.
fn loss(percent: u32, ports: &[u16]) -> String {
    /// Instructions, by their numbers.
    const LOAD_HALF: u32 = 40;
    const LOAD_WORD: u32 = 32;
    const IF_EQUAL: u32 = 21;
    const IF_AT_LEAST: u32 = 53;
    const RETURN: u32 = 6;
    /// Where a TCP header's ports are after an IPv4 header without options, and where the random bits are.
    const PORTS: [u32; 2] = [0xfff0_0000 + 20, 0xfff0_0000 + 22];
    const RANDOM: u32 = 0xffff_f000 + 56;
    let share = u32::MAX / 100 * percent;
    let mut program = Vec::new();
    // Each comparison of a port, if it fits, jumps over all that are left and over the end for all others.
    let comparisons = PORTS.len() * (ports.len() + 1);
    for place in PORTS {
        program.push(format!("{LOAD_HALF} 0 0 {place}"));
        for port in ports {
            let over = comparisons - program.len();
            program.push(format!("{IF_EQUAL} {over} 0 {port}"));
        }
    }
    program.push(format!("{RETURN} 0 0 0"));
    program.push(format!("{LOAD_WORD} 0 0 {RANDOM}"));
    program.push(format!("{IF_AT_LEAST} 0 1 {share}"));
    program.push(format!("{RETURN} 0 0 0"));
    program.push(format!("{RETURN} 0 0 {}", u32::MAX));
    format!("protocol ip prio 1 bpf bytecode \"{},{}\" {VANISH}", program.len(), program.join(","))
}

/// Runs `first`, then what follows, in a network of its own.
fn unshare(first: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["-rn", "sh", "-c", &format!("{first} && exec \"$0\" \"$@\"")]).kill_on_drop(true);
    command.stderr(Stdio::piped());
    command
}
