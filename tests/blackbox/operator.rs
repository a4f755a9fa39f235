//! What an operator's commands say, and to scripts by their exit codes, when something is wrong.

use std::fs;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::support::gate::raftgate;
use crate::support::require_tool;
use crate::support::scene::{Scene, Settings};
use crate::support::wait::within_deadline;

/// What a command printed on standard error, and its exit code.
async fn run(command: &mut Command) -> (Option<i32>, String) {
    let output = within_deadline("the command", command.output()).await.unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn o2_a_refused_reload_tells_what_check_tells() {
    let scene = Scene::start(&["lead"]).await;
    let text = format!("{}\ntimeouts.foo = 1\nhold.limmit = 2\n", scene.text(Settings::default()));
    fs::write(scene.file(), text).unwrap();
    let (code, refused) = run(raftgate().arg("reload").arg("--socket").arg(scene.socket())).await;
    let (_, checked) = run(raftgate().arg("check").arg("-c").arg(scene.file())).await;
    assert_eq!(code, Some(1));
    assert!(checked.lines().count() > 2 && checked.contains("^^^"), "{checked}");
    assert_eq!(refused, format!("raftgate: {checked}"));
    scene.gate.assert_books_balance().await;
}

#[tokio::test]
async fn o6_a_wrong_file_still_leads_to_its_gate() {
    let scene = Scene::start(&["lead"]).await;
    scene.gate.is_ready().await;
    let text = scene.text(Settings::default());
    for wrong in ["timeouts.foo = 1", "probe.tls.pins = [", "probe.tls.client_cert_file = \"/nonexistent\""] {
        fs::write(scene.file(), format!("{text}\n{wrong}\n")).unwrap();
        let (checked, _) = run(raftgate().arg("check").arg("-c").arg(scene.file())).await;
        assert_eq!(checked, Some(78), "{wrong}");
        let (code, said) = run(raftgate().arg("status").arg("-c").arg(scene.file())).await;
        assert_eq!(code, Some(0), "{wrong}: {said}");
    }
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o6_scripts_learn_by_exit_codes_whether_clients_are_served() {
    let mut scene = Scene::start(&["lead", "follow"]).await;
    scene.gate.is_ready().await;
    scene.gate.routes_to(Some("n1")).await;
    let checks: [&[&str]; 4] = [
        &["status", "--check"],
        &["status", "--json", "--check"],
        &["health"],
        &["health", "--cluster", "controllers"],
    ];
    for command in checks {
        let output = scene.command(command).await;
        assert!(output.status.success(), "{command:?}: {output:?}");
    }
    scene.nodes[0].order("follow").await;
    scene.gate.routes_to(None).await;
    // A gate without a leader is healthy: it holds clients.
    for (command, expected) in checks.iter().zip([Some(1), Some(1), Some(0), Some(1)]) {
        let output = scene.command(command).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), expected, "{command:?}: {output:?}");
        assert_eq!(said.contains("controllers has no leader"), expected == Some(1), "{command:?}: {said}");
        assert_eq!(said.is_empty(), expected == Some(0), "{said}");
    }
    scene.gate.assert_books_balance().await;
}

/// The status of the admin listener's answer to a request by this name, and the answer.
async fn asked_by(name: &str, path: &str, scene: &Scene) -> (u16, String) {
    let mut stream = TcpStream::connect(scene.gate.admin_address()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within_deadline("the answer", stream.read_to_string(&mut answer)).await.unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

#[tokio::test]
async fn o6_a_foreign_web_page_reads_no_addresses_of_nodes() {
    let settings = Settings { top: "admin.hosts = [\"gate.example.org\"]", ..Settings::default() };
    let scene = Scene::with(&["lead"], settings).await;
    let address = scene.nodes[0].port.to_string();
    for path in ["/", "/status", "/events"] {
        let (status, answer) = asked_by("evil.example:9180", path, &scene).await;
        assert!(status == 421 && !answer.contains(&address), "{path}: {answer}");
        assert!(answer.contains("admin.hosts"), "{answer}");
    }
    for (name, path) in [
        ("gate.example.org:9180", "/status"),
        ("127.0.0.1", "/"),
        ("evil.example", "/metrics"),
        ("evil.example", "/livez"),
    ] {
        assert_eq!(asked_by(name, path, &scene).await.0, 200, "{name}{path}");
    }
    scene.gate.assert_books_balance().await;
}

/// Runs a gate on a terminal until it fails for want of a port; what the terminal shows.
async fn shown_on_terminal(variable: (&str, &str)) -> String {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("raftgate.toml");
    let text = format!(
        "admin = {{ bind = \"\", socket = \"\" }}\nlisteners.edge = {{ bind = \"{}\", cluster = \"c\" }}\n\
         clusters.c = {{ probe.tls.enabled = false, nodes.a = \"127.0.0.1:9\" }}\n",
        taken.local_addr().unwrap()
    );
    fs::write(&file, text).unwrap();
    let line = format!("{} run -c {}", env!("CARGO_BIN_EXE_raftgate"), file.display());
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).env_remove("NO_COLOR").env("TERM", "xterm");
    command.env(variable.0, variable.1).stdin(std::process::Stdio::null()).kill_on_drop(true);
    let output = within_deadline("the gate on a terminal", command.output()).await.unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn the_log_on_a_terminal_has_colours_unless_unwanted() {
    if !require_tool("script", "the log on a terminal") {
        return;
    }
    for (variable, coloured) in
        [(("NO_COLOR", ""), true), (("NO_COLOR", "1"), false), (("TERM", "dumb"), false)]
    {
        let shown = shown_on_terminal(variable).await;
        assert!(shown.contains("WARN") && shown.contains("cannot listen"), "{shown}");
        assert_eq!(shown.contains('\x1b'), coloured, "{variable:?}: {shown}");
    }
}
