//! The world of the simulation: raft, a network that loses and delays, a gate that may be paused, its probers and
//! clients, and faults at random.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::judge::{Finding, Judge, Tally};
use super::raft::{Letter, MS, Micros, Process, Raft, SelfImage};
use super::script::{SILENT, UNFIT, base};
use crate::leader::{
    Command, Event, NodeId, Observation, Pace, Policy, ProbeId, Signal, Suspicion, Tracker, Verdict,
};

/// Each schedule has a time with faults, then one without.
const STORMY: Micros = 2500 * MS;
const QUIET: Micros = 1500 * MS;

/// Says how to replay the schedule that panicked.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with RAFTGATE_SEED={}", self.0);
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    RaftTimer(usize),
    Deliver(Letter),
    /// The prober's own tick; void if another probe began since.
    ProbeDue {
        node: usize,
        generation: u64,
    },
    ProbeArrives(Probe),
    ProbeEnds(Finding),
    TrackerDue,
    Client,
    Fault,
    Operator,
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    node: usize,
    id: u64,
    began: Micros,
}

#[derive(Clone, Debug, Default)]
struct Prober {
    in_flight: Vec<u64>,
    generation: u64,
    cut_off: bool,
    /// Probes that wait in the buffers of a paused node.
    buffered: Vec<Probe>,
}

/// Raft, the network, the gate with its probers, and the tracker.
pub(super) struct World {
    base: Instant,
    now: Micros,
    rng: Rng,
    policy: Policy,
    raft: Raft,
    /// Pairs of nodes that cannot reach each other.
    cut: Vec<(usize, usize)>,
    /// Whether candidates answer neither "leader" nor "follower".
    candidates_unfit: bool,
    probers: Vec<Prober>,
    tracker: Tracker,
    pace: Pace,
    judge: Judge,
    stormy: bool,
    /// Orders overrides in some schedules; with a die of its own, so that it changes nothing else.
    operator: Option<Rng>,
    gate_paused_until: Micros,
    tracker_due: Option<Micros>,
    agenda: BTreeMap<(Micros, u64), Step>,
    steps: u64,
    probes: u64,
    _replay: Replay,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let size = *rng.choice(&[3, 3, 5]).expect("not empty");
        let policy = Policy {
            timeout: Duration::from_millis(rng.u64(100..600)),
            fall: rng.u32(1..=3),
            rise: if rng.u8(0..4) == 0 { 2 } else { 1 },
            ..Policy::default()
        };
        let quorum_check = rng.bool().then_some(500 * MS);
        let base = base();
        let mut world = World {
            base,
            now: 0,
            policy,
            raft: Raft::new(size, quorum_check, rng.fork()),
            cut: Vec::new(),
            candidates_unfit: rng.bool(),
            probers: vec![Prober::default(); size],
            tracker: Tracker::new(base, &vec![0; size], policy),
            pace: Pace::Fast,
            judge: Judge::new(size, policy),
            stormy: true,
            operator: seed.is_multiple_of(3).then(|| Rng::with_seed(seed + 1)),
            gate_paused_until: 0,
            tracker_due: None,
            agenda: BTreeMap::new(),
            steps: 0,
            probes: 0,
            rng,
            _replay: Replay(seed),
        };
        world.start();
        world
    }

    fn start(&mut self) {
        // The gate comes up before, during or after the first election.
        let gate_starts = self.rng.u64(0..1000) * MS;
        for node in 0..self.raft.size() {
            self.after(self.raft.due(node), Step::RaftTimer(node));
            self.after(gate_starts, Step::ProbeDue { node, generation: 0 });
        }
        self.after(gate_starts, Step::Client);
        self.after(gate_starts, Step::Fault);
        if self.operator.is_some() {
            self.after(gate_starts, Step::Operator);
        }
    }

    /// Runs the schedule to its end; panics when the judge objects.
    pub(super) fn run(mut self) -> Tally {
        self.run_until(STORMY);
        self.stormy = false;
        self.heal();
        self.end_overrides();
        self.run_until(STORMY + QUIET);
        self.judge.tally
    }

    fn run_until(&mut self, end: Micros) {
        while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 < end) {
            let ((at, _), step) = entry.remove_entry();
            self.now = at;
            if self.now < self.gate_paused_until && step.is_the_gates() {
                self.after(self.gate_paused_until - self.now, step);
            } else {
                self.take(step);
            }
            let leader = self.raft.undisputed_leader().filter(|_| !self.stormy);
            self.judge.note_calm(self.now, leader);
        }
        self.now = end;
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::RaftTimer(node) => {
                if self.raft.due(node) <= self.now {
                    self.raft.tick(self.now, node);
                }
                self.after(self.raft.due(node).saturating_sub(self.now), Step::RaftTimer(node));
            }
            Step::Deliver(letter) => {
                let pair = (letter.from.min(letter.to), letter.from.max(letter.to));
                if !self.cut.contains(&pair) {
                    self.raft.receive(self.now, letter);
                }
            }
            Step::ProbeDue { node, generation } => {
                if self.probers[node].generation == generation {
                    self.begin_probe(node);
                }
            }
            Step::ProbeArrives(probe) => self.answer_probe(probe),
            Step::ProbeEnds(finding) => self.end_probe(finding),
            Step::TrackerDue => {
                self.tracker_due = None;
                if self.tracker.poll_timeout().is_some_and(|due| due <= self.instant()) {
                    self.tracker.handle_timeout(self.instant());
                }
                self.conclude();
            }
            Step::Client => self.meet_client(),
            Step::Fault => self.do_harm(),
            Step::Operator => self.operate(),
        }
        for letter in std::mem::take(&mut self.raft.outbox) {
            let delay = self.rng.u64(MS / 5..3 * MS);
            self.after(delay, Step::Deliver(letter));
        }
    }

    // --- probes ---

    /// Begins a probe unless two are under way: one, and its hedge.
    fn begin_probe(&mut self, node: usize) {
        let prober = &mut self.probers[node];
        prober.generation += 1;
        let again = Step::ProbeDue { node, generation: prober.generation };
        if prober.in_flight.len() < 2 {
            self.probes += 1;
            let probe = Probe { node, id: self.probes, began: self.now };
            prober.in_flight.push(probe.id);
            if !self.is_lost(node) {
                let delay = self.latency();
                self.after(delay, Step::ProbeArrives(probe));
            }
            let late = Finding { node, id: probe.id, began: self.now, verdict: SILENT, term: None };
            self.after(micros(self.policy.timeout), Step::ProbeEnds(late));
        }
        let interval = match self.pace {
            Pace::Steady => self.policy.interval,
            Pace::Fast => self.policy.fast_interval,
        };
        self.after(micros(interval), again);
    }

    fn answer_probe(&mut self, probe: Probe) {
        let Probe { node, id, began } = probe;
        let (verdict, term) = match (self.raft.process(node), self.raft.self_image(node)) {
            (Process::Paused, _) => return self.probers[node].buffered.push(probe),
            (Process::Crashed, _) => (SILENT, None),
            (_, SelfImage::Leads { term }) => (Verdict::Leader, Some(term)),
            (_, SelfImage::Campaigns) if self.candidates_unfit => (UNFIT, None),
            (_, SelfImage::Follows | SelfImage::Campaigns) => (Verdict::Follower, None),
        };
        if !self.is_lost(node) {
            let delay = self.latency();
            self.after(delay, Step::ProbeEnds(Finding { node, id, began, verdict, term }));
        }
    }

    fn end_probe(&mut self, finding: Finding) {
        let in_flight = &mut self.probers[finding.node].in_flight;
        let Some(place) = in_flight.iter().position(|id| *id == finding.id) else { return };
        in_flight.swap_remove(place);
        let observation = Observation {
            node: NodeId(finding.node),
            probe: ProbeId(finding.id),
            began: self.base + Duration::from_micros(finding.began),
            verdict: finding.verdict,
        };
        if self.judge.is_overtaken(&finding) {
            self.tell_what_was_overtaken(observation);
        } else {
            self.tracker.handle_observation(self.instant(), observation);
        }
        self.judge.note(self.now, &finding);
        self.conclude();
    }

    /// An overtaken answer changes nothing; at most it makes the tracker ask again.
    fn tell_what_was_overtaken(&mut self, observation: Observation) {
        self.tracker.handle_timeout(self.instant());
        self.conclude();
        let before = format!("{:?}", self.tracker);
        self.tracker.handle_observation(self.instant(), observation);
        while let Some(event) = self.tracker.poll_event() {
            assert_eq!(event, Event::ProbeNode(observation.node));
            self.begin_probe(observation.node.0);
        }
        assert_eq!(format!("{:?}", self.tracker), before);
    }

    fn latency(&mut self) -> Micros {
        let slow = self.stormy && self.rng.u8(0..12) == 0;
        if slow { self.rng.u64(5 * MS..400 * MS) } else { self.rng.u64(MS / 5..3 * MS) }
    }

    fn is_lost(&mut self, node: usize) -> bool {
        self.probers[node].cut_off || self.stormy && self.rng.u8(0..40) == 0
    }

    // --- the gate ---

    /// Does what the tracker asks for after each of its steps, and has it judged.
    fn conclude(&mut self) {
        let mut events = Vec::new();
        while let Some(event) = self.tracker.poll_event() {
            events.push(event);
        }
        self.judge.judge(self.now, &events, &self.tracker);
        for event in events {
            match event {
                Event::ProbeAll => (0..self.raft.size()).for_each(|node| self.begin_probe(node)),
                Event::ProbeNode(node) => self.begin_probe(node.0),
                _ => {}
            }
        }
        self.follow_pace();
        self.set_timer();
    }

    fn follow_pace(&mut self) {
        let pace = self.tracker.pace();
        if std::mem::replace(&mut self.pace, pace) == Pace::Steady && pace == Pace::Fast {
            for node in 0..self.raft.size() {
                self.probers[node].generation += 1;
                let generation = self.probers[node].generation;
                self.after(micros(self.policy.fast_interval), Step::ProbeDue { node, generation });
            }
        }
    }

    fn set_timer(&mut self) {
        let Some(due) = self.tracker.poll_timeout() else { return };
        assert!(self.instant() < due, "a timeout that was handled is due again");
        let due = micros(due.duration_since(self.base));
        if self.tracker_due.is_none_or(|earlier| due < earlier) {
            self.tracker_due = Some(due);
            self.after(due - self.now, Step::TrackerDue);
        }
    }

    /// A client is sent to the route; if its node does not accept, that is a signal.
    fn meet_client(&mut self) {
        let next = self.rng.u64(20 * MS..200 * MS);
        self.after(next, Step::Client);
        let Some(route) = self.tracker.route() else { return };
        let accepts = self.raft.process(route.0) == Process::Runs && !self.probers[route.0].cut_off;
        if !accepts || self.rng.u8(0..20) == 0 {
            let signal = Signal { node: route, suspicion: Suspicion::ConnectRefused };
            self.tracker.handle_signal(self.instant(), signal);
            self.conclude();
        }
    }

    // --- the operator ---

    fn operate(&mut self) {
        let Some(operator) = self.operator.as_mut().filter(|_| self.stormy) else { return };
        let next = operator.u64(10 * MS..500 * MS);
        let anyone = NodeId(operator.usize(0..self.raft.size()));
        let node = self.tracker.route().filter(|_| operator.bool()).unwrap_or(anyone);
        let command = match operator.u8(0..10) {
            0..3 => Command::Drain { node, force: operator.bool() },
            3..5 => Command::Undrain(node),
            5 | 6 => Command::Pin(node),
            _ => Command::Unpin,
        };
        self.after(next, Step::Operator);
        self.order(command);
    }

    fn order(&mut self, command: Command) {
        let before = format!("{:?}", self.judge.overrides());
        let outcome = self.tracker.handle_command(self.instant(), command);
        self.conclude();
        assert!(outcome.is_ok() || before == format!("{:?}", self.judge.overrides()), "{command:?}");
    }

    fn end_overrides(&mut self) {
        (0..self.raft.size()).for_each(|node| self.order(Command::Undrain(NodeId(node))));
        self.order(Command::Unpin);
    }

    // --- faults ---

    fn do_harm(&mut self) {
        let next = self.rng.u64(30 * MS..600 * MS);
        self.after(next, Step::Fault);
        if !self.stormy {
            return;
        }
        let anyone = self.rng.usize(0..self.raft.size());
        let victim = self.raft.any_leader().filter(|_| self.rng.bool()).unwrap_or(anyone);
        match self.rng.u8(0..12) {
            0 | 1 => self.raft.pause(victim),
            2 => self.raft.crash(victim),
            3 | 4 => self.resume(anyone),
            5 => self.isolate(victim),
            6 => self.probers[victim].cut_off = true,
            7 => (0..self.raft.size()).for_each(|node| self.probers[node].cut_off = self.rng.u8(0..4) == 0),
            8 if self.raft.process(anyone) == Process::Runs => self.raft.campaign(self.now, anyone),
            9 => self.gate_paused_until = (self.now + self.rng.u64(0..2500) * MS).min(STORMY),
            10 => self.cut.clear(),
            _ => self.heal(),
        }
        self.judge.gate_resumed = self.judge.gate_resumed.max(self.gate_paused_until);
    }

    /// Parts a node from its peers; the gate may still reach it.
    fn isolate(&mut self, victim: usize) {
        let others = (0..self.raft.size()).filter(|node| *node != victim);
        self.cut.extend(others.map(|other| (victim.min(other), victim.max(other))));
    }

    fn heal(&mut self) {
        self.cut.clear();
        for node in 0..self.raft.size() {
            self.probers[node].cut_off = false;
            self.resume(node);
        }
    }

    /// Lets a process go on; it answers first what it finds in its buffers.
    fn resume(&mut self, node: usize) {
        self.raft.resume(self.now, node);
        for probe in std::mem::take(&mut self.probers[node].buffered) {
            self.answer_probe(probe);
        }
    }

    // --- time ---

    fn after(&mut self, delay: Micros, step: Step) {
        self.steps += 1;
        self.agenda.insert((self.now + delay, self.steps), step);
    }

    fn instant(&self) -> Instant {
        self.base + Duration::from_micros(self.now)
    }
}

impl Step {
    /// Whether it stands still while the gate is paused.
    fn is_the_gates(self) -> bool {
        matches!(
            self,
            Step::ProbeDue { .. } | Step::ProbeEnds(_) | Step::TrackerDue | Step::Client | Step::Operator
        )
    }
}

fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).expect("a short duration")
}
