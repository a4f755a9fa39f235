//! O6: the control socket is its owner's alone, one gate's at a time, and goes with its gate.

use std::fs::{self, Permissions, set_permissions};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Output;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::gate::{Gate, can_have_own_files, can_lack_rights, raftgate, raftgate_without_rights};
use crate::support::scene::Scene;
use crate::support::skip;
use crate::support::wait::{until, within_deadline};

/// A gate's file whose node is not there; `top` are lines at the top level.
fn file(top: &str) -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("raftgate.toml");
    let text = format!(
        "log.format = \"json\"\nadmin.bind = \"127.0.0.1:0\"\nshutdown.drain = \"0s\"\n{}\n\
         [listeners.edge]\nbind = \"127.0.0.1:0\"\ncluster = \"c\"\n\
         [clusters.c]\nprobe.tls.enabled = false\nnodes.a = \"127.0.0.1:9\"\n",
        top.replace("DIR", folder.path().to_str().unwrap())
    );
    fs::write(&path, text).unwrap();
    (folder, path)
}

async fn run(arguments: &[&str]) -> Output {
    within_deadline("the command", raftgate().args(arguments).output()).await.unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn o6_the_socket_is_its_owners_and_goes_with_the_gate() {
    let mut scene = Scene::start(&["lead"]).await;
    let found = fs::symlink_metadata(scene.socket()).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    scene.gate.signal(Signal::TERM);
    assert_eq!(scene.gate.exits().await.code(), Some(0));
    assert!(!scene.socket().exists(), "the socket has outlived its gate");
}

#[tokio::test]
async fn o6_a_second_gate_does_not_take_a_living_ones_socket() {
    let (folder, path) = file("admin.socket = \"DIR/control.sock\"");
    let gate = Gate::start(&path).await;
    let second = run(&["run", "-c", path.to_str().unwrap()]).await;
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    let socket = folder.path().join("control.sock");
    let expected = format!("raftgate: admin.socket: {}: another process serves it", socket.display());
    assert!(said(&second).contains(&expected), "{}", said(&second));
    let status = run(&["status", "-c", path.to_str().unwrap()]).await;
    assert_eq!(status.status.code(), Some(0), "the first is not reached any more: {status:?}");
    gate.assert_books_balance().await;
}

#[tokio::test]
async fn o6_a_dead_gates_socket_is_replaced() {
    let (folder, path) = file("admin.socket = \"DIR/control.sock\"");
    let socket = folder.path().join("control.sock");
    let mut dead = Gate::start(&path).await;
    dead.signal(Signal::KILL);
    dead.exits().await;
    assert!(socket.exists() && UnixStream::connect(&socket).is_err());
    let output = run(&["status", "--socket", socket.to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("nobody listens"), "{}", said(&output));
    let gate = Gate::start(&path).await;
    let output = run(&["status", "--socket", socket.to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    gate.assert_books_balance().await;
}

#[tokio::test]
async fn o6_a_socket_that_was_asked_for_has_to_be() {
    let (folder, path) = file("admin.socket = \"DIR/nowhere/control.sock\"");
    let output = run(&["run", "-c", path.to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let expected = format!(
        "raftgate: admin.socket: {}: there is no such folder; make it (systemd: RuntimeDirectory=raftgate) or name \
         another path; `admin.socket = \"\"` turns it off\n",
        folder.path().join("nowhere").display()
    );
    assert!(said(&output).ends_with(&expected), "{}", said(&output));
}

#[tokio::test]
async fn o6_without_the_default_socket_a_gate_warns_and_runs() {
    if !can_have_own_files().await {
        skip("a machine without /run/raftgate: unshare cannot make a namespace");
        return;
    }
    let (_folder, path) = file("");
    let empty = tempfile::tempdir().unwrap();
    let gate = Gate::start_seeing(&path, (empty.path(), "/run")).await;
    let message = "no control socket: `raftgate status`, `drain` and the like cannot reach this gate; admin.socket \
                   names another path, or is \"\" for none";
    let warned = gate.log().lines_saying(message);
    assert_eq!(warned.len(), 1, "{}", gate.log().text());
    assert!(warned[0]["error"].as_str().is_some_and(|error| error.contains("/run/raftgate")), "{warned:?}");
    assert_eq!(gate.get("/livez").await.map(|(status, _)| status), Some(200));
    gate.assert_books_balance().await;
}

#[tokio::test]
async fn o6_the_socket_can_be_off() {
    let (folder, path) = file("admin.socket = \"DIR/control.sock\"");
    let gate = Gate::start_with(&path, &[("RAFTGATE_ADMIN__SOCKET", "")]).await;
    assert!(!folder.path().join("control.sock").exists());
    let mut command = raftgate();
    command.env("RAFTGATE_ADMIN__SOCKET", "").args(["status"]);
    let output = within_deadline("the command", command.output()).await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("the control socket is off"), "{}", said(&output));
    gate.assert_books_balance().await;
}

#[tokio::test]
async fn o6_a_command_says_why_it_reaches_no_gate() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("control.sock");
    let output = run(&["unpin", "c", "--socket", nowhere.to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(1));
    let expected = format!("raftgate: {}: there is no such socket; does a gate run", nowhere.display());
    assert!(said(&output).starts_with(&expected), "{}", said(&output));
    let output = run(&["unpin", "c", "-c", "/nonexistent/raftgate.toml"]).await;
    assert_eq!(output.status.code(), Some(78), "{output:?}");
}

#[tokio::test]
async fn o6_who_may_not_control_the_gate_is_told_who_may() {
    if !can_lack_rights().await {
        skip("a socket that may not be used: unshare and setpriv cannot take rights away");
        return;
    }
    let (folder, path) = file("admin.socket = \"DIR/closed/control.sock\"");
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    let gate = Gate::start(&path).await;
    let output = status_without_rights(&closed).await;
    set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("permission denied; only the user that runs"), "{}", said(&output));
    gate.assert_books_balance().await;
}

async fn status_without_rights(closed: &Path) -> Output {
    set_permissions(closed, Permissions::from_mode(0o000)).unwrap();
    let mut command = raftgate_without_rights();
    command.args(["status", "--socket"]).arg(closed.join("control.sock"));
    within_deadline("the command", command.output()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o6_an_upgrade_makes_a_socket_anew_whose_file_is_gone() {
    let scene = Scene::start(&["lead"]).await;
    fs::remove_file(scene.socket()).unwrap();
    scene.gate.signal(Signal::USR2);
    until("the upgrade is done or has failed", async || {
        let lines = scene.gate.log().lines();
        lines
            .iter()
            .any(|line| line.contains("upgrade: done") || line.contains("upgrade: failed"))
            .then_some(())
    })
    .await;
    for command in ["status", "upgrade"] {
        let output = scene.command(&[command]).await;
        assert!(output.status.success(), "{output:?}\n{}", scene.gate.log().text());
    }
    scene.gate.assert_books_balance().await;
}
