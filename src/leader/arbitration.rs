//! Which claim is to be the route (L3): pure questions about the nodes' claims, asked after every input.

use std::time::{Duration, Instant};

use super::claim::Claim;
use super::node::Node;
use super::{NodeId, Override, Policy, Preference};

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
    standing(nodes).filter(|(node, _)| !is_drained(nodes, *node))
}

fn is_drained(nodes: &[Node], id: NodeId) -> bool {
    nodes.get(id.0).is_some_and(|node| node.overridden == Some(Override::Drain))
}

/// Whether several claims are made at this moment, those among them that still have to be repeated.
pub(super) fn is_contested(nodes: &[Node]) -> bool {
    all(nodes).filter(|(_, claim)| claim.is_awake()).nth(1).is_some()
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

/// The node that becomes the route where there is none. `contested_since` is when several claims began.
///
/// The highest claim is waited for even while a lower one is confirmed: the lower one is of an older term, as
/// far as anybody can tell. A claim that is proven to be older than a drained node's is never the route (L10).
pub(super) fn succession(
    nodes: &[Node],
    contested_since: Option<Instant>,
    policy: &Policy,
    now: Instant,
) -> Succession {
    let highest = eligible(nodes).max_by_key(|(node, claim)| rank(nodes, *node, *claim));
    let Some((node, claim)) = highest.filter(|(_, claim)| claim.is_confirmed()) else {
        return Succession::Open;
    };
    let is_outdated =
        |(other, drained): (NodeId, Claim)| is_drained(nodes, other) && drained.is_newer_than(claim);
    if standing(nodes).any(is_outdated) {
        return Succession::Open;
    }
    let open_until = match claim.ordinal() {
        Some(_) => now,
        None => contest_end(nodes, contested_since, policy).unwrap_or(now),
    };
    if now < open_until { Succession::OpenUntil(open_until) } else { Succession::FallsTo(node) }
}

/// Until when a claim without order waits for others: for each node's first verdict, for all claims but one to be
/// withdrawn, and for those that still have to be repeated.
fn contest_end(nodes: &[Node], contested_since: Option<Instant>, policy: &Policy) -> Option<Instant> {
    let first_round = nodes.iter().filter_map(|node| node.first_verdict_due(policy));
    let contest = contested_since.map(|since| since + CONTEST);
    let rising = all(nodes).filter(|(node, claim)| claim.is_rising() && !is_drained(nodes, *node));
    let risen = rising.map(|(_, claim)| claim.seen() + policy.fast_turn() * policy.rise);
    first_round.chain(contest).chain(risen).max()
}

/// Compares claims: by order, then by the operator's preference, then by name.
fn rank(nodes: &[Node], node: NodeId, claim: Claim) -> (Option<u64>, Option<Preference>) {
    (claim.ordinal(), nodes.get(node.0).map(|node| node.preference))
}

fn all(nodes: &[Node]) -> impl Iterator<Item = (NodeId, Claim)> {
    nodes.iter().enumerate().filter_map(|(id, node)| Some((NodeId(id), node.claim?)))
}
