//! Signals that are no stop: SIGUSR1, and those that come while the gate starts or after it has handed over.

use std::ffi::OsString;
use std::fs;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::client::{Outcome, assert_echo};
use crate::support::gate::{Gate, raftgate};
use crate::support::scene::{Scene, Settings};
use crate::support::skip;
use crate::support::wait::{until, within_deadline};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o4_sigusr1_lets_sessions_end_by_themselves() {
    let settings = Settings { top: "shutdown.drain = \"0s\"", ..Settings::default() };
    let mut scene = Scene::with(&["lead"], settings).await;
    let mut session = scene.echo_session().await;
    scene.gate.signal(Signal::USR1);
    until("new clients are refused", async || {
        let visit = scene.trust.visit(scene.gate.address).await;
        matches!(visit.outcome, Outcome::Failed(error) if error.contains("refused")).then_some(())
    })
    .await;
    assert_echo(&mut session).await;
    drop(session);
    assert_eq!(scene.gate.exits().await.code(), Some(0));
    assert!(!scene.socket().exists(), "the control socket's file is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o4_sigterm_after_sigusr1_bounds_the_drain() {
    let settings = Settings { top: "shutdown.drain = \"100ms\"", ..Settings::default() };
    let mut scene = Scene::with(&["lead"], settings).await;
    let mut session = scene.echo_session().await;
    scene.gate.signal(Signal::USR1);
    until("it drains", async || scene.gate.log().lines_saying("signal received").pop()).await;
    assert_echo(&mut session).await;
    scene.gate.signal(Signal::TERM);
    let end = within_deadline("the session's end", session.read(&mut [0])).await;
    assert!(end.is_err(), "cut, not closed: {end:?}");
    assert_eq!(scene.gate.exits().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o1_signals_during_the_load_do_not_end_the_process() {
    let scene = Scene::start(&["lead"]).await;
    scene.gate.assert_books_balance().await;
    // The configuration comes by a pipe, and its end is not there yet.
    let mut command = raftgate();
    command.args(["run", "-c", "/dev/stdin"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(b"# the rest is to come\n").await.unwrap();
    let id = child.id().unwrap();
    let handled = async || {
        let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
        let caught = u64::from_str_radix(caught.trim(), 16).ok()?;
        // SIGHUP is 1, SIGUSR1 10, SIGUSR2 12.
        [1, 12, 10].into_iter().all(|signal| caught >> (signal - 1) & 1 == 1).then_some(())
    };
    until("the process handles signals", handled).await;
    let pid = Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
    for signal in [Signal::HUP, Signal::USR1] {
        kill_process(pid, signal).unwrap();
    }
    let text = scene.text(Settings { without_socket: true, ..Settings::default() });
    pipe.write_all(text.as_bytes()).await.unwrap();
    drop(pipe);
    // SIGUSR1 was kept for when it serves, and has it drain then: there is no session.
    let output = within_deadline("the gate drains", child.wait_with_output()).await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_sighup_to_the_old_process_reloads_the_new_one() {
    let scene = Scene::start(&["lead"]).await;
    let mut session = scene.echo_session().await;
    assert_eq!(scene.command(&["upgrade"]).await.status.code(), Some(0));
    let reloaded = || scene.gate.log().lines().iter().filter(|line| line.contains("reload refused")).count();
    assert_eq!(reloaded(), 0);
    fs::write(scene.file(), "workres = 1").unwrap();
    scene.gate.signal(Signal::HUP);
    until("the new process reads the file", async || (reloaded() == 1).then_some(())).await;
    assert_echo(&mut session).await;
    drop(session);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_process_1_refuses_an_upgrade() {
    let enter =
        ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"].map(OsString::from);
    let tried = tokio::process::Command::new(&enter[0]).args(&enter[1..]).arg("true").status().await;
    if !tried.is_ok_and(|status| status.success()) {
        return skip("a gate that is process 1: unshare cannot make a namespace");
    }
    let scene = Scene::start(&["lead"]).await;
    scene.gate.assert_books_balance().await;
    let socket = scene.folder.path().join("first.sock");
    let text = fs::read_to_string(scene.file()).unwrap();
    let text = text.replace(&scene.socket().display().to_string(), &socket.display().to_string());
    fs::write(scene.file(), text).unwrap();
    let gate = Gate::start_in(&enter, &scene.file()).await;
    let output = raftgate().args(["upgrade", "--socket"]).arg(&socket).output();
    let output = within_deadline("the answer", output).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said.contains("process 1") && said.contains("start a new container"), "{said}");
    assert_eq!(gate.heirs(), []);
    gate.assert_books_balance().await;
}
