//! What the demo knows of its nodes, from the nodes themselves: who is up, and who says that it leads.
//!
//! This is the truth against which the gate is judged, so it never passes through the gate.

use std::sync::{Arc, Mutex, PoisonError};

use openraft::ServerState;
use tokio::sync::watch;
use tokio::time::Instant;

use super::raft::Metrics;

/// The nodes' names; everywhere else a node is known by its place among them.
pub(super) const NAMES: [&str; 3] = ["ctrl1", "ctrl2", "ctrl3"];

/// Whether a node's process, so to speak, runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Condition {
    /// It runs.
    Up,
    /// It does nothing, and its sockets stay open.
    Frozen,
    /// It is gone, and its sockets with it.
    #[default]
    Down,
}

/// One node, as it last said of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Whether it runs.
    pub(super) condition: Condition,
    /// Whether it says that it leads.
    pub(super) leads: bool,
    /// Its term.
    pub(super) term: u64,
    /// The node that it holds for the leader, by its place among the nodes.
    pub(super) follows: Option<usize>,
    /// When it began to say that it leads, the last time that it did.
    pub(super) claimed: Option<Instant>,
}

/// All nodes.
#[derive(Clone, Debug)]
pub(super) struct Standings {
    all: watch::Sender<Vec<Standing>>,
    failures: Arc<Mutex<Vec<String>>>,
}

impl Standings {
    /// As many nodes, none of them up.
    pub(super) fn new(nodes: usize) -> Self {
        Standings { all: watch::Sender::new(vec![Standing::default(); nodes]), failures: Arc::default() }
    }

    /// Sees every change from now on.
    pub(super) fn subscribe(&self) -> watch::Receiver<Vec<Standing>> {
        self.all.subscribe()
    }

    /// All nodes now.
    pub(super) fn now(&self) -> Vec<Standing> {
        self.all.borrow().clone()
    }

    /// Notes what openraft says of a node, and returns it: whoever asks a node hears nothing that is not noted here.
    pub(super) fn observe(&self, node: usize, metrics: &Metrics) -> Standing {
        let leads = metrics.state == ServerState::Leader;
        let mut noted = Standing::default();
        self.all.send_if_modified(|all| {
            let before = all[node];
            let standing = &mut all[node];
            if leads && !(before.leads && before.term == metrics.current_term) {
                standing.claimed = Some(Instant::now());
            }
            standing.leads = leads;
            standing.term = metrics.current_term;
            standing.follows = metrics.current_leader.and_then(place);
            noted = *standing;
            *standing != before
        });
        noted
    }

    /// Notes that a node has failed by itself, which no fault of the demo's makes it do.
    pub(super) fn note_failure(&self, node: usize, reason: &str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.push(format!("{} has failed: {reason}", NAMES[node]));
    }

    /// The failures noted.
    pub(super) fn failures(&self) -> Vec<String> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes whether a node runs. One that is down says nothing.
    pub(super) fn set_condition(&self, node: usize, condition: Condition) {
        self.all.send_modify(|all| {
            all[node].condition = condition;
            if condition == Condition::Down {
                all[node].leads = false;
                all[node].follows = None;
            }
        });
    }
}

/// In words, for an error.
pub(super) fn describe(all: &[Standing]) -> String {
    let words = all.iter().zip(NAMES).map(|(node, name)| {
        let Standing { condition, leads, term, .. } = node;
        format!("{name} is {condition:?}, in term {term}{}", if *leads { ", and leads" } else { "" })
    });
    words.collect::<Vec<_>>().join("; ").to_lowercase()
}

/// The running node that leads: of two that say so, the one of the later term, as raft would have it.
pub(super) fn leader(all: &[Standing]) -> Option<usize> {
    let claims = all.iter().enumerate().filter(|(_, node)| node.condition == Condition::Up && node.leads);
    claims.max_by_key(|(_, node)| node.term).map(|(place, _)| place)
}

/// The leader, if every node is up and holds it for the leader.
pub(super) fn agreed_leader(all: &[Standing]) -> Option<usize> {
    let leader = leader(all)?;
    let agreed = all.iter().enumerate().all(|(place, node)| {
        node.condition == Condition::Up
            && node.leads == (place == leader)
            && node.follows == Some(leader)
            && node.term == all[leader].term
    });
    agreed.then_some(leader)
}

/// openraft's id of the node at a place.
pub(super) fn raft_id(place: usize) -> u64 {
    place as u64 + 1
}

fn place(raft_id: u64) -> Option<usize> {
    usize::try_from(raft_id.checked_sub(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up(leads: bool, term: u64, follows: usize) -> Standing {
        Standing { condition: Condition::Up, leads, term, follows: Some(follows), claimed: None }
    }

    #[test]
    fn of_two_claims_the_later_term_leads_and_a_frozen_claim_counts_for_nothing() {
        let both = [up(true, 4, 0), up(true, 5, 1), up(false, 5, 1)];
        assert_eq!(leader(&both), Some(1));
        let frozen = Standing { condition: Condition::Frozen, ..up(true, 6, 0) };
        assert_eq!(leader(&[frozen, up(true, 5, 1), up(false, 5, 1)]), Some(1));
    }

    #[test]
    fn a_leader_is_agreed_on_only_by_all() {
        let all = [up(false, 5, 1), up(true, 5, 1), up(false, 5, 1)];
        assert_eq!(agreed_leader(&all), Some(1));
        for (place, dissent) in [
            (0, up(false, 4, 1)),
            (0, up(false, 5, 2)),
            (0, Standing { condition: Condition::Frozen, ..all[0] }),
            (2, up(true, 4, 1)),
            (1, up(false, 5, 1)),
        ] {
            let mut split = all;
            split[place] = dissent;
            assert_eq!(agreed_leader(&split), None, "{dissent:?}");
        }
    }

    #[test]
    fn a_claim_is_stamped_when_it_begins_and_not_again() {
        let standings = Standings::new(1);
        let mut metrics = Metrics::new_initial(1);
        metrics.state = ServerState::Leader;
        metrics.current_term = 3;
        let first = standings.observe(0, &metrics).claimed.unwrap();
        assert_eq!(standings.observe(0, &metrics).claimed, Some(first));
        metrics.current_term = 4;
        assert!(standings.observe(0, &metrics).claimed.unwrap() >= first);
        metrics.state = ServerState::Follower;
        assert!(!standings.observe(0, &metrics).leads);
    }
}
