//! What holds of fates whatever is known of the nodes (S5).

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::tenure::channel;

const MS: Duration = Duration::from_millis(1);
/// How many nodes there are; sessions are with the first.
const NODES: usize = 3;

/// What is known, with moments in milliseconds.
#[derive(Clone, Debug)]
struct Known {
    state: NodeState,
    silent_since: Option<u32>,
    fell_after: Option<u32>,
    /// Begin of its absence, within its silence.
    absent_after: Option<u32>,
    answered: Option<u32>,
    moved: bool,
    drained: bool,
    removed: bool,
}

/// A whole cluster, of which a past tenure's fate is asked at `now`.
#[derive(Clone, Debug)]
struct Case {
    nodes: [Known; NODES],
    on_demotion: OnDemotion,
    on_unreachable: OnUnreachable,
    unreachable_after: u32,
    to: To,
    serving: Vec<usize>,
    stands_in: bool,
    now: u32,
}

fn address(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

impl Known {
    fn absent_since(&self) -> Option<u32> {
        Some(self.silent_since? + self.absent_after?)
    }
}

impl Case {
    fn fate(&self) -> Option<Fate> {
        let zero = Instant::now();
        let at = |ms: u32| zero + ms * MS;
        let nodes = self.nodes.each_ref().map(|known| NodeFacts {
            state: known.state,
            fell: known.silent_since.zip(known.fell_after).map(|(since, after)| at(since + after)),
            absent_since: known.absent_since().map(at),
            answered: known.answered.map(at),
            addresses: vec![address(if known.moved { 2 } else { 1 })],
            drained: known.drained,
            removed: known.removed,
        });
        let (mut writer, _reader) = channel(zero, Arc::default());
        let tenure = if self.stands_in {
            writer.stand_in(NodeId(0), "n".into(), address(1), zero)
        } else {
            writer.lead(NodeId(0), "n".into(), address(1), zero)
        };
        let serving: Vec<NodeId> = self.serving.iter().copied().map(NodeId).collect();
        let settings = FateSettings {
            on_demotion: self.on_demotion,
            on_unreachable: self.on_unreachable,
            unreachable_after: self.unreachable_after * MS,
        };
        let view = View { now: at(self.now), settings, to: self.to, serving: &serving, nodes: &nodes };
        view.fate(&tenure)
    }

    fn others(&self) -> &[Known] {
        &self.nodes[1..]
    }

    /// When the first node's silence had lasted long enough to act.
    fn fell(&self) -> Option<u32> {
        Some(self.nodes[0].silent_since? + self.nodes[0].fell_after?)
    }

    fn is_silent(&self) -> bool {
        matches!(self.nodes[0].state, NodeState::Unreachable | NodeState::Unfit)
    }
}

fn known() -> impl Strategy<Value = Known> {
    let moment = || proptest::option::of(0..1000_u32);
    let flag = || proptest::bool::weighted(0.15);
    let state = proptest::sample::select(NodeState::ALL.to_vec());
    let span = || proptest::option::of(0..300_u32);
    (state, moment(), span(), span(), moment(), flag(), flag()).prop_map(
        |(state, silent_since, fell_after, absent_after, answered, moved, drained)| Known {
            state,
            silent_since,
            fell_after,
            absent_after,
            answered,
            moved,
            drained,
            removed: false,
        },
    )
}

fn case() -> impl Strategy<Value = Case> {
    let settings = (
        proptest::sample::select(vec![OnDemotion::Keep, OnDemotion::Drain, OnDemotion::Cut]),
        proptest::sample::select(vec![OnUnreachable::Cut, OnUnreachable::Keep]),
        0..1000_u32,
    );
    let to = proptest::sample::select(vec![To::Leader, To::Followers, To::Any]);
    let serving = proptest::sample::subsequence(vec![0, 1, 2], 0..=NODES);
    (proptest::array::uniform3(known()), settings, to, serving, proptest::bool::weighted(0.2), 0..3000_u32)
        .prop_map(
            |(nodes, (on_demotion, on_unreachable, unreachable_after), to, mut serving, stands_in, now)| {
                if to == To::Leader {
                    serving.truncate(1);
                }
                Case { nodes, on_demotion, on_unreachable, unreachable_after, to, serving, stands_in, now }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn s5_nobody_is_cut_by_a_gate_that_may_be_cut_off_itself(case in case()) {
        if case.fate() == Some(Fate::Cut) && case.is_silent() {
            let fell = case.fell().expect("a silence that counts");
            let heard = case.others().iter().any(|other| other.answered.is_some_and(|at| at >= fell));
            prop_assert!(heard, "nobody was heard since {}", fell);
        }
    }

    #[test]
    fn s5_without_somebody_to_go_to_silence_is_borne(case in case()) {
        if case.fate() == Some(Fate::Cut) && case.is_silent() {
            let absent = case.nodes[0].absent_since();
            let is_long = absent.is_some_and(|since| case.now >= since + case.unreachable_after);
            let may_go = match case.to {
                To::Leader => case.others().iter().any(|other| other.state == NodeState::Leader),
                To::Followers | To::Any => absent.is_some() && !case.serving.is_empty(),
            };
            prop_assert!(may_go || is_long);
        }
    }

    #[test]
    fn s5_a_cut_is_always_what_somebody_has_set(case in case()) {
        if case.fate() == Some(Fate::Cut) {
            let by_silence = case.is_silent() && case.on_unreachable == OnUnreachable::Cut;
            let by_word = !case.is_silent() && case.on_demotion == OnDemotion::Cut && !case.stands_in;
            prop_assert!(by_silence || by_word);
            prop_assert!(case.nodes[0].state != NodeState::Unknown, "unknown is no word");
            prop_assert!(by_silence || !case.to.suits(case.nodes[0].state), "it says what suits its clients");
        }
    }

    #[test]
    fn s5_where_clients_go_they_stay_unless_they_are_led_away(case in case()) {
        let node = &case.nodes[0];
        let expected = if node.drained || node.moved {
            Some(Fate::Drain)
        } else if case.serving.contains(&0) {
            Some(Fate::Keep)
        } else {
            let fate = case.fate();
            prop_assert_ne!(fate, Some(Fate::Keep), "it was not elected again");
            fate
        };
        prop_assert_eq!(case.fate(), expected);
    }

    #[test]
    fn s5_time_alone_spares_nobody(case in case(), more in 0..5000_u32) {
        let fate = case.fate();
        let later = Case { now: case.now + more, ..case }.fate();
        prop_assert!(fate != Some(Fate::Cut) || later == fate, "{:?} after {:?}", later, fate);
    }

    #[test]
    fn s2_a_stand_ins_sessions_go_where_others_are_served(mut case in case()) {
        case.stands_in = true;
        let plain = !case.nodes[0].drained && !case.nodes[0].moved && !case.serving.contains(&0);
        if plain && !case.is_silent() {
            prop_assert_eq!(case.fate(), (!case.serving.is_empty()).then_some(Fate::Drain));
        }
    }

    #[test]
    fn s5_a_removed_nodes_sessions_meet_what_a_demotion_is_set_to_mean(mut case in case()) {
        case.nodes[0].removed = true;
        let expected = match case.on_demotion {
            OnDemotion::Keep => None,
            OnDemotion::Drain => Some(Fate::Drain),
            OnDemotion::Cut => Some(Fate::Cut),
        };
        prop_assert_eq!(case.fate(), expected);
    }
}
