//! Clients of every make go to the cluster that their ClientHello asks for, and see its node's own certificate.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Output, Stdio};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio_rustls::TlsConnector;

use crate::support::certs::{Authority, own_name};
use crate::support::gate::Gate;
use crate::support::node::Node;
use crate::support::wait::{until, within_deadline};
use crate::support::{not_run, require_tool};

/// A gate before three clusters of one node each, whose names are theirs.
struct Stage {
    // Dropped in this order: the gate must not see its nodes die.
    gate: Gate,
    nodes: Vec<Node>,
    authority: Authority,
    folder: TempDir,
}

/// `a.example.org` and whatever is below `b.example.org` have their clusters, `acme-tls/1` leads to `b` as well.
const ROUTES: &str = r#"routes = [
    { server_names = "no.example.org", reject = true },
    { alpn = "acme-tls/1", cluster = "b" },
    { server_names = "a.example.org", cluster = "a" },
    { server_names = "*.b.example.org", cluster = "b" },
]"#;
const NAMES: [&str; 5] =
    ["a.example.org", "x.y.b.example.org", "*.b.example.org", "*.example.org", "127.0.0.1"];

impl Stage {
    async fn start() -> Self {
        let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
        let roots = folder.path().join("ca.pem");
        std::fs::write(&roots, authority.pem()).unwrap();
        let mut text = format!(
            "workers = 2\nlog.format = \"json\"\nadmin.bind = \"127.0.0.1:0\"\n[listeners.edge]\nbind = \"127.0.0.1:0\"\n\
             cluster = \"rest\"\n{ROUTES}\n"
        );
        let mut nodes = Vec::new();
        for name in ["a", "b", "rest"] {
            let own = own_name(name);
            let names: Vec<&str> = NAMES.into_iter().chain([own.as_str()]).collect();
            let node = Node::with_identity(authority.issue_for(name, &names, None), name, "lead").await;
            write!(
                text,
                "[clusters.{name}]\npreset = \"openziti\"\nprobe.tls.ca_file = \"{}\"\n\
                 nodes.{name} = {{ address = \"127.0.0.1:{}\", server_name = \"{own}\" }}\n",
                roots.display(),
                node.port
            )
            .expect("writing to a string does not fail");
            nodes.push(node);
        }
        let file = folder.path().join("raftgate.toml");
        std::fs::write(&file, text).unwrap();
        Stage { gate: Gate::start(&file).await, nodes, authority, folder }
    }

    /// Where clients come whole, and where they come in segments of one byte.
    async fn doors(&self) -> [SocketAddr; 2] {
        [self.gate.address, shredder(self.gate.address).await]
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Whose certificate this is.
    fn node_of(&self, certificate: &CertificateDer<'_>) -> &str {
        let node = self.nodes.iter().find(|node| node.identity.certificate == *certificate);
        &node.expect("a certificate of one of the nodes").name
    }

    /// Who answers a client of rustls; nobody, if it is turned away.
    async fn reached(&self, name: &str, alpn: &[&str]) -> Option<&str> {
        let certificate = certificate_for(self.gate.address, &self.authority, name, alpn).await;
        certificate.map(|certificate| self.node_of(&certificate))
    }
}

/// Somebody on the way who hands on what a client says first, its hello and more, byte by byte.
async fn shredder(gate: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            // Whatever breaks off is its client's to see.
            tokio::spawn(shred(client, gate));
        }
    });
    address
}

async fn shred(client: TcpStream, gate: SocketAddr) -> std::io::Result<()> {
    let gate = TcpStream::connect(gate).await?;
    gate.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_gate, mut to_gate) = gate.into_split();
    let up = async {
        for _ in 0..4096 {
            match from_client.read_u8().await {
                Ok(byte) => to_gate.write_all(&[byte]).await?,
                Err(_) => return to_gate.shutdown().await,
            }
        }
        tokio::io::copy(&mut from_client, &mut to_gate).await?;
        to_gate.shutdown().await
    };
    let down = async {
        tokio::io::copy(&mut from_gate, &mut to_client).await?;
        to_client.shutdown().await
    };
    tokio::try_join!(up, down)?;
    Ok(())
}

/// The certificate that is shown to a client of rustls (which names no IP address); `None` if it is turned away.
pub(crate) async fn certificate_for(
    address: SocketAddr,
    authority: &Authority,
    name: &str,
    alpn: &[&str],
) -> Option<CertificateDer<'static>> {
    let mut config = (*authority.client_config()).clone();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let visit = async {
        let stream = TcpStream::connect(address).await.unwrap();
        TlsConnector::from(std::sync::Arc::new(config)).connect(name, stream).await
    };
    match within_deadline("a TLS handshake", visit).await {
        Ok(stream) => Some(stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()),
        // A wrong certificate or an alert would be another kind.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => None,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_rustls_go_where_their_hello_says_and_the_gate_tells_of_it() {
    let stage = Stage::start().await;
    for (name, alpn, node) in [
        ("a.example.org", &["http/1.1"][..], Some("a")),
        ("A.EXAMPLE.org", &[], Some("a")),
        ("x.y.b.example.org", &["h2", "http/1.1"], Some("b")),
        ("b.example.org", &["http/1.1"], Some("rest")),
        ("a.example.org", &["acme-tls/1", "http/1.1"], Some("b")),
        ("127.0.0.1", &["http/1.1"], Some("rest")),
        ("127.0.0.1", &["http/1.1", "acme-tls/1"], Some("b")),
        ("no.example.org", &["acme-tls/1"], None),
        ("No.Example.Org", &[], None),
    ] {
        assert_eq!(stage.reached(name, alpn).await, node, "{name} {alpn:?}");
    }
    let gate = &stage.gate;
    gate.counts("raftgate_connections_refused_total", "reason=\"rejected_name\"", |it| it >= 2.0).await;
    let clusters = until("all lines of closed connections", async || {
        let lines = gate.log().lines_saying("connection closed");
        (lines.len() == 9)
            .then(|| lines.iter().map(|line| line["cluster"].as_str().map(str::to_owned)).collect::<Vec<_>>())
    })
    .await;
    let told = |name: Option<&str>| clusters.iter().filter(|it| it.as_deref() == name).count();
    assert_eq!([Some("a"), Some("b"), Some("rest"), None].map(told), [2, 3, 2, 2], "{clusters:?}");
    let refused =
        gate.log().lines_saying("connection closed").into_iter().filter(|it| it["cluster"].is_null());
    assert!(refused.into_iter().all(|line| line["reason"] == "rejected_name"));
    gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hello_in_segments_of_one_byte_goes_where_it_says() {
    let stage = Stage::start().await;
    let mut connection = rustls::ClientConnection::new(
        stage.authority.client_config(),
        ServerName::try_from("a.example.org").unwrap(),
    )
    .unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    let mut client = TcpStream::connect(stage.gate.address).await.unwrap();
    client.set_nodelay(true).unwrap();
    for byte in hello {
        client.write_all(&[byte]).await.unwrap();
    }
    let mut answer = [0; 4096];
    until("the node's certificate is there", async || {
        let read = within_deadline("an answer", client.read(&mut answer)).await.unwrap();
        assert!(read > 0, "closed before the handshake was done");
        connection.read_tls(&mut &answer[..read]).unwrap();
        connection.process_new_packets().unwrap();
        connection.peer_certificates().map(|chain| assert_eq!(stage.node_of(&chain[0]), "a"))
    })
    .await;
    drop(client);
    stage.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_and_openssl_go_where_they_ask() {
    if !require_tool("curl", "curl by name") || !require_tool("openssl", "openssl s_client by name and ALPN")
    {
        return;
    }
    let stage = Stage::start().await;
    for door in stage.doors().await {
        for (name, node) in [("a.example.org", "a"), ("x.b.example.org", "b"), ("c.example.org", "rest")] {
            let body = curl(&stage, door, name).await;
            assert!(body.contains(&format!("\"node\":\"{node}\"")), "{name}: {body}");
        }
        for (arguments, node) in [
            (&["-servername", "a.example.org"][..], "a"),
            (&["-servername", "a.example.org", "-tls1_2"], "a"),
            (&["-servername", "x.b.example.org", "-alpn", "h2,http/1.1"], "b"),
            (&["-noservername", "-alpn", "acme-tls/1,http/1.1"], "b"),
            (&["-noservername"], "rest"),
        ] {
            let output = openssl(&stage, door, arguments).await;
            assert!(output.status.success(), "{arguments:?}: {output:?}");
            let certificate = CertificateDer::from_pem_slice(&output.stdout).unwrap();
            assert_eq!(stage.node_of(&certificate), node, "{arguments:?}");
        }
        assert!(!openssl(&stage, door, &["-servername", "no.example.org"]).await.status.success());
    }
    let rejected = "reason=\"rejected_name\"";
    stage.gate.counts("raftgate_connections_refused_total", rejected, |it| it >= 2.0).await;
    stage.gate.assert_books_balance().await;
}

async fn curl(stage: &Stage, door: SocketAddr, name: &str) -> String {
    let output = run(Command::new("curl")
        .args(["--silent", "--show-error", "--fail", "--noproxy", "*", "--cacert"])
        .arg(stage.file("ca.pem"))
        .args(["--resolve", &format!("{name}:{}:{}", door.port(), door.ip())])
        .arg(format!("https://{name}:{}/whoami", door.port())))
    .await;
    assert!(output.status.success(), "{name}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

async fn openssl(stage: &Stage, door: SocketAddr, arguments: &[&str]) -> Output {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-verify_return_error", "-connect", &door.to_string(), "-CAfile"]);
    run(command.arg(stage.file("ca.pem")).args(arguments)).await
}

async fn run(command: &mut Command) -> Output {
    within_deadline("a tool", command.stdin(Stdio::null()).kill_on_drop(true).output()).await.unwrap()
}

const GO_CLIENT: &str = r#"package main

import (
	"crypto/tls"
	"encoding/pem"
	"os"
)

func main() {
	config := &tls.Config{ServerName: os.Args[2], NextProtos: os.Args[3:], InsecureSkipVerify: true}
	connection, err := tls.Dial("tcp", os.Args[1], config)
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
	certificate := connection.ConnectionState().PeerCertificates[0].Raw
	pem.Encode(os.Stdout, &pem.Block{Type: "CERTIFICATE", Bytes: certificate})
}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_in_go_goes_where_it_asks() {
    let stage = Stage::start().await;
    let binary = stage.file("client");
    // Nobody has to have a compiler for it.
    if let Some(why) = why_no_go_client(stage.folder.path(), &binary).await {
        not_run(&format!("a client in Go: {why}"));
        return stage.gate.assert_books_balance().await;
    }
    for door in stage.doors().await.map(|door| door.to_string()) {
        for (name, alpn, node) in [
            ("a.example.org", &[][..], Some("a")),
            ("x.b.example.org", &["h2", "http/1.1"], Some("b")),
            ("a.example.org", &["acme-tls/1", "http/1.1"], Some("b")),
            ("127.0.0.1", &[], Some("rest")),
            ("no.example.org", &[], None),
        ] {
            let output = run(Command::new(&binary).args([&door, name]).args(alpn)).await;
            let certificate = CertificateDer::from_pem_slice(&output.stdout).ok();
            let reached = certificate.as_ref().map(|certificate| stage.node_of(certificate));
            assert_eq!(reached, node, "{name} {alpn:?}: {output:?}");
        }
    }
    stage.gate.assert_books_balance().await;
}

/// Builds the client; says why it cannot.
async fn why_no_go_client(folder: &Path, binary: &Path) -> Option<String> {
    let source = folder.join("client.go");
    std::fs::write(&source, GO_CLIENT).unwrap();
    let mut go = Command::new("go");
    go.args(["build", "-o"]).arg(binary).arg(&source).current_dir(folder).env("GO111MODULE", "off");
    let built = tokio::time::timeout(std::time::Duration::from_mins(3), go.kill_on_drop(true).output()).await;
    match built {
        Err(_) => Some("`go build` takes too long".to_owned()),
        Ok(Err(error)) => Some(format!("`go` cannot be run: {error}")),
        Ok(Ok(output)) if !output.status.success() => {
            Some(format!("`go build` fails: {}", String::from_utf8_lossy(&output.stderr)))
        }
        Ok(Ok(_)) => None,
    }
}
