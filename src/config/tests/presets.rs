//! Presets: what each fills in, and what its cluster's documented answers then mean.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::follow::{HoldThen, OnDemotion};
use crate::leader::Verdict;

/// A cluster of this preset, with nothing else said than it must be.
fn cluster(preset: &str) -> Arc<Cluster> {
    cluster_with(preset, "")
}

fn cluster_with(preset: &str, keys: &str) -> Arc<Cluster> {
    let toml = format!(
        "listeners.e = {{ bind = \":1\", cluster = \"c\" }}\n[clusters.c]\npreset = \"{preset}\"\n\
         nodes.a = \"10.0.0.1:5432\"\n{keys}\n"
    );
    config(&toml).clusters.remove(0)
}

fn verdict(cluster: &Cluster, status: u16, body: &Value) -> Verdict {
    cluster.probe.rules.judge(status, body.to_string().as_bytes()).verdict
}

#[test]
fn openziti_reads_the_body_too() {
    let cluster = cluster("openziti");
    assert_eq!(cluster.probe.path, "/health-checks/controller/raft");
    let body = |leads: bool, raft: bool| {
        json!({
            "data": { "checks": [{ "id": "bolt.read", "healthy": true }], "healthy": true },
            "meta": {},
            "raft": { "isLeader": leads, "isRaftEnabled": raft },
        })
    };
    assert_eq!(verdict(&cluster, 200, &body(true, true)), Verdict::Leader);
    assert_eq!(verdict(&cluster, 200, &body(false, false)), Verdict::Leader);
    assert_eq!(verdict(&cluster, 200, &body(false, true)), Verdict::Unfit { status: 200 });
    assert_eq!(verdict(&cluster, 429, &body(false, true)), Verdict::Follower);
    // A rate limiter in between says nothing of the node.
    assert_eq!(verdict(&cluster, 429, &json!({ "error": "slow down" })), Verdict::Unfit { status: 429 });
    assert_eq!(cluster.probe.rules.judge(429, b"").verdict, Verdict::Unfit { status: 429 });
    assert_eq!((cluster.hold.then, cluster.fates.on_demotion), (HoldThen::AnyReachable, OnDemotion::Keep));
    assert!(cluster.connect.on_first_byte);
}

#[test]
fn l2_vault_tells_the_active_node_by_its_status() {
    let cluster = cluster("vault");
    assert_eq!(cluster.probe.path, "/v1/sys/health");
    let body = |initialized: bool, sealed: bool, standby: bool, performance_standby: bool| {
        json!({
            "initialized": initialized,
            "sealed": sealed,
            "standby": standby,
            "performance_standby": performance_standby,
            "replication_performance_mode": "disabled",
            "replication_dr_mode": "disabled",
            "server_time_utc": 1_516_639_589,
            "version": "1.19.0",
            "cluster_name": "vault-cluster-3bd69ca2",
        })
    };
    let active = body(true, false, false, false);
    assert_eq!(verdict(&cluster, 200, &active), Verdict::Leader);
    assert_eq!(verdict(&cluster, 429, &body(true, false, true, false)), Verdict::Follower);
    // A rate limiter in between says nothing of the node.
    assert_eq!(cluster.probe.rules.judge(429, b"Too Many Requests").verdict, Verdict::Unfit { status: 429 });
    assert_eq!(verdict(&cluster, 429, &json!({ "errors": [] })), Verdict::Unfit { status: 429 });
    // Of a disaster recovery secondary, the active node answers like the others: nobody there serves clients.
    assert_eq!(verdict(&cluster, 472, &active), Verdict::Follower);
    assert_eq!(verdict(&cluster, 473, &body(true, false, true, true)), Verdict::Follower);
    for (status, body) in [
        (474, body(true, false, true, false)),
        (501, body(false, true, true, false)),
        (503, body(true, true, true, false)),
        (530, body(true, true, true, false)),
        (500, json!({ "errors": [] })),
    ] {
        assert_eq!(verdict(&cluster, status, &body), Verdict::Unfit { status });
    }
    assert_eq!(cluster.probe.rules.judge(200, b"").verdict, Verdict::Leader);
    assert!(cluster.connect.on_first_byte);
    assert!(cluster.probe.tls.is_some());
}

#[test]
fn l2_a_preset_asked_by_head_knows_followers_by_their_status() {
    for (preset, leader, followers) in [
        ("vault", "", &[429, 472, 473][..]),
        ("openziti", "probe.leader = { status = 200 }", &[429]),
        ("patroni", "probe.leader = { status = 200 }", &[503]),
    ] {
        let cluster = cluster_with(preset, &format!("probe.method = \"HEAD\"\n{leader}"));
        for status in followers {
            assert_eq!(cluster.probe.rules.judge(*status, b"").verdict, Verdict::Follower, "{preset}");
        }
        assert_eq!(cluster.probe.rules.judge(200, b"").verdict, Verdict::Leader, "{preset}");
    }
}

#[test]
fn s5_vault_sessions_end_soon_after_a_step_down() {
    let stepped_down = cluster("vault");
    assert_eq!(
        (stepped_down.fates.on_demotion, stepped_down.drain),
        (OnDemotion::Drain, Duration::from_secs(5))
    );
    let longer = cluster_with("vault", "sessions.drain = \"1m\"");
    assert_eq!((longer.fates.on_demotion, longer.drain), (OnDemotion::Drain, Duration::from_mins(1)));
}

#[test]
fn s2_vault_clients_are_held_longer_than_a_lone_election() {
    let hold = cluster("vault").hold;
    assert_eq!((hold.timeout, hold.then), (Duration::from_secs(30), HoldThen::Refuse));
}

#[test]
fn l2_patroni_leads_when_the_promotion_is_done() {
    let cluster = cluster("patroni");
    assert_eq!(cluster.probe.path, "/primary");
    let body = |role: &str, state: &str| {
        json!({
            "state": state,
            "postmaster_start_time": "2024-08-28 19:39:26.352526+00:00",
            "role": role,
            "server_version": 160_004,
            "xlog": { "location": 67_395_656 },
            "timeline": 1,
            "dcs_last_seen": 1_692_356_718,
            "database_system_identifier": "7268616322854375442",
            "patroni": { "version": "4.0.0", "scope": "demo", "name": "patroni1" },
        })
    };
    let verdict = |status, role: &str, state: &str| verdict(&cluster, status, &body(role, state));
    assert_eq!(verdict(200, "primary", "running"), Verdict::Leader);
    assert_eq!(verdict(200, "master", "running"), Verdict::Leader, "before version 4");
    assert_eq!(verdict(503, "replica", "running"), Verdict::Follower);
    assert_eq!(verdict(503, "replica", "starting"), Verdict::Follower);
    // It has the lock, but PostgreSQL is not promoted yet.
    assert_eq!(verdict(200, "replica", "running"), Verdict::Unfit { status: 200 });
    assert_eq!(verdict(200, "primary", "stopping"), Verdict::Unfit { status: 200 });
    // It still takes writes, but has lost the lock: somebody else may have it.
    assert_eq!(verdict(503, "primary", "running"), Verdict::Unfit { status: 503 });
    assert_eq!(verdict(503, "standby_leader", "running"), Verdict::Unfit { status: 503 });
    assert_eq!(verdict(503, "uninitialized", "stopped"), Verdict::Unfit { status: 503 });
}

#[test]
fn patroni_is_asked_beside_postgresql_without_tls_and_with_patience() {
    let cluster = cluster("patroni");
    let node = &cluster.nodes[0];
    assert_eq!(
        (node.address.to_string(), node.probe_address.to_string()),
        ("10.0.0.1:5432".into(), "10.0.0.1:8008".into())
    );
    assert_eq!(cluster.probe.tls, None);
    assert_eq!(cluster.probe.policy.interval, Duration::from_secs(1));
    assert_eq!((cluster.hold.timeout, cluster.hold.then), (Duration::from_mins(1), HoldThen::Refuse));
    assert_eq!(cluster.fates.on_demotion, OnDemotion::Cut);
    assert!(!cluster.connect.on_first_byte);
    assert_eq!(cluster.timeouts, Timeouts { idle: None, half_closed: Some(Duration::from_mins(1)) });
}

#[test]
fn patroni_may_be_asked_elsewhere_and_with_tls() {
    let node = "nodes.b = { address = \"10.0.0.2:5432\", probe_address = \"10.1.0.2:9000\" }";
    let cluster =
        cluster_with("patroni", &format!("{node}\nprobe.tls.enabled = true\ntimeouts.idle = \"2h\""));
    assert_eq!(cluster.nodes[1].probe_address.to_string(), "10.1.0.2:9000");
    assert!(cluster.probe.tls.is_some());
    assert_eq!(cluster.timeouts.idle, Some(Duration::from_hours(2)));
}
