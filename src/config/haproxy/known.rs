//! Paths of known systems, and which nodes answer them with 200.

use crate::config::check::STATUS_LEADER;
use crate::config::presets::Preset;
use crate::config::vault_health::decoded;
use crate::tenure::To;

/// Which nodes answer a path with 200.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Tells {
    /// The leader alone; a follower answers with one of these statuses, where no preset knows them.
    Leader(Preset, &'static [u16]),
    /// Nodes that Raftgate tells by another question, and what the path says of them beyond that.
    Readers(To, Option<&'static str>),
    /// All nodes that are well.
    Alike,
    /// All nodes; their bodies say who leads. What to ask instead.
    Body(&'static str),
}

/// Where kinds of clusters say who leads.
const LEADERS: &[(&str, Preset, &[u16])] = &[
    ("/health-checks/controller/raft", Preset::OpenZiti, &[]),
    ("/v1/sys/health", Preset::Vault, &[]),
    ("/v1/sys/leader", Preset::Vault, &[]),
    ("/primary", Preset::Patroni, &[]),
    ("/master", Preset::Patroni, &[]),
    ("/leader", Preset::Patroni, &[]),
    ("/read-write", Preset::Patroni, &[]),
    ("/standby-leader", Preset::Patroni, &[]),
    ("/standby_leader", Preset::Patroni, &[]),
    // Orchestrator.
    ("/api/leader-check", Preset::None, &[404]),
];

const SYNCHRONOUS: &str = "synchronous standbys";
const ASYNCHRONOUS: &str = "asynchronous standbys";
const QUORUM: &str = "standbys of the quorum";

/// Where Patroni answers 200 on replicas, and on the primary, too, where all can be read.
const READERS: &[(&str, To, Option<&str>)] = &[
    ("/replica", To::Followers, None),
    ("/replica-sync", To::Followers, Some(SYNCHRONOUS)),
    ("/standby", To::Followers, None),
    ("/synchronous", To::Followers, Some(SYNCHRONOUS)),
    ("/sync", To::Followers, Some(SYNCHRONOUS)),
    ("/quorum", To::Followers, Some(QUORUM)),
    ("/asynchronous", To::Followers, Some(ASYNCHRONOUS)),
    ("/async", To::Followers, Some(ASYNCHRONOUS)),
    ("/read-only", To::Any, None),
    ("/read-only-sync", To::Any, Some(SYNCHRONOUS)),
    ("/read-only-quorum", To::Any, Some(QUORUM)),
];

/// Where every node that is well answers 200. A path that ends in a slash stands for all below it.
const ALIKE: &[&str] = &[
    "/health",
    "/health/",
    "/healthz",
    "/healthcheck",
    "/health-check",
    "/health-checks",
    "/livez",
    "/readyz",
    "/liveness",
    "/readiness",
    "/live",
    "/ready",
    "/alive",
    "/up",
    "/ping",
    "/patroni",
    "/cluster",
    "/metrics",
    "/version",
    "/-/healthy",
    "/-/ready",
    "/v1/sys/seal-status",
    "/minio/health/",
    "/api/health",
    "/api/raft-health",
    "/pd/api/v1/health",
];

/// Where every node answers 200, and says in its body who leads.
const BODIES: &[(&str, &str)] = &[
    ("/v1/status/leader", STATUS_LEADER),
    (
        "/v1/agent/self",
        "every server of Consul and Nomad answers 200 here, and says in the body whether it leads; in TOML give \
         probe.leader json = { \"/Stats/consul/leader\" = \"true\" } or, for Nomad, { \"/stats/nomad/leader\" = \"true\" }, \
         and probe.follower the same with \"false\"",
    ),
    ("/v1/agent/", CONSUL_AGENT),
    ("/status", EVERY_NODE),
    ("/varz", EVERY_NODE),
    ("/pd/api/v1/leader", EVERY_NODE),
    ("/v3/maintenance/status", EVERY_NODE),
    ("/_api/agency/config", EVERY_NODE),
    ("/commands/leader", EVERY_NODE),
];
const CONSUL_AGENT: &str = "every server of Consul and Nomad answers 200 here; in TOML ask /v1/agent/self, whose body says who leads";
const EVERY_NODE: &str = "every node answers 200 here; in TOML give probe.leader a `json` condition on what the leader alone says in its body";

/// The known meaning of a path; `None` for an unknown path.
pub(super) fn known(uri: &str) -> Option<Tells> {
    let path = path_of(uri);
    let is = |known: &str| known == path || known.ends_with('/') && path.starts_with(known);
    let leaders = LEADERS.iter().find(|(known, ..)| is(known));
    let readers = || READERS.iter().find(|(known, ..)| is(known));
    let bodies = || BODIES.iter().find(|(known, _)| is(known));
    leaders
        .map(|(_, preset, followers)| Tells::Leader(*preset, followers))
        .or_else(|| readers().map(|(_, to, beyond)| Tells::Readers(*to, *beyond)))
        .or_else(|| bodies().map(|(_, instead)| Tells::Body(instead)))
        .or_else(|| ALIKE.iter().any(|known| is(known)).then_some(Tells::Alike))
}

/// The path as servers see it: without a query, percent escapes and a slash at its end.
pub(super) fn path_of(uri: &str) -> String {
    let raw = uri.split('?').next().unwrap_or_default();
    let path = decoded(raw).unwrap_or_else(|| raw.to_owned());
    match path.trim_end_matches('/') {
        "" => "/".to_owned(),
        path => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_pools_are_known_in_every_spelling() {
        for (uri, tells) in [
            ("/healthz?verbose", Some(Tells::Alike)),
            ("/health/ready", Some(Tells::Alike)),
            ("/minio/health/cluster?maintenance=true", Some(Tells::Alike)),
            ("/-/healthy", Some(Tells::Alike)),
            ("/%72eplica/", Some(Tells::Readers(To::Followers, None))),
            ("/read-only", Some(Tells::Readers(To::Any, None))),
            ("/v1/agent/metrics", Some(Tells::Body(CONSUL_AGENT))),
            ("/v1/status/leader", Some(Tells::Body(STATUS_LEADER))),
            ("/api/leader-check", Some(Tells::Leader(Preset::None, &[404]))),
            ("/standby_leader", Some(Tells::Leader(Preset::Patroni, &[]))),
            ("/health-checks/controller/raft", Some(Tells::Leader(Preset::OpenZiti, &[]))),
            ("/healthier", None),
            ("/", None),
        ] {
            assert_eq!(known(uri), tells, "{uri}");
        }
    }
}
