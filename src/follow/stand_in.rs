//! Where a client goes whose hold is over (S2): pure.

use super::settings::HoldThen;
use crate::leader::{NodeId, NodeState, Preference};

/// What is known of a node when a stand-in is chosen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// What it counts as.
    pub(super) state: NodeState,
    /// Decides among equals.
    pub(super) preference: Preference,
    /// Whether an operator wants no clients there (L10).
    pub(super) drained: bool,
}

/// Chooses a stand-in while there is no route. `nodes` are in the order of their [`NodeId`]s.
pub(super) fn choose(then: HoldThen, last_leader: Option<NodeId>, nodes: &[Candidate]) -> Option<NodeId> {
    match then {
        HoldThen::Refuse => None,
        HoldThen::LastLeader => {
            last_leader.filter(|node| nodes.get(node.0).is_some_and(|node| !node.drained))
        }
        HoldThen::AnyReachable => {
            let answering =
                nodes.iter().enumerate().filter(|(_, node)| !node.drained && usefulness(node.state) > 0);
            answering
                .max_by_key(|(_, node)| (usefulness(node.state), node.preference))
                .map(|(id, _)| NodeId(id))
        }
    }
}

/// How likely a node is to serve: one that makes statements before one that merely answers.
fn usefulness(state: NodeState) -> u8 {
    match state {
        NodeState::Leader => 3,
        NodeState::Follower => 2,
        NodeState::Unfit => 1,
        NodeState::Unknown | NodeState::Unreachable => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use NodeState::{Follower, Leader, Unfit, Unknown, Unreachable};

    fn choose(then: HoldThen, last_leader: Option<NodeId>, nodes: &[(NodeState, i32)]) -> Option<NodeId> {
        choose_undrained(then, last_leader, nodes, None)
    }

    fn choose_undrained(
        then: HoldThen,
        last_leader: Option<NodeId>,
        nodes: &[(NodeState, i32)],
        drained: Option<usize>,
    ) -> Option<NodeId> {
        let priorities: Vec<i32> = nodes.iter().map(|(_, priority)| *priority).collect();
        let candidates = nodes.iter().zip(Preference::in_order(&priorities)).enumerate();
        let candidates: Vec<_> = candidates
            .map(|(id, ((state, _), preference))| Candidate {
                state: *state,
                preference,
                drained: drained == Some(id),
            })
            .collect();
        super::choose(then, last_leader, &candidates)
    }

    #[test]
    fn l10_a_drained_node_never_stands_in() {
        let nodes = [(Follower, 0), (Leader, 0), (Unfit, 0)];
        let any = |drained| choose_undrained(HoldThen::AnyReachable, None, &nodes, Some(drained));
        assert_eq!((any(0), any(1)), (Some(NodeId(1)), Some(NodeId(0))));
        let last = |drained| choose_undrained(HoldThen::LastLeader, Some(NodeId(1)), &nodes, Some(drained));
        assert_eq!((last(0), last(1)), (Some(NodeId(1)), None));
    }

    #[test]
    fn s2_refuse_has_no_stand_in() {
        assert_eq!(choose(HoldThen::Refuse, Some(NodeId(0)), &[(Follower, 0)]), None);
    }

    #[test]
    fn s2_the_last_leader_whatever_it_says() {
        let nodes = [(Follower, 0), (Unreachable, 0)];
        assert_eq!(choose(HoldThen::LastLeader, Some(NodeId(1)), &nodes), Some(NodeId(1)));
        assert_eq!(choose(HoldThen::LastLeader, None, &nodes), None);
    }

    #[test]
    fn s2_any_that_answers_the_most_useful_first() {
        let any = |nodes: &[(NodeState, i32)]| choose(HoldThen::AnyReachable, None, nodes);
        assert_eq!(any(&[(Unreachable, 0), (Unknown, 0)]), None);
        assert_eq!(any(&[(Unreachable, 9), (Unfit, 0)]), Some(NodeId(1)));
        assert_eq!(any(&[(Unfit, 9), (Follower, 0), (Leader, 0)]), Some(NodeId(2)));
        assert_eq!(
            any(&[(Follower, 0), (Follower, 5), (Follower, 5)]),
            Some(NodeId(1)),
            "priority, then name"
        );
    }
}
