//! What becomes of the sessions of past tenures (S5): pure decisions from what nodes said later.

#[cfg(test)]
mod properties;

use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use tokio::time::Instant;

use super::settings::{FateSettings, OnDemotion, OnUnreachable};
use crate::leader::{NodeId, NodeState};
use crate::tenure::{Fate, Tenure, To};

/// What is known of a node when fates are decided.
#[derive(Clone, Debug)]
pub(super) struct NodeFacts {
    /// What it counts as.
    pub(super) state: NodeState,
    /// When its present run of silences had become long enough to act (L2), if it has; `None`, too, if the silence was the
    /// gate's own.
    pub(super) fell: Option<Instant>,
    /// Begin of the first probe of its present run of absences, which are silences that say that it is gone, if that run
    /// is long enough to act.
    pub(super) absent_since: Option<Instant>,
    /// Begin of the newest probe that it answered with anything.
    pub(super) answered: Option<Instant>,
    /// All that leads to it.
    pub(super) addresses: Vec<SocketAddr>,
    /// Whether an operator wants no clients there (L10).
    pub(super) drained: bool,
    /// Whether it is not one of the cluster's nodes any more (O2).
    pub(super) removed: bool,
}

/// The tenures that are over but may still have sessions.
#[derive(Debug, Default)]
pub(super) struct PastTenures(Vec<Weak<Tenure>>);

impl PastTenures {
    /// Adds a tenure that has just ended. It is forgotten when its last session has.
    pub(super) fn push(&mut self, tenure: &Arc<Tenure>) {
        self.0.push(Arc::downgrade(tenure));
    }

    /// Whether there is none: then nothing has to be known to decide about them.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fates that follow now. Tenures about which nothing new follows are left out.
    pub(super) fn decide(&mut self, view: &View<'_>) -> Vec<(Arc<Tenure>, Fate)> {
        self.0.retain(|tenure| tenure.strong_count() > 0);
        let living = self.0.iter().filter_map(Weak::upgrade);
        living.filter_map(|tenure| view.fate(&tenure).map(|fate| (tenure, fate))).collect()
    }
}

/// The cluster at the moment of a decision.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub(super) now: Instant,
    pub(super) settings: FateSettings,
    /// Whose sessions they are.
    pub(super) to: To,
    /// The nodes that these clients go to: the route's, or those of readers.
    pub(super) serving: &'a [NodeId],
    pub(super) nodes: &'a [NodeFacts],
}

impl View<'_> {
    fn fate(&self, tenure: &Tenure) -> Option<Fate> {
        if self.node(tenure.node)?.removed {
            return self.demotion(); // it can lead no more: as if it had said so
        }
        if self.node(tenure.node)?.drained {
            return Some(Fate::Drain);
        }
        if !self.node(tenure.node)?.addresses.contains(&tenure.address) {
            return Some(Fate::Drain); // readdressed: whatever the node says now, it does not say it from there
        }
        if self.serving.contains(&tenure.node) {
            return Some(Fate::Keep); // elected again: cancels a drain (a cut is final, the writer sees to that)
        }
        match self.node(tenure.node)?.state {
            NodeState::Unreachable | NodeState::Unfit if self.silence_counts(tenure.node) => {
                match self.settings.on_unreachable {
                    OnUnreachable::Cut => Some(Fate::Cut),
                    OnUnreachable::Keep => None,
                }
            }
            _ if tenure.is_stand_in() => (!self.serving.is_empty()).then_some(Fate::Drain), // S2
            state @ (NodeState::Leader | NodeState::Follower) if !self.to.suits(state) => self.demotion(),
            _ => None,
        }
    }

    fn demotion(&self) -> Option<Fate> {
        match self.settings.on_demotion {
            OnDemotion::Keep => None,
            OnDemotion::Drain => Some(Fate::Drain),
            OnDemotion::Cut => Some(Fate::Cut),
        }
    }

    /// Whether a silent node's sessions are lost, rather than the gate cut off or the cluster between two leaders.
    ///
    /// Of the leader's clients, another node's claim says so, whatever the silence is; without one, only long absence does.
    /// A node that answers, but not as expected (an expired certificate, a status that means nothing), may serve its
    /// sessions as before. Of readers nobody's claim says so: their node has to be absent, and a cut comes sooner where
    /// they could go to another.
    fn silence_counts(&self, silent: NodeId) -> bool {
        let Some(node) = self.node(silent) else { return false };
        let Some(fell) = node.fell else { return false };
        let others =
            || self.nodes.iter().enumerate().filter(|(id, _)| NodeId(*id) != silent).map(|(_, node)| node);
        // Whom the gate has asked only after that: at the moment at which it is cut off, one node's last answer may
        // be to a later probe than the other's first silence.
        let gate_is_connected = others().any(|node| node.answered.is_some_and(|at| at >= fell));
        let is_long = |since| self.now.saturating_duration_since(since) >= self.settings.unreachable_after;
        let is_lost = match self.to {
            To::Leader if others().any(|node| node.state == NodeState::Leader) => true,
            To::Leader => node.absent_since.is_some_and(is_long),
            To::Followers | To::Any => {
                node.absent_since.is_some_and(|since| !self.serving.is_empty() || is_long(since))
            }
        };
        gate_is_connected && is_lost
    }

    fn node(&self, id: NodeId) -> Option<&NodeFacts> {
        self.nodes.get(id.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tenure::{TenureWriter, channel};

    const SETTINGS: FateSettings = FateSettings {
        on_demotion: OnDemotion::Drain,
        on_unreachable: OnUnreachable::Cut,
        unreachable_after: Duration::from_secs(10),
    };

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    fn answering(state: NodeState, at: Instant) -> NodeFacts {
        NodeFacts {
            state,
            fell: None,
            absent_since: None,
            answered: Some(at),
            addresses: vec![address(1)],
            drained: false,
            removed: false,
        }
    }

    fn silent(since: Instant) -> NodeFacts {
        NodeFacts {
            state: NodeState::Unreachable,
            fell: Some(since + Duration::from_millis(100)),
            absent_since: Some(since),
            answered: None,
            addresses: vec![address(1)],
            drained: false,
            removed: false,
        }
    }

    fn writer() -> TenureWriter {
        channel(Instant::now(), Arc::default()).0
    }

    fn tenure_of(node: usize) -> Arc<Tenure> {
        writer().lead(NodeId(node), "n".into(), address(1), Instant::now())
    }

    /// The fate of a past tenure of node 0 when `route` leads and the nodes are as given.
    fn fate(
        route: Option<usize>,
        after: Duration,
        nodes: &[NodeFacts],
        settings: FateSettings,
    ) -> Option<Fate> {
        fate_of(&tenure_of(0), route, after, nodes, settings)
    }

    fn fate_of(
        tenure: &Arc<Tenure>,
        route: Option<usize>,
        after: Duration,
        nodes: &[NodeFacts],
        settings: FateSettings,
    ) -> Option<Fate> {
        let mut past = PastTenures::default();
        past.push(tenure);
        let since = nodes[0].absent_since.or(nodes[0].fell).or(nodes[0].answered);
        let now = since.expect("node 0 has a time") + after;
        let serving: Vec<NodeId> = route.map(NodeId).into_iter().collect();
        let view = View { now, settings, to: To::Leader, serving: &serving, nodes };
        past.decide(&view).pop().map(|(_, fate)| fate)
    }

    #[test]
    fn s5_a_demoted_node_is_treated_as_configured() {
        let now = Instant::now();
        let nodes = [answering(NodeState::Follower, now), answering(NodeState::Leader, now)];
        for (on_demotion, expected) in [
            (OnDemotion::Keep, None),
            (OnDemotion::Drain, Some(Fate::Drain)),
            (OnDemotion::Cut, Some(Fate::Cut)),
        ] {
            let settings = FateSettings { on_demotion, ..SETTINGS };
            assert_eq!(fate(Some(1), Duration::ZERO, &nodes, settings), expected);
        }
    }

    #[test]
    fn s5_a_silent_node_is_cut_once_another_claims() {
        let since = Instant::now();
        let moment = Duration::from_secs(1);
        let claims = [silent(since), answering(NodeState::Leader, since + moment)];
        assert_eq!(fate(Some(1), moment, &claims, SETTINGS), Some(Fate::Cut));
        let keep = FateSettings { on_unreachable: OnUnreachable::Keep, ..SETTINGS };
        assert_eq!(fate(Some(1), moment, &claims, keep), None);
    }

    #[test]
    fn s5_without_a_claim_silence_is_borne_for_a_while() {
        let since = Instant::now();
        let nodes = [silent(since), answering(NodeState::Follower, since + Duration::from_secs(1))];
        assert_eq!(fate(None, Duration::from_millis(9_999), &nodes, SETTINGS), None);
        assert_eq!(fate(None, Duration::from_secs(10), &nodes, SETTINGS), Some(Fate::Cut));
    }

    #[test]
    fn s5_a_node_that_answers_is_cut_only_by_anothers_claim() {
        let since = Instant::now();
        let unfit = NodeFacts { state: NodeState::Unfit, absent_since: None, ..silent(since) };
        let other = |state| answering(state, since + Duration::from_secs(1));
        let long = Duration::from_hours(1);
        assert_eq!(fate(None, long, &[unfit.clone(), other(NodeState::Follower)], SETTINGS), None);
        let claimed = [unfit, other(NodeState::Leader)];
        assert_eq!(fate(Some(1), Duration::from_secs(2), &claimed, SETTINGS), Some(Fate::Cut));
    }

    #[test]
    fn s5_a_gate_that_is_cut_off_cuts_nobody() {
        let since = Instant::now() + Duration::from_mins(1);
        let before = since.checked_sub(Duration::from_secs(1)).expect("a minute after now");
        let all_silent = [silent(since), silent(since)];
        assert_eq!(fate(None, Duration::from_hours(1), &all_silent, SETTINGS), None);
        // The other node's claim is older than the silence, or than that it was known: it may be as unheard now as
        // node 0 is.
        for at in [before, since + Duration::from_millis(50)] {
            let heard_before = [silent(since), answering(NodeState::Leader, at)];
            assert_eq!(fate(Some(1), Duration::from_hours(1), &heard_before, SETTINGS), None);
        }
    }

    #[test]
    fn s5_election_again_keeps() {
        let now = Instant::now();
        let nodes = [answering(NodeState::Leader, now), answering(NodeState::Follower, now)];
        assert_eq!(fate(Some(0), Duration::ZERO, &nodes, SETTINGS), Some(Fate::Keep));
    }

    #[test]
    fn s5_a_node_that_still_claims_but_was_superseded_keeps_its_sessions() {
        let now = Instant::now();
        let nodes = [answering(NodeState::Leader, now), answering(NodeState::Leader, now)];
        assert_eq!(fate(Some(1), Duration::ZERO, &nodes, SETTINGS), None);
    }

    #[test]
    fn s2_a_stand_ins_sessions_drain_when_a_leader_appears_elsewhere() {
        let now = Instant::now();
        let stand_in = writer().stand_in(NodeId(0), "n".into(), address(1), now);
        let nodes = [answering(NodeState::Follower, now), answering(NodeState::Leader, now)];
        let keep = FateSettings { on_demotion: OnDemotion::Keep, ..SETTINGS };
        assert_eq!(fate_of(&stand_in, Some(1), Duration::ZERO, &nodes, keep), Some(Fate::Drain));
        assert_eq!(fate_of(&stand_in, None, Duration::ZERO, &nodes, keep), None);
        assert_eq!(fate_of(&stand_in, Some(0), Duration::ZERO, &nodes, keep), Some(Fate::Keep));
    }

    #[test]
    fn s5_a_readdressed_nodes_sessions_drain_whatever_it_says_now() {
        let now = Instant::now();
        let keep = FateSettings { on_demotion: OnDemotion::Keep, ..SETTINGS };
        let at = |addresses: &[SocketAddr], facts| NodeFacts { addresses: addresses.into(), ..facts };
        let leads = || answering(NodeState::Leader, now);
        for (facts, route) in [(leads(), 0), (answering(NodeState::Follower, now), 1), (silent(now), 1)] {
            let nodes = [at(&[address(2)], facts), leads()];
            assert_eq!(fate(Some(route), Duration::from_hours(1), &nodes, keep), Some(Fate::Drain));
        }
        // Reached another way, its name still leads there too.
        let nodes = [at(&[address(2), address(1)], leads()), leads()];
        assert_eq!(fate(Some(0), Duration::ZERO, &nodes, keep), Some(Fate::Keep));
    }

    #[test]
    fn s5_a_drained_nodes_sessions_drain_whatever_it_says() {
        let now = Instant::now();
        let cut = FateSettings { on_demotion: OnDemotion::Cut, ..SETTINGS };
        for facts in [answering(NodeState::Leader, now), answering(NodeState::Follower, now), silent(now)] {
            let nodes = [NodeFacts { drained: true, ..facts }, answering(NodeState::Leader, now)];
            assert_eq!(fate(Some(1), Duration::from_hours(1), &nodes, cut), Some(Fate::Drain));
        }
    }

    #[test]
    fn a_tenure_without_sessions_is_forgotten() {
        let now = Instant::now();
        let mut past = PastTenures::default();
        past.push(&tenure_of(0));
        let nodes = [answering(NodeState::Follower, now)];
        let view = View { now, settings: SETTINGS, to: To::Leader, serving: &[], nodes: &nodes };
        assert!(past.decide(&view).is_empty());
        assert!(past.0.is_empty());
    }
}
