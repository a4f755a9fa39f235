//! What a kind of cluster is known to need, so that users need not find out: explicit keys win over these.

use std::time::Duration;

use serde_json::Value;

use crate::follow::{HoldThen, OnDemotion};
use crate::leader::Policy;
use crate::probe::judge::{Condition, Rules};

/// The kind of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Anything: 200 leads, 429 follows.
    None,
    /// OpenZiti controllers, 1.3.0 or later.
    OpenZiti,
    /// Vault, and what descends from it.
    Vault,
    /// `PostgreSQL` under Patroni.
    Patroni,
}

/// The defaults that depend on the preset.
#[derive(Debug)]
pub(super) struct Defaults {
    pub(super) path: &'static str,
    pub(super) rules: Rules,
    /// Where nodes are probed; `None`: where their clients go.
    pub(super) probe_port: Option<u16>,
    pub(super) tls: bool,
    pub(super) interval: Duration,
    pub(super) hold_timeout: Duration,
    pub(super) hold_then: HoldThen,
    pub(super) on_demotion: OnDemotion,
    pub(super) drain: Duration,
    pub(super) on_first_byte: bool,
    pub(super) idle: Option<Duration>,
}

impl Preset {
    pub(super) fn defaults(self) -> Defaults {
        match self {
            Preset::None => plain(),
            Preset::OpenZiti => openziti(),
            Preset::Vault => vault(),
            Preset::Patroni => patroni(),
        }
    }
}

fn plain() -> Defaults {
    Defaults {
        path: "/",
        rules: Rules { leader: vec![status(200)], follower: vec![status(429)], health: None },
        probe_port: None,
        tls: true,
        interval: Policy::default().interval,
        hold_timeout: Duration::from_secs(10),
        hold_then: HoldThen::Refuse,
        on_demotion: OnDemotion::Drain,
        drain: Duration::from_secs(30),
        on_first_byte: false,
        idle: Some(Duration::from_hours(1)),
    }
}

fn openziti() -> Defaults {
    // The status alone would make every node lead on a slightly wrong path, so the body has to say it
    // too. A controller without raft leads by itself.
    let leads = [("/raft/isLeader", true), ("/raft/isRaftEnabled", false)]
        .map(|(pointer, value)| status(200).and(pointer, value));
    Defaults {
        path: "/health-checks/controller/raft",
        // A controller that is ill keeps its status, and its leadership.
        rules: Rules {
            leader: leads.into(),
            // A rate limiter or a proxy in between answers 429, too.
            follower: vec![status(429).and("/raft/isLeader", false)],
            health: Some("/data/healthy"),
        },
        // Any controller serves reads, and desktop clients shun a refusing endpoint for a minute.
        hold_then: HoldThen::AnyReachable,
        // A controller that has lost its leadership forwards writes to the new leader.
        on_demotion: OnDemotion::Keep,
        // Its clients speak TLS, so they speak first (D10).
        on_first_byte: true,
        ..plain()
    }
}

fn vault() -> Defaults {
    // 429 is a standby, if the body agrees: a rate limiter or a proxy in between answers 429, too. 472 is any node of a disaster recovery
    // secondary (where nobody serves clients), 473 a performance standby, which serves some reads but passes writes
    // on: none of them is the active node, and only Vault answers so. The rest (474: a standby that cannot reach the active node, 501: not initialized, 503: sealed, 530: removed) says
    // nothing about leadership.
    let follows = [status(429).and("/standby", true), status(472), status(473)];
    Defaults {
        path: "/v1/sys/health",
        rules: Rules { leader: vec![status(200)], follower: follows.into(), health: None },
        // If the node that stepped down is the only voter left, its lock comes back after 10 s; an election that
        // fails once takes longer, too.
        hold_timeout: Duration::from_secs(30),
        // A standby forwards the requests in flight to the new active node. Later requests belong to that node itself,
        // so clients that keep their connections connect again soon.
        on_demotion: OnDemotion::Drain,
        drain: Duration::from_secs(5),
        on_first_byte: true,
        ..plain()
    }
}

fn patroni() -> Defaults {
    // 200 comes with the leader's lock, up to a quarter of a second before the promotion is done: until then the
    // body still says `replica`. Patroni said `master` before its version 4.
    let leads = ["primary", "master"].map(|role| status(200).and("/role", role).and("/state", "running"));
    Defaults {
        path: "/primary",
        rules: Rules {
            leader: leads.into(),
            follower: vec![status(503).and("/role", "replica")],
            health: None,
        },
        // PostgreSQL's port speaks no HTTP; Patroni beside it does, without TLS unless it is given a certificate.
        probe_port: Some(8008),
        tls: false,
        // Each answer costs the node a thread, a connection and a query.
        interval: Duration::from_secs(1),
        // A failover waits for the lock to expire, 20 to 30 seconds.
        hold_timeout: Duration::from_mins(1),
        // Writes would fail, and a session does not notice by itself.
        on_demotion: OnDemotion::Cut,
        // Pooled sessions are quiet for hours, and PostgreSQL has its own timeouts.
        idle: None,
        ..plain()
    }
}

fn status(status: u16) -> Condition {
    Condition { status: vec![status..=status], json: Vec::new() }
}

impl Condition {
    fn and(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        self.json.push((pointer.to_owned(), value.into()));
        self
    }
}
