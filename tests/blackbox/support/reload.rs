//! Has a gate go over to another configuration.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use tokio::net::TcpStream;

use super::certs::own_name;
use super::gate::sum;
use super::node::Node;
use super::scene::{Scene, Settings, configuration};
use super::wait::within_deadline;

impl Scene {
    /// The configuration's file.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("raftgate.toml")
    }

    /// The text of the configuration, with the control socket and the CA in their places.
    pub(crate) fn text(&self, settings: Settings<'_>) -> String {
        configuration(&self.nodes, self.folder.path(), settings)
    }

    /// Has the gate go over to this text; what it says.
    pub(crate) async fn reload(&self, text: &str) -> String {
        fs::write(self.file(), text).unwrap();
        let (code, said) = self.try_reload().await;
        assert_eq!(code, Some(0), "{said}");
        said
    }

    /// Has the gate read its file again: the exit code of the command, and all that it has printed.
    pub(crate) async fn try_reload(&self) -> (Option<i32>, String) {
        let output = self.command(&["reload"]).await;
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }

    pub(crate) async fn metric(&self, name: &str) -> f64 {
        sum(&within_deadline("the metrics", self.gate.metrics()).await.unwrap(), name, "")
    }

    pub(crate) async fn epoch(&self) -> Option<u64> {
        let (_, body) = self.gate.get("/status").await?;
        let status: serde_json::Value = serde_json::from_str(&body).ok()?;
        status["clusters"]["controllers"]["epoch"].as_u64()
    }
}

/// A second cluster of one node, and a listener for it.
pub(crate) fn second(node: &Node, folder: &Path, address: &str) -> String {
    format!(
        "\n[listeners.second]\nbind = \"{address}\"\ncluster = \"other\"\n[clusters.other]\npreset = \"openziti\"\n\
         sessions.on_demotion = \"cut\"\nprobe.tls.ca_file = \"{}\"\n\
         nodes.{} = {{ address = \"{}:{}\", server_name = \"{}\" }}\n",
        folder.join("ca.pem").display(),
        node.name,
        node.host,
        node.port,
        own_name(&node.name),
    )
}

/// The text without the line that begins so.
pub(crate) fn without(text: &str, beginning: &str) -> String {
    text.split_inclusive('\n').filter(|line| !line.starts_with(beginning)).collect()
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

pub(crate) async fn is_refused(address: SocketAddr) -> bool {
    matches!(TcpStream::connect(address).await, Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused)
}
