//! Certificates and keys of other makers, as `openssl s_server` shows them, and certificates that are renewed.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::support::gate::raftgate;
use crate::support::require_tool;
use crate::support::scene::{Scene, Settings};
use crate::support::wait::within_deadline;

/// What the key of a node can be, as `openssl req -newkey` is told.
const RSA_1024: &[&str] = &["rsa:1024"];
const RSA_PSS: &[&str] = &["rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048"];
const P_521: &[&str] = &["ec", "-pkeyopt", "ec_paramgen_curve:P-521"];
const ED448: &[&str] = &["ed448"];
const ED25519: &[&str] = &["ed25519"];

/// The verdict on a node that leads, as the table has it.
const LEADS: &str = " leader ";

/// A node that `openssl s_server` stands for; it answers each request with a status of 200.
struct Server {
    port: u16,
    _child: Child,
}

async fn openssl(folder: &Path, arguments: &[&str]) {
    let made = Command::new("openssl").current_dir(folder).args(arguments).output();
    let made = within_deadline("openssl", made).await.unwrap();
    assert!(made.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&made.stderr));
}

/// A self-signed certificate and its key, in `NAME.pem` and `NAME.key`.
async fn issue(folder: &Path, name: &str, key: &[&str]) {
    let files = ["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")];
    let rest = ["-nodes", "-days", "30", "-subj", "/CN=n1", "-addext", "subjectAltName=IP:127.0.0.1"];
    openssl(folder, &[&["req", "-x509", "-newkey"], key, &files, &rest].concat()).await;
}

impl Server {
    async fn start(folder: &Path, arguments: &[&str]) -> Self {
        // Keys that are too weak for its defaults are wanted here.
        let usual = ["s_server", "-accept", "127.0.0.1:0", "-www", "-cipher", "DEFAULT@SECLEVEL=0"];
        let child = Command::new("openssl")
            .current_dir(folder)
            .args(usual)
            .args(["-cert", "node.pem", "-key", "node.key"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let mut child = child.unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = async {
            loop {
                let line = lines.next_line().await.unwrap().expect("it says where it listens");
                if let Some((_, port)) = line.rsplit_once(':').filter(|_| line.starts_with("ACCEPT")) {
                    return port.parse().unwrap();
                }
            }
        };
        let port = within_deadline("s_server", port).await;
        // It ends if nobody reads on.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Server { port, _child: child }
    }

    /// What `check --probe` prints of it.
    async fn checked(&self, folder: &Path, tls: &str) -> String {
        let text = format!(
            "[listeners.edge]\nbind = \"127.0.0.1:0\"\ncluster = \"c\"\n[clusters.c]\nprobe.timeout = \"20s\"\n\
             nodes.n1 = \"127.0.0.1:{}\"\n{tls}\n",
            self.port
        );
        let file = folder.join("raftgate.toml");
        std::fs::write(&file, text).unwrap();
        let output = raftgate().args(["check", "--probe", "-c"]).arg(&file).output();
        let output = within_deadline("check --probe", output).await.unwrap();
        [output.stdout, output.stderr].iter().map(|printed| String::from_utf8_lossy(printed)).collect()
    }
}

/// The pin that a refusal shows.
fn pin(printed: &str) -> &str {
    let rest = printed.split_once("add \"").expect(printed).1;
    rest.split('"').next().unwrap()
}

#[tokio::test]
async fn l6_old_and_rare_keys_serve_where_the_key_alone_counts() {
    if !require_tool("openssl", "nodes with old and rare keys") {
        return;
    }
    for (key, version, expected) in [
        (RSA_1024, "-tls1_2", LEADS),
        (
            RSA_1024,
            "-tls1_3",
            "the node's key is RSA of 1024 bits, and its signature cannot be verified over TLS 1.3",
        ),
        (
            RSA_PSS,
            "-tls1_2",
            "the node's key is of a kind that raftgate verifies over TLS 1.3 alone (RSA marked for PSS)",
        ),
        (RSA_PSS, "-tls1_3", LEADS),
        (P_521, "-tls1_2", LEADS),
        (P_521, "-tls1_3", LEADS),
        (ED25519, "-tls1_2", LEADS),
        (ED448, "-tls1_2", "does the node have a key of another kind (Ed448, DSA)?"),
        (ED448, "-tls1_3", "does the node have a key of another kind (Ed448, DSA)?"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        issue(folder.path(), "node", key).await;
        let server = Server::start(folder.path(), &[version]).await;
        let printed = server.checked(folder.path(), "probe.tls.verify = \"none\"").await;
        assert!(printed.contains(expected), "{key:?} {version} {expected}: {printed}");
        if expected != LEADS {
            continue;
        }
        let pinned = |pin: &str| format!("probe.tls = {{ verify = \"pin\", pins = \"{pin}\" }}");
        let other = server.checked(folder.path(), &pinned(&"00".repeat(32))).await;
        let printed = server.checked(folder.path(), &pinned(pin(&other))).await;
        assert!(printed.contains(LEADS), "{key:?} {version}, pinned: {printed}");
    }
}

#[tokio::test]
async fn l6_a_self_signed_node_serves_with_itself_as_ca_file() {
    if !require_tool("openssl", "a self-signed node") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    issue(folder.path(), "node", P_521).await;
    let server = Server::start(folder.path(), &[]).await;
    let trusted = format!("probe.tls.ca_file = \"{}\"", folder.path().join("node.pem").display());
    let printed = server.checked(folder.path(), &trusted).await;
    assert!(printed.contains("nothing is wrong"), "{printed}");
}

#[tokio::test]
async fn l6_a_node_with_tls_12_says_that_it_wants_a_certificate() {
    if !require_tool("openssl", "nodes that want a client certificate") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, key) in [("node", P_521), ("gate", P_521)] {
        issue(folder.path(), name, key).await;
    }
    let server = Server::start(folder.path(), &["-tls1_2", "-Verify", "1"]).await;
    let without = server.checked(folder.path(), "probe.tls.verify = \"none\"").await;
    assert!(
        without.contains("it requires a client certificate")
            && without.contains("probe.tls.client_cert_file"),
        "{without}"
    );
    let at = |name: &str| folder.path().join(name).display().to_string();
    let shown = format!(
        "probe.tls = {{ verify = \"none\", client_cert_file = \"{}\", client_key_file = \"{}\" }}",
        at("gate.pem"),
        at("gate.key")
    );
    let with = server.checked(folder.path(), &shown).await;
    assert!(with.contains(" leader "), "a key on P-521: {with}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_a_reload_takes_up_name_constraints_and_says_so() {
    let scene = Scene::with(&["lead", "follow"], Settings::default()).await;
    let text = scene.text(Settings::default());
    scene.gate.routes_to(Some("n1")).await;
    let file = scene.folder.path().join("ca.pem");
    let said = format!("new certificates: {} (cluster controllers)", file.display());

    // The same names and keys, but no node's name is permitted.
    let before = scene.authority.pem();
    let constrained = scene.authority.reissued_for("elsewhere.test");
    std::fs::write(&file, constrained.pem()).unwrap();
    let answer = scene.reload(&text).await;
    assert!(answer.contains(&said), "{answer}");
    scene.gate.sees("n1", "unreachable").await;

    std::fs::write(&file, before).unwrap();
    let answer = scene.reload(&text).await;
    assert!(answer.contains(&said), "{answer}");
    scene.gate.sees("n1", "leader").await;
    assert!(scene.reload(&text).await.contains("as before"), "nothing has changed");
    scene.gate.assert_books_balance().await;
}
