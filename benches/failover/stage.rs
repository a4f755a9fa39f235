//! Three nodes with one gate before them, settled: what a fault strikes.

use std::time::Duration;

use tempfile::TempDir;

use crate::gates::{Kind, Running};
use crate::network::Remote;
use crate::support::certs::Authority;
use crate::support::client::{Outcome, Trust};
use crate::support::clock::Stamp;
use crate::support::node::{Node, Place};
use crate::support::wait::until;

/// The nodes; the first leads.
pub(crate) const NODES: [&str; 3] = ["n1", "n2", "n3"];
/// So many times each node must have been probed: HAProxy then has counted each up or down as far as it goes.
const PROBES: usize = 3;
/// So many clients in a row must have been served by the leader.
const CLIENTS: usize = 20;

/// Nodes with a gate before them.
pub(crate) struct Stage {
    // Dropped in this order: the gate must not see its nodes die and shout about it.
    /// What stands before the nodes.
    pub(crate) gate: Running,
    /// The nodes.
    pub(crate) nodes: Vec<Node>,
    /// The networks of the nodes, if each has its own.
    pub(crate) remotes: Vec<Remote>,
    /// What clients know.
    pub(crate) trust: Trust,
    _folder: TempDir,
}

/// The nodes alone.
pub(crate) struct Backstage {
    /// The nodes.
    pub(crate) nodes: Vec<Node>,
    remotes: Vec<Remote>,
    trust: Trust,
    /// Where the gate finds its files.
    pub(crate) folder: TempDir,
}

impl Backstage {
    /// Starts the nodes, each in a network of its own if they are to be cut off.
    pub(crate) async fn start(remote: bool) -> Self {
        let authority = Authority::new();
        let (mut nodes, mut remotes) = (Vec::new(), Vec::new());
        for name in NODES {
            let mut place = Place::default();
            if remote {
                let network = Remote::new().await.expect("networks can be made: it was tried");
                place = network.place();
                remotes.push(network);
            }
            let order = if name == NODES[0] { "lead" } else { "follow" };
            nodes.push(Node::at(&place, authority.issue(name), name, order).await);
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).expect("the folder can be written");
        let trust = Trust::new(&authority, &nodes);
        Backstage { nodes, remotes, trust, folder }
    }

    /// Checks that clients can reach each node without a gate: what fails later is the gate's.
    async fn try_nodes(&self) {
        for node in &self.nodes {
            let visit = self.trust.visit((node.host, node.port).into()).await;
            let leads = node.name == NODES[0];
            assert_eq!(visit.outcome, Outcome::Served { leads }, "{}, without a gate", node.name);
        }
    }
}

impl Stage {
    /// Starts nodes and gate, and waits until the gate has nothing left to learn.
    pub(crate) async fn start(kind: Kind, remote: bool) -> Self {
        let backstage = Backstage::start(remote).await;
        backstage.try_nodes().await;
        let gate = kind.start(&backstage.nodes, backstage.folder.path()).await;
        let Backstage { nodes, remotes, trust, folder } = backstage;
        let stage = Stage { gate, nodes, remotes, trust, _folder: folder };
        stage.settle().await;
        stage
    }

    async fn settle(&self) {
        let begin = Stamp::now();
        for node in &self.nodes {
            until(&format!("{} has been probed {PROBES} times", node.name), async || {
                let probes = node.probes().into_iter().filter(|probe| probe.arrived > begin).count();
                (probes >= PROBES).then_some(())
            })
            .await;
        }
        for number in 1..=CLIENTS {
            let visit = self.trust.visit(self.gate.address()).await;
            assert!(
                visit.is_served_by(NODES[0]),
                "client {number} before any fault: {visit:?}\n{}",
                self.gate.log()
            );
        }
    }

    /// A moment after `change` at which node `number` had answered the first probe that it has changed.
    pub(crate) async fn given_away(&self, number: usize, change: Stamp) -> Option<Stamp> {
        let first = || self.nodes[number].probes().into_iter().find(|probe| probe.arrived > change);
        for _ in 0..200 {
            if let Some(probe) = first() {
                return Some(probe.answered);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        None
    }
}
