//! What must hold of the tracker after every step of the simulation, judged by what raft knows.

use std::time::Duration;

use super::raft::Micros;
use crate::leader::{Event, LossCause, NodeId, NodeState, Override, Policy, Tracker, Verdict};

/// One probe's result, with what only the simulation knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finding {
    pub(crate) node: usize,
    pub(crate) id: u64,
    pub(crate) began: Micros,
    pub(crate) verdict: Verdict,
    /// The term in which the node says that it leads.
    pub(crate) term: Option<u64>,
}

/// What was seen in all schedules, to be sure that there was something to see.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) elections: u64,
    pub(crate) displacements: u64,
    /// Displacements of a node that had been elected again, unseen, in a later term than the new route's.
    pub(crate) unlucky_displacements: u64,
    pub(crate) wakings: u64,
    pub(crate) overtaken: u64,
    pub(crate) conflicts: u64,
    pub(crate) settled: u64,
    pub(crate) pins: u64,
    pub(crate) unpins: u64,
    /// Routes that ended because their nodes were drained.
    pub(crate) drains: u64,
}

/// One node, as an observer who knows terms remembers it.
#[derive(Clone, Debug, Default)]
struct Memory {
    newest: Option<u64>,
    followed: bool,
    silences: u32,
    claim: Option<Claim>,
}

#[derive(Clone, Copy, Debug)]
struct Claim {
    ordinal: Option<u64>,
    first_term: u64,
    newest_term: u64,
    last_good: Micros,
    confirm_from: Option<Micros>,
    /// Its lease may have ended: whether it stands is not this observer's to say.
    lapsed: bool,
}

/// A time without faults in which raft has one leader, whom all follow.
#[derive(Clone, Debug)]
struct Calm {
    leader: usize,
    since: Micros,
    /// Which nodes have said so.
    agreed: Vec<bool>,
    /// Leader statements of probes begun after all others had said that they follow.
    confirmations: u32,
    agreed_at: Micros,
    /// Whether it had lasted long enough for the tracker to find the leader.
    is_settled: bool,
}

/// What is to be seen of a tracker from outside.
pub(crate) trait Shown {
    fn route(&self) -> Option<NodeId>;
    fn claims(&self) -> usize;
    fn node_state(&self, node: NodeId) -> NodeState;
    /// Nothing where no operator has a say.
    fn override_of(&self, _: NodeId) -> Option<Override> {
        None
    }
}

impl Shown for Tracker {
    fn route(&self) -> Option<NodeId> {
        self.route()
    }

    fn claims(&self) -> usize {
        self.claims()
    }

    fn node_state(&self, node: NodeId) -> NodeState {
        self.node_state(node)
    }

    fn override_of(&self, node: NodeId) -> Option<Override> {
        self.override_of(node)
    }
}

pub(crate) struct Judge {
    policy: Policy,
    nodes: Vec<Memory>,
    ordinals: u64,
    route: Option<usize>,
    overrides: Vec<Option<Override>>,
    /// Whether the route is there by a pin that has just ended.
    is_unpinned: bool,
    calm: Option<Calm>,
    /// When the gate itself last went on after a pause.
    pub(crate) gate_resumed: Micros,
    pub(crate) tally: Tally,
}

impl Judge {
    pub(crate) fn new(size: usize, policy: Policy) -> Self {
        Judge {
            policy,
            nodes: vec![Memory::default(); size],
            ordinals: 0,
            route: None,
            overrides: vec![None; size],
            is_unpinned: false,
            calm: None,
            gate_resumed: 0,
            tally: Tally::default(),
        }
    }

    /// What is in force by the operator's commands.
    pub(super) fn overrides(&self) -> &[Option<Override>] {
        &self.overrides
    }

    /// Notes whom raft agrees on while nothing disturbs it.
    pub(crate) fn note_calm(&mut self, now: Micros, leader: Option<usize>) {
        if self.calm.as_ref().map(|calm| calm.leader) == leader {
            return;
        }
        let agreed = vec![false; self.nodes.len()];
        self.calm = leader.map(|leader| Calm {
            leader,
            since: now,
            agreed,
            confirmations: 0,
            agreed_at: Micros::MAX,
            is_settled: false,
        });
    }

    /// The ordinal of what a node claims.
    pub(crate) fn ordinal(&self, node: usize) -> Option<u64> {
        self.nodes[node].claim.and_then(|claim| claim.ordinal)
    }

    /// Why the route may be lost that this node was, going by what is known of it.
    pub(crate) fn loss_of(&self, node: usize) -> LossCause {
        match &self.nodes[node] {
            Memory { claim: None, .. } => LossCause::SteppedDown,
            Memory { silences, .. } if *silences >= self.policy.fall => LossCause::Silent,
            Memory { .. } => LossCause::LeaseExpired,
        }
    }

    /// Whether an answer was overtaken by a newer one of its node.
    pub(crate) fn is_overtaken(&self, finding: &Finding) -> bool {
        self.nodes[finding.node].newest >= Some(finding.id)
    }

    /// Takes in what the tracker is told.
    pub(crate) fn note(&mut self, now: Micros, finding: &Finding) {
        if self.is_overtaken(finding) {
            self.tally.overtaken += 1;
            return;
        }
        self.note_in_calm(now, finding);
        let memory = &mut self.nodes[finding.node];
        memory.newest = Some(finding.id);
        match finding.verdict {
            Verdict::Leader => self.note_leader(now, finding),
            Verdict::Follower => {
                *memory = Memory { newest: memory.newest, followed: true, ..Memory::default() };
            }
            _ => memory.silences += 1,
        }
    }

    fn note_leader(&mut self, now: Micros, finding: &Finding) {
        let term = finding.term.expect("a leader has a term");
        let slept = self.nodes[finding.node].silences >= self.policy.fall;
        let memory = &mut self.nodes[finding.node];
        memory.silences = 0;
        let Some(claim) = &mut memory.claim else {
            self.ordinals += u64::from(memory.followed);
            memory.claim = Some(Claim {
                ordinal: memory.followed.then_some(self.ordinals),
                first_term: term,
                newest_term: term,
                last_good: finding.began,
                confirm_from: None,
                lapsed: false,
            });
            return;
        };
        claim.lapsed |= now >= claim.last_good + micros(self.policy.lease());
        if slept {
            claim.confirm_from = Some(now);
            self.tally.wakings += 1;
        } else if claim.confirm_from.is_some_and(|from| from <= finding.began) {
            claim.confirm_from = None;
        }
        claim.newest_term = term;
        claim.last_good = claim.last_good.max(finding.began);
    }

    fn note_in_calm(&mut self, now: Micros, finding: &Finding) {
        let Some(calm) = self.calm.as_mut().filter(|calm| calm.since <= finding.began) else { return };
        if finding.node == calm.leader {
            let counts = finding.verdict == Verdict::Leader && calm.agreed_at <= finding.began;
            calm.confirmations += u32::from(counts);
            return;
        }
        calm.agreed[finding.node] |= finding.verdict == Verdict::Follower;
        let leader = calm.leader;
        if calm.agreed_at == Micros::MAX
            && calm.agreed.iter().enumerate().all(|(node, agreed)| *agreed || node == leader)
        {
            calm.agreed_at = now;
        }
    }

    /// Judges what the tracker made of it.
    pub(crate) fn judge(&mut self, now: Micros, events: &[Event], tracker: &impl Shown) {
        for event in events {
            match event {
                Event::Elected { node, ordinal, .. } => self.judge_election(now, node.0, *ordinal, tracker),
                Event::OverrideChanged { node, to } => self.note_override(now, node.0, *to),
                Event::Pinned(node) => {
                    assert_eq!(self.overrides[node.0], Some(Override::Pin));
                    (self.route, self.is_unpinned) = (Some(node.0), false);
                    self.tally.pins += 1;
                }
                Event::Lost { node, cause } => {
                    self.judge_loss(now, node.0, *cause);
                    self.route = None;
                    for claim in self.nodes.iter_mut().filter_map(|memory| memory.claim.as_mut()) {
                        claim.confirm_from = Some(now);
                    }
                }
                _ => {}
            }
        }
        assert_eq!(tracker.route().map(|node| node.0), self.route, "the route is what the events say");
        self.tally.conflicts += u64::from(tracker.claims() > 1);
        self.judge_overrides(tracker);
        self.judge_route(now);
        self.judge_calm();
    }

    fn note_override(&mut self, now: Micros, node: usize, to: Option<Override>) {
        match (std::mem::replace(&mut self.overrides[node], to), to) {
            (Some(Override::Drain), None) => {
                if let Some(claim) = &mut self.nodes[node].claim {
                    claim.confirm_from = Some(now);
                }
            }
            (Some(Override::Pin), None) => {
                self.is_unpinned = self.route == Some(node);
                self.tally.unpins += 1;
            }
            _ => {}
        }
    }

    /// An operator's word is kept (L10).
    fn judge_overrides(&self, tracker: &impl Shown) {
        for (node, overridden) in self.overrides.iter().enumerate() {
            assert_eq!(tracker.override_of(NodeId(node)), *overridden, "overrides are what the events say");
            match overridden {
                Some(Override::Drain) => {
                    assert_ne!(self.route, Some(node), "never a route to a drained node");
                }
                Some(Override::Pin) => assert_eq!(self.route, Some(node), "a pinned node is the route"),
                None => {}
            }
        }
        assert!(!self.is_unpinned, "whatever an unpinned node says decides what becomes of it");
    }

    fn judge_election(&mut self, now: Micros, node: usize, ordinal: Option<u64>, tracker: &impl Shown) {
        let claim = self.nodes[node].claim.expect("only a node that says it leads is elected");
        assert_eq!(claim.ordinal, ordinal, "ordinals count transitions from follower to leader");
        assert_eq!(claim.confirm_from, None, "a claim that was woken or left over is confirmed first");
        self.tally.elections += 1;
        assert_eq!(
            self.overrides[node], None,
            "no claim of a drained node is elected, and no other than the pinned one"
        );
        if std::mem::take(&mut self.is_unpinned) {
            assert_eq!(self.route, Some(node), "it stays, if it leads");
        } else if let Some(old) = self.route {
            let old = self.nodes[old].claim.expect("the route has a claim");
            assert!(old.ordinal < ordinal, "the route never goes back to a lower claim");
            assert!(
                old.first_term < claim.first_term,
                "a claim of term {} displaced one of term {}",
                claim.first_term,
                old.first_term
            );
            self.tally.displacements += 1;
            self.tally.unlucky_displacements += u64::from(claim.newest_term < old.newest_term);
        } else {
            let higher = self.standing(now, tracker).find(|other| ordinal < other.ordinal);
            assert!(higher.is_none(), "elected a lower claim than {higher:?}");
        }
        self.route = Some(node);
    }

    fn judge_loss(&mut self, now: Micros, node: usize, cause: LossCause) {
        assert_eq!(self.route, Some(node), "only the route can be lost");
        let memory = &self.nodes[node];
        let is_so = match cause {
            LossCause::SteppedDown => memory.claim.is_none(),
            LossCause::Silent => memory.silences >= self.policy.fall,
            LossCause::LeaseExpired => {
                memory.claim.is_some_and(|claim| claim.last_good + micros(self.policy.lease()) <= now)
            }
            LossCause::Drained => {
                self.tally.drains += 1;
                self.overrides[node] == Some(Override::Drain)
            }
            LossCause::Unpinned => std::mem::take(&mut self.is_unpinned),
            LossCause::Removed | LossCause::Readdressed => false, // no node is, here
        };
        assert!(is_so, "the route was lost, {cause:?}, by a node of which {memory:?} is known");
    }

    /// The claims that stand beyond doubt.
    fn standing<'a>(&'a self, now: Micros, tracker: &'a impl Shown) -> impl Iterator<Item = Claim> + 'a {
        let lease = micros(self.policy.lease());
        self.nodes.iter().enumerate().filter_map(move |(id, memory)| {
            let is_drained = self.overrides[id] == Some(Override::Drain);
            let stands = tracker.node_state(NodeId(id)) == NodeState::Leader && !is_drained;
            memory.claim.filter(|claim| stands && !claim.lapsed && now < claim.last_good + lease)
        })
    }

    fn judge_route(&self, now: Micros) {
        let Some(route) = self.route.filter(|route| self.overrides[*route] != Some(Override::Pin)) else {
            return;
        };
        let claim = self.nodes[route].claim.expect("never a route to a node that said it follows");
        assert!(self.nodes[route].silences < self.policy.fall, "never a route to a node that fell silent");
        let grace = self.gate_resumed + micros(self.policy.timeout + self.policy.fast_interval);
        assert!(now < grace.max(claim.last_good + micros(self.policy.lease())), "the lease is over");
    }

    fn judge_calm(&mut self) {
        let Some(calm) = self.calm.as_mut().filter(|calm| calm.confirmations >= self.policy.rise + 3) else {
            return;
        };
        assert_eq!(self.route, Some(calm.leader), "the one leader there is, is the route");
        self.tally.settled += u64::from(!std::mem::replace(&mut calm.is_settled, true));
    }
}

fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).expect("a short duration")
}
