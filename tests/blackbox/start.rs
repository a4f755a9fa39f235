//! A gate that cannot start says why in one line, word by word, and by its exit code: 1 where the machine or the
//! moment is to blame, 78 where the configuration is.

use std::fs::{Permissions, set_permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tempfile::TempDir;
use tokio::process::Command;

use crate::support::gate::{Gate, can_lack_rights, raftgate, raftgate_without_rights};
use crate::support::wait::within_deadline;
use crate::support::{require_tool, skip};

/// Where nothing has to listen, for no gate here comes so far as to ask.
const NODES: &str = "\n[clusters.controllers]\npreset = \"openziti\"\nnodes.ctrl1 = \"127.0.0.1:1280\"\n";

/// A configuration in a folder of its own.
struct Sample {
    folder: TempDir,
}

impl Sample {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("raftgate.toml"), text).unwrap();
        Sample { folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("raftgate.toml")
    }

    /// What `run` says on standard error with this configuration, and its exit code. The folder's path, which differs each time, reads `DIR`.
    async fn run_by(&self, mut binary: Command) -> (Option<i32>, String) {
        let output = within_deadline("the gate's end", binary.args(["run", "-c"]).arg(self.file()).output())
            .await
            .unwrap();
        assert_eq!(output.stdout, b"");
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), said.replace(self.folder.path().to_str().unwrap(), "DIR"))
    }

    async fn run(&self) -> (Option<i32>, String) {
        self.run_by(raftgate()).await
    }
}

/// One listener and an admin listener.
fn listening_on(edge: &str, admin: &str) -> Sample {
    Sample::new(&format!(
        "admin.bind = \"{admin}\"\n[listeners.edge]\nbind = \"{edge}\"\ncluster = \"controllers\"\n{NODES}"
    ))
}

/// One listener, and roots in this file.
fn with_roots_in(ca_file: &str) -> Sample {
    let text = "admin.bind = \"\"\n[listeners.edge]\nbind = \"127.0.0.1:0\"\ncluster = \"controllers\"\n";
    Sample::new(&format!("{text}{NODES}probe.tls.ca_file = \"{ca_file}\"\n"))
}

/// An address with a port that somebody has until the listener is dropped.
fn taken_address() -> (TcpListener, String) {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    (taken, address)
}

/// The words about a port that is taken.
fn in_use(address: &str) -> String {
    let (_, port) = address.split_once(':').unwrap();
    format!(
        "cannot listen on {address}: something already does, perhaps another raftgate, or another address of this \
         configuration ([::] takes the IPv4 port too); `ss -ltnp sport = :{port}` shows what, stop it or choose \
         another port"
    )
}

/// The words about roots that cannot be read.
fn unreadable(ca_file: &str, why: &str) -> String {
    let line = quoted(9, "probe.tls.", &format!("ca_file = \"{ca_file}\""));
    format!(
        "DIR/raftgate.toml:9: clusters.controllers.probe.tls.ca_file: {ca_file} cannot be read: {why}\n{line}"
    )
}

/// A line of the file as it is shown below a mistake: `marked` is what is to blame.
fn quoted(number: usize, before: &str, marked: &str) -> String {
    let (indent, marks) = (" ".repeat(before.len()), "^".repeat(marked.len()));
    format!("  {number} | {before}{marked}\n    | {indent}{marks}\n")
}

/// Whether this machine can run a gate with fewer rights than this test has, for a check of `what`.
async fn can_run_without_rights(what: &str) -> bool {
    if !require_tool("unshare", what) || !require_tool("setpriv", what) {
        return false;
    }
    let can = can_lack_rights().await;
    if !can {
        skip(&format!("{what}: no user namespaces here"));
    }
    can
}

#[tokio::test]
async fn a_port_that_something_else_has_is_told_in_one_line() {
    let (_taken, address) = taken_address();
    let said = listening_on(&address, "").run().await;
    assert_eq!(said, (Some(1), format!("raftgate: listener edge: {}\n", in_use(&address))));
}

#[tokio::test]
async fn o3_a_port_that_another_gate_has_is_told_in_one_line() {
    let sample = listening_on("127.0.0.1:0", "127.0.0.1:0");
    let text = std::fs::read_to_string(sample.file()).unwrap();
    std::fs::write(sample.file(), format!("log.format = \"json\"\n{text}")).unwrap();
    let first = Gate::start(&sample.file()).await;
    let address = first.address.to_string();
    let said = listening_on(&address, "").run().await;
    assert_eq!(said, (Some(1), format!("raftgate: listener edge: {}\n", in_use(&address))));
    // The first one never noticed.
    assert_eq!(first.get("/livez").await.unwrap().0, 200);
    first.assert_books_balance().await;
}

#[tokio::test]
async fn an_admin_port_that_something_else_has_is_told_in_one_line() {
    let (_taken, address) = taken_address();
    let said = listening_on("127.0.0.1:0", &address).run().await;
    let expected = format!("raftgate: admin.bind: {}; `admin.bind = \"\"` turns it off\n", in_use(&address));
    assert_eq!(said, (Some(1), expected));
}

#[tokio::test]
async fn port_443_without_the_right_to_it_is_told_in_one_line() {
    if !can_run_without_rights("port 443 without the right to it").await {
        return;
    }
    let said = listening_on("0.0.0.0:443", "").run_by(raftgate_without_rights()).await;
    let expected = "raftgate: listener edge: cannot listen on 0.0.0.0:443: this user may not open port 443; give the \
                    binary or service CAP_NET_BIND_SERVICE, or lower the sysctl net.ipv4.ip_unprivileged_port_start \
                    to 443\n";
    assert_eq!(said, (Some(1), expected.to_owned()));
}

#[tokio::test]
async fn two_listeners_on_one_address_are_told_before_anything_starts() {
    let (_taken, address) = taken_address();
    let listener = |name| format!("[listeners.{name}]\nbind = \"{address}\"\ncluster = \"controllers\"\n");
    let sample = Sample::new(&format!("{}{}{NODES}", listener("edge"), listener("second")));
    let said = sample.run().await;
    let expected = format!(
        "DIR/raftgate.toml:5: listeners.second.bind: {address} is already taken by {address} of listeners.edge.bind; \
         use another address or port\n{}",
        quoted(5, "", &format!("bind = \"{address}\""))
    );
    assert_eq!(said, (Some(78), expected));
}

#[tokio::test]
async fn a_missing_ca_file_is_told_before_anything_starts() {
    let said = with_roots_in("/nonexistent/ca.pem").run().await;
    assert_eq!(said, (Some(78), unreadable("/nonexistent/ca.pem", "No such file or directory (os error 2)")));
}

#[tokio::test]
async fn a_ca_file_that_may_not_be_read_is_told_before_anything_starts() {
    if !can_run_without_rights("a file that may not be read").await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, "").unwrap();
    set_permissions(&file, Permissions::from_mode(0o000)).unwrap();
    let file = file.to_str().unwrap();
    let said = with_roots_in(file).run_by(raftgate_without_rights()).await;
    assert_eq!(said, (Some(78), unreadable(file, "Permission denied (os error 13)")));
}
