//! What following one cluster needs to know; made by `config`.

use std::sync::Arc;
use std::time::Duration;

use crate::leader::Policy;
use crate::names::Address;

/// One cluster to follow.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// Its nodes, in the order of their names; a node's place here is its `NodeId`.
    pub nodes: Vec<NodeSettings>,
    /// Timings and thresholds.
    pub policy: Policy,
    /// What `hold.timeout` ends in (S2).
    pub hold_then: HoldThen,
    /// What becomes of sessions (S5).
    pub fates: FateSettings,
}

/// One node.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// Its name.
    pub name: Arc<str>,
    /// Where clients' bytes go.
    pub address: Address,
    /// Where it is probed.
    pub probe_address: Address,
    /// Preferred among claims that have no order (L3); higher first.
    pub priority: i32,
}

/// Where a client goes whose hold is over (S2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldThen {
    /// Nowhere: it is reset.
    Refuse,
    /// To the node that led last.
    LastLeader,
    /// To any node that answers probes.
    AnyReachable,
}

/// What becomes of a past tenure's sessions (S5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FateSettings {
    /// When their node says that it follows.
    pub on_demotion: OnDemotion,
    /// When their node has fallen silent.
    pub on_unreachable: OnUnreachable,
    /// How long silence is borne while no other node claims.
    pub unreachable_after: Duration,
}

/// What a demotion means for sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDemotion {
    /// They go on.
    Keep,
    /// They may end by themselves for a while.
    Drain,
    /// They are reset.
    Cut,
}

/// What silence means for sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUnreachable {
    /// They are reset.
    Cut,
    /// They go on.
    Keep,
}

impl NodeSettings {
    /// Both addresses as configured. A node with another address is another node: what was said before does not count
    /// for that node (O3).
    pub(super) fn place(&self) -> String {
        let (address, probed) = (self.address.configured(), self.probe_address.configured());
        if address == probed { address } else { format!("{address} {probed}") }
    }
}
