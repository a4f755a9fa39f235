//! Three nodes with the gate before them, and what may happen to them.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::sleep;

use crate::support::certs::Authority;
use crate::support::client::Trust;
use crate::support::clock::Stamp;
use crate::support::node::Node;
use crate::support::wait::until;

use super::gate::Gate;
use super::judge::Fault;
use super::ledger::Ledger;
use super::load::Load;

/// The nodes; the first leads at the start.
const NODES: [&str; 3] = ["n1", "n2", "n3"];
/// How long an election takes, from the fault to the claim.
const ELECTION: Duration = Duration::from_secs(1);
/// How long after the election a killed leader is started again.
const ABSENT: Duration = Duration::from_secs(1);
/// How long after the election a frozen leader wakes up, by turns: before the gate takes it for lost, and after.
const ASLEEP: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// How long a woken leader says that it leads, until it hears of the election.
const STALE: Duration = Duration::from_millis(200);
/// How long two nodes claim.
const TWO: Duration = Duration::from_secs(1);
/// So many probes each node must have answered after a change: then the gate has nothing left to learn.
const PROBES: u64 = 2;

/// Nodes with the gate before them.
pub(crate) struct Stage {
    // Dropped in this order: the gate must not see its nodes die and shout about it.
    /// What stands before the nodes.
    pub(crate) gate: Gate,
    /// The nodes.
    pub(crate) nodes: Vec<Node>,
    /// What clients know.
    pub(crate) trust: Trust,
    leader: usize,
    /// How often a leader was frozen.
    freezes: usize,
    /// How many faults of each node's conversations have been taken.
    taken: Vec<usize>,
    _folder: TempDir,
}

impl Stage {
    /// Starts it; `binary` is the gate in place of this build's.
    pub(crate) async fn start(binary: Option<&Path>) -> Self {
        let authority = Authority::new();
        let nodes = Node::start_quiet(&authority, &NODES).await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).expect("the folder can be written");
        let trust = Trust::new(&authority, &nodes);
        let gate = Gate::start(binary, &nodes, folder.path()).await;
        let taken = vec![0; nodes.len()];
        let mut stage = Stage { gate, nodes, trust, leader: 0, freezes: 0, taken, _folder: folder };
        stage.gate.routes_to(NODES[0]).await;
        stage.is_known().await;
        stage
    }

    /// Lets a fault strike, and waits until the gate follows the new leader and every node is as it was.
    pub(crate) async fn strike(&mut self, fault: Fault, ledger: &Ledger, load: &Load) {
        let (old, new) = (self.leader, (self.leader + 1) % self.nodes.len());
        let name = self.nodes[old].name.clone();
        let begun = Stamp::now();
        let strike = match fault {
            Fault::HandOver => {
                self.nodes[old].order("follow").await;
                self.lead(new).await;
                ledger.strike(fault, None, begun)
            }
            Fault::Kill => {
                let strike = ledger.strike(fault, Some(name), begun);
                self.nodes[old].kill().await;
                self.elect(new).await;
                sleep(ABSENT).await;
                self.take_faults(ledger);
                self.taken[old] = 0;
                let identity = self.nodes[old].identity.clone();
                self.nodes[old].start_again(identity, "follow").await;
                self.nodes[old].order("quiet").await;
                strike
            }
            Fault::Freeze => {
                let strike = ledger.strike(fault, Some(name), begun);
                self.nodes[old].freeze().await;
                self.elect(new).await;
                sleep(ASLEEP[self.freezes % ASLEEP.len()]).await;
                self.freezes += 1;
                self.nodes[old].wake();
                sleep(STALE).await;
                self.nodes[old].order("follow").await;
                strike
            }
            Fault::TwoLeaders => {
                let strike = ledger.strike(fault, None, begun);
                self.lead(new).await;
                sleep(TWO).await;
                self.nodes[old].order("follow").await;
                strike
            }
            Fault::Reload | Fault::ReloadChanged | Fault::ReloadRefused => {
                let strike = ledger.strike(fault, None, begun);
                self.gate.reload(fault).await;
                strike
            }
            Fault::Upgrade => {
                let strike = ledger.strike(fault, None, begun);
                self.gate.upgrade().await;
                strike
            }
            Fault::ResetStorm => {
                let strike = ledger.strike(fault, None, begun);
                load.storm().await;
                strike
            }
        };
        let leader = self.nodes[self.leader].name.clone();
        self.gate.routes_to(&leader).await;
        self.is_known().await;
        ledger.over(strike, Stamp::now());
        self.take_faults(ledger);
    }

    /// Writes down what the nodes have told of their conversations.
    pub(crate) fn take_faults(&mut self, ledger: &Ledger) {
        for (node, taken) in self.nodes.iter().zip(&mut self.taken) {
            let faults = node.faults();
            for fault in &faults[*taken..] {
                ledger.told_by_node(&node.name, fault);
            }
            *taken = faults.len();
        }
    }

    /// How many conversations the nodes are still in.
    pub(crate) async fn talking(&mut self) -> u64 {
        let mut talking = 0;
        for node in &mut self.nodes {
            talking += node.count("talking").await;
        }
        talking
    }

    async fn elect(&mut self, new: usize) {
        sleep(ELECTION.mul_f64(1.0 + 0.1 * fastrand::f64())).await;
        self.lead(new).await;
    }

    async fn lead(&mut self, new: usize) {
        self.nodes[new].order("lead").await;
        self.leader = new;
    }

    /// Waits until each node has answered several probes more.
    async fn is_known(&mut self) {
        for node in &mut self.nodes {
            let before = node.count("answers").await;
            until(&format!("{} is probed", node.name), async || {
                (node.count("answers").await >= before + PROBES).then_some(())
            })
            .await;
        }
    }
}
