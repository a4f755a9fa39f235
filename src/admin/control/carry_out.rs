//! Does what is asked for on the control socket, and notes in the log who asked.

use std::sync::Arc;

use hyper::StatusCode;
use tracing::info;

use super::answer::Answer;
use super::asked::{Asked, Order};
use super::{Caller, Control, Reply, Request};
use crate::board::{ClusterBoard, Happened};
use crate::census::Filter;
use crate::intent::{Command, CommandError, NodeId};

/// A cluster that was found by its name.
struct Found {
    name: Arc<str>,
    board: Arc<ClusterBoard>,
}

impl Control {
    pub(super) async fn carry_out(&self, caller: Caller, asked: &Asked<'_>) -> Answer {
        let outcome = match *asked {
            Asked::Sessions { cluster, node, limit } => self.sessions(cluster, node, limit).await,
            Asked::Override { order, cluster, node } => self.order(caller, order, cluster, node).await,
            Asked::Reload => self.request(caller, "reload", Request::Reload).await,
            Asked::Upgrade => self.request(caller, "upgrade", Request::Upgrade).await,
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
        let meant = cluster.as_ref().map(|found| Arc::clone(&found.name));
        let filter = Filter { cluster: meant, node: node.map(Arc::from) };
        let listing = self.controls.census.list(&filter, limit).await;
        // Of a node that is configured no more, nothing but its sessions tells.
        if let Some(name) = node.filter(|_| listing.total == 0) {
            let clusters = self.state.board.clusters();
            let meant = clusters.filter(|(name, _)| cluster.as_ref().is_none_or(|found| found.name == *name));
            let nodes: Vec<Arc<str>> = meant.flat_map(|(_, board)| nodes(&board)).collect();
            if !nodes.iter().any(|known| **known == *name) {
                return Err(Answer::unknown("node", name, nodes.iter().map(|known| &**known)));
            }
        }
        Ok(Answer::sessions(&listing))
    }

    async fn cut(&self, caller: Caller, cluster: &str, node: &str) -> Result<Answer, Answer> {
        let cluster = self.find(cluster)?;
        let name = Arc::<str>::from(node);
        let filter = Filter { cluster: Some(Arc::clone(&cluster.name)), node: Some(Arc::clone(&name)) };
        let sessions = self.controls.census.cut(&filter).await;
        // As above: whoever has sessions is known.
        let node = if sessions > 0 { name } else { find_node(&cluster, node)?.1 };
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
        outcome.map_err(|error| Answer::refused(&cluster.name, &node, error))?;
        Ok(Answer::done(done))
    }

    async fn unpin(&self, caller: Caller, cluster: &str) -> Result<Answer, Answer> {
        let cluster = self.find(cluster)?;
        let outcome = self.send(&cluster, Command::Unpin).await;
        log(caller, &cluster, None, "unpin", outcome);
        outcome.map_err(|error| Answer::refused(&cluster.name, "the pinned node", error))?;
        Ok(Answer::done(format!("no node of {} is pinned: clients go to the leader", cluster.name)))
    }

    async fn request(
        &self,
        caller: Caller,
        command: &str,
        request: impl FnOnce(Reply) -> Request,
    ) -> Result<Answer, Answer> {
        let Caller { uid, pid } = caller;
        info!(command, uid, pid, "operator's command");
        let (reply, replied) = Reply::channel();
        let stopping = || Answer::error(StatusCode::SERVICE_UNAVAILABLE, "the gate is about to stop");
        self.controls.requests.send(request(reply)).await.map_err(|_| stopping())?;
        let outcome = replied.await.map_err(|_| stopping())?;
        outcome.map(Answer::done).map_err(|why| Answer::error(StatusCode::CONFLICT, why))
    }

    async fn send(&self, cluster: &Found, command: Command) -> Result<(), CommandError> {
        let _under_way = self.controls.orders.take().await.ok_or(CommandError::HandsOver)?;
        // There is an inbox for each cluster of the board, unless it goes in this moment.
        let inbox = self.controls.inboxes.of(&cluster.name).ok_or(CommandError::Stopping)?;
        inbox.command(command).await
    }

    fn find(&self, wanted: &str) -> Result<Found, Answer> {
        let clusters: Vec<_> = self.state.board.clusters().collect();
        let found = clusters.iter().find(|(name, _)| **name == *wanted).cloned();
        found
            .map(|(name, board)| Found { name, board })
            .ok_or_else(|| Answer::unknown("cluster", wanted, clusters.iter().map(|(name, _)| &**name)))
    }
}

fn nodes(board: &ClusterBoard) -> Vec<Arc<str>> {
    board.status().nodes.iter().map(|node| Arc::clone(&node.name)).collect()
}

/// A node by its name.
fn find_node(cluster: &Found, wanted: &str) -> Result<(NodeId, Arc<str>), Answer> {
    let status = cluster.board.status();
    let found = status.nodes.iter().find(|node| *node.name == *wanted);
    found.map(|node| (node.id, Arc::clone(&node.name))).ok_or_else(|| {
        let whose = format!("node of {}", cluster.name);
        Answer::unknown(&whose, wanted, status.nodes.iter().map(|node| &*node.name))
    })
}

fn log(
    caller: Caller,
    cluster: &Found,
    node: Option<&str>,
    command: &str,
    outcome: Result<(), CommandError>,
) {
    let (Caller { uid, pid }, cluster) = (caller, &cluster.name);
    match outcome {
        Ok(()) => info!(%cluster, node, command, uid, pid, "operator's command"),
        Err(why) => info!(%cluster, node, command, uid, pid, %why, "operator's command refused"),
    }
}
