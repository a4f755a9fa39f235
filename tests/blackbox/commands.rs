//! The contract of the command line: what it prints, and its exit codes.

use std::path::Path;
use std::process::Output;

use tempfile::TempDir;

use crate::support::gate::raftgate;
use crate::support::wait::within_deadline;

const VALID: &str = "\
[listeners.edge]
bind = \"127.0.0.1:0\"
cluster = \"controllers\"

[clusters.controllers]
preset = \"openziti\"
nodes = { ctrl1 = \"127.0.0.1:1280\", ctrl2 = \"127.0.0.1:1281\" }
";

async fn raftgate_with(arguments: &[&str]) -> Output {
    within_deadline("the command", raftgate().args(arguments).output()).await.unwrap()
}

fn file(text: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("raftgate.toml");
    std::fs::write(&path, text).unwrap();
    let name = path.to_str().unwrap().to_owned();
    (folder, name)
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn check_prints_what_is_in_force_and_exits_0() {
    let (_folder, path) = file(VALID);
    let output = raftgate_with(&["check", "-c", &path]).await;
    assert_eq!(output.status.code(), Some(0), "{}", words(&output.stderr));
    let printed = words(&output.stdout);
    for wanted in ["/health-checks/controller/raft", "127.0.0.1:1281", "any_reachable"] {
        assert!(printed.contains(wanted), "no {wanted} in:\n{printed}");
    }
    // What it prints is a configuration, and says the same.
    let (_folder, path) = file(&printed);
    let again = raftgate_with(&["check", "-c", &path]).await;
    assert_eq!(words(&again.stdout), printed);
}

#[tokio::test]
async fn o1_an_invalid_file_exits_78_and_says_where_and_what() {
    let (_folder, path) = file(&VALID.replace("cluster =", "clutser ="));
    for command in ["check", "run"] {
        let output = raftgate_with(&[command, "-c", &path]).await;
        assert_eq!(output.status.code(), Some(78), "{command}");
        let said = words(&output.stderr);
        assert!(said.contains(&format!("{path}:3")) && said.contains("clutser"), "{command}: {said}");
        assert!(said.contains("`cluster`"), "no suggestion: {said}");
    }
}

#[tokio::test]
async fn a_missing_file_exits_78_and_is_named() {
    let missing = "/nonexistent/raftgate.toml";
    assert!(!Path::new(missing).exists());
    for command in ["check", "run"] {
        let output = raftgate_with(&[command, "-c", missing]).await;
        assert_eq!(output.status.code(), Some(78), "{command}");
        assert!(words(&output.stderr).contains(missing), "{}", words(&output.stderr));
    }
}

#[tokio::test]
async fn a_file_that_only_a_folder_above_has_is_missing() {
    let (folder, path) = file(VALID);
    let below = folder.path().join("below");
    std::fs::create_dir(&below).unwrap();
    let check = async |folder: &Path| {
        let mut command = raftgate();
        command.args(["check", "-c", "raftgate.toml"]).current_dir(folder);
        within_deadline("the command", command.output()).await.unwrap()
    };
    assert_eq!(check(folder.path()).await.status.code(), Some(0), "{path} is valid");
    let output = check(&below).await;
    assert_eq!(output.status.code(), Some(78));
    assert!(words(&output.stderr).contains("raftgate.toml: cannot be read"), "{}", words(&output.stderr));
}

#[tokio::test]
async fn a_wrong_flag_exits_2_and_help_exits_0() {
    for wrong in [&["run", "--no-such-flag"][..], &["no-such-command"]] {
        let output = raftgate_with(wrong).await;
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(!output.stderr.is_empty());
    }
    for right in [&["--help"][..], &["--version"], &["run", "--help"]] {
        let output = raftgate_with(right).await;
        assert_eq!(output.status.code(), Some(0), "{right:?}");
        assert!(!output.stdout.is_empty());
    }
}

#[tokio::test]
async fn a_port_in_use_exits_1_and_names_the_address() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (_folder, path) = file(&format!("admin.bind = \"\"\n{}", VALID.replace("127.0.0.1:0", &address)));
    let output = raftgate_with(&["run", "-c", &path]).await;
    assert_eq!(output.status.code(), Some(1), "{}", words(&output.stderr));
    assert!(words(&output.stderr).contains(&address), "{}", words(&output.stderr));
}
