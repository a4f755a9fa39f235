//! What a process remembers of a cluster for the process that follows it at an upgrade (O3), as it is written down between
//! the two. Durations are ages. What operators have ordered stands apart, in [`orders`].
//!
//! A reader takes exactly what it knows: a field that is missing or unknown means that the writer was another version,
//! whose judgement cannot be taken over in part.

pub mod orders;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::leader::{self, NodeState, Override};

/// One cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterMemory {
    /// Its nodes, by name.
    pub nodes: BTreeMap<String, NodeMemory>,
    /// Who led, if somebody did.
    pub route: Option<RouteMemory>,
    /// How long there had been this route, or none.
    pub since: Duration,
    /// Who led last.
    pub last_leader: Option<String>,
    /// The highest ordinal that a claim has had.
    pub last_ordinal: u64,
    /// Begin of the probe that brought the route's last leader statement, or that of the one before.
    pub last_good: Option<Duration>,
    /// When more than one claim began to stand.
    pub contested: Option<Duration>,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteMemory {
    /// The node's name.
    pub node: String,
    /// The tenure's epoch (S1).
    pub epoch: u64,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeMemory {
    /// Its address as it is configured and, if the node is probed elsewhere, a space and that address. A node with
    /// other addresses is another node.
    pub address: String,
    /// Where its host was last reached by a probe, if it ever was. A process of an older version writes down the
    /// current address here.
    pub current: Option<IpAddr>,
    /// All that its name stood for.
    pub listed: Vec<IpAddr>,
    /// What the tracker knows of it.
    #[serde(with = "Tracked")]
    pub tracked: leader::NodeMemory,
}

/// How [`leader::NodeMemory`] is written down: `leader` itself knows nothing of that.
#[derive(Serialize, Deserialize)]
#[serde(remote = "leader::NodeMemory", deny_unknown_fields)]
struct Tracked {
    #[serde(with = "optional_claim")]
    claim: Option<leader::ClaimMemory>,
    #[serde(with = "optional_override")]
    overridden: Option<Override>,
    #[serde(with = "state")]
    state: NodeState,
    heard: bool,
    followed: Option<Duration>,
    silences: u32,
    leader_statements: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "leader::ClaimMemory", deny_unknown_fields)]
struct Claim {
    ordinal: Option<u64>,
    elected_after: Option<Duration>,
    elected_before: Duration,
    last_good: Duration,
    #[serde(with = "Standing")]
    standing: leader::Standing,
    doubted: Option<Duration>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "leader::Standing", rename_all = "lowercase")]
enum Standing {
    Rising,
    Stands,
    Asleep,
}

mod optional_claim {
    use super::{Claim, Deserialize, Deserializer, Serialize, Serializer, leader};

    #[derive(Serialize)]
    struct Written<'a>(#[serde(with = "Claim")] &'a leader::ClaimMemory);

    #[derive(Deserialize)]
    struct Read(#[serde(with = "Claim")] leader::ClaimMemory);

    #[expect(clippy::ref_option, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(
        claim: &Option<leader::ClaimMemory>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        claim.as_ref().map(Written).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<leader::ClaimMemory>, D::Error> {
        Ok(Option::<Read>::deserialize(from)?.map(|read| read.0))
    }
}

/// By the words that people see.
mod optional_override {
    use serde::de::Error;

    use super::{Deserialize, Deserializer, Override, Serialize, Serializer};

    #[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(it: &Option<Override>, to: S) -> Result<S::Ok, S::Error> {
        it.map(Override::as_str).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Override>, D::Error> {
        let Some(word) = Option::<String>::deserialize(from)? else { return Ok(None) };
        let known = Override::ALL.into_iter().find(|it| it.as_str() == word);
        known.map(Some).ok_or_else(|| D::Error::custom(format!("an unknown override {word:?}")))
    }
}

/// By the words that people see.
mod state {
    use serde::de::Error;

    use super::{Deserialize, Deserializer, NodeState, Serialize, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(state: &NodeState, to: S) -> Result<S::Ok, S::Error> {
        state.as_str().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<NodeState, D::Error> {
        let word = String::deserialize(from)?;
        let known = NodeState::ALL.into_iter().find(|state| state.as_str() == word);
        known.ok_or_else(|| D::Error::custom(format!("an unknown state {word:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> ClusterMemory {
        let seconds = Duration::from_secs;
        let claim = leader::ClaimMemory {
            ordinal: Some(3),
            elected_after: Some(seconds(9)),
            elected_before: Duration::from_nanos(8_000_000_007),
            last_good: Duration::from_millis(120),
            standing: leader::Standing::Stands,
            doubted: None,
        };
        let tracked = leader::NodeMemory {
            claim: Some(claim),
            overridden: Some(Override::Drain),
            state: NodeState::Leader,
            heard: true,
            followed: Some(seconds(9)),
            silences: 0,
            leader_statements: 7,
        };
        let node = |tracked| NodeMemory {
            address: "ctrl1.test:1280".to_owned(),
            current: Some([10, 0, 0, 1].into()),
            listed: vec![[10, 0, 0, 1].into()],
            tracked,
        };
        let nodes =
            [("n1".to_owned(), node(tracked)), ("n2".to_owned(), node(leader::NodeMemory::default()))];
        ClusterMemory {
            nodes: nodes.into(),
            route: Some(RouteMemory { node: "n1".to_owned(), epoch: 41 }),
            since: seconds(60),
            last_leader: Some("n1".to_owned()),
            last_ordinal: 3,
            last_good: Some(seconds(1)),
            contested: None,
        }
    }

    #[test]
    fn o3_what_is_written_down_reads_back_the_same() {
        let written = serde_json::to_string(&memory()).unwrap();
        assert_eq!(serde_json::from_str::<ClusterMemory>(&written).unwrap(), memory());
    }

    #[test]
    fn o3_another_versions_memory_is_not_taken_in_part() {
        let written = serde_json::to_string(&memory()).unwrap();
        for (from, to) in [
            ("\"epoch\":41", "\"epoch\":41,\"term\":7"),
            ("\"silences\":0", "\"silences\":0,\"more\":1"),
            ("\"standing\":\"stands\"", "\"standing\":\"stumbles\""),
            ("\"state\":\"leader\"", "\"state\":\"candidate\""),
            ("\"overridden\":\"drain\"", "\"overridden\":\"prefer\""),
            ("\"last_ordinal\":3,", ""),
        ] {
            let other = written.replacen(from, to, 1);
            assert_ne!(other, written, "{from}");
            assert!(serde_json::from_str::<ClusterMemory>(&other).is_err(), "{to} was taken");
        }
    }
}
