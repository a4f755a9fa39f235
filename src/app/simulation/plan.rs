//! What is drawn once for a whole schedule: the cluster's size and manners, and the gate's settings.

use std::time::Duration;

use fastrand::Rng;

use crate::follow::{FateSettings, HoldThen, OnDemotion, OnUnreachable};
use crate::leader::Policy;
use crate::leader::tests::raft::{MS, Micros};

/// What a node does with a connection once it has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Keeps,
    AnnouncesClose,
    /// It just closes.
    Closes,
}

/// The settings of one schedule.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) policy: Policy,
    pub(super) fates: FateSettings,
    pub(super) hold_then: HoldThen,
    pub(super) renew: Duration,
    /// Of one cluster, hence all alike.
    pub(super) manner: Manner,
    /// A node a place.
    pub(super) size: usize,
    /// See raft.
    pub(super) quorum_check: Option<Micros>,
    /// Whether candidates answer neither "leader" nor "follower".
    pub(super) candidates_unfit: bool,
    /// Whether nothing is ever wrong until the epilogue: what then follows is bounded more closely.
    pub(super) calm: bool,
    /// Whether clients come, who tell of a node that does not take them. Without them, probers have to notice it.
    pub(super) clients: bool,
    /// When the gate starts.
    pub(super) gate_starts: Micros,
}

impl Plan {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let pick = |rng: &mut Rng, of: &[u64]| of[rng.usize(0..of.len())];
        let millis = Duration::from_millis;
        Plan {
            policy: Policy {
                interval: millis(pick(rng, &[250, 250, 100])),
                fast_interval: millis(pick(rng, &[50, 50, 25])),
                timeout: millis(rng.u64(100..600)),
                fall: rng.u32(1..=3),
                rise: if rng.u8(0..4) == 0 { 2 } else { 1 },
            },
            fates: FateSettings {
                on_demotion: [OnDemotion::Keep, OnDemotion::Drain, OnDemotion::Cut][rng.usize(0..3)],
                on_unreachable: if rng.u8(0..4) == 0 { OnUnreachable::Keep } else { OnUnreachable::Cut },
                unreachable_after: millis(pick(rng, &[3_000, 10_000])),
            },
            hold_then: [HoldThen::Refuse, HoldThen::LastLeader, HoldThen::AnyReachable][rng.usize(0..3)],
            renew: millis(pick(rng, &[500, 2_000, 30_000])),
            manner: match rng.u8(0..6) {
                0 => Manner::AnnouncesClose,
                1 => Manner::Closes,
                _ => Manner::Keeps,
            },
            size: if rng.u8(0..4) == 0 { 5 } else { 3 },
            quorum_check: rng.bool().then_some(500 * MS),
            candidates_unfit: rng.bool(),
            calm: rng.u8(0..4) == 0,
            clients: rng.bool(),
            gate_starts: rng.u64(0..1000) * MS,
        }
    }
}
