//! What stands behind the peers: three nodes that are asked who leads, and the process that the load ends at.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use crate::own_process::{OwnProcess, Role};
use crate::support::certs::Authority;
use crate::support::node::Node;

/// The nodes; the first leads.
const NODES: [&str; 3] = ["n1", "n2", "n3"];

/// Nodes with a port for the load beside them.
pub(crate) struct Stage {
    nodes: Vec<Node>,
    _service: OwnProcess,
    leader: SocketAddr,
    folder: TempDir,
}

impl Stage {
    /// Starts it; what the load ends at may be bound to one core.
    pub(crate) async fn start(core: Option<usize>) -> Result<Self, String> {
        let authority = Authority::new();
        let nodes = Node::start_quiet(&authority, &NODES).await;
        let mut service = OwnProcess::start(Role::Service, core)?;
        let port = service.hears("ready", Duration::from_secs(10)).await?;
        let port: u16 = port.parse().map_err(|_| format!("`{port}` is no port"))?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let stage = Stage { nodes, _service: service, leader: (Ipv4Addr::LOCALHOST, port).into(), folder };
        std::fs::write(stage.authority_file(), authority.pem()).map_err(|error| error.to_string())?;
        Ok(stage)
    }

    /// Where the load ends.
    pub(crate) fn leader(&self) -> SocketAddr {
        self.leader
    }

    /// Each node, and where its clients' bytes go. Where the followers' would, nobody listens: whoever sends a client there
    /// has not asked who leads.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (&Node, SocketAddr)> {
        let nowhere = (1..).map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let leader = std::iter::once(self.leader);
        self.nodes.iter().zip(leader.chain(nowhere))
    }

    /// How many probes all nodes have answered.
    pub(crate) async fn answers(&mut self) -> u64 {
        let mut answers = 0;
        for node in &mut self.nodes {
            answers += node.count("answers").await;
        }
        answers
    }

    /// The certificate that the nodes' are signed with.
    pub(crate) fn authority_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A folder of one peer's own.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf, String> {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        Ok(folder)
    }
}
