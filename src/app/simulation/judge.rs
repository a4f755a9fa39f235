//! What must hold of the gate after every step, judged by what raft knows.
//!
//! Who may be the route when (L3), and why it may be lost, is judged by the very judge of the tracker's simulation.

use std::sync::Arc;
use std::time::Duration;

use super::gate::Gate;
use super::network::{ROUND_TRIPS, World};
use super::plan::{Manner, Plan};
use super::sessions::Sessions;
use crate::board::ClusterStatus;
use crate::intent::{Input, ProbeReport};
use crate::leader::tests::judge::{Finding, Judge as TrackersJudge, Shown, Tally};
use crate::leader::tests::raft::{MS, Micros};
use crate::leader::{Event, NodeId, NodeState, Pace, Verdict};
use crate::tenure::{Route, Tenure};

/// How far the clock's roundness may put something off.
const SLACK: Micros = 2 * MS;
/// See `leader`: how long probing stays fast after the route changed.
const FAST_AFTER_CHANGE: Micros = 1000 * MS;

/// Watches a gate.
pub(super) struct Judge {
    world: Arc<World>,
    plan: Plan,
    tracker: TrackersJudge,
    pub(super) sessions: Sessions,
    route: Option<Arc<Tenure>>,
    newest_epoch: u64,
    /// By node: begin of the probe of its newest leader statement, and the verdict that it gave last.
    last_good: Vec<Option<Micros>>,
    last: Vec<Option<Verdict>>,
    rounds: Vec<u64>,
    /// Whom all agree on while nothing is wrong, and since when.
    calm: Option<(usize, Micros)>,
    pub(super) probes: u64,
    /// Since when nobody may be cut for silence, unless there is an election.
    pub(super) spares_since: Option<Micros>,
    /// Whether something may be wrong in a calm schedule, too.
    pub(super) is_epilogue: bool,
}

/// A cluster as it is published.
struct View<'a> {
    route: Option<NodeId>,
    status: &'a ClusterStatus,
}

impl Shown for View<'_> {
    fn route(&self) -> Option<NodeId> {
        self.route
    }

    fn claims(&self) -> usize {
        self.status.claims
    }

    fn node_state(&self, node: NodeId) -> NodeState {
        let shown = self.status.nodes[node.0].state;
        NodeState::ALL.into_iter().find(|state| state.as_str() == shown).expect("a state's name")
    }
}

impl Judge {
    pub(super) fn new(world: &Arc<World>, plan: &Plan) -> Self {
        Judge {
            world: Arc::clone(world),
            plan: plan.clone(),
            tracker: TrackersJudge::new(plan.size, plan.policy),
            sessions: Sessions::new(plan.clone()),
            route: None,
            newest_epoch: 0,
            last_good: vec![None; plan.size],
            last: vec![None; plan.size],
            rounds: vec![0; plan.size],
            calm: None,
            probes: 0,
            spares_since: None,
            is_epilogue: false,
        }
    }

    pub(super) fn tally(&self) -> Tally {
        self.tracker.tally
    }

    pub(super) fn route(&self) -> Option<usize> {
        self.route.as_ref().map(|tenure| tenure.node.0)
    }

    /// The route's epoch.
    pub(super) fn epoch(&self) -> Option<u64> {
        self.route.as_ref().map(|tenure| tenure.epoch)
    }

    /// Takes in what `follow` is about to be told.
    pub(super) fn hear(&mut self, input: &Input) {
        let now = self.world.now();
        match input {
            Input::Report(report) => self.hear_report(now, report),
            Input::Signal(signal) => {
                let what = format_args!("n{}: {}", signal.node.0, signal.suspicion.as_str());
                self.world.lock().cluster.trace.note(now, what);
            }
            Input::Unasked(..) => unreachable!("this machine lacks nothing"),
            Input::Command(..) | Input::RestoreOrders(_) | Input::Remember(_) => {
                unreachable!("no operator has a say here")
            }
        }
    }

    fn hear_report(&mut self, now: Micros, report: &ProbeReport) {
        let observation = report.observation;
        let node = observation.node.0;
        let began = self.world.since_begin(observation.began.into());
        let (id, verdict) = (observation.probe.0, observation.verdict);
        let finding = Finding { node, id, began, verdict, term: term(report) };
        let mut shared = self.world.lock();
        let what = format_args!("n{node}: {} (probe {id} of {began})", report.detail);
        shared.cluster.trace.note(now, what);
        shared.rates.probed(began, node, !matches!(verdict, Verdict::Unreachable { .. }));
        let expired = self.last_good[node].is_some_and(|good| good + self.lease() <= now);
        if verdict == Verdict::Leader && (expired || self.last[node] != Some(Verdict::Leader)) {
            shared.rates.has_reason(now, node); // a claim that begins or wakes is to be confirmed
        }
        drop(shared);
        self.probes += 1;
        self.look_for_calm(now);
        if !self.tracker.is_overtaken(&finding) {
            self.sessions.note(&finding);
            self.last[node] = Some(verdict);
            if verdict == Verdict::Leader {
                self.last_good[node] = self.last_good[node].max(Some(began));
            }
        }
        self.tracker.note(now, &finding);
    }

    /// Judges what is to be seen of the gate; `was_told` if `follow` has just drawn its conclusions.
    pub(super) fn look(&mut self, gate: &Gate, was_told: bool) {
        let now = self.world.now();
        self.look_for_calm(now);
        let route = self.look_at_route(gate);
        let events = self.changes(now, route);
        self.tracker.gate_resumed = self.world.lock().cluster.gate_goes_on;
        if was_told || !events.is_empty() {
            let route = self.route.as_ref().map(|tenure| tenure.node);
            self.tracker.judge(now, &events, &View { route, status: &gate.board.status() });
        }
        self.sessions.spared = self.spares_since.is_some_and(|since| self.is_unchanged_since(since));
        for change in self.sessions.judge(now, self.route()) {
            self.world.lock().cluster.trace.note(now, format_args!("{change}"));
        }
        self.judge_orders(now, gate);
        self.judge_lease(now);
        self.judge_calm(now, gate);
        let mut shared = self.world.lock();
        if self.plan.calm && !self.is_epilogue {
            assert_eq!(shared.rates.hedges(), 0, "L4: nothing is late, and yet somebody is asked twice");
        }
        let violation = shared.rates.violations.pop();
        drop(shared);
        assert!(violation.is_none(), "{}", violation.unwrap_or_default());
    }

    fn look_at_route(&mut self, gate: &Gate) -> Option<Arc<Tenure>> {
        match gate.reader.load() {
            Route::Led(tenure) => {
                self.sessions.hold(&tenure);
                Some(tenure)
            }
            Route::Spread(_) => None, // of readers' channels alone
            Route::Leaderless { stand_in, .. } => {
                if let Some(tenure) = stand_in {
                    self.sessions.hold(&tenure);
                }
                None
            }
        }
    }

    /// What became of the route since the last look.
    fn changes(&mut self, now: Micros, route: Option<Arc<Tenure>>) -> Vec<Event> {
        let epoch = |tenure: &Option<Arc<Tenure>>| tenure.as_ref().map(|tenure| tenure.epoch);
        if epoch(&route) == epoch(&self.route) {
            return Vec::new();
        }
        let old = std::mem::replace(&mut self.route, route);
        let mut events = Vec::new();
        let mut shared = self.world.lock();
        if let Some(old) = old.filter(|old| self.route.as_ref().is_none_or(|new| new.node == old.node)) {
            let cause = self.tracker.loss_of(old.node.0);
            shared.cluster.trace.note(now, format_args!("the route is lost: {cause:?}"));
            shared.rates.all_have_reason(now);
            events.push(Event::Lost { node: old.node, cause });
        }
        if let Some(new) = &self.route {
            assert!(self.newest_epoch < new.epoch, "S1: epochs grow");
            self.newest_epoch = new.epoch;
            shared
                .cluster
                .trace
                .note(now, format_args!("the route is n{} (epoch {})", new.node.0, new.epoch));
            shared.rates.all_have_reason(now); // the next suspicion need not wait
            let ordinal = self.tracker.ordinal(new.node.0);
            events.push(Event::Elected { node: new.node, ordinal, previous_last_good: None });
        }
        events
    }

    /// Counts what probers are ordered to do at once (L5).
    fn judge_orders(&mut self, now: Micros, gate: &Gate) {
        let mut shared = self.world.lock();
        if now < shared.cluster.gate_goes_on + SLACK && shared.cluster.gate_goes_on != 0 {
            shared.rates.all_have_reason(now); // a lease that was overslept has all nodes probed
        }
        for (node, (orders, seen)) in gate.orders.iter().zip(&mut self.rounds).enumerate() {
            let round = orders.borrow().round;
            (*seen..round).for_each(|_| shared.rates.ordered(now, node));
            *seen = round;
        }
    }

    /// L7: no route lives on statements that are too old.
    fn judge_lease(&self, now: Micros) {
        let Some(route) = &self.route else { return };
        let policy = &self.plan.policy;
        let grace = self.world.lock().cluster.gate_goes_on + micros(policy.timeout + policy.fast_interval);
        let good = self.last_good[route.node.0].expect("L1: only who has said that it leads is the route");
        let end = grace.max(good + self.lease());
        assert!(now <= end + SLACK, "L7: the lease of n{} was over at {end}", route.node.0);
    }

    fn look_for_calm(&mut self, now: Micros) {
        let leader = self.world.lock().cluster.calm_leader();
        self.tracker.note_calm(now, leader);
        if self.calm.map(|(leader, _)| leader) != leader {
            self.calm = leader.map(|leader| (leader, now));
        }
    }

    /// The one leader there is, is the route before long (L3, L5), and then probing is steady.
    fn judge_calm(&self, now: Micros, gate: &Gate) {
        let Some((leader, since)) = self.calm else { return };
        let found_by = since + self.patience();
        if found_by < now {
            assert_eq!(self.route(), Some(leader), "n{leader} has led in peace since {since}");
        }
        if found_by + FAST_AFTER_CHANGE < now && self.plan.manner != Manner::Closes {
            let pace = |node: usize| gate.orders[node].borrow().pace;
            assert!(
                (0..self.plan.size).all(|node| pace(node) == Pace::Steady),
                "L5: peace, but no steady pace"
            );
        }
    }

    /// Whether nobody was elected since.
    pub(super) fn is_unchanged_since(&self, since: Micros) -> bool {
        self.world.lock().cluster.newest_election.is_none_or(|newest| newest.at < since)
    }

    /// How long it takes at most to find the one leader when nothing is wrong any more: an exchange that was lost
    /// ends, if any was, and the next one is due, and claims without order are confirmed.
    pub(super) fn patience(&self) -> Micros {
        let policy = &self.plan.policy;
        let lost = if self.plan.calm { 0 } else { micros(policy.timeout) + ROUND_TRIPS };
        self.steady().max(lost) + micros(policy.lateness()) + Micros::from(policy.rise + 2) * self.fast()
    }

    /// How long after its beginning an exchange is late at most, where none has ever taken long.
    pub(super) fn late(&self) -> Micros {
        micros(self.plan.policy.fast_interval).max(4 * ROUND_TRIPS)
    }

    /// When the probe began that brought a node's newest leader statement.
    pub(super) fn last_good(&self, node: usize) -> Option<Micros> {
        self.last_good[node]
    }

    /// The longest between two answers at the fast pace, with jitter and the way.
    pub(super) fn fast(&self) -> Micros {
        micros(self.plan.policy.fast_interval) * 11 / 10 + ROUND_TRIPS
    }

    /// The same at the steady pace.
    pub(super) fn steady(&self) -> Micros {
        micros(self.plan.policy.interval) * 11 / 10 + ROUND_TRIPS
    }

    /// The longest that an exchange takes.
    pub(super) fn timeout(&self) -> Micros {
        micros(self.plan.policy.timeout)
    }

    fn lease(&self) -> Micros {
        micros(self.plan.policy.lease())
    }
}

/// The term that a leader's status tells, which the gate does not know of.
fn term(report: &ProbeReport) -> Option<u64> {
    if report.observation.verdict != Verdict::Leader {
        return None;
    }
    let status = report.detail.split(['(', ')']).nth(1);
    let status: u64 =
        status.and_then(|status| status.parse().ok()).expect("words, then the status in brackets");
    Some(status - u64::from(super::cluster::LEADER_STATUS))
}

fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).expect("a short duration")
}
