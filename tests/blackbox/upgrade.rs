//! O3: a new process takes the place of the old one, and nobody notices: no client is lost, no session is cut, no node is
//! left unasked, and nothing that was known is forgotten.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

use crate::support::client::{Outcome, Stream, assert_echo};
use crate::support::clock::Stamp;
use crate::support::crowd::{assert_avoided, assert_nobody_failed};
use crate::support::gate::raftgate;
use crate::support::node::Probe;
use crate::support::scene::{Scene, Settings};
use crate::support::wait::{until, within_deadline};

/// How often the gate is upgraded under load.
const UPGRADES: usize = 20;
/// How many sessions are there from before the first upgrade ...
const OLD_SESSIONS: usize = 100;
/// ... and how many come before each.
const MORE_SESSIONS: usize = 5;

/// Upgrades the gate; the process that serves then.
async fn upgrade(scene: &Scene) -> Pid {
    let output = scene.command(&["upgrade"]).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:?}\n{}", scene.gate.log().text());
    // The log may come later than the answer.
    until(&format!("the log tells of whom the answer does: {said}"), async || {
        let is_it =
            |heir: &Pid| said.starts_with(&format!("process {} has taken over", heir.as_raw_nonzero()));
        scene.gate.heirs().last().copied().filter(is_it)
    })
    .await
}

/// Waits until the old process has handed over for good: its guard time is over.
async fn is_done(scene: &Scene) {
    until("the old process has handed over", async || {
        scene.gate.log().lines_saying("upgrade: done, the sessions of this process drain").pop().map(|_| ())
    })
    .await;
}

async fn status(scene: &Scene) -> Value {
    let (code, body) = within_deadline("the status", scene.gate.get("/status")).await.unwrap();
    assert_eq!(code, 200);
    serde_json::from_str(&body).unwrap()
}

/// The longest time between two probes of a node in this span.
fn longest_gap(probes: &[Probe], from: Stamp, to: Stamp) -> Duration {
    let arrived: Vec<Stamp> = probes.iter().map(|probe| probe.arrived).collect();
    let within = arrived.windows(2).filter(|pair| pair[0] > from && pair[1] < to);
    within.map(|pair| pair[1].since(pair[0])).max().expect("the node was probed")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_twenty_upgrades_under_load_lose_no_client_no_session_and_no_probe() {
    let interval = Duration::from_millis(500);
    let settings = Settings { cluster: "probe.interval = \"500ms\"", ..Settings::default() };
    let mut scene = Scene::with(&["lead", "follow"], settings).await;
    let begin = Stamp::now();
    let crowd = scene.crowd();
    let mut sessions: Vec<Stream> = Vec::new();
    for _ in 0..OLD_SESSIONS {
        sessions.push(scene.echo_session().await);
    }
    let mut processes = Vec::new();
    for _ in 0..UPGRADES {
        for _ in 0..MORE_SESSIONS {
            sessions.push(scene.echo_session().await);
        }
        processes.push(upgrade(&scene).await);
        let moment = Stamp::now();
        assert_eq!(
            scene.gate.get("/readyz").await.map(|(code, _)| code),
            Some(200),
            "a balancer would turn away"
        );
        crowd.served_by("n1", 5, moment).await;
        for session in &mut sessions {
            assert_echo(session).await;
        }
    }
    let end = Stamp::now();
    assert_nobody_failed(&crowd.leave().await, None);
    for node in &scene.nodes {
        let gap = longest_gap(&node.probes(), begin, end);
        assert!(gap <= 2 * interval, "{} was not probed for {gap:?}", node.name);
    }
    // Every old process is there for its sessions, and ends with the last of them.
    assert!(processes.iter().all(|process| test_kill_process(*process).is_ok()));
    assert_eq!(status(&scene).await["clusters"]["controllers"]["epoch"], 1, "the leader has not changed");
    drop(sessions);
    assert_eq!(scene.gate.exits().await.code(), Some(0));
    let ends = until("every old process has closed its books", async || {
        let ends = scene.gate.log().lines_saying("stopped");
        (ends.len() == UPGRADES).then_some(ends)
    })
    .await;
    for said in ends {
        let number = |key: &str| said[key].as_i64().unwrap();
        assert_eq!(number("accepted"), number("refused") + number("closed"), "{said}");
    }
    assert!(
        scene.command(&["status"]).await.status.success(),
        "the last process has lost its control socket"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_a_leader_that_changes_in_the_middle_of_an_upgrade_is_followed() {
    let mut scene = Scene::start(&["lead", "follow", "follow"]).await;
    let crowd = scene.crowd();
    let begin = Stamp::now();
    crowd.served_by("n1", 20, begin).await;
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        let upgraded = {
            let output = raftgate().arg("upgrade").arg("--socket").arg(scene.socket()).output();
            tokio::spawn(output)
        };
        scene.hand_over(from, to).await;
        let output = within_deadline("the upgrade", upgraded).await.unwrap().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let changed = Stamp::now();
        let known = scene.nodes[from].known_since(changed).await;
        let name = scene.nodes[to].name.clone();
        crowd.served_by(&name, 20, known).await;
    }
    assert_nobody_failed(&crowd.leave().await, None);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_an_upgraded_gate_is_not_fooled_by_whom_the_old_one_knew_to_be_outdated() {
    let mut scene = Scene::start(&["lead", "follow"]).await;
    // n1 freezes, n2 is elected, n1 wakes up and says what it believed before: so it is when the process changes.
    scene.nodes[0].freeze().await;
    scene.nodes[1].order("lead").await;
    scene.gate.routes_to(Some("n2")).await;
    scene.nodes[0].wake();
    scene.gate.counts("raftgate_leaders_observed", "", |claims| claims > 1.5).await;
    let epoch = status(&scene).await["clusters"]["controllers"]["epoch"].clone();
    let begin = Stamp::now();
    let crowd = scene.crowd();
    crowd.served_by("n2", 5, begin).await;
    upgrade(&scene).await;
    is_done(&scene).await;
    let after = Stamp::now();
    crowd.served_by("n2", 100, after).await;
    let visits = crowd.leave().await;
    assert_nobody_failed(&visits, None);
    assert_avoided(&visits, "n1", begin);
    assert_eq!(status(&scene).await["clusters"]["controllers"]["epoch"], epoch, "the tenure has gone on");
    // The next one is of a later epoch.
    scene.hand_over(1, 0).await;
    scene.gate.routes_to(Some("n1")).await;
    assert!(status(&scene).await["clusters"]["controllers"]["epoch"].as_u64() > epoch.as_u64());
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l10_overrides_survive_an_upgrade() {
    let mut scene = Scene::start(&["lead", "follow", "follow"]).await;
    for order in [["drain", "controllers", "n1", "--force"].as_slice(), &["pin", "controllers", "n3"]] {
        assert_eq!(scene.command(order).await.status.code(), Some(0));
    }
    scene.gate.routes_to(Some("n3")).await;
    upgrade(&scene).await;
    let overrides = |status: &Value| {
        let nodes = status["clusters"]["controllers"]["nodes"].as_array().unwrap().clone();
        nodes.iter().map(|node| node["override"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(overrides(&status(&scene).await), [Value::from("drain"), Value::Null, Value::from("pin")]);
    assert_eq!(scene.trust.visit(scene.gate.address).await.node.as_deref(), Some("n3"));
    assert_eq!(scene.command(&["unpin", "controllers"]).await.status.code(), Some(0));
    scene.gate.routes_to(None).await;
    scene.hand_over(0, 1).await;
    scene.gate.routes_to(Some("n2")).await;
    scene.gate.assert_books_balance().await;
}

/// A name for the binary that can be given to something else.
struct Exchangeable {
    folder: TempDir,
}

impl Exchangeable {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        symlink(env!("CARGO_BIN_EXE_raftgate"), folder.path().join("raftgate")).unwrap();
        Exchangeable { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("raftgate")
    }

    /// From now on another binary has the name; none if there is none.
    fn exchange(&self, other: Option<&Path>) {
        fs::remove_file(self.path()).ok();
        if let Some(other) = other {
            symlink(other, self.path()).unwrap();
        }
    }

    /// From now on a script has it.
    fn script(&self, text: &str) {
        let script = self.folder.path().join("script");
        fs::write(&script, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
        self.exchange(Some(&script));
    }
}

/// An upgrade that fails, of which this is said; clients are served all along.
async fn fails(scene: &Scene, expected: &str) {
    let output = scene.command(&["upgrade"]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said.contains(expected) && said.trim_end().ends_with("goes on as before"), "{said}");
    let now = Stamp::now();
    let visit = scene.trust.visit(scene.gate.address).await;
    assert!(visit.started > now && visit.is_served_by("n1"), "{visit:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_a_new_binary_that_does_not_come_to_serve_changes_nothing_and_says_why() {
    let binary = Exchangeable::new();
    let path = binary.path();
    let scene = Scene::with(&["lead"], Settings { binary: Some(&path), ..Settings::default() }).await;
    let crowd = scene.crowd();
    let mut session = scene.echo_session().await;
    let file = scene.folder.path().join("raftgate.toml");
    let configuration = fs::read_to_string(&file).unwrap();

    binary.exchange(None);
    fails(&scene, &format!("{}: cannot be started: No such file", path.display())).await;
    binary.exchange(Some(Path::new("/bin/false")));
    fails(&scene, "ended (exit status: 1) before it served").await;
    binary.exchange(Some(Path::new("/bin/true")));
    fails(&scene, "ended (exit status: 0) before it served").await;
    binary.script("kill -SEGV $$");
    fails(&scene, "ended (signal: 11 (SIGSEGV)").await;
    binary.exchange(Some(Path::new(env!("CARGO_BIN_EXE_raftgate"))));
    fs::write(&file, format!("workres = 2\n{configuration}")).unwrap();
    fails(&scene, "raftgate.toml:1: workres: there is no such key; did you mean `workers`?; process").await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let more = format!("[listeners.more]\nbind = \"{address}\"\ncluster = \"controllers\"\n");
    fs::write(&file, format!("{configuration}{more}")).unwrap();
    fails(&scene, &format!("listener more: cannot listen on {address}")).await;

    // Nothing of all that has left a trace: the next one works.
    fs::write(&file, configuration).unwrap();
    assert_eq!(
        scene
            .gate
            .log()
            .lines_saying("upgrade: the new process serves, this one takes no clients any more")
            .len(),
        0
    );
    upgrade(&scene).await;
    assert_echo(&mut session).await;
    assert_nobody_failed(&crowd.leave().await, None);
    drop(session);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_a_new_binary_that_hangs_is_ended_and_nobody_may_start_another_meanwhile() {
    let binary = Exchangeable::new();
    let path = binary.path();
    let scene = Scene::with(&["lead"], Settings { binary: Some(&path), ..Settings::default() }).await;
    binary.script("exec sleep 600");
    let crowd = scene.crowd();
    let hanging = fails(&scene, "did not serve within 30s and was ended");
    let refused = async {
        until("the new process is started", async || scene.gate.heirs().first().copied()).await;
        scene.gate.signal(Signal::USR2);
        let output = scene.command(&["upgrade"]).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(said.contains("an upgrade is under way"), "{said}");
    };
    tokio::join!(hanging, refused);
    let hung = scene.gate.heirs();
    assert_eq!(hung.len(), 1, "another one was started");
    assert!(test_kill_process(hung[0]).is_err(), "it is still there");
    assert_nobody_failed(&crowd.leave().await, None);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_a_new_process_that_dies_in_its_first_moments_is_replaced_by_the_old_one() {
    let scene = Scene::start(&["lead"]).await;
    let mut session = scene.echo_session().await;
    let crowd = scene.crowd();
    let heir = upgrade(&scene).await;
    let begin = Stamp::now();
    crowd.served_by("n1", 20, begin).await;
    let killed = Stamp::now();
    kill_process(heir, Signal::KILL).unwrap();
    let resumed = "upgrade: the new process has ended, this one takes clients again";
    let said = until("the old process is back", async || scene.gate.log().lines_saying(resumed).pop()).await;
    assert!(said["status"].as_str().unwrap().contains("SIGKILL"), "{said}");
    let back = Stamp::now();
    crowd.served_by("n1", 50, back).await;
    for visit in crowd.leave().await {
        // Those who were in its hands have gone with it.
        let in_its_hands = visit.started < back && visit.ended > killed;
        assert!(visit.is_served_by("n1") || in_its_hands, "{visit:?}");
    }
    assert_echo(&mut session).await;
    // All is as before: admin, control, and the next upgrade.
    assert!(scene.command(&["status"]).await.status.success());
    upgrade(&scene).await;
    is_done(&scene).await;
    assert_echo(&mut session).await;
    drop(session);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_sigusr2_does_it_without_a_control_socket_and_a_bound_socket_goes_with_the_last_process() {
    let mut scene = Scene::start(&["lead"]).await;
    let socket = scene.socket();
    let session = scene.echo_session().await;
    scene.gate.signal(Signal::USR2);
    is_done(&scene).await;
    drop(session);
    assert_eq!(scene.gate.exits().await.code(), Some(0));
    assert!(
        socket.exists() && scene.command(&["status"]).await.status.success(),
        "it has gone with the old process"
    );
    let heir = scene.gate.heirs()[0];
    kill_process(heir, Signal::TERM).unwrap();
    until("the new process has ended and taken it along", async || (!socket.exists()).then_some(())).await;

    let settings = Settings { without_socket: true, ..Settings::default() };
    let mut scene = Scene::with(&["lead"], settings).await;
    scene.gate.signal(Signal::USR2);
    is_done(&scene).await;
    assert_eq!(scene.gate.exits().await.code(), Some(0));
    assert_eq!(scene.trust.visit(scene.gate.address).await.outcome, Outcome::Served { leads: true });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_sessions_stay_with_the_old_process_until_they_end_or_are_told_to() {
    let settings = Settings { top: "shutdown.drain = \"1h\"", ..Settings::default() };
    let mut scene = Scene::with(&["lead", "follow"], settings).await;
    let mut session = scene.echo_session().await;
    upgrade(&scene).await;
    is_done(&scene).await;
    // It still follows, and it can still be ended.
    scene.hand_over(0, 1).await;
    let elected = async || {
        let elected = scene.gate.log().lines_saying("leader elected");
        (elected.iter().filter(|line| line["node"] == "n2").count() == 2).then_some(())
    };
    until("both processes have heard of the new leader", elected).await;
    assert_echo(&mut session).await;
    scene.gate.signal(Signal::TERM);
    until("it has heard the signal", async || scene.gate.log().lines_saying("signal received").pop()).await;
    assert_echo(&mut session).await;
    drop(session);
    assert_eq!(scene.gate.exits().await.code(), Some(0));
    assert_eq!(scene.trust.visit(scene.gate.address).await.node.as_deref(), Some("n2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_upgrade_drain_bounds_how_long_sessions_stay() {
    let settings = Settings { top: "upgrade.drain = \"100ms\"", ..Settings::default() };
    let mut scene = Scene::with(&["lead"], settings).await;
    let mut session = scene.echo_session().await;
    upgrade(&scene).await;
    let end = within_deadline("the session's end", session.read(&mut [0])).await;
    assert!(end.is_err(), "cut, not closed: {end:?}");
    assert_eq!(scene.gate.exits().await.code(), Some(0));
}
