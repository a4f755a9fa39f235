//! What is made of a `haproxy.cfg`, word by word.
//!
//! Of each `haproxy/NAME.cfg` that is accepted, `NAME.toml` is what it amounts to and `NAME.txt` what is said about it; of
//! each `haproxy/refused_NAME.cfg`, the text is why not. Read them as somebody who has to replace HAProxy by tomorrow.
//! After a change on purpose, `RAFTGATE_BLESS=1 cargo test --test blackbox haproxy` writes them anew; read the diff.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use raftgate::config::{Imported, import_text, load_text};

use crate::support::certs::{Authority, own_name};
use crate::support::client::Trust;
use crate::support::gate::{Gate, raftgate};
use crate::support::haproxy::{is_installed, path};
use crate::support::node::Node;
use crate::support::wait::within_deadline;
use crate::support::word_by_word::{self, Changes, folder, name};

/// So many at least: a test that finds no files proves nothing.
const FEWEST: usize = 40;
/// The variables that the files name, besides `CERTS`, a folder.
const VARIABLES: [(&str, &str); 2] = [("BIND_TO", "10.1.0.1"), ("NODE", "10.0.0.1")];

/// The files of the folder with this extension, sorted.
fn files(extension: &str) -> Vec<PathBuf> {
    word_by_word::files(&folder("haproxy"), extension)
}

fn accepted() -> Vec<PathBuf> {
    let files: Vec<PathBuf> =
        files("cfg").into_iter().filter(|path| !name(path).starts_with("refused_")).collect();
    assert!(files.len() >= FEWEST, "only {} files", files.len());
    files
}

fn variable(name: &str) -> Option<String> {
    let value = VARIABLES.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    value.or((name == "CERTS").then_some("/etc/haproxy/certs")).map(str::to_owned)
}

/// What is made of a file: the TOML, and the lines that are said; or those alone.
fn made_of(path: &Path) -> Result<Imported, String> {
    let name = name(path);
    let text = fs::read_to_string(path).unwrap();
    let made = import_text(name, &text, &variable).map_err(|error| format!("{error}\n"));
    assert_eq!(made.is_err(), name.starts_with("refused_"), "{name}: {made:?}");
    made
}

#[test]
fn every_file_is_taken_over_or_refused_in_these_words() {
    let mut changes = Changes::default();
    for path in files("cfg") {
        let (toml, said) = match made_of(&path) {
            Ok(Imported { toml, remarks, .. }) => {
                (Some(toml), remarks.into_iter().map(|remark| remark + "\n").collect())
            }
            Err(said) => (None, said),
        };
        let said = Some(said).filter(|said| !said.is_empty());
        changes.compare(&path.with_extension("toml"), toml.as_deref());
        changes.compare(&path.with_extension("txt"), said.as_deref());
    }
    changes.assert_none();
}

#[test]
fn every_expectation_has_its_haproxy_cfg() {
    for expected in files("toml").iter().chain(&files("txt")) {
        assert!(expected.with_extension("cfg").is_file(), "{} is left over", expected.display());
    }
}

#[test]
fn the_toml_says_the_same_as_the_file() {
    for path in accepted() {
        let imported = made_of(&path).unwrap();
        let loaded = load_text("imported.toml", &imported.toml)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(loaded.config, imported.config, "{}", path.display());
    }
}

/// What Raftgate takes over is what HAProxy takes: a file that it would not start with proves nothing.
#[test]
fn haproxy_accepts_what_is_accepted() {
    if !is_installed("whether HAProxy accepts what is accepted") {
        return;
    }
    let certs = tempfile::tempdir().unwrap();
    let client = rcgen::generate_simple_self_signed(vec!["client".to_owned()]).unwrap();
    let client = client.cert.pem() + &client.signing_key.serialize_pem();
    fs::write(certs.path().join("root.pem"), Authority::new().pem()).unwrap();
    fs::write(certs.path().join("client.pem"), client).unwrap();
    let mut objections = Vec::new();
    for file in accepted() {
        let mut haproxy = Command::new("haproxy");
        haproxy.arg("-c").arg("-f").arg(&file).env("PATH", path()).envs(VARIABLES).env("CERTS", certs.path());
        let output = haproxy.output().unwrap();
        if !output.status.success() {
            objections.push(String::from_utf8_lossy(&output.stderr).into_owned());
        }
    }
    assert!(objections.is_empty(), "{}", objections.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_with_a_haproxy_cfg_follows_the_leader() {
    let authority = Authority::new();
    let mut nodes = Vec::new();
    for (name, order) in [("n1", "lead"), ("n2", "follow"), ("n3", "follow")] {
        nodes.push(Node::start(&authority, name, order).await);
    }
    let folder = tempfile::tempdir().unwrap();
    let [file, roots] = ["haproxy.cfg", "ca.pem"].map(|name| folder.path().join(name));
    fs::write(&roots, authority.pem()).unwrap();
    let mut text = format!(
        "global\n  ca-base {}\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 50s\n  timeout server 50s\n\
         frontend edge\n  bind 127.0.0.1:0\n  default_backend controllers\n\
         backend controllers\n  option httpchk GET /health-checks/controller/raft\n  http-check expect status 200\n  \
         default-server check check-ssl verify required ca-file ca.pem on-marked-down shutdown-sessions\n",
        folder.path().display()
    );
    for node in &nodes {
        let (name, host, port) = (&node.name, node.host, node.port);
        writeln!(text, "  server {name} {host}:{port} verifyhost {}", own_name(name))
            .expect("writing to a string does not fail");
    }
    fs::write(&file, text).unwrap();
    // What the file cannot say is said beside it.
    let beside = [("RAFTGATE_ADMIN__BIND", "127.0.0.1:0"), ("RAFTGATE_LOG__FORMAT", "json")];
    let gate = Gate::start_with(&file, &beside).await;
    let trust = Trust::new(&authority, &nodes);
    for leader in [0, 1] {
        if leader > 0 {
            nodes[leader - 1].order("follow").await;
            nodes[leader].order("lead").await;
        }
        gate.routes_to(Some(&nodes[leader].name)).await;
        let visit = within_deadline("a client", trust.visit(gate.address)).await;
        assert!(visit.is_served_by(&nodes[leader].name), "{visit:?}");
    }
    gate.assert_books_balance().await;
}

async fn output_of(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = within_deadline("the command", raftgate().args(arguments).output()).await.unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.code(), stdout, stderr)
}

#[tokio::test]
async fn import_prints_toml_and_remarks_and_check_takes_either() {
    let path = folder("haproxy").join("openziti_as_it_is.cfg");
    let cfg = path.to_str().unwrap();
    let imported = made_of(&path).unwrap();
    let (code, toml, said) = output_of(&["import", cfg]).await;
    assert_eq!((code, &toml), (Some(0), &imported.toml), "{said}");
    assert!(said.replace(cfg, name(&path)).starts_with(&imported.remarks.join("\n")), "{said}");
    // A file that has another name is known by how it begins.
    let folder = tempfile::tempdir().unwrap();
    let [toml_file, unnamed] = ["raftgate.toml", "old"].map(|name| folder.path().join(name));
    fs::write(&toml_file, &toml).unwrap();
    fs::copy(&path, &unnamed).unwrap();
    let (_, effective, _) = output_of(&["check", "-c", toml_file.to_str().unwrap()]).await;
    assert!(effective.contains("preset = \"openziti\""), "{effective}");
    for file in [cfg, unnamed.to_str().unwrap()] {
        assert_eq!(output_of(&["check", "-c", file]).await.1, effective, "{file}");
    }
}

#[tokio::test]
async fn o1_a_haproxy_cfg_that_cannot_be_taken_over_exits_78_and_says_where_and_why() {
    let path = folder("haproxy").join("refused_send_proxy.cfg");
    let cfg = path.to_str().unwrap();
    for arguments in [&["import", cfg][..], &["check", "-c", cfg], &["run", "-c", cfg]] {
        let (code, stdout, said) = output_of(arguments).await;
        assert_eq!((code, stdout.as_str()), (Some(78), ""), "{arguments:?}");
        assert_eq!(Err(said.replace(cfg, name(&path))), made_of(&path).map(|_| ()), "{arguments:?}");
    }
}
