//! What an operator orders against the claims (L10): to *drain* a node, which is then never the route but still probed,
//! or to *pin* one, which then is the route whatever it says. A node has at most one override, and one node at most is
//! pinned: contradictory orders are refused, not weighed against each other, so that each says what it does.

use super::NodeId;
use super::node::Node;

/// An operator's command about one cluster (L10). What is so already may be ordered again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Never route to this node; it is still probed, and its claims are remembered.
    Drain {
        /// The node.
        node: NodeId,
        /// Even if it is the route: clients then wait for another claim.
        force: bool,
    },
    /// Let the node be the route again, if it claims to lead: once it has said so to a probe begun from now on.
    Undrain(NodeId),
    /// Route to this node whatever it says, and even while it says nothing. It takes the place of another pinned node.
    Pin(NodeId),
    /// Return to the claims. The pinned node stays the route if it claims to lead.
    Unpin,
}

/// What is in force for one node by an operator's command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Override {
    /// It is never routed to.
    Drain,
    /// It is routed to, whatever it says.
    Pin,
}

impl Override {
    /// Every override, in the order of the metric's label values.
    pub const ALL: [Override; 2] = [Override::Drain, Override::Pin];

    /// The word used in metrics, in the log and in the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Override::Drain => "drain",
            Override::Pin => "pin",
        }
    }
}

/// Why a command was not carried out; nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The cluster has no such node.
    UnknownNode(NodeId),
    /// The node to drain is the route, and `force` was not given.
    Leads(NodeId),
    /// The node to drain is pinned.
    Pinned(NodeId),
    /// The node to pin is drained.
    Drained(NodeId),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Refusal::UnknownNode(_) => "the cluster has no such node",
            Refusal::Leads(_) => {
                "the node leads: without it, clients wait until another node does; add --force to drain it anyway"
            }
            Refusal::Pinned(_) => "the node is pinned: unpin it first",
            Refusal::Drained(_) => "the node is drained: undrain it first",
        })
    }
}

impl std::error::Error for Refusal {}

/// One node's override that is another from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) node: NodeId,
    pub(super) from: Option<Override>,
    pub(super) to: Option<Override>,
}

/// The node that is pinned.
pub(super) fn pinned(nodes: &[Node]) -> Option<NodeId> {
    nodes.iter().position(|node| node.overridden == Some(Override::Pin)).map(NodeId)
}

/// Changes the nodes' overrides as ordered, and tells what has changed: nothing if it was so already.
pub(super) fn order(
    nodes: &mut [Node],
    route: Option<NodeId>,
    command: Command,
) -> Result<Vec<Change>, Refusal> {
    let of = |id: NodeId| {
        let node = nodes.get(id.0).filter(|node| node.is_member());
        node.map(|node| node.overridden).ok_or(Refusal::UnknownNode(id))
    };
    let wanted = match command {
        Command::Drain { node, force } => match of(node)? {
            Some(Override::Pin) => return Err(Refusal::Pinned(node)),
            _ if route == Some(node) && !force => return Err(Refusal::Leads(node)),
            _ => vec![(node, Some(Override::Drain))],
        },
        Command::Undrain(node) => match of(node)? {
            Some(Override::Drain) => vec![(node, None)],
            _ => Vec::new(),
        },
        Command::Pin(node) if of(node)? == Some(Override::Drain) => return Err(Refusal::Drained(node)),
        Command::Pin(node) => {
            // The new pin first: there is no time in between.
            let replaced = pinned(nodes).filter(|other| *other != node).map(|other| (other, None));
            std::iter::once((node, Some(Override::Pin))).chain(replaced).collect()
        }
        Command::Unpin => pinned(nodes).map(|node| (node, None)).into_iter().collect(),
    };
    let changes = wanted.into_iter().filter_map(|(node, to)| {
        let from = std::mem::replace(&mut nodes.get_mut(node.0)?.overridden, to);
        (from != to).then_some(Change { node, from, to })
    });
    Ok(changes.collect())
}
