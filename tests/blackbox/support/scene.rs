//! A cluster of nodes with the gate before it: where a test begins and ends.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::timeout;

use super::certs::{Authority, own_name};
use super::client::{Stream, Trust, assert_echo, say};
use super::clock::Stamp;
use super::crowd::Crowd;
use super::gate::{Gate, raftgate};
use super::hostile::{Hostile, Malice};
use super::node::Node;

/// The control socket's name.
const SOCKET: &str = "control.sock";
/// A command may take so long: an upgrade that fails takes up to half a minute.
const PATIENCE: Duration = Duration::from_mins(1);

/// Nodes `n1`, `n2`, ..., a gate before them, and what clients need.
pub(crate) struct Scene {
    // Dropped in this order: the gate must not see its nodes die and shout about it.
    /// The gate.
    pub(crate) gate: Gate,
    /// The nodes, in the order of their names.
    pub(crate) nodes: Vec<Node>,
    /// What clients know.
    pub(crate) trust: Trust,
    /// Who has signed the nodes' certificates.
    pub(crate) authority: Authority,
    /// Those who mean harm.
    _hostile: Vec<Hostile>,
    /// The folder of the configuration and of `ca.pem`.
    pub(crate) folder: TempDir,
}

/// What differs from the least configuration that works.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settings<'a> {
    /// Lines at the top level.
    pub(crate) top: &'a str,
    /// Lines in `[listeners.edge]`.
    pub(crate) listener: &'a str,
    /// The cluster's preset; `openziti` if there is none.
    pub(crate) preset: Option<&'a str>,
    /// Lines in `[clusters.controllers]`.
    pub(crate) cluster: &'a str,
    /// Whether the probes go to the nodes' second ports.
    pub(crate) separate_probe_ports: bool,
    /// The host in the nodes' addresses; the one that each listens on if there is none.
    pub(crate) host: Option<&'a str>,
    /// A file that the gate alone sees, and where it sees it: `/etc/hosts`, say.
    pub(crate) own_file: Option<(&'a Path, &'a str)>,
    /// Further variables in the gate's environment.
    pub(crate) variables: &'a [(&'a str, &'a str)],
    /// Whether the gate has no control socket.
    pub(crate) without_socket: bool,
    /// The binary by another name than its own.
    pub(crate) binary: Option<&'a Path>,
    /// Further nodes, by their names.
    pub(crate) hostile: &'a [(&'static str, Malice)],
}

impl Scene {
    /// One node for each first order, the least configuration that works, and a route if a node leads.
    pub(crate) async fn start(first_orders: &[&str]) -> Self {
        Self::with(first_orders, Settings::default()).await
    }

    /// The same with settings.
    pub(crate) async fn with(first_orders: &[&str], settings: Settings<'_>) -> Self {
        let authority = Authority::new();
        let mut nodes = Vec::new();
        for (order, number) in first_orders.iter().zip(1..) {
            nodes.push(Node::start(&authority, &format!("n{number}"), order).await);
        }
        let mut hostile = Vec::new();
        for (name, malice) in settings.hostile {
            hostile.push(Hostile::start(&authority, name, *malice).await);
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        let file = folder.path().join("raftgate.toml");
        let mut configuration = configuration(&nodes, folder.path(), settings);
        configuration.extend(hostile.iter().map(Hostile::configuration));
        std::fs::write(&file, configuration).unwrap();
        let gate = match (settings.own_file, settings.binary) {
            (Some(own), _) => Gate::start_seeing(&file, own).await,
            (None, Some(binary)) => Gate::start_as(binary, &file).await,
            (None, None) => Gate::start_with(&file, settings.variables).await,
        };
        let trust = Trust::new(&authority, &nodes);
        let scene = Scene { gate, nodes, trust, authority, _hostile: hostile, folder };
        scene.gate.is_ready().await;
        if let Some(leader) = first_orders.iter().position(|order| *order == "lead") {
            scene.gate.routes_to(Some(&scene.nodes[leader].name)).await;
            // A claim is proven to be newer only if its node was heard following after the older claim began (L3).
            let elected = Stamp::now();
            for node in &scene.nodes {
                node.known_since(elected).await;
            }
        }
        scene
    }

    /// Lets clients arrive.
    pub(crate) fn crowd(&self) -> Crowd {
        Crowd::arrive(&self.trust, self.gate.address)
    }

    /// Where the gate is controlled.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join(SOCKET)
    }

    /// Runs a command against the gate.
    pub(crate) async fn command(&self, arguments: &[&str]) -> Output {
        let output = raftgate().args(arguments).arg("--socket").arg(self.socket()).output();
        timeout(PATIENCE, output).await.expect("a command ends").unwrap()
    }

    /// A session with the leader, which echoes.
    pub(crate) async fn echo_session(&self) -> Stream {
        let (mut session, _) = self.trust.connect(self.gate.address).await.unwrap();
        say(&mut session, "ECHO").await.unwrap();
        assert_echo(&mut session).await;
        session
    }

    /// The leadership goes from one node to another in good order. Returns when the old one had stepped down
    /// and when the new one claimed.
    pub(crate) async fn hand_over(&mut self, from: usize, to: usize) -> (Stamp, Stamp) {
        let down = self.nodes[from].order("follow").await;
        let up = self.nodes[to].order("lead").await;
        (down, up)
    }
}

/// A gate's configuration for these nodes, with `ca.pem` in this folder.
pub(crate) fn configuration(nodes: &[Node], folder: &Path, settings: Settings<'_>) -> String {
    let mut text = format!(
        "workers = 2\nlog.format = \"json\"\nadmin.bind = \"127.0.0.1:0\"\nadmin.socket = \"{}\"\n{}\n\
         [listeners.edge]\nbind = \"127.0.0.1:0\"\ncluster = \"controllers\"\n{}\n\
         [clusters.controllers]\npreset = \"{}\"\nprobe.tls.ca_file = \"{}\"\n{}\n",
        if settings.without_socket { String::new() } else { folder.join(SOCKET).display().to_string() },
        settings.top,
        settings.listener,
        settings.preset.unwrap_or("openziti"),
        folder.join("ca.pem").display(),
        settings.cluster,
    );
    for node in nodes {
        let host = settings.host.map_or_else(|| node.host.to_string(), str::to_owned);
        let probe_port = if settings.separate_probe_ports { node.probe_port } else { node.port };
        writeln!(
            text,
            "nodes.{} = {{ address = \"{host}:{}\", probe_address = \"{host}:{probe_port}\", server_name = \"{}\" }}",
            node.name,
            node.port,
            own_name(&node.name),
        )
        .expect("writing to a string does not fail");
    }
    text
}
