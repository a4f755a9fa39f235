//! The leader tracker: observations, signals, commands and time in; elections, losses and alarms out.

mod memory;
mod reshape;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::alarms::Alarms;
use super::arbitration::{self, Succession};
use super::claim::Claim;
use super::incumbent::{Incumbent, Lease};
use super::node::{LeaderStatement, Node};
use super::overrides::{self, Change};
use super::{
    Alarm, Command, Event, LossCause, NodeId, NodeState, Observation, Override, Pace, Policy, Preference,
    Refusal, Signal, Verdict,
};

/// How long probing stays fast after the route changed (L5).
const FAST_AFTER_CHANGE: Duration = Duration::from_secs(1);

/// The state machine of one cluster.
///
/// It does no IO and has no clock. Whoever drives it does so in turns, and each turn is one call of a `handle_*`
/// method, then:
///
/// 1. [`poll_event`](Self::poll_event) until it returns `None`. Of what one call caused, `NodeChanged` and
///    `OverrideChanged` come first, then what became of the route, then alarms.
/// 2. [`pace`](Self::pace): how fast to probe from now on.
/// 3. [`poll_timeout`](Self::poll_timeout): when to call [`handle_timeout`](Self::handle_timeout), unless another
///    `handle_*` comes first.
///
/// A new tracker has an event and a pace already. `now` never goes back (L9); where it does, the latest time seen
/// counts instead.
#[derive(Debug)]
pub struct Tracker {
    policy: Policy,
    nodes: Vec<Node>,
    incumbent: Option<Incumbent>,
    /// When the probe began that brought the last leader statement of the route, or of the one before.
    last_good: Option<Instant>,
    /// When more than one claim began to be made, also if they have yet to be repeated.
    contested_since: Option<Instant>,
    last_ordinal: u64,
    fast_until: Option<Instant>,
    alarms: Alarms,
    /// The node that is known to take no clients.
    not_serving: Option<NodeId>,
    events: VecDeque<Event>,
    /// The latest `now`.
    clock: Instant,
}

impl Tracker {
    /// A tracker whose nodes are all unknown (L1). `priorities` has one entry a node, higher first;
    /// nodes are listed in the order of their names.
    pub fn new(now: Instant, priorities: &[i32], policy: Policy) -> Self {
        let mut tracker = Tracker {
            policy,
            nodes: Preference::in_order(priorities).map(|preference| Node::new(now, preference)).collect(),
            incumbent: None,
            last_good: None,
            contested_since: None,
            last_ordinal: 0,
            fast_until: None,
            alarms: Alarms::default(),
            not_serving: None,
            events: VecDeque::new(),
            clock: now,
        };
        tracker.update_alarms(now);
        tracker
    }

    /// Takes in one finished probe. One about a node that is not in the list is ignored.
    pub fn handle_observation(&mut self, now: Instant, observation: Observation) {
        let now = self.advance(now);
        match self.nodes.get(observation.node.0) {
            Some(node) if !node.is_member() => {}
            Some(node) if node.is_news(observation.probe) => self.apply(now, observation),
            Some(node) if node.is_contradicted_by(observation.verdict) => {
                self.events.push_back(Event::ProbeNode(observation.node));
            }
            _ => {}
        }
        self.settle(now);
    }

    /// Takes in a reason to doubt the route (L5). One about another node is ignored, and so is one that follows
    /// too soon upon another, or one about a pinned node, which stays the route anyway (L10).
    pub fn handle_signal(&mut self, now: Instant, signal: Signal) {
        let now = self.advance(now);
        if self.may_lose(signal.node)
            && let Some(incumbent) = &mut self.incumbent
            && incumbent.alert_by(signal.suspicion, now, &self.policy)
        {
            incumbent.suspect(now);
            self.events.push_back(Event::ProbeAll);
        }
        self.settle(now);
    }

    /// Carries out an operator's command (L10).
    ///
    /// # Errors
    /// Why it must not be carried out; nothing has changed then.
    pub fn handle_command(&mut self, now: Instant, command: Command) -> Result<(), Refusal> {
        let now = self.advance(now);
        let route = self.route();
        let changes = overrides::order(&mut self.nodes, route, command);
        for change in changes.iter().flatten() {
            self.events.push_back(Event::OverrideChanged { node: change.node, to: change.to });
        }
        for change in changes.iter().flatten() {
            self.apply_override(now, *change);
        }
        self.settle(now);
        changes.map(|_| ())
    }

    /// To be called at [`poll_timeout`](Self::poll_timeout), or later.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.advance(now);
        self.settle(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is next due, always later than the latest `now`; ask again
    /// after every `handle_*`.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let leases = self.nodes.iter().filter_map(|node| self.lease_end(node));
        let succession = match self.succession(self.clock) {
            Succession::OpenUntil(deadline) => Some(deadline),
            Succession::Open | Succession::FallsTo(_) => None,
        };
        let first_round = self.first_round_end().filter(|end| self.clock < *end);
        leases.chain(succession).chain(first_round).chain(self.fast_until).chain(self.alarms.calm_at()).min()
    }

    /// The next thing that was decided.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The route.
    pub fn route(&self) -> Option<NodeId> {
        self.incumbent.as_ref().map(|incumbent| incumbent.node)
    }

    /// How fast to probe from now on; ask again after every `handle_*` (L5).
    pub fn pace(&self) -> Pace {
        let calm = self.incumbent.as_ref().is_some_and(|incumbent| !incumbent.is_suspected());
        if calm && self.contested_since.is_none() && self.fast_until.is_none() {
            Pace::Steady
        } else {
            Pace::Fast
        }
    }

    /// What a node counts as.
    pub fn node_state(&self, node: NodeId) -> NodeState {
        self.nodes.get(node.0).map_or(NodeState::Unknown, Node::state)
    }

    /// What an operator has ordered for a node (L10).
    pub fn override_of(&self, node: NodeId) -> Option<Override> {
        self.nodes.get(node.0).and_then(|node| node.overridden)
    }

    /// Whether each node has answered its first probe, or has had the time to (L1).
    pub fn is_first_round_over(&self) -> bool {
        self.first_round_end().is_none_or(|end| end <= self.clock)
    }

    /// When the last node that has not been heard of yet has had the time to answer.
    fn first_round_end(&self) -> Option<Instant> {
        self.nodes.iter().filter_map(|node| node.first_verdict_due(&self.policy)).max()
    }

    /// How many claims stand, those of drained nodes among them.
    pub fn claims(&self) -> usize {
        arbitration::standing(&self.nodes).count()
    }

    fn advance(&mut self, now: Instant) -> Instant {
        self.clock = self.clock.max(now);
        self.clock
    }

    /// Applies an observation that is news (L2, L3).
    fn apply(&mut self, now: Instant, observation: Observation) {
        let id = observation.node;
        let Some(node) = self.nodes.get_mut(id.0) else { return };
        let from = node.state();
        node.count(&observation, &self.policy);
        let to = node.state();
        if from != to {
            self.events.push_back(Event::NodeChanged { node: id, from, to });
        }
        match observation.verdict {
            Verdict::Leader => self.apply_leader(now, observation),
            Verdict::Follower => self.apply_follower(now, id),
            Verdict::Unfit { .. } | Verdict::Unreachable { .. } => self.apply_silence(now, id),
        }
    }

    fn apply_leader(&mut self, now: Instant, Observation { node: id, began, .. }: Observation) {
        let Some(node) = self.nodes.get_mut(id.0) else { return };
        let meaning = node.say_leader(now, began, self.last_ordinal.saturating_add(1), &self.policy);
        if meaning == LeaderStatement::Begins {
            self.last_ordinal = self.last_ordinal.max(node.claim.and_then(Claim::ordinal).unwrap_or(0));
            if !arbitration::is_proven_newest(&self.nodes, id) {
                self.doubt_claims(now, |node| node == id);
            }
        }
        if let Some(incumbent) = self.incumbent.as_mut().filter(|incumbent| incumbent.node == id) {
            incumbent.clear_doubts(began);
            self.last_good = self.last_good.max(Some(began));
        }
        self.hasten_confirmation(id, meaning);
    }

    /// Asks a node at once for the second statement that keeps it from being the route.
    fn hasten_confirmation(&mut self, id: NodeId, meaning: LeaderStatement) {
        let claim = self.nodes.get(id.0).and_then(|node| node.claim);
        let is_first = meaning != LeaderStatement::BearsOut;
        if is_first && self.incumbent.is_none() && claim.is_some_and(|claim| !claim.is_confirmed()) {
            self.events.push_back(Event::ProbeNode(id));
        }
    }

    fn apply_follower(&mut self, now: Instant, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(id.0) {
            node.claim = None;
        }
        self.end_route_of(now, id, LossCause::SteppedDown);
    }

    fn apply_silence(&mut self, now: Instant, id: NodeId) {
        let Some(node) = self.nodes.get_mut(id.0) else { return };
        if node.has_fallen(&self.policy) {
            node.fall_asleep();
            self.end_route_of(now, id, LossCause::Silent);
        } else if node.just_missed()
            && self.may_lose(id)
            && let Some(incumbent) = &mut self.incumbent
        {
            incumbent.suspect(now);
            if incumbent.alert(now, &self.policy) {
                self.events.push_back(Event::ProbeAll);
            }
        }
    }

    /// Takes in that an operator's override of a node has changed (L10).
    fn apply_override(&mut self, now: Instant, Change { node: id, from, to }: Change) {
        match (from, to) {
            (_, Some(Override::Drain)) => self.end_route_of(now, id, LossCause::Drained),
            (_, Some(Override::Pin)) => self.pin(now, id),
            // Unless another one was pinned in its place.
            (Some(Override::Pin), None) if overrides::pinned(&self.nodes).is_none() => self.unpin(now, id),
            (Some(Override::Drain), None) => {
                // What it said while it was drained need not have been looked at.
                self.doubt_claims(now, |node| node == id);
                self.events.push_back(Event::ProbeNode(id));
            }
            _ => {}
        }
    }

    fn pin(&mut self, now: Instant, id: NodeId) {
        let claim = self.nodes.get(id.0).and_then(|node| node.claim);
        // An operator's word is no failover: its duration is not to be measured.
        self.last_good = claim.map(Claim::last_good);
        self.incumbent = Some(Incumbent::new(id));
        self.fast_until = Some(now + FAST_AFTER_CHANGE);
        self.events.push_back(Event::Pinned(id));
    }

    /// Returns to the claims: if the node has one that could have made it the route, it stays.
    fn unpin(&mut self, now: Instant, id: NodeId) {
        let claim = self.nodes.get(id.0).and_then(|node| node.claim);
        // What came before was an operator's word: the next election is no failover to be measured.
        self.last_good = None;
        if claim.is_some_and(|claim| claim.stands() && claim.is_confirmed()) {
            self.elect(now, id);
        } else {
            self.end_route_of(now, id, LossCause::Unpinned);
        }
    }

    /// Whether this node is the route and may cease to be by what it says or does not say: a pinned one does not (L10).
    fn may_lose(&self, id: NodeId) -> bool {
        self.route() == Some(id) && self.override_of(id) != Some(Override::Pin)
    }

    /// Draws the conclusions of what was applied, and of the time that passed.
    fn settle(&mut self, now: Instant) {
        self.fast_until = self.fast_until.filter(|until| now < *until);
        self.enforce_leases(now);
        self.arbitrate(now);
        // A change of the route ends the grace on which other claims may have lived.
        self.enforce_leases(now);
        self.update_alarms(now);
    }

    /// Ends what lived on statements that are too old (L7), and counts the claims that are left.
    fn enforce_leases(&mut self, now: Instant) {
        if self.route().is_some_and(|route| self.may_lose(route))
            && let Some(incumbent) = &mut self.incumbent
            && let Some(claim) = self.nodes.get(incumbent.node.0).and_then(|node| node.claim)
        {
            let ends = claim.last_good() + self.policy.lease();
            match incumbent.judge_lease(ends, now, &self.policy) {
                Lease::Holds => {}
                Lease::Overslept => {
                    incumbent.grant_grace(now, &self.policy);
                    self.events.push_back(Event::ProbeAll);
                }
                Lease::Expired => {
                    let node = incumbent.node;
                    self.expire(node);
                    self.end_route_of(now, node, LossCause::LeaseExpired);
                }
            }
        }
        for id in 0..self.nodes.len() {
            if self.lease_end(&self.nodes[id]).is_some_and(|end| end <= now) {
                self.expire(NodeId(id));
            }
        }
        let is_contested = arbitration::is_contested(&self.nodes);
        self.contested_since = is_contested.then(|| self.contested_since.unwrap_or(now));
    }

    /// Takes in that a node's newest leader statement is too old (L7).
    fn expire(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(id.0) else { return };
        let from = node.state();
        node.expire();
        if from != node.state() {
            self.events.push_back(Event::NodeChanged { node: id, from, to: node.state() });
        }
    }

    /// When the lease of a node's claim is enforced.
    fn lease_end(&self, node: &Node) -> Option<Instant> {
        let claim = node.claim.filter(|claim| Claim::is_awake(*claim))?;
        let end = claim.last_good() + self.policy.lease();
        Some(self.incumbent.as_ref().map_or(end, |incumbent| incumbent.lease_end(end)))
    }

    /// Has the route follow the claims (L3).
    fn arbitrate(&mut self, now: Instant) {
        if let Some(route) = self.route() {
            let displacer = arbitration::displacer(&self.nodes, route).filter(|_| self.may_lose(route));
            if let Some(node) = displacer {
                self.elect(now, node);
            }
        } else if let Succession::FallsTo(node) = self.succession(now) {
            self.elect(now, node);
        }
    }

    fn succession(&self, now: Instant) -> Succession {
        match self.incumbent {
            Some(_) => Succession::Open,
            None => arbitration::succession(&self.nodes, self.contested_since, &self.policy, now),
        }
    }

    fn elect(&mut self, now: Instant, id: NodeId) {
        let Some(claim) = self.nodes.get(id.0).and_then(|node| node.claim) else { return };
        let previous_last_good = self.last_good.replace(claim.last_good());
        if previous_last_good.is_some() {
            self.alarms.note_change(now);
        }
        self.incumbent = Some(Incumbent::new(id));
        self.fast_until = Some(now + FAST_AFTER_CHANGE);
        self.events.push_back(Event::Elected { node: id, ordinal: claim.ordinal(), previous_last_good });
    }

    /// Ends the route if it is this node. The claims that remain have to be confirmed (L3): whatever ended this
    /// one may have ended theirs.
    fn end_route_of(&mut self, now: Instant, id: NodeId, cause: LossCause) {
        if !self.may_lose(id) {
            return;
        }
        self.incumbent = None;
        self.fast_until = Some(now + FAST_AFTER_CHANGE);
        self.doubt_claims(now, |_| true);
        self.events.push_back(Event::Lost { node: id, cause });
        self.events.push_back(Event::ProbeAll);
    }

    fn doubt_claims(&mut self, from: Instant, which: impl Fn(NodeId) -> bool) {
        for (id, node) in self.nodes.iter_mut().enumerate() {
            if let Some(claim) = node.claim.as_mut().filter(|_| which(NodeId(id))) {
                claim.doubt(from);
            }
        }
    }

    fn update_alarms(&mut self, now: Instant) {
        let claims = self.claims();
        let flapping = self.alarms.is_flapping(now);
        for (alarm, in_force) in [
            (Alarm::Leaderless, self.incumbent.is_none()),
            (Alarm::Conflict, claims > 1),
            (
                Alarm::Unanimity,
                claims > 1 && claims == self.nodes.iter().filter(|node| node.is_member()).count(),
            ),
            (Alarm::Flapping, flapping),
            (Alarm::NotServing, self.not_serving.is_some() && self.not_serving == self.route()),
            (Alarm::Override, self.nodes.iter().any(|node| node.overridden.is_some())),
        ] {
            if self.alarms.set(alarm, in_force) {
                let event = if in_force { Event::AlarmRaised(alarm) } else { Event::AlarmCleared(alarm) };
                self.events.push_back(event);
            }
        }
    }
}
