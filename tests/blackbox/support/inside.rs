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
    let loses = format!("{PREPARE} && tc filter add dev lo parent 1: {}", loss(50));
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

/// From now on, so many percent of all packets get lost.
pub(crate) async fn lose(percent: u32) {
    filter("add", &loss(percent)).await;
}

/// From now on, no packet gets to this port.
pub(crate) async fn swallow(port: u16) {
    filter("add", &format!("protocol ip prio 1 u32 match ip dport {port} 0xffff {VANISH}")).await;
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

/// A classifier that takes so many percent of all packets: it compares 32 random bits, which the kernel has at this offset,
/// with their share.
fn loss(percent: u32) -> String {
    let share = u64::from(u32::MAX) * u64::from(100 - percent) / 100;
    format!(
        "protocol all prio 1 bpf bytecode \"4,32 0 0 4294963256,53 1 0 {share},6 0 0 0,6 0 0 4294967295\" {VANISH}"
    )
}

/// Runs `first`, then what follows, in a network of its own.
fn unshare(first: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["-rn", "sh", "-c", &format!("{first} && exec \"$0\" \"$@\"")]).kill_on_drop(true);
    command.stderr(Stdio::piped());
    command
}
