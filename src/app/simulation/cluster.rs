//! The truth: raft, how each node can be reached, and what befalls them at random.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::plan::Plan;
use super::trace::Trace;
use crate::leader::tests::raft::{Letter, MS, Micros, Process, Raft, SelfImage};

/// A leader's status is this plus its term: the gate takes all of them for the same, and carries the term to the
/// judge without knowing.
pub(super) const LEADER_STATUS: u16 = 500;
pub(super) const FOLLOWER_STATUS: u16 = 429;
const CANDIDATE_STATUS: u16 = 404;

#[derive(Clone, Copy, Debug)]
enum Step {
    Deliver(Letter),
    Fault,
}

/// What becomes of those who come to a node's port, whatever raft does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Port {
    /// They are answered.
    #[default]
    Serves,
    /// They are accepted, and not answered.
    Mute,
    /// Nobody listens.
    Refuses,
    /// Its host is down: not even a refusal comes back.
    Dead,
}

/// How the gate reaches a node.
#[derive(Clone, Debug, Default)]
pub(super) struct Path {
    /// Nothing gets through, either way; what was sent arrives once it does.
    pub(super) cut_off: bool,
    pub(super) port: Port,
    /// Grows when all of its connections end.
    pub(super) incarnation: u64,
    /// Connections up to this number have been forgotten on the way: what is sent on them goes nowhere.
    pub(super) forgotten: u64,
}

impl Path {
    fn is_fine(&self) -> bool {
        !self.cut_off && self.port == Port::Serves
    }
}

/// A node became leader.
#[derive(Clone, Copy, Debug)]
pub(super) struct Election {
    pub(super) at: Micros,
    pub(super) node: usize,
    term: u64,
}

/// Raft, the ways to its nodes, and what is going to happen.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) raft: Raft,
    pub(super) paths: Vec<Path>,
    pub(super) trace: Trace,
    /// Whether faults happen.
    pub(super) stormy: bool,
    pub(super) newest_election: Option<Election>,
    /// How long the gate is to stand still from now on, if it is.
    pub(super) gate_pause: Option<Micros>,
    /// When the gate goes on, or last went on, after it had stood still.
    pub(super) gate_goes_on: Micros,
    /// Whether something happened that connections wait for.
    pub(super) news: bool,
    candidates_unfit: bool,
    cut: Vec<(usize, usize)>,
    agenda: BTreeMap<(Micros, u64), Step>,
    steps: u64,
    rng: Rng,
}

impl Cluster {
    pub(super) fn new(plan: &Plan, mut rng: Rng, trace: Trace) -> Self {
        let mut cluster = Cluster {
            raft: Raft::new(plan.size, plan.quorum_check, rng.fork()),
            paths: vec![Path::default(); plan.size],
            trace,
            stormy: !plan.calm,
            newest_election: None,
            gate_pause: None,
            gate_goes_on: 0,
            news: false,
            candidates_unfit: plan.candidates_unfit,
            cut: Vec::new(),
            agenda: BTreeMap::new(),
            steps: 0,
            rng,
        };
        cluster.plan(plan.gate_starts, Step::Fault);
        cluster
    }

    /// When something is due next.
    pub(super) fn due(&self) -> Micros {
        let planned = self.agenda.first_key_value().map_or(Micros::MAX, |((at, _), _)| *at);
        self.next_timer().0.min(planned)
    }

    /// The node whose timer is due first, and when.
    fn next_timer(&self) -> (Micros, usize) {
        let timers = (0..self.raft.size()).map(|node| (self.raft.due(node), node));
        timers.min().expect("there are nodes")
    }

    /// Does all that is due by now, each at its time.
    pub(super) fn live_until(&mut self, now: Micros) {
        loop {
            let at = self.due();
            if now < at {
                return;
            }
            let (timer, node) = self.next_timer();
            if timer <= at {
                self.raft.tick(at, node);
            } else if let Some((_, step)) = self.agenda.pop_first() {
                self.take(at, step);
            }
            self.take_letters(at);
            self.note_election(at);
        }
    }

    fn take(&mut self, now: Micros, step: Step) {
        match step {
            Step::Deliver(letter) => {
                let pair = (letter.from.min(letter.to), letter.from.max(letter.to));
                if !self.cut.contains(&pair) {
                    self.raft.receive(now, letter);
                }
            }
            Step::Fault => self.do_harm(now),
        }
    }

    /// Sends off what nodes have to tell each other.
    pub(super) fn take_letters(&mut self, now: Micros) {
        for letter in std::mem::take(&mut self.raft.outbox) {
            let at = now + self.rng.u64(1..4) * MS;
            self.plan(at, Step::Deliver(letter));
        }
    }

    fn note_election(&mut self, now: Micros) {
        let newest = self.newest_election.map_or(0, |election| election.term);
        for node in 0..self.raft.size() {
            if let SelfImage::Leads { term } = self.raft.self_image(node)
                && newest < term
            {
                self.newest_election = Some(Election { at: now, node, term });
                self.trace.note(now, format_args!("n{node} is elected in term {term}"));
            }
        }
    }

    fn plan(&mut self, at: Micros, step: Step) {
        self.steps += 1;
        self.agenda.insert((at, self.steps), step);
    }

    /// The status that a node answers with, or `None` as long as it does not.
    pub(super) fn answer(&self, node: usize) -> Option<u16> {
        if self.raft.process(node) != Process::Runs || self.paths[node].port == Port::Mute {
            return None;
        }
        Some(match self.raft.self_image(node) {
            SelfImage::Leads { term } => LEADER_STATUS + u16::try_from(term).expect("few elections"),
            SelfImage::Campaigns if self.candidates_unfit => CANDIDATE_STATUS,
            SelfImage::Campaigns | SelfImage::Follows => FOLLOWER_STATUS,
        })
    }

    /// The incarnation that accepts a connection to a node, if one does. A frozen node's kernel accepts.
    pub(super) fn accept(&self, node: usize) -> Option<u64> {
        let path = &self.paths[node];
        let listens = self.raft.process(node) != Process::Crashed && path.port != Port::Refuses;
        listens.then_some(path.incarnation)
    }

    /// Whether a client's connection to a node is accepted and served.
    pub(super) fn serves(&self, node: usize) -> bool {
        self.raft.process(node) == Process::Runs && self.paths[node].is_fine()
    }

    /// The leader on whom all agree while nothing is wrong.
    pub(super) fn calm_leader(&self) -> Option<usize> {
        let is_intact = |path: &Path| path.is_fine() && path.forgotten == 0;
        let is_calm = !self.stormy && self.paths.iter().all(is_intact) && self.cut.is_empty();
        self.raft.undisputed_leader().filter(|_| is_calm)
    }

    // --- what befalls them ---

    fn do_harm(&mut self, now: Micros) {
        let next = now + self.rng.u64(30..600) * MS;
        self.plan(next, Step::Fault);
        if !self.stormy {
            return;
        }
        let anyone = self.rng.usize(0..self.raft.size());
        let victim = self.raft.any_leader().filter(|_| self.rng.bool()).unwrap_or(anyone);
        let kind = self.rng.u8(0..17);
        self.trace.note(now, format_args!("fault {kind}: n{victim}, n{anyone}"));
        match kind {
            0 | 1 => self.raft.pause(victim),
            2 => self.crash(victim, false),
            3 => self.crash(victim, true),
            4 | 5 => self.resume(now, anyone),
            6 => self.isolate(victim),
            7 => self.paths[victim].cut_off = true,
            8 => (0..self.raft.size()).for_each(|node| self.paths[node].cut_off = self.rng.u8(0..4) == 0),
            9 if self.raft.process(anyone) == Process::Runs => self.raft.campaign(now, anyone),
            10 if self.gate_goes_on <= now => self.gate_pause = Some(self.rng.u64(0..2500) * MS),
            11 => self.cut.clear(),
            12 => self.paths[victim].port = Port::Mute,
            13 => self.paths[victim].port = Port::Refuses,
            14 => self.paths[victim].incarnation += 1,
            _ => self.heal(now),
        }
        self.news = true;
    }

    /// Kills a node; with its host, nothing tells so.
    pub(super) fn crash(&mut self, victim: usize, host: bool) {
        self.raft.crash(victim);
        self.paths[victim].port = if host { Port::Dead } else { Port::Serves };
        self.paths[victim].incarnation += u64::from(!host);
        self.news = true;
    }

    /// Parts a node from its peers; the gate may still reach it.
    fn isolate(&mut self, victim: usize) {
        let others = (0..self.raft.size()).filter(|node| *node != victim);
        self.cut.extend(others.map(|other| (victim.min(other), victim.max(other))));
    }

    /// Lets a node go on; a new process knows nothing of its predecessor's connections.
    pub(super) fn resume(&mut self, now: Micros, node: usize) {
        let path = &mut self.paths[node];
        path.incarnation += u64::from(path.port == Port::Dead);
        path.port = Port::default();
        self.raft.resume(now, node);
        self.news = true;
    }

    /// Ends all that is wrong.
    pub(super) fn heal(&mut self, now: Micros) {
        self.cut.clear();
        for node in 0..self.raft.size() {
            self.paths[node].cut_off = false;
            self.resume(now, node);
        }
    }
}
