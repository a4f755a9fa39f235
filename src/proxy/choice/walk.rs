//! One client's way through whatever its cluster does, at random, on a clock of its own. All its attempts fail, so that
//! the way goes on; what it chooses is judged by a log of what happened, which knows nothing of setbacks.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::leader::NodeId;
use crate::tenure::{TenureReader, TenureWriter, channel};

const MS: Duration = Duration::from_millis(1);
const SHORTEST_BACKOFF: Duration = Duration::from_millis(50);

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A node becomes the route, by its word or by an operator's.
    Lead { node: u8, pinned: bool },
    /// There is no route any more, but perhaps a stand-in.
    Lose { stand_in: Option<u8> },
    /// The route's node says again that it leads, by a probe that began so many milliseconds ago.
    Confirm { ago: u8 },
    /// Time passes.
    Pass(u16),
    /// The client chooses, and if it dials, fails in this way.
    Choose { fault: Fault, jitter: f64 },
}

/// What it has been through with one tenure.
#[derive(Clone, Copy, Debug)]
struct Failed {
    first: Instant,
    last: Instant,
    fault: Fault,
}

struct Walk {
    writer: TenureWriter,
    reader: TenureReader,
    now: Instant,
    patience: Duration,
    setbacks: Setbacks,
    /// By the tenure's epoch; of a stand-in, by its address's port, which no epoch reaches.
    failed: BTreeMap<u64, Failed>,
    /// Begin of the newest probe that confirmed the route.
    confirmed: Instant,
}

fn key(tenure: &Tenure) -> u64 {
    if tenure.is_stand_in() { 1_000_000 + u64::from(tenure.address.port()) } else { tenure.epoch }
}

fn address(node: u8) -> SocketAddr {
    ([127, 0, 0, 1], 1 + u16::from(node)).into()
}

impl Walk {
    fn new(patience: Duration) -> Self {
        let now = Instant::now();
        let (writer, reader) = channel(now, Arc::default());
        let (setbacks, failed) = (Setbacks::default(), BTreeMap::new());
        Walk { writer, reader, now, patience, setbacks, failed, confirmed: now }
    }

    fn step(&mut self, step: Step) {
        let (now, name) = (self.now, Arc::from("n"));
        let id = |node: u8| NodeId(node.into());
        match step {
            Step::Lead { node, pinned: true } => drop(self.writer.pin(id(node), name, address(node), now)),
            Step::Lead { node, pinned: false } => {
                self.writer.lead(id(node), name, address(node), now);
                self.confirmed = now;
            }
            Step::Lose { stand_in } => {
                let stand_in = stand_in.map(|node| self.writer.stand_in(id(node), name, address(node), now));
                self.writer.leaderless(now, stand_in);
            }
            Step::Confirm { ago } => {
                let began = now.checked_sub(u32::from(ago) * MS).unwrap_or(now).max(self.confirmed);
                if let Some(leader) = self.reader.leader() {
                    leader.confirm(began);
                    self.confirmed = began;
                }
            }
            Step::Pass(ms) => self.now += u32::from(ms) * MS,
            Step::Choose { fault, jitter } => drop(self.choose(fault, jitter)),
        }
    }

    /// Chooses, is judged for it, and if it dials, fails. `None` if it gives up; else when it is to choose again.
    fn choose(&mut self, fault: Fault, jitter: f64) -> Option<Instant> {
        let route = self.reader.load();
        let no_readers = |_: &[_]| panic!("there are several nodes");
        let again = match choose(&route, &self.setbacks, self.now, self.patience, no_readers) {
            Choice::Dial(tenure) => {
                self.judge_dial(&route, &tenure);
                self.fail(&tenure, fault, jitter);
                self.now
            }
            Choice::Wait(until) => {
                assert!(self.now < until && until <= self.bound(&route), "waits for nothing, or too long");
                assert!(self.held(&route) || until <= self.now + LONGEST_BACKOFF, "S3: the backoff's end");
                until
            }
            Choice::WaitForWord(word) => {
                let failed = self.failed[&key(&word.tenure)];
                assert!(leads_to(&route, &word.tenure) && word.tenure.rests_on_statements());
                assert!(self.confirmed <= failed.last && word.after == failed.last, "S3: it has been said");
                assert!(self.now < word.until && word.until <= self.bound(&route));
                word.until
            }
            Choice::GiveUp(outcome) => {
                assert!(self.bound(&route) <= self.now, "S2: it still has patience");
                assert_eq!(
                    outcome == Outcome::Leaderless,
                    matches!(route, Route::Leaderless { stand_in: None, .. })
                );
                return None;
            }
        };
        assert!(self.setbacks.0.len() <= 5, "S8: it remembers more than there are addresses");
        Some(again)
    }

    fn held(&self, route: &Route) -> bool {
        matches!(route, Route::Leaderless { since, .. } if self.now < *since + self.patience)
    }

    /// When its patience ends: since the loss (S2), or since the first failure of the node to which it would go (S3).
    fn bound(&self, route: &Route) -> Instant {
        let since_failure = |tenure: &Tenure| self.failed[&key(tenure)].first + self.patience;
        match route {
            Route::Led(tenure) => since_failure(tenure),
            Route::Leaderless { stand_in: Some(tenure), .. } if !self.held(route) => since_failure(tenure),
            Route::Leaderless { since, .. } => *since + self.patience,
            Route::Spread(_) => unreachable!("for readers alone"),
        }
    }

    fn judge_dial(&self, route: &Route, tenure: &Tenure) {
        assert!(leads_to(route, tenure) && !self.held(route), "S2: it goes where nobody leads");
        let Some(failed) = self.failed.get(&key(tenure)) else { return };
        assert!(failed.last + SHORTEST_BACKOFF <= self.now, "S3: without a backoff");
        assert!(self.now < failed.first + self.patience, "S3: its patience is over");
        let needs_word = failed.fault != Fault::Local && tenure.rests_on_statements();
        assert!(!needs_word || failed.last < self.confirmed, "S3: nobody has said that the node leads since");
    }

    fn fail(&mut self, tenure: &Tenure, fault: Fault, jitter: f64) {
        self.setbacks.note(tenure, fault, self.now, jitter);
        let first = self.failed.get(&key(tenure)).map_or(self.now, |before| before.first);
        // Of stand-ins the last one counts, and only until a leader has failed.
        self.failed.retain(|key, _| *key < 1_000_000);
        self.failed.insert(key(tenure), Failed { first, last: self.now, fault });
    }

    /// If nothing happens any more, it comes to an end, in bounded time and steps.
    fn comes_to_an_end(mut self) {
        let begin = self.now;
        for _ in 0..3000 {
            let Some(again) = self.choose(Fault::Node, 0.5) else {
                let longest = 2 * self.patience + LONGEST_BACKOFF;
                assert!(self.now <= begin + longest, "S2: {:?}", self.now - begin);
                return;
            };
            self.now = again;
        }
        panic!("it never gives up");
    }
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![Just(Fault::Local), Just(Fault::Node), Just(Fault::ClosedEarly)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..3_u8, proptest::bool::weighted(0.2)).prop_map(|(node, pinned)| Step::Lead { node, pinned }),
        1 => proptest::option::of(0..3_u8).prop_map(|stand_in| Step::Lose { stand_in }),
        3 => (0..100_u8).prop_map(|ago| Step::Confirm { ago }),
        4 => (0..400_u16).prop_map(Step::Pass),
        6 => (fault(), 0.0..1.0).prop_map(|(fault, jitter)| Step::Choose { fault, jitter }),
    ]
}

proptest! {
    #[test]
    fn s3_whatever_happens_a_client_goes_where_it_may_and_gives_up_in_time(
        patience in prop_oneof![Just(0), Just(1), 2..1000_u32, Just(10_000)],
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let mut walk = Walk::new(patience * MS);
        for step in steps {
            walk.step(step);
        }
        walk.comes_to_an_end();
    }
}
