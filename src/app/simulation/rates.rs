//! How often nodes may be asked, and over how many connections (L4, L5): no storm feeds itself.

use std::collections::VecDeque;

use crate::leader::Policy;
use crate::leader::tests::raft::{MS, Micros};

/// How many requests to a node may wait for an answer at a time: one, and its hedge.
const WAITING: usize = 2;
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
        let asked = &mut self.nodes[node].asked;
        asked.note(now);
        let count = asked.since(now.saturating_sub(WINDOW));
        // Every distance of the fast pace a probe by itself, and for what it says one at once; each may find the
        // kept connection closed, and is sent again. Hedges are few.
        let most = 4 * at_pace(self.fast);
        if most < count {
            self.violations.push(format!("L5: a storm: n{node} was asked {count} times within a second"));
        }
    }

    /// A probe is over that began then.
    pub(super) fn probed(&mut self, began: Micros, node: usize) {
        let Node { probed, ordered, .. } = &mut self.nodes[node];
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
