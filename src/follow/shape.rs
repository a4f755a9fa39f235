//! Another configuration for a cluster that is followed already (O2).

use tokio::sync::watch;

use super::settings::{FateSettings, HoldThen, NodeSettings};
use crate::intent::{NodeId, ProbeOrder};
use crate::leader::Policy;
use crate::tenure::{OfReaders, TenureWriter};

/// What a cluster is to be from now on. Its name stays, and a node keeps its id for ever.
#[derive(Debug)]
pub struct Shape {
    /// The nodes by their ids: those there were, `None` for one that is not there any more, then those that are new.
    pub nodes: Vec<Option<NodeSettings>>,
    /// The orders of probers that have begun anew. There is one for each node that was not there before, or not any
    /// more.
    pub orders: Vec<(NodeId, watch::Sender<ProbeOrder>)>,
    /// Where it is published where readers go, for kinds of them that are new.
    pub readers: OfReaders<TenureWriter>,
    /// Timings and thresholds.
    pub policy: Policy,
    /// What `hold.timeout` ends in (S2).
    pub hold_then: HoldThen,
    /// What becomes of sessions (S5).
    pub fates: FateSettings,
}
