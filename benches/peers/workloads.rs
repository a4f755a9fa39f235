//! What is measured, and where it may run.

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::load::Job;

/// One kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    /// One stream from the node.
    Bulk1,
    /// Eight at once.
    Bulk8,
    /// Short messages to and fro on one connection.
    PingPong1,
    /// On 64 connections.
    PingPong64,
    /// Messages of 1 KiB on one connection.
    PingPongKib1,
    /// On 64 connections.
    PingPongKib64,
    /// Connections that ask once.
    Connections,
    /// As [`Workload::PingPong1`], all on one core.
    OneCorePingPong1,
    /// As [`Workload::PingPong64`], all on one core.
    OneCorePingPong64,
    /// As [`Workload::Connections`], all on one core.
    OneCoreConnections,
    /// A short message to and fro, now and then, beside three streams through the same worker.
    PingBesideBulk,
    /// Sessions that do nothing.
    Idle,
    /// Clusters that are probed; Raftgate only.
    Scale,
}

/// What workloads have in common that are measured with the same running peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    /// Everything may run everywhere.
    AllCores,
    /// Peer, clients and node share one core: no luck in who runs where.
    OneCore,
    /// Peers with one worker, as on a large machine where it serves all of these clients.
    OneWorker,
    /// Peers that have not had a client yet.
    Cold,
    /// Raftgate alone, many times.
    Scale,
}

impl Workload {
    /// All of them, in the order of the report.
    pub(crate) const ALL: [Self; 13] = [
        Self::Bulk1,
        Self::Bulk8,
        Self::PingPong1,
        Self::PingPong64,
        Self::PingPongKib1,
        Self::PingPongKib64,
        Self::Connections,
        Self::OneCorePingPong1,
        Self::OneCorePingPong64,
        Self::OneCoreConnections,
        Self::PingBesideBulk,
        Self::Idle,
        Self::Scale,
    ];

    /// Its name in arguments and samples.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bulk1 => "bulk-1",
            Self::Bulk8 => "bulk-8",
            Self::PingPong1 => "ping-pong-1",
            Self::PingPong64 => "ping-pong-64",
            Self::PingPongKib1 => "ping-pong-kib-1",
            Self::PingPongKib64 => "ping-pong-kib-64",
            Self::Connections => "connections",
            Self::OneCorePingPong1 => "one-core-ping-pong-1",
            Self::OneCorePingPong64 => "one-core-ping-pong-64",
            Self::OneCoreConnections => "one-core-connections",
            Self::PingBesideBulk => "ping-beside-bulk",
            Self::Idle => "idle",
            Self::Scale => "scale",
        }
    }

    /// What it is, in words.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Bulk1 => "bulk, 1 stream",
            Self::Bulk8 => "bulk, 8 streams",
            Self::PingPong1 => "ping-pong, 64 B, 1 connection",
            Self::PingPong64 => "ping-pong, 64 B, 64 connections",
            Self::PingPongKib1 => "ping-pong, 1 KiB, 1 connection",
            Self::PingPongKib64 => "ping-pong, 1 KiB, 64 connections",
            Self::Connections => "connections, 64 in parallel",
            Self::OneCorePingPong1 => "ping-pong, 64 B, 1 connection, one core",
            Self::OneCorePingPong64 => "ping-pong, 64 B, 64 connections, one core",
            Self::OneCoreConnections => "connections, 64 in parallel, one core",
            Self::PingBesideBulk => "ping, 64 B, beside 3 bulk streams, one worker",
            Self::Idle => "idle sessions",
            Self::Scale => "many clusters",
        }
    }

    /// What its figures count.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Bulk1 | Self::Bulk8 => "GB/s",
            Self::Connections | Self::OneCoreConnections => "connections/s",
            Self::PingBesideBulk => "ms, 99th percentile",
            Self::Idle => "bytes of proxy memory a session",
            Self::Scale => "cores",
            _ => "messages/s",
        }
    }

    /// Whether less is better.
    pub(crate) fn is_cost(self) -> bool {
        matches!(self, Self::PingBesideBulk | Self::Idle | Self::Scale)
    }

    /// Whether bytes are what it is about, and what each of them costs.
    pub(crate) fn is_bulk(self) -> bool {
        matches!(self, Self::Bulk1 | Self::Bulk8)
    }

    /// Whether one message waits for another, so that its rate is a latency.
    pub(crate) fn is_latency(self) -> bool {
        matches!(self, Self::PingPong1 | Self::PingPongKib1 | Self::OneCorePingPong1)
    }

    /// Whether single messages are timed.
    pub(crate) fn is_delay(self) -> bool {
        self == Self::PingBesideBulk
    }

    /// Where it runs.
    pub(crate) fn setting(self) -> Setting {
        match self {
            Self::OneCorePingPong1 | Self::OneCorePingPong64 | Self::OneCoreConnections => Setting::OneCore,
            Self::PingBesideBulk => Setting::OneWorker,
            Self::Idle => Setting::Cold,
            Self::Scale => Setting::Scale,
            _ => Setting::AllCores,
        }
    }

    /// What clients do; nothing where there are none.
    pub(crate) fn job(self, sessions: u32) -> Option<Job> {
        Some(match self {
            Self::Bulk1 => Job::Bulk { streams: 1 },
            Self::Bulk8 => Job::Bulk { streams: 8 },
            Self::PingPong1 | Self::OneCorePingPong1 => Job::PingPong { size: 64, connections: 1 },
            Self::PingPong64 | Self::OneCorePingPong64 => Job::PingPong { size: 64, connections: 64 },
            Self::PingPongKib1 => Job::PingPong { size: 1024, connections: 1 },
            Self::PingPongKib64 => Job::PingPong { size: 1024, connections: 64 },
            Self::Connections | Self::OneCoreConnections => Job::Connections { parallel: 64 },
            Self::PingBesideBulk => Job::PingBesideBulk { size: 64, streams: 3 },
            Self::Idle => Job::Idle { sessions },
            Self::Scale => return None,
        })
    }
}

impl ValueEnum for Workload {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

impl Setting {
    /// Those that run peers before a node, in the order in which they are run.
    pub(crate) const WITH_PEERS: [Self; 4] = [Self::AllCores, Self::OneCore, Self::OneWorker, Self::Cold];
}
