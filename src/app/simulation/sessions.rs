//! What may become of sessions, judged by what nodes said (S5). A session is a tenure that somebody holds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::plan::Plan;
use crate::follow::{OnDemotion, OnUnreachable};
use crate::leader::Verdict;
use crate::leader::tests::judge::Finding;
use crate::leader::tests::raft::Micros;
use crate::tenure::{Fate, Tenure};

/// What a node has said lately.
#[derive(Clone, Debug, Default)]
struct Node {
    follows: bool,
    leads: u32,
    silences: u32,
    silent_since: Option<Micros>,
    answered: Option<Micros>,
}

/// The sessions of all tenures that there were.
#[derive(Debug)]
pub(super) struct Sessions {
    plan: Plan,
    nodes: Vec<Node>,
    /// By epoch; each with the last fate seen.
    routes: BTreeMap<u64, (Arc<Tenure>, Fate)>,
    stand_ins: Vec<(Arc<Tenure>, Fate)>,
    /// Whether the circumstances are such that nobody may be cut for a node's silence.
    pub(super) spared: bool,
    pub(super) drained: u64,
    pub(super) kept_again: u64,
    pub(super) cut: u64,
}

impl Sessions {
    pub(super) fn new(plan: Plan) -> Self {
        let nodes = vec![Node::default(); plan.size];
        let (routes, stand_ins) = (BTreeMap::new(), Vec::new());
        Sessions { plan, nodes, routes, stand_ins, spared: false, drained: 0, kept_again: 0, cut: 0 }
    }

    /// A session begins.
    pub(super) fn hold(&mut self, tenure: &Arc<Tenure>) {
        if !tenure.is_stand_in() {
            self.routes.entry(tenure.epoch).or_insert_with(|| (Arc::clone(tenure), Fate::Keep));
        } else if !self.stand_ins.iter().any(|(held, _)| Arc::ptr_eq(held, tenure)) {
            self.stand_ins.push((Arc::clone(tenure), Fate::Keep));
        }
    }

    /// Whether every session of a node's tenures is cut, but those of its present one.
    pub(super) fn are_cut(&self, node: usize) -> bool {
        let mut of_node = self.routes.values().filter(|(tenure, _)| tenure.node.0 == node);
        of_node.all(|(tenure, _)| tenure.fate() == Fate::Cut)
    }

    /// Takes in what a node said; overtaken answers are not told.
    pub(super) fn note(&mut self, finding: &Finding) {
        let node = &mut self.nodes[finding.node];
        match finding.verdict {
            Verdict::Leader | Verdict::Follower => {
                node.follows = finding.verdict == Verdict::Follower;
                node.leads = if node.follows { 0 } else { node.leads + 1 };
                (node.silences, node.silent_since) = (0, None);
            }
            Verdict::Unfit { .. } | Verdict::Unreachable { .. } => {
                node.silences += 1;
                node.silent_since.get_or_insert(finding.began);
            }
        }
        if !matches!(finding.verdict, Verdict::Unreachable { .. }) {
            node.answered = Some(finding.began);
        }
    }

    /// Sees to it that every fate that changed was allowed to. Returns what changed, in words.
    pub(super) fn judge(&mut self, now: Micros, route: Option<usize>) -> Vec<String> {
        let mut changes = Vec::new();
        let mut held: Vec<(Arc<Tenure>, Fate)> = self.routes.values().cloned().collect();
        held.extend(self.stand_ins.iter().cloned());
        for (tenure, before) in held {
            let fate = tenure.fate();
            if fate == before {
                continue;
            }
            let Tenure { node, epoch, .. } = *tenure;
            let change = format!("sessions of n{} (epoch {epoch}): {before:?} -> {fate:?}", node.0);
            let allowed = match fate {
                Fate::Keep => before == Fate::Drain && route == Some(node.0),
                Fate::Drain => before == Fate::Keep && self.may_drain(&tenure, route),
                Fate::Cut => route != Some(node.0) && self.may_be_cut(now, node.0),
            };
            assert!(allowed, "S5: {change}, though the route is {route:?}, and {:?}", self.nodes);
            match fate {
                Fate::Keep => self.kept_again += 1,
                Fate::Drain => self.drained += 1,
                Fate::Cut => self.cut += 1,
            }
            changes.push(change);
        }
        let seen = |(tenure, fate): &mut (Arc<Tenure>, Fate)| *fate = tenure.fate();
        self.routes.values_mut().for_each(seen);
        self.stand_ins.iter_mut().for_each(seen);
        changes
    }

    fn may_drain(&self, tenure: &Tenure, route: Option<usize>) -> bool {
        let is_superseded = tenure.is_stand_in() && route.is_some_and(|route| route != tenure.node.0);
        let node = &self.nodes[tenure.node.0];
        is_superseded || node.follows && self.plan.fates.on_demotion == OnDemotion::Drain
    }

    fn may_be_cut(&self, now: Micros, id: usize) -> bool {
        let node = &self.nodes[id];
        if node.silences == 0 {
            return node.follows && self.plan.fates.on_demotion == OnDemotion::Cut;
        }
        let policy = &self.plan.policy;
        let Some(since) = node.silent_since.filter(|_| policy.fall <= node.silences) else {
            // Not silent for long enough; what it said before still holds.
            return node.follows && self.plan.fates.on_demotion == OnDemotion::Cut;
        };
        if self.spared {
            return false;
        }
        let others = || self.nodes.iter().enumerate().filter(|(other, _)| *other != id).map(|(_, node)| node);
        let gate_is_connected = others().any(|other| other.answered >= Some(since));
        // A silence shorter than `fall` takes nothing back.
        let claimed = others().any(|other| !other.follows && other.silences < policy.fall);
        let long = since + micros(self.plan.fates.unreachable_after) <= now;
        self.plan.fates.on_unreachable == OnUnreachable::Cut && gate_is_connected && (claimed || long)
    }
}

fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).expect("a short duration")
}
