//! Does what is asked for on the control socket, and notes in the log who asked.

use std::sync::Arc;

use tracing::info;

use super::answer::Answer;
use super::asked::{Asked, Order};
use super::{Caller, Control};
use crate::board::{ClusterBoard, Happened};
use crate::census::Filter;
use crate::intent::{Command, CommandError, NodeId};

/// A cluster that was found by its name.
struct Found<'c> {
    place: usize,
    name: &'c Arc<str>,
    board: &'c ClusterBoard,
}

impl Control {
    pub(super) async fn carry_out(&self, caller: Caller, asked: &Asked<'_>) -> Answer {
        let outcome = match *asked {
            Asked::Sessions { cluster, node, limit } => self.sessions(cluster, node, limit).await,
            Asked::Override { order, cluster, node } => self.order(caller, order, cluster, node).await,
            Asked::Unpin { cluster } => self.unpin(caller, cluster).await,
            Asked::Cut { cluster, node } => self.cut(caller, cluster, node).await,
        };
        outcome.unwrap_or_else(|answer| answer)
    }

    async fn sessions(
        &self,
        cluster: Option<&str>,
        node: Option<&str>,
        limit: usize,
    ) -> Result<Answer, Answer> {
        let cluster = cluster.map(|name| self.find(name)).transpose()?;
        if let Some(name) = node {
            let clusters = self.state.board.clusters().enumerate();
            let boards = clusters.filter(|(place, _)| cluster.as_ref().is_none_or(|c| c.place == *place));
            let nodes: Vec<Arc<str>> = boards.flat_map(|(_, (_, board))| nodes(board)).collect();
            if !nodes.iter().any(|known| **known == *name) {
                return Err(Answer::unknown("node", name, nodes.iter().map(|known| &**known)));
            }
        }
        let filter = Filter { cluster: cluster.map(|found| found.place), node: node.map(Arc::from) };
        let listing = self.controls.census.list(&filter, limit).await;
        let clusters: Vec<Arc<str>> = self.state.board.clusters().map(|(name, _)| Arc::clone(name)).collect();
        Ok(Answer::sessions(&listing, &clusters))
    }

    async fn cut(&self, caller: Caller, cluster: &str, node: &str) -> Result<Answer, Answer> {
        let cluster = self.find(cluster)?;
        let (_, node) = find_node(&cluster, node)?;
        let filter = Filter { cluster: Some(cluster.place), node: Some(Arc::clone(&node)) };
        let sessions = self.controls.census.cut(&filter).await;
        let Caller { uid, pid } = caller;
        info!(cluster = %cluster.name, %node, command = "cut", uid, pid, sessions, "operator's command");
        let what = match sessions {
            1 => format!("1 session with {node} was cut"),
            sessions => format!("{sessions} sessions with {node} were cut"),
        };
        cluster.board.note(Happened::SessionsCut { node, sessions });
        Ok(Answer::cut(what, sessions))
    }

    async fn order(&self, caller: Caller, order: Order, cluster: &str, node: &str) -> Result<Answer, Answer> {
        let cluster = self.find(cluster)?;
        let (id, node) = find_node(&cluster, node)?;
        let (command, word, done) = match order {
            Order::Drain { force } => (
                Command::Drain { node: id, force },
                "drain",
                format!("{node} is drained: no client goes there until it is undrained"),
            ),
            Order::Undrain => (
                Command::Undrain(id),
                "undrain",
                format!("{node} is not drained: clients go there when it leads"),
            ),
            Order::Pin => (
                Command::Pin(id),
                "pin",
                format!(
                    "{node} is pinned: clients go there, whatever it says, until {} is unpinned",
                    cluster.name
                ),
            ),
        };
        let outcome = self.send(&cluster, command).await;
        log(caller, &cluster, Some(&node), word, outcome);
        outcome.map_err(|error| Answer::refused(cluster.name, &node, error))?;
        Ok(Answer::done(done))
    }

    async fn unpin(&self, caller: Caller, cluster: &str) -> Result<Answer, Answer> {
        let cluster = self.find(cluster)?;
        let outcome = self.send(&cluster, Command::Unpin).await;
        log(caller, &cluster, None, "unpin", outcome);
        outcome.map_err(|error| Answer::refused(cluster.name, "the pinned node", error))?;
        Ok(Answer::done(format!("no node of {} is pinned: clients go to the leader", cluster.name)))
    }

    async fn send(&self, cluster: &Found<'_>, command: Command) -> Result<(), CommandError> {
        // There is an inbox for each cluster of the board.
        let inbox = self.controls.inboxes.get(cluster.place).ok_or(CommandError::Stopping)?;
        inbox.command(command).await
    }

    fn find(&self, wanted: &str) -> Result<Found<'_>, Answer> {
        let board = &self.state.board;
        let found = board.clusters().enumerate().find(|(_, (name, _))| ***name == *wanted);
        match found {
            Some((place, (name, board))) => Ok(Found { place, name, board }),
            None => Err(Answer::unknown("cluster", wanted, board.clusters().map(|(name, _)| &**name))),
        }
    }
}

fn nodes(board: &ClusterBoard) -> Vec<Arc<str>> {
    board.status().nodes.iter().map(|node| Arc::clone(&node.name)).collect()
}

/// A node by its name; its place on the board is its id.
fn find_node(cluster: &Found<'_>, wanted: &str) -> Result<(NodeId, Arc<str>), Answer> {
    let nodes = nodes(cluster.board);
    let found = nodes.iter().enumerate().find(|(_, name)| ***name == *wanted);
    found.map(|(place, name)| (NodeId(place), Arc::clone(name))).ok_or_else(|| {
        let whose = format!("node of {}", cluster.name);
        Answer::unknown(&whose, wanted, nodes.iter().map(|name| &**name))
    })
}

fn log(
    caller: Caller,
    cluster: &Found<'_>,
    node: Option<&str>,
    command: &str,
    outcome: Result<(), CommandError>,
) {
    let (Caller { uid, pid }, cluster) = (caller, cluster.name);
    match outcome {
        Ok(()) => info!(%cluster, node, command, uid, pid, "operator's command"),
        Err(why) => info!(%cluster, node, command, uid, pid, %why, "operator's command refused"),
    }
}
