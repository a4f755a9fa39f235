//! Which claim is to be the route (L3): pure questions about the nodes' claims, asked after every input.

use std::time::{Duration, Instant};

use super::claim::Claim;
use super::node::Node;
use super::{NodeId, Override, Preference};

/// How long a lone claim without order waits for the other nodes' first verdicts: all were asked at the same
/// moment (L1), so that those who answer at all have answered by then.
pub(super) const SETTLE: Duration = Duration::from_millis(100);

/// How long several claims without order wait for all but one to withdraw.
pub(super) const CONTEST: Duration = Duration::from_secs(1);

/// What is to become of a cluster without a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Succession {
    /// The next statements decide.
    Open,
    /// Time decides, too.
    OpenUntil(Instant),
    /// This node is to be the route.
    FallsTo(NodeId),
}

/// The claims that stand, those of drained nodes among them.
pub(super) fn standing(nodes: &[Node]) -> impl Iterator<Item = (NodeId, Claim)> {
    all(nodes).filter(|(_, claim)| claim.stands())
}

/// The claims that stand and may become the route (L10).
fn eligible(nodes: &[Node]) -> impl Iterator<Item = (NodeId, Claim)> {
    let is_drained =
        |id: NodeId| nodes.get(id.0).is_some_and(|node| node.overridden == Some(Override::Drain));
    standing(nodes).filter(move |(node, _)| !is_drained(*node))
}

/// Whether a node's claim is proven to be newer than every other that is known, asleep or not.
pub(super) fn is_proven_newest(nodes: &[Node], node: NodeId) -> bool {
    let claim = nodes.get(node.0).and_then(|node| node.claim);
    claim.is_some_and(|claim| {
        all(nodes).filter(|(other, _)| *other != node).all(|(_, other)| claim.is_newer_than(other))
    })
}

/// The claim that displaces the route: the highest of those proven to be newer.
pub(super) fn displacer(nodes: &[Node], route: NodeId) -> Option<NodeId> {
    let routed = nodes.get(route.0)?.claim?;
    eligible(nodes)
        .filter(|(_, claim)| claim.is_confirmed() && claim.is_newer_than(routed))
        .max_by_key(|(node, claim)| rank(nodes, *node, *claim))
        .map(|(node, _)| node)
}

/// Who becomes the route where there is none. `contested_since` is when several claims began to stand.
///
/// The highest claim is waited for even while a lower one is confirmed: the lower one is of an older term, as
/// far as anybody can tell.
pub(super) fn succession(nodes: &[Node], contested_since: Option<Instant>, now: Instant) -> Succession {
    let highest = eligible(nodes).max_by_key(|(node, claim)| rank(nodes, *node, *claim));
    let Some((node, claim)) = highest.filter(|(_, claim)| claim.is_confirmed()) else {
        return Succession::Open;
    };
    let open_until = match contested_since {
        _ if claim.ordinal().is_some() => now,
        Some(since) => since + CONTEST,
        None if nodes.iter().all(Node::was_heard_of) => now,
        None => claim.seen() + SETTLE,
    };
    if now < open_until { Succession::OpenUntil(open_until) } else { Succession::FallsTo(node) }
}

/// Compares claims: by order, then by the operator's preference, then by name.
fn rank(nodes: &[Node], node: NodeId, claim: Claim) -> (Option<u64>, Option<Preference>) {
    (claim.ordinal(), nodes.get(node.0).map(|node| node.preference))
}

fn all(nodes: &[Node]) -> impl Iterator<Item = (NodeId, Claim)> {
    nodes.iter().enumerate().filter_map(|(id, node)| Some((NodeId(id), node.claim?)))
}
