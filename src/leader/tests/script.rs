//! A script: what nodes say at which millisecond, with every timeout met on the way.

use std::time::{Duration, Instant};

use crate::leader::{
    Command, Event, NodeId, Observation, Policy, ProbeFailure, ProbeId, Refusal, Signal, Suspicion, Tracker,
    Verdict,
};

pub(super) const LEADER: Verdict = Verdict::Leader;
pub(super) const FOLLOWER: Verdict = Verdict::Follower;
pub(super) const UNFIT: Verdict = Verdict::Unfit { status: 503 };
pub(super) const SILENT: Verdict = Verdict::Unreachable { failure: ProbeFailure::Refused };

/// How long a probe takes unless a script says otherwise, in milliseconds.
pub(super) const LATENCY: u64 = 2;

/// Millisecond 0 of every script; before it there is room for probes that began earlier.
pub(super) fn base() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "taken once; all that follows is this plus durations")]
    let base = Instant::now() + Duration::from_hours(1);
    base
}

/// A probe that was begun and waits for its answer.
#[derive(Clone, Copy)]
pub(super) struct Probe {
    node: usize,
    id: u64,
    began: Instant,
}

/// A tracker, and the time as the script tells it.
pub(super) struct Script {
    pub(super) tracker: Tracker,
    policy: Policy,
    priorities: Vec<i32>,
    base: Instant,
    now: u64,
    probes: u64,
    events: Vec<Event>,
}

impl Script {
    /// Of so many nodes, with the default policy.
    pub(super) fn of(nodes: usize) -> Self {
        Self::with(&vec![0; nodes], Policy::default())
    }

    pub(super) fn with(priorities: &[i32], policy: Policy) -> Self {
        let base = base();
        let mut script = Script {
            tracker: Tracker::new(base, priorities, policy),
            policy,
            priorities: priorities.to_vec(),
            base,
            now: 0,
            probes: 0,
            events: Vec::new(),
        };
        script.collect();
        script
    }

    /// Three nodes at 1000 ms: 0 has led from the start, its claim without order; the events so far are forgotten.
    pub(super) fn led_by_0() -> Self {
        let mut script = Script::of(3);
        script.rounds(0, 1000, 50, &[LEADER, FOLLOWER, FOLLOWER]);
        assert_eq!(script.route(), Some(0));
        script.events();
        script
    }

    /// Lets time pass to this millisecond, handling each timeout when it is due.
    pub(super) fn at(&mut self, ms: u64) -> &mut Self {
        assert!(self.now <= ms, "a script goes forward only");
        let end = self.instant(ms);
        while let Some(due) = self.tracker.poll_timeout().filter(|due| *due <= end) {
            assert!(due > self.instant(self.now), "a timeout that was handled is due again");
            self.now = u64::try_from(due.duration_since(self.base).as_millis()).unwrap();
            self.tracker.handle_timeout(due);
            self.collect();
        }
        self.now = ms;
        self
    }

    /// Lets time pass as for a process that is paused: no timeout is handled, neither on the way nor now.
    pub(super) fn skip_to(&mut self, ms: u64) -> &mut Self {
        self.now = ms;
        self
    }

    /// Lets time pass as for a process that is paused until then; its overdue timeout is handled first.
    pub(super) fn oversleep(&mut self, ms: u64) -> &mut Self {
        self.skip_to(ms);
        self.tracker.handle_timeout(self.instant(ms));
        self.collect();
        self
    }

    /// Another process goes on from here.
    pub(super) fn hand_over(&mut self) -> &mut Self {
        let now = self.instant(self.now);
        let memory = self.tracker.remember(now);
        self.tracker = Tracker::new(now, &self.priorities, self.policy);
        self.tracker.recall(now, &memory);
        self.collect();
        self
    }

    /// Begins a probe.
    pub(super) fn ask(&mut self, node: usize) -> Probe {
        self.probes += 1;
        Probe { node, id: self.probes, began: self.instant(self.now) }
    }

    /// Ends a probe.
    pub(super) fn answer(&mut self, probe: Probe, verdict: Verdict) -> &mut Self {
        let Probe { node, id, began } = probe;
        let observation = Observation { node: NodeId(node), probe: ProbeId(id), began, verdict };
        self.tracker.handle_observation(self.instant(self.now), observation);
        self.collect();
        self
    }

    /// A probe that took the usual time ends now.
    pub(super) fn says(&mut self, node: usize, verdict: Verdict) -> &mut Self {
        let mut probe = self.ask(node);
        probe.began -= Duration::from_millis(LATENCY);
        self.answer(probe, verdict)
    }

    /// Every node says its verdict every `every` milliseconds, from `from` up to and including `to`.
    pub(super) fn rounds(&mut self, from: u64, to: u64, every: u64, verdicts: &[Verdict]) -> &mut Self {
        for ms in (from..=to).step_by(usize::try_from(every).unwrap()) {
            self.at(ms);
            for (node, verdict) in verdicts.iter().enumerate() {
                self.says(node, *verdict);
            }
        }
        self
    }

    /// The millisecond of the tracker's next timeout.
    pub(super) fn next_timeout(&self) -> Option<u64> {
        let due = self.tracker.poll_timeout()?.duration_since(self.base);
        Some(u64::try_from(due.as_micros().div_ceil(1000)).unwrap())
    }

    /// The millisecond at which a probe began.
    pub(super) fn began(&self, probe: Probe) -> u64 {
        u64::try_from(probe.began.duration_since(self.base).as_millis()).unwrap()
    }

    pub(super) fn signal(&mut self, node: usize, suspicion: Suspicion) -> &mut Self {
        self.tracker.handle_signal(self.instant(self.now), Signal { node: NodeId(node), suspicion });
        self.collect();
        self
    }

    pub(super) fn command(&mut self, command: Command) -> Result<(), Refusal> {
        let outcome = self.tracker.handle_command(self.instant(self.now), command);
        self.collect();
        outcome
    }

    pub(super) fn route(&self) -> Option<usize> {
        self.tracker.route().map(|node| node.0)
    }

    pub(super) fn instant(&self, ms: u64) -> Instant {
        self.base + Duration::from_millis(ms)
    }

    /// The events since the last call.
    pub(super) fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// The events since the last call, but only what became of the route.
    pub(super) fn changes(&mut self) -> Vec<Event> {
        let mut events = self.events();
        events.retain(|event| matches!(event, Event::Elected { .. } | Event::Pinned(_) | Event::Lost { .. }));
        events
    }

    /// How often the events since the last call have every node probed.
    pub(super) fn alerts(&mut self) -> usize {
        self.events().iter().filter(|event| **event == Event::ProbeAll).count()
    }

    /// The event of an election; `last_good` is the begin of the previous route's last good probe.
    pub(super) fn elected(&self, node: usize, ordinal: Option<u64>, last_good: Option<u64>) -> Event {
        let previous_last_good = last_good.map(|ms| self.instant(ms));
        Event::Elected { node: NodeId(node), ordinal, previous_last_good }
    }

    fn collect(&mut self) {
        while let Some(event) = self.tracker.poll_event() {
            self.events.push(event);
        }
    }
}
