//! HAProxy as the judge of what is taken over from it: with the rules of every `haproxy/routes_*.cfg` that has a
//! frontend and waits for hellos, both send the same clients to the same backends.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::routes::certificate_for;
use crate::support::certs::Authority;
use crate::support::gate::Gate;
use crate::support::haproxy::{Haproxy, is_installed, own_addresses};
use crate::support::node::Node;

/// So many at least: a test that finds no files proves nothing.
const FEWEST: usize = 10;
/// An IP address is not sent as a name.
const NAMES: [&str; 9] = [
    "a.example.org",
    "aa.example.org",
    "www.a.example.org",
    "b.example.org",
    "x.b.example.org",
    "c.example.org",
    "late.example.org",
    "x.internal.example.org",
    "127.0.0.1",
];
const PROTOCOLS: [&[&str]; 3] = [&["http/1.1"], &["h2", "http/1.1"], &["http/1.1", "acme-tls/1"]];

/// The files whose rules are compared.
fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/blackbox/haproxy");
    let all = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_ours = |path: &PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap();
        // Without inspect-delay it is a matter of chance whether HAProxy looks before the hello is there.
        let waits = name != "routes_at_once";
        waits
            && name.starts_with("routes_")
            && path.extension().is_some_and(|it| it == "cfg")
            && !rules(path).is_empty()
    };
    let mut files: Vec<PathBuf> = all.filter(is_ours).collect();
    files.sort();
    assert!(files.len() >= FEWEST, "only {} files", files.len());
    files
}

/// The lines of a file's frontend, without its address.
fn rules(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().skip_while(|line| !line.starts_with("frontend ")).skip(1);
    let inside = lines.take_while(|line| !line.starts_with("backend "));
    inside.filter(|line| !line.contains("bind ")).flat_map(|line| [line, "\n"]).collect()
}

fn configuration(bind: SocketAddr, rules: &str, nodes: &[Node]) -> String {
    let mut text = format!(
        "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 50s\n  timeout server 50s\n\
         frontend edge\n  bind {bind}\n{rules}"
    );
    for node in nodes {
        let (name, host, port) = (&node.name, node.host, node.port);
        write!(
            text,
            "backend {name}\n  option httpchk GET /health-checks/controller/raft\n  http-check expect status 200\n  \
             server {name} {host}:{port} check check-ssl verify none on-marked-down shutdown-sessions\n"
        )
        .expect("writing to a string does not fail");
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_routed_as_by_haproxy() {
    if !is_installed("whether clients are routed as by HAProxy") {
        return;
    }
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let names =
        ["*.example.org", "*.a.example.org", "*.b.example.org", "*.internal.example.org", "127.0.0.1"];
    let mut nodes = Vec::new();
    for name in ["a", "b"] {
        nodes.push(Node::with_identity(authority.issue_for(name, &names, None), name, "lead").await);
    }
    let beside = [("RAFTGATE_ADMIN__BIND", "127.0.0.1:0"), ("RAFTGATE_LOG__FORMAT", "json")];
    let mut told_apart = 0;
    for rules in files().iter().map(|path| rules(path)) {
        let ours = folder.path().join("ours.cfg");
        let [address] = own_addresses();
        fs::write(&ours, configuration(SocketAddr::from(([127, 0, 0, 1], 0)), &rules, &nodes)).unwrap();
        let gate = Gate::start_with(&ours, &beside).await;
        let _haproxy = Haproxy::run(&configuration(address, &rules, &nodes), &[], &[address]).await;
        let mut reached = Vec::new();
        for name in NAMES {
            for alpn in PROTOCOLS {
                let mut answers = Vec::new();
                for address in [gate.address, address] {
                    let certificate = certificate_for(address, &authority, name, alpn).await;
                    let node =
                        nodes.iter().find(|node| Some(&node.identity.certificate) == certificate.as_ref());
                    answers.push(node.map(|node| node.name.as_str()));
                }
                assert_eq!(answers[0], answers[1], "{name} {alpn:?} by\n{rules}");
                reached.push(answers[0]);
            }
        }
        told_apart += usize::from(reached.iter().any(|node| *node != reached[0]));
        gate.assert_books_balance().await;
    }
    assert!(told_apart >= FEWEST - 1, "only {told_apart} files tell clients apart");
}
