//! L10, O6: what an operator orders from the command line, and what clients live through then.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;

use crate::support::client::{Outcome, assert_echo, assert_reset};
use crate::support::gate::raftgate;
use crate::support::reload::without;
use crate::support::require_tool;
use crate::support::scene::{Scene, Settings};
use crate::support::wait::{until, within_deadline};

/// A command that works; what it prints.
async fn done(scene: &Scene, arguments: &[&str]) -> String {
    let output = scene.command(arguments).await;
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A command that the gate refuses; what is said then.
async fn refused(scene: &Scene, arguments: &[&str]) -> String {
    let output = scene.command(arguments).await;
    assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b""[..]), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Who serves a new client, and whether that node takes itself for the leader.
async fn served_by(scene: &Scene) -> (Option<String>, Outcome) {
    let visit = scene.trust.visit(scene.gate.address).await;
    (visit.node, visit.outcome)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l10_a_drained_leader_is_left_for_the_next_and_only_by_force() {
    let mut scene = Scene::start(&["lead", "follow"]).await;
    let said = refused(&scene, &["drain", "controllers", "n1"]).await;
    assert!(said.contains("n1 leads controllers") && said.contains("--force"), "{said}");
    assert_eq!(scene.gate.leader().await.as_deref(), Some("n1"), "a refusal has changed something");

    let said = done(&scene, &["drain", "controllers", "n1", "--force"]).await;
    assert!(said.contains("n1 is drained"), "{said}");
    scene.gate.routes_to(None).await;
    let (trust, address) = (scene.trust.clone(), scene.gate.address);
    let held = tokio::spawn(async move { trust.visit(address).await });
    scene.gate.counts("raftgate_held_connections", "", |held| (held - 1.0).abs() < 0.5).await;
    let listed = done(&scene, &["sessions"]).await;
    assert!(listed.contains(" held ") && listed.ends_with("\n1 session\n"), "{listed}");
    scene.nodes[1].order("lead").await;
    let visit = within_deadline("the held client", held).await.unwrap();
    assert_eq!(visit.node.as_deref(), Some("n2"), "{visit:?}");
    assert_eq!(visit.outcome, Outcome::Served { leads: true });
    scene.gate.counts("raftgate_node_override", "override=\"drain\"", |drained| drained > 0.5).await;

    done(&scene, &["undrain", "controllers", "n1"]).await;
    scene.gate.counts("raftgate_node_override", "", |overrides| overrides < 0.5).await;
    let ordered = until("both orders are in the log", async || {
        let ordered = scene.gate.log().lines_saying("operator's command");
        (ordered.len() >= 2).then_some(ordered)
    })
    .await;
    let commands: Vec<&str> = ordered.iter().filter_map(|line| line["command"].as_str()).collect();
    assert_eq!(commands, ["drain", "undrain"]);
    let uid = u64::from(rustix::process::getuid().as_raw());
    assert!(ordered.iter().all(|line| line["uid"] == uid && line["pid"].is_u64()), "{ordered:?}");
    assert_eq!(scene.gate.log().lines_saying("operator's command refused").len(), 1);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l10_a_pinned_node_has_the_clients_whatever_it_says() {
    let scene = Scene::start(&["lead", "follow"]).await;
    done(&scene, &["pin", "controllers", "n2"]).await;
    assert_eq!(served_by(&scene).await, (Some("n2".to_owned()), Outcome::Served { leads: false }));
    let status = done(&scene, &["status"]).await;
    assert!(status.contains("n2 is pinned") && status.contains("alarms: override"), "{status}");
    let said = refused(&scene, &["drain", "controllers", "n2"]).await;
    assert!(said.contains("unpin it first"), "{said}");
    done(&scene, &["unpin", "controllers"]).await;
    scene.gate.routes_to(Some("n1")).await;
    assert_eq!(served_by(&scene).await, (Some("n1".to_owned()), Outcome::Served { leads: true }));
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o6_sessions_are_listed_and_cut_by_node() {
    let scene = Scene::start(&["lead", "follow"]).await;
    let mut sessions = [scene.echo_session().await, scene.echo_session().await];
    let listed: Value =
        serde_json::from_str(&done(&scene, &["sessions", "--json", "--node", "n1"]).await).unwrap();
    assert_eq!(listed["total"], 2, "{listed}");
    for session in &sessions {
        let client = session.get_ref().0.local_addr().to_string();
        let told = listed["sessions"].as_array().unwrap();
        let told = told.iter().find(|told| told["client"] == *client).expect("each client is listed");
        assert_eq!(
            (&told["node"], &told["state"], &told["listener"]),
            (&"n1".into(), &"joined".into(), &"edge".into())
        );
        assert!(told["to_node"].as_u64() > Some(0) && told["to_client"].as_u64() > Some(0), "{told}");
    }
    let of_n2 = done(&scene, &["sessions", "--cluster", "controllers", "--node", "n2"]).await;
    assert!(of_n2.ends_with("\n0 sessions\n"), "{of_n2}");
    let few = done(&scene, &["sessions", "--limit", "1"]).await;
    assert!(few.ends_with("\n1 of 2 sessions; --limit N shows more\n"), "{few}");

    assert_eq!(done(&scene, &["cut", "controllers", "n2"]).await, "0 sessions with n2 were cut\n");
    for session in &mut sessions {
        assert_echo(session).await;
    }
    assert_eq!(done(&scene, &["cut", "controllers", "n1"]).await, "2 sessions with n1 were cut\n");
    for session in &mut sessions {
        assert_reset(session).await;
    }
    let label = "reason=\"cut\"";
    scene.gate.counts("raftgate_connections_closed_total", label, |cut| (cut - 2.0).abs() < 0.5).await;
    // The node is as good as before.
    assert_eq!(served_by(&scene).await.0.as_deref(), Some("n1"));
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o6_o2_sessions_of_a_node_that_a_reload_has_removed_are_listed_and_cut() {
    let scene = Scene::start(&["lead", "follow"]).await;
    let mut session = scene.echo_session().await;
    scene.reload(&without(&scene.text(Settings::default()), "nodes.n1 ")).await;
    let listed = done(&scene, &["sessions", "--node", "n1"]).await;
    assert!(listed.contains(" n1 ") && listed.ends_with("\n1 session\n"), "{listed}");
    assert_echo(&mut session).await;
    assert_eq!(done(&scene, &["cut", "controllers", "n1"]).await, "1 session with n1 was cut\n");
    assert_reset(&mut session).await;
    let said = refused(&scene, &["cut", "controllers", "n1"]).await;
    assert!(said.contains("there is no node of controllers \"n1\""), "{said}");
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_misspelled_name_is_told_the_nearest() {
    let scene = Scene::start(&["lead", "follow"]).await;
    for (arguments, hint) in [
        (["drain", "controllesr", "n1"], "did you mean \"controllers\"?"),
        (["pin", "controllers", "n3"], "there is no node of controllers \"n3\""),
    ] {
        let said = refused(&scene, &arguments).await;
        assert!(said.contains(hint), "{said}");
    }
    let output = scene.command(&["cut", "controllers", "n1/../n2"]).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o6_the_status_shows_who_leads_and_the_listener_changes_nothing() {
    let scene = Scene::start(&["lead", "follow"]).await;
    let session = scene.echo_session().await;
    let told: Value = serde_json::from_str(&done(&scene, &["status", "--json"]).await).unwrap();
    let cluster = &told["clusters"]["controllers"];
    assert_eq!((&cluster["leader"], &cluster["held"]), (&"n1".into(), &0.into()), "{told}");
    assert_eq!((&cluster["nodes"][0]["sessions"], &cluster["nodes"][1]["sessions"]), (&1.into(), &0.into()));
    let shown = done(&scene, &["status"]).await;
    let row = shown.lines().find(|line| line.starts_with(">  n1 ")).unwrap_or_else(|| panic!("{shown}"));
    assert!(row.contains(" leader ") && row.contains(" days "), "{shown}");
    assert!(!shown.contains('\x1b'), "colours where there is no terminal: {shown}");
    for path in ["/sessions", "/clusters/controllers/nodes/n1/cut", "/clusters/controllers/unpin"] {
        assert_eq!(scene.gate.get(path).await.map(|(status, _)| status), Some(404), "{path}");
    }
    drop(session);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_without_a_terminal_is_told_of_a_failover_in_a_line() {
    let mut scene = Scene::start(&["lead", "follow"]).await;
    let mut command = raftgate();
    command.args(["status", "--watch", "--socket"]).arg(scene.socket()).stdout(Stdio::piped());
    let mut watcher = command.spawn().unwrap();
    let mut lines = BufReader::new(watcher.stdout.take().unwrap()).lines();
    let mut next = async || within_deadline("a line", lines.next_line()).await.unwrap().expect("it goes on");
    while !next().await.contains("n1 leads") {}
    scene.hand_over(0, 1).await;
    let told = loop {
        let line = next().await;
        if line.contains("n2 leads") {
            break line;
        }
    };
    assert!(told.contains(" controllers: "), "{told}");
    watcher.kill().await.unwrap();
    scene.gate.assert_books_balance().await;
}

/// Runs `status --watch` on a terminal, and what it has drawn so far.
async fn watch_on_a_terminal(scene: &mut Scene, variables: &[(&str, &str)]) -> String {
    let gate =
        format!("{} status --watch --socket {}", env!("CARGO_BIN_EXE_raftgate"), scene.socket().display());
    let mut command = Command::new("script");
    command.args(["-qefc", &gate, "/dev/null"]).env_remove("NO_COLOR").env("TERM", "xterm");
    command.envs(variables.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut watcher = command.spawn().unwrap();
    let mut screen = watcher.stdout.take().unwrap();
    let mut drawn = String::new();
    let mut handed_over = false;
    let watching = async {
        let mut bytes = [0; 4096];
        // The row of the new leader, once it is marked.
        while !drawn.contains(">  n2 ") {
            let read = screen.read(&mut bytes).await.unwrap();
            assert!(read > 0, "it has ended: {drawn}");
            drawn.push_str(&String::from_utf8_lossy(&bytes[..read]));
            if !handed_over && drawn.contains(">  n1 ") {
                handed_over = true;
                scene.hand_over(0, 1).await;
            }
        }
    };
    within_deadline("the failover on the screen", watching).await;
    watcher.kill().await.unwrap();
    drawn
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_on_a_terminal_sees_a_failover_in_its_place() {
    if !require_tool("script", "status --watch on a terminal") {
        return;
    }
    for (variables, colours) in [(&[][..], true), (&[("NO_COLOR", "1")], false)] {
        let mut scene = Scene::start(&["lead", "follow"]).await;
        let drawn = watch_on_a_terminal(&mut scene, variables).await;
        assert!(drawn.matches("\x1b[H").count() >= 2, "not drawn again: {drawn:?}");
        assert_eq!(drawn.contains("\x1b[32m"), colours, "{drawn:?}");
        scene.gate.assert_books_balance().await;
    }
}
