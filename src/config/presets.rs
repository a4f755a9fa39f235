//! What a kind of cluster is known to need, so that users need not find out: explicit keys win over these.

use serde_json::Value;

use crate::follow::{HoldThen, OnDemotion};
use crate::probe::judge::{Condition, Rules};

/// The kind of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Anything: 200 leads, 429 follows.
    None,
    /// OpenZiti controllers, 1.3.0 or later.
    OpenZiti,
}

/// The defaults that depend on the preset.
#[derive(Debug)]
pub(super) struct Defaults {
    pub(super) path: &'static str,
    pub(super) rules: Rules,
    pub(super) hold_then: HoldThen,
    pub(super) on_demotion: OnDemotion,
    pub(super) on_first_byte: bool,
}

impl Preset {
    pub(super) fn defaults(self) -> Defaults {
        match self {
            Preset::None => Defaults {
                path: "/",
                rules: Rules { leader: vec![status(200)], follower: vec![status(429)] },
                hold_then: HoldThen::Refuse,
                on_demotion: OnDemotion::Drain,
                on_first_byte: false,
            },
            Preset::OpenZiti => openziti(),
        }
    }
}

fn openziti() -> Defaults {
    // The status alone would make every node lead on a slightly wrong path, so the body has to say it
    // too. A controller without raft leads by itself.
    let leads = [("/raft/isLeader", true), ("/raft/isRaftEnabled", false)].map(|(pointer, value)| {
        Condition { json: vec![(pointer.to_owned(), Value::Bool(value))], ..status(200) }
    });
    Defaults {
        path: "/health-checks/controller/raft",
        rules: Rules { leader: leads.into(), follower: vec![status(429)] },
        // Any controller serves reads, and desktop clients shun a refusing endpoint for a minute.
        hold_then: HoldThen::AnyReachable,
        // A controller that has lost its leadership forwards writes to the new leader.
        on_demotion: OnDemotion::Keep,
        // Its clients speak TLS, so they speak first (D10).
        on_first_byte: true,
    }
}

fn status(status: u16) -> Condition {
    Condition { status: vec![status..=status], json: Vec::new() }
}
