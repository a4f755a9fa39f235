//! `raftgate check --probe` before real TLS nodes: what it prints, and its exit code.

use std::fmt::Write as _;

use tempfile::TempDir;

use crate::support::certs::{Authority, PUBLIC_NAME, own_name};
use crate::support::gate::raftgate;
use crate::support::node::Node;
use crate::support::wait::within_deadline;

/// What the probes verify: by the authority, and that nodes are of its trust domain.
fn by_authority(authority: &Authority, folder: &TempDir) -> String {
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, authority.pem()).unwrap();
    format!("probe.tls = {{ ca_file = \"{}\", spiffe_trust_domain = \"gate.test\" }}", file.display())
}

/// Runs the command with this configuration; what it printed, and its exit code.
async fn check_text(text: &str) -> (String, Option<i32>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("raftgate.toml");
    std::fs::write(&file, text).unwrap();
    let output = raftgate().args(["check", "--probe", "-c"]).arg(&file).output();
    let output = within_deadline("check --probe", output).await.unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    println!("{}", String::from_utf8_lossy(&output.stdout));
    (String::from_utf8(output.stdout).unwrap(), output.status.code())
}

/// Runs the command before these nodes; what it printed, with what differs each time masked, and its exit code.
async fn check(nodes: &[Node], public_names: &str, trust: &str) -> (String, Option<i32>) {
    let mut text = format!(
        "[listeners.edge]\nbind = \"127.0.0.1:0\"\ncluster = \"controllers\"\npublic_names = {public_names}\n\n\
         [clusters.controllers]\npreset = \"openziti\"\nprobe.timeout = \"20s\"\n{trust}\n"
    );
    for node in nodes {
        let (name, port) = (&node.name, node.port);
        let server_name = own_name(name);
        writeln!(text, "nodes.{name} = {{ address = \"127.0.0.1:{port}\", server_name = {server_name:?} }}")
            .unwrap();
    }
    let (printed, exit) = check_text(&text).await;
    (masked(&printed, nodes), exit)
}

/// Ports, latencies and days left replaced by letters, and columns set one space apart: how they are aligned depends on
/// these, and is tested elsewhere.
fn masked(text: &str, nodes: &[Node]) -> String {
    let mut text = text.to_owned();
    for node in nodes {
        text = text.replace(&format!("127.0.0.1:{}", node.port), &format!("127.0.0.1:<{}>", node.name));
    }
    let line = |line: &str| {
        let words = line.split_whitespace().map(|word| {
            let is_latency = word.strip_suffix("ms").is_some_and(|number| number.parse::<f64>().is_ok());
            let is_days = word.strip_prefix('(').is_some_and(|number| number.parse::<u64>().is_ok());
            if is_latency {
                "<latency>"
            } else if is_days {
                "(<many>"
            } else {
                word
            }
        });
        words.collect::<Vec<_>>().join(" ")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_cluster_in_which_nothing_is_wrong_exits_0() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let trust = by_authority(&authority, &folder);
    let names = [PUBLIC_NAME, &own_name("n1"), &own_name("n2")];
    let shared = authority.issue_for("n1", &names, Some((2999, 1, 1)));
    let nodes = [
        Node::with_identity(shared.clone(), "n1", "lead").await,
        Node::with_identity(shared, "n2", "follow").await,
    ];
    let (printed, exit) = check(&nodes, "[\"gate.test\"]", &trust).await;
    assert_eq!(
        printed,
        "\
CLUSTER NODE ADDRESS VERDICT LATENCY EXPIRES CERTIFICATE NAMES
controllers n1 127.0.0.1:<n1> leader <latency> 2999-01-01 (<many> days) gate.test, n1.nodes.test, n2.nodes.test, spiffe://gate.test/controller/n1
controllers n2 127.0.0.1:<n2> follower <latency> 2999-01-01 (<many> days) gate.test, n1.nodes.test, n2.nodes.test, spiffe://gate.test/controller/n1

LISTENER PUBLIC NAME CLUSTER NODE COVERED
edge gate.test controllers n1 yes
edge gate.test controllers n2 yes

nothing is wrong"
    );
    assert_eq!(exit, Some(0));
}

#[tokio::test]
async fn an_expired_certificate_a_wrong_name_and_a_dead_node_are_all_told_and_exit_1() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let trust = by_authority(&authority, &folder);
    let until = Some((2999, 1, 1));
    let good = |name: &str| authority.issue_for(name, &[PUBLIC_NAME, &own_name(name)], until);
    let expired = authority.issue_for("n2", &[PUBLIC_NAME, &own_name("n2")], Some((2001, 2, 3)));
    let wrong = authority.issue_for("n3", &["other.test"], until);
    let mut nodes = [
        Node::with_identity(good("n1"), "n1", "lead").await,
        Node::with_identity(expired, "n2", "follow").await,
        Node::with_identity(wrong, "n3", "follow").await,
        Node::with_identity(good("n4"), "n4", "follow").await,
    ];
    nodes[3].kill().await;
    let (printed, exit) = check(&nodes, "\"gate.test\"", &trust).await;
    assert_eq!(
        printed,
        "\
CLUSTER NODE ADDRESS VERDICT LATENCY EXPIRES CERTIFICATE NAMES
controllers n1 127.0.0.1:<n1> leader <latency> 2999-01-01 (<many> days) gate.test, n1.nodes.test, spiffe://gate.test/controller/n1
controllers n2 127.0.0.1:<n2> unreachable (certificate) - 2001-02-03 (expired) gate.test, n2.nodes.test, spiffe://gate.test/controller/n2
controllers n3 127.0.0.1:<n3> unreachable (certificate) - 2999-01-01 (<many> days) other.test, spiffe://gate.test/controller/n3
controllers n4 127.0.0.1:<n4> unreachable (refused) - - -

LISTENER PUBLIC NAME CLUSTER NODE COVERED
edge gate.test controllers n1 yes
edge gate.test controllers n2 yes
edge gate.test controllers n3 no
edge gate.test controllers n4 ?

error: controllers/n2: the node's certificate expired at 2001-02-03T00:00:00Z; renew it
error: controllers/n3: the node's certificate is for other.test, not for n3.nodes.test; set the node's server_name to one of its names
error: controllers/n4: cannot connect to 127.0.0.1:<n4>: Connection refused (os error 111); does the node run, and listen on this port?
error: controllers/n3: its certificate does not cover gate.test (listener edge), it is for other.test, spiffe://gate.test/controller/n3: clients would refuse it once this node leads; issue it with this name
warning: controllers: the controllers show different keys for gate.test (listener edge): n1, another n2; an enrollment token is signed with that key, so that it fails once another controller leads; give all of them one certificate and key for this name, as identity.alt_server_certs
4 errors, 1 warning"
    );
    assert_eq!(exit, Some(1));
}

#[tokio::test]
async fn no_leader_and_two_leaders_exit_1() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let trust = by_authority(&authority, &folder);
    let mut nodes =
        [Node::start(&authority, "n1", "follow").await, Node::start(&authority, "n2", "follow").await];
    let (printed, exit) = check(&nodes, "[]", &trust).await;
    assert!(printed.contains("error: controllers: no node says that it leads"), "{printed}");
    assert_eq!(exit, Some(1));
    for node in &mut nodes {
        node.order("lead").await;
    }
    let (printed, exit) = check(&nodes, "[]", &trust).await;
    assert!(printed.contains("error: controllers: 2 nodes say that they lead (n1, n2)"), "{printed}");
    assert_eq!(exit, Some(1));
}

#[tokio::test]
async fn a_pin_that_does_not_match_is_told_as_the_one_to_paste() {
    let authority = Authority::new();
    let nodes = [Node::start(&authority, "n1", "lead").await];
    let pinned = |pin: &str| format!("probe.tls = {{ verify = \"pin\", pins = [\"{pin}\"] }}");
    let (printed, exit) = check(&nodes, "[]", &pinned(&"00".repeat(32))).await;
    assert_eq!(exit, Some(1));
    let told =
        "error: controllers/n1: the node's key is none of probe.tls.pins; if it is the right one, add \"";
    let pin = printed.split_once(told).and_then(|(_, rest)| rest.split('"').next());
    let (printed, exit) = check(&nodes, "[]", &pinned(pin.expect(&printed))).await;
    assert!(printed.ends_with("nothing is wrong"), "{printed}");
    assert_eq!(exit, Some(0));
}

#[tokio::test]
async fn a_public_name_is_looked_for_in_every_cluster_that_its_clients_may_get_to() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let trust = by_authority(&authority, &folder);
    let until = Some((2999, 1, 1));
    let mut nodes = Vec::new();
    let mut text = "[listeners.edge]\nbind = \"127.0.0.1:0\"\ncluster = \"rest\"\n\
         public_names = [\"a.test\", \"b.test\", \"127.0.0.1\"]\n\
         routes = [{ server_names = \"a.test\", cluster = \"a\" }, { alpn = \"x\", cluster = \"b\" }]\n"
        .to_owned();
    for (name, covers) in [("a", "b.test"), ("b", "b.test"), ("rest", "a.test")] {
        let identity = authority.issue_for(name, &[covers, "127.0.0.1", &own_name(name)], until);
        let node = Node::with_identity(identity, name, "lead").await;
        let (port, server_name) = (node.port, own_name(name));
        writeln!(text, "[clusters.{name}]\npreset = \"openziti\"\nprobe.timeout = \"20s\"\n{trust}").unwrap();
        writeln!(text, "nodes.n = {{ address = \"127.0.0.1:{port}\", server_name = {server_name:?} }}")
            .unwrap();
        nodes.push(node);
    }
    let (printed, exit) = check_text(&text).await;
    let printed = masked(&printed, &nodes);
    let table = "\
LISTENER PUBLIC NAME CLUSTER NODE COVERED
edge a.test a n no
edge b.test b n yes
edge b.test rest n no
edge 127.0.0.1 b n yes
edge 127.0.0.1 rest n yes
";
    assert!(printed.contains(table), "{printed}");
    assert_eq!(exit, Some(1));
}
