//! L7 against the promise it makes, with a lease that this model does not know: a leader that answers in time, and is never
//! silent `fall` times in a row, keeps its route for ever.

use std::time::Duration;

use fastrand::Rng;

use super::script::{FOLLOWER, LEADER, Probe, SILENT, Script};
use crate::leader::{Event, NodeId, Pace, Policy, Verdict};

/// One leader, and how it answers.
#[derive(Clone, Copy, Debug)]
struct Case {
    policy: Policy,
    /// How long its answers take, in milliseconds.
    latency: (u64, u64),
    /// How many probes in a row may be lost; each is over at its deadline.
    losses: u32,
}

/// A prober as it is in operation: one probe at a time, the next one after a distance with jitter, or at once if ordered.
enum Prober {
    Asks { probe: Probe, verdict: Verdict, ends: u64 },
    Waits { began: u64, chance: f64, at_once: bool },
}

/// The leader and its prober in a script whose second node follows.
struct Model {
    case: Case,
    script: Script,
    rng: Rng,
    now: u64,
    prober: Prober,
    lost_in_a_row: u32,
}

impl Model {
    fn new(case: Case, seed: u64) -> Self {
        let mut script = Script::with(&[0, 0], case.policy);
        script.at(0).says(1, FOLLOWER);
        let prober = Prober::Waits { began: 0, chance: 0.0, at_once: true };
        Model { case, script, rng: Rng::with_seed(seed), now: 0, prober, lost_in_a_row: 0 }
    }

    /// When the prober goes on by itself.
    fn due(&self) -> u64 {
        match self.prober {
            Prober::Asks { ends, .. } => ends,
            Prober::Waits { at_once: true, .. } => self.now,
            Prober::Waits { began, chance, .. } => {
                let distance = match self.script.tracker.pace() {
                    Pace::Steady => self.case.policy.interval,
                    Pace::Fast => self.case.policy.fast_interval,
                };
                let distance = distance.mul_f64(0.9 + 0.2 * chance);
                self.now.max(began + u64::try_from(distance.as_millis()).unwrap())
            }
        }
    }

    /// Goes on to whatever comes first: the prober, or a timeout of the tracker, which may change the pace.
    fn step(&mut self) {
        let due = self.due();
        let timeout = self.script.next_timeout().filter(|timeout| *timeout < due);
        self.now = timeout.unwrap_or(due);
        self.script.at(self.now);
        if timeout.is_none() {
            self.take_turn();
        }
        let asks_0 = |event: &Event| matches!(event, Event::ProbeAll | Event::ProbeNode(NodeId(0)));
        let events = self.script.events();
        assert!(
            !events.iter().any(|event| matches!(event, Event::Lost { .. })),
            "{:?}: {events:?}",
            self.case
        );
        if let Prober::Waits { at_once, .. } = &mut self.prober {
            *at_once |= events.iter().any(asks_0);
        }
    }

    fn take_turn(&mut self) {
        match self.prober {
            Prober::Asks { probe, verdict, .. } => {
                self.script.answer(probe, verdict);
                self.script.says(1, FOLLOWER);
                self.prober =
                    Prober::Waits { began: self.script.began(probe), chance: self.rng.f64(), at_once: false };
            }
            Prober::Waits { .. } => {
                let is_lost = self.lost_in_a_row < self.case.losses && self.rng.u8(0..3) == 0;
                self.lost_in_a_row = if is_lost { self.lost_in_a_row + 1 } else { 0 };
                let timeout = u64::try_from(self.case.policy.timeout.as_millis()).unwrap();
                let (fastest, slowest) = self.case.latency;
                let (verdict, takes) =
                    if is_lost { (SILENT, timeout) } else { (LEADER, self.rng.u64(fastest..=slowest)) };
                self.prober = Prober::Asks { probe: self.script.ask(0), verdict, ends: self.now + takes };
            }
        }
    }
}

fn policy(interval: u64, fast_interval: u64, timeout: u64, fall: u32) -> Policy {
    let [interval, fast_interval, timeout] = [interval, fast_interval, timeout].map(Duration::from_millis);
    Policy { interval, fast_interval, timeout, fall, rise: 1 }
}

#[test]
fn l7_a_leader_that_answers_in_time_keeps_its_route_for_ever() {
    let cases = [
        (policy(250, 50, 1500, 1), (900, 1400), 0),
        (policy(250, 50, 1500, 2), (900, 1400), 0),
        (policy(250, 50, 1500, 2), (900, 1400), 1),
        (policy(250, 50, 1500, 2), (1400, 1500), 1),
        (policy(250, 50, 1500, 3), (900, 1400), 2),
        (policy(60_000, 50, 1500, 1), (1, 20), 0),
        (policy(60_000, 50, 1500, 2), (1, 1400), 1),
        (policy(20_000, 10_000, 1000, 3), (1, 900), 2),
        (policy(1000, 1, 100, 2), (1, 100), 1),
        (policy(50, 50, 50, 4), (1, 50), 3),
    ];
    for (policy, latency, losses) in cases {
        for seed in 0..20 {
            let mut model = Model::new(Case { policy, latency, losses }, seed);
            (0..1000).for_each(|_| model.step());
            assert_eq!(model.script.route(), Some(0), "{:?}", model.case);
        }
    }
}
