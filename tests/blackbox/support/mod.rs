//! The stage of the black-box tests.
//!
//! ```text
//! reload        has a gate go over to another configuration
//! scene         a cluster of nodes with the gate before it: where a test begins and ends
//! crowd         a new client every few milliseconds, and what each of them lived through
//! client        one verifying TLS client
//! activation    starts a gate with sockets that were opened before it
//! gate          the real binary: start, log, admin endpoints, exit
//! descriptors   those of another process
//! attack        clients that mean harm
//! admin         asks a gate's admin endpoint
//! node          a TLS node as its own process: order, kill, freeze, wake
//! node_process  what runs inside that process
//! hostile       nodes that mean harm
//! haproxy       HAProxy, before the gate or before its nodes
//! bulk          bytes by the megabyte, compared by digest
//! word_by_word  what is said, kept in files
//! pattern       bytes that are known by their place
//! urgent        urgent data among other bytes
//! conversation  bytes both ways, each of them compared, and an end that was agreed upon
//! certs         one authority, one certificate a node
//! network       networks of a test's own
//! inside        tests that run themselves again in a network of their own
//! stream        reads /events
//! browser       shows the page
//! prometheus    scrapes a gate, answers queries
//! ziti          three real OpenZiti controllers
//! wait          until a condition holds, within a deadline
//! clock         stamps that processes can compare
//! ```

pub(crate) mod activation;
pub(crate) mod admin;
pub(crate) mod attack;
pub(crate) mod browser;
pub(crate) mod bulk;
pub(crate) mod certs;
pub(crate) mod client;
pub(crate) mod clock;
pub(crate) mod conversation;
pub(crate) mod crowd;
pub(crate) mod descriptors;
pub(crate) mod gate;
pub(crate) mod haproxy;
pub(crate) mod hostile;
pub(crate) mod inside;
pub(crate) mod network;
pub(crate) mod node;
pub(crate) mod node_process;
pub(crate) mod pattern;
pub(crate) mod prometheus;
pub(crate) mod reload;
pub(crate) mod scene;
pub(crate) mod stream;
pub(crate) mod urgent;
pub(crate) mod wait;
pub(crate) mod word_by_word;
pub(crate) mod ziti;

/// Whether `tool` can be run here. Where it cannot, says that `what` is not run; with `RAFTGATE_REQUIRE_TOOLS=1`
/// that is a failure, so that a skipped check never passes for a done one.
pub(crate) fn require_tool(tool: &str, what: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(tool).is_file()));
    if !found {
        skip(&format!("{what}: `{tool}` is not installed"));
    }
    found
}

/// Says that a check is not run, and why.
pub(crate) fn skip(why: &str) {
    assert!(
        std::env::var_os("RAFTGATE_REQUIRE_TOOLS").is_none_or(|v| v != "1"),
        "required, but not run: {why}"
    );
    not_run(why);
}

/// Says that a check is not run for want of something that nobody can be required to have.
pub(crate) fn not_run(why: &str) {
    eprintln!("skipped: {why}: not run");
}
