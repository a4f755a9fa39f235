//! How often nodes may be asked, and over how many connections (L4, L5): no storm feeds itself.

use std::collections::VecDeque;

use crate::leader::Policy;
use crate::leader::tests::raft::{MS, Micros};

/// How many requests to a node may wait for an answer at a time: one, and its hedge.
const WAITING: usize = 2;
/// How many hedges a node may get before its answers have earned others, and how many answers earn one.
const HEDGES: u64 = 3;
const ANSWERS_A_HEDGE: u64 = 240;
/// How many connections to a node may be open: the one in use, the one that it replaces, and that of a hedge.
const OPEN: usize = 3;
/// Over how long rates are counted.
const WINDOW: Micros = 1000 * MS;

/// Counts what happens within the newest window.
#[derive(Clone, Debug, Default)]
struct Recent(VecDeque<Micros>);

impl Recent {
    fn note(&mut self, at: Micros) {
        self.0.push_back(at);
        // Twice the window, and the longest that an exchange takes.
        while self.0.front().is_some_and(|oldest| oldest + 3 * WINDOW < at) {
            self.0.pop_front();
        }
    }

    /// How many there were at `since` or later.
    fn since(&self, since: Micros) -> u64 {
        self.0.iter().filter(|at| since <= **at).count() as u64
    }
}

#[derive(Clone, Debug, Default)]
struct Node {
    /// Requests that reached it.
    asked: Recent,
    /// Probes by their beginning.
    probed: Recent,
    /// Orders to probe at once.
    ordered: Recent,
    /// What may be a reason for one.
    reasons: Recent,
    /// Ends of connections on which it had been asked.
    closed: Recent,
    /// How many of its probes were hedged, and whether the one under way is.
    hedges: u64,
    is_hedged: bool,
    answers: u64,
    /// Its newest probe had no answer.
    is_silent: bool,
}

/// The rates at which nodes are asked, and what was wrong with them.
#[derive(Clone, Debug)]
pub(super) struct Rates {
    fast: Micros,
    steady: Micros,
    timeout: Micros,
    nodes: Vec<Node>,
    /// What was seen that must not be.
    pub(super) violations: Vec<String>,
}

impl Rates {
    pub(super) fn new(policy: &Policy, size: usize) -> Self {
        let micros = |duration: std::time::Duration| Micros::try_from(duration.as_micros()).expect("short");
        Rates {
            fast: micros(policy.fast_interval),
            steady: micros(policy.interval),
            timeout: micros(policy.timeout),
            nodes: vec![Node::default(); size],
            violations: Vec::new(),
        }
    }

    /// A connection was made; now so many are open.
    pub(super) fn connected(&mut self, node: usize, open: usize) {
        if OPEN < open {
            self.violations.push(format!("L6: {open} connections to n{node} are open"));
        }
    }

    /// A request was sent; now so many wait for their answers.
    pub(super) fn asked(&mut self, now: Micros, node: usize, waiting: usize) {
        if WAITING < waiting {
            self.violations.push(format!("L4: {waiting} requests to n{node} wait at a time"));
        }
        let Node { asked, ordered, closed, .. } = &mut self.nodes[node];
        asked.note(now);
        let since = now.saturating_sub(WINDOW);
        let count = asked.since(since);
        // Every distance of the fast pace a probe by itself, and those that were ordered; one that finds its
        // connection closed is sent again. Hedges are few.
        let resent = closed.since(since);
        let most = at_pace(self.fast) + ordered.since(since.saturating_sub(self.timeout)) + resent + HEDGES;
        if most < count {
            self.violations.push(format!(
                "L5: a storm: n{node} was asked {count} times within a second, {resent} of them again"
            ));
        }
    }

    /// A node has ended a connection on which it had been asked.
    pub(super) fn closed(&mut self, now: Micros, node: usize) {
        self.nodes[node].closed.note(now);
    }

    /// A node was asked a second time because an answer was late.
    pub(super) fn hedged(&mut self, node: usize) {
        let Node { hedges, is_hedged, answers, is_silent, .. } = &mut self.nodes[node];
        if std::mem::replace(is_hedged, true) {
            return; // the first connection has been closed, and is made anew
        }
        *hedges += 1;
        if *hedges > HEDGES + *answers / ANSWERS_A_HEDGE {
            self.violations.push(format!("L4: n{node} was hedged {hedges} times, with {answers} answers"));
        }
        if *is_silent {
            self.violations.push(format!("L4: n{node} was hedged though it had been silent"));
        }
    }

    /// How often nodes were asked a second time.
    pub(super) fn hedges(&self) -> u64 {
        self.nodes.iter().map(|node| node.hedges).sum()
    }

    /// A probe is over that began then.
    pub(super) fn probed(&mut self, began: Micros, node: usize, answered: bool) {
        let Node { probed, ordered, is_hedged, answers, is_silent, .. } = &mut self.nodes[node];
        *is_hedged = false;
        (*answers, *is_silent) = (*answers + u64::from(answered), !answered);
        probed.note(began);
        let count = probed.since(began.saturating_sub(WINDOW));
        let rounds = ordered.since(began.saturating_sub(WINDOW + self.timeout));
        let most = at_pace(self.fast) + rounds;
        if most < count {
            let what =
                format!("L5: n{node} was probed {count} times within a second, {rounds} of them ordered");
            self.violations.push(what);
        }
    }

    /// There is a reason to probe this node at once.
    pub(super) fn has_reason(&mut self, now: Micros, node: usize) {
        self.nodes[node].reasons.note(now);
    }

    /// There is a reason to probe all nodes at once.
    pub(super) fn all_have_reason(&mut self, now: Micros) {
        (0..self.nodes.len()).for_each(|node| self.has_reason(now, node));
    }

    /// A node was ordered to be probed at once. Suspicions are a reason once an interval.
    pub(super) fn ordered(&mut self, now: Micros, node: usize) {
        let Node { ordered, reasons, .. } = &mut self.nodes[node];
        ordered.note(now);
        let since = now.saturating_sub(WINDOW);
        let (count, reasons) = (ordered.since(since), reasons.since(since));
        let most = WINDOW / self.steady + 1 + reasons;
        if most < count {
            let what = format!("L5: n{node} was ordered to be probed {count} times within a second");
            self.violations.push(format!("{what}, with {reasons} reasons"));
        }
    }
}

/// How many probes begin within a window at most, at a pace, of which a tenth is jitter.
fn at_pace(interval: Micros) -> u64 {
    WINDOW * 10 / (interval * 9) + 1
}
