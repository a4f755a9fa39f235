//! Three nodes with a real raft among them, and what can be done to them.

use std::time::Duration;

use openraft::BasicNode;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::certs::Authority;
use super::node::{Members, Node, NodeError};
use super::standing::{NAMES, Standing, Standings, describe, raft_id};

/// What can go wrong with the cluster as a whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClusterError {
    /// One node failed.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// It did not come to what was waited for.
    #[error("waited {} s in vain for {awaited}: {found}", PATIENCE.as_secs())]
    Stuck {
        /// What was waited for.
        awaited: &'static str,
        /// What there is instead.
        found: String,
    },
}

/// Far more than anything takes here, even on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// How long a successor gets before it stands for election once more.
const CAMPAIGN: Duration = Duration::from_millis(200);

/// The nodes, by their places.
pub(super) struct Cluster {
    nodes: Vec<Node>,
    standings: Standings,
}

impl Cluster {
    /// Three nodes that have just been started; the first founds the cluster.
    pub(super) fn start(authority: &Authority) -> Result<Self, ClusterError> {
        let standings = Standings::new(NAMES.len());
        let mut nodes = (0..NAMES.len())
            .map(|place| Node::new(place, authority, standings.clone()))
            .collect::<Result<Vec<_>, _>>()?;
        for node in &mut nodes {
            node.start()?;
        }
        let members: Members = nodes
            .iter()
            .enumerate()
            .map(|(place, node)| (raft_id(place), BasicNode::new(node.raft_address())))
            .collect();
        nodes[0].found(members)?;
        Ok(Cluster { nodes, standings })
    }

    /// The nodes.
    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// How the nodes stand, and how that changes.
    pub(super) fn standings(&self) -> watch::Receiver<Vec<Standing>> {
        self.standings.subscribe()
    }

    /// Kills a node. See [`Node::kill`].
    pub(super) async fn kill(&mut self, place: usize) {
        self.nodes[place].kill().await;
    }

    /// Starts a killed node again: same ports, same log.
    pub(super) fn restart(&mut self, place: usize) -> Result<(), ClusterError> {
        Ok(self.nodes[place].start()?)
    }

    /// Freezes a node. See [`Node::freeze`].
    pub(super) async fn freeze(&mut self, place: usize) -> Result<(), ClusterError> {
        Ok(self.nodes[place].freeze().await?)
    }

    /// Wakes a frozen node.
    pub(super) fn wake(&mut self, place: usize) {
        self.nodes[place].wake();
    }

    /// Makes the leader give way to a successor, in an orderly way; returns when the successor leads.
    ///
    /// openraft 0.9 knows no transfer of leadership. The leader falls silent and does not stand again, the successor
    /// stands for election until it is elected: the leader grants its vote as soon as its own lease is over, and
    /// steps down by granting it.
    pub(super) async fn hand_over(&mut self, leader: usize, successor: usize) -> Result<(), ClusterError> {
        self.nodes[leader].campaign(false)?;
        let deadline = Instant::now() + PATIENCE;
        let mut standings = self.standings();
        loop {
            self.nodes[successor].stand_for_election()?;
            if timeout(CAMPAIGN, standings.wait_for(|all| all[successor].leads)).await.is_ok() {
                break;
            }
            if Instant::now() > deadline {
                return Err(self.stuck("the successor to be elected"));
            }
        }
        Ok(self.nodes[leader].campaign(true)?)
    }

    /// Waits until every node is up and all agree on who leads.
    #[cfg(test)]
    pub(super) async fn settled(&self) -> Result<usize, ClusterError> {
        self.until("all nodes to agree on a leader", super::standing::agreed_leader).await
    }

    /// Waits until something can be found in the nodes' standings.
    pub(super) async fn until<T>(
        &self,
        awaited: &'static str,
        mut find: impl FnMut(&[Standing]) -> Option<T>,
    ) -> Result<T, ClusterError> {
        let mut standings = self.standings();
        let mut found = None;
        let search = standings.wait_for(|all| {
            found = find(all);
            found.is_some()
        });
        // The sender lives as long as this cluster: only time can run out.
        let _ = timeout(PATIENCE, search).await;
        found.ok_or_else(|| self.stuck(awaited))
    }

    /// Ends all nodes.
    pub(super) async fn stop(mut self) {
        for node in &mut self.nodes {
            node.kill().await;
        }
    }

    /// The error of having waited in vain.
    pub(super) fn stuck(&self, awaited: &'static str) -> ClusterError {
        let mut found = self.standings.failures();
        found.push(describe(&self.standings.now()));
        ClusterError::Stuck { awaited, found: found.join("; ") }
    }
}

#[cfg(test)]
mod tests;
