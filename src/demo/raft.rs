//! The demo's raft: its types and its timings.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use openraft::{Config, SnapshotPolicy};

openraft::declare_raft_types!(
    /// A raft that agrees on nothing but who leads: its log holds memberships and blank entries.
    pub(super) TypeConfig:
        D = (),
        R = (),
        NodeId = u64,
        Node = openraft::BasicNode,
        SnapshotData = Cursor<Vec<u8>>,
);

/// One node's raft.
pub(super) type Raft = openraft::Raft<TypeConfig>;
/// What a raft says of itself.
pub(super) type Metrics = openraft::RaftMetrics<u64, openraft::BasicNode>;

/// A follower that has heard nothing of the leader for the lease (which is also the longest election timeout) waits
/// its own election timeout on top of it, so a failover takes about a second.
const ELECTION_TIMEOUT_MIN: Duration = Duration::from_millis(250);
const ELECTION_TIMEOUT_MAX: Duration = Duration::from_millis(500);
const HEARTBEAT: Duration = Duration::from_millis(100);

/// The timings, checked.
pub(super) fn config() -> Result<Arc<Config>, String> {
    let config = Config {
        cluster_name: "raftgate-demo".to_owned(),
        heartbeat_interval: millis(HEARTBEAT),
        election_timeout_min: millis(ELECTION_TIMEOUT_MIN),
        election_timeout_max: millis(ELECTION_TIMEOUT_MAX),
        // The log grows by one entry an election: nothing to compact.
        snapshot_policy: SnapshotPolicy::Never,
        ..Config::default()
    };
    config.validate().map(Arc::new).map_err(|error| error.to_string())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
