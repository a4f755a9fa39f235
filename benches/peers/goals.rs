//! What is to be reached, and whether it is: pure arithmetic on medians (`tests/blackbox/peers_bench.rs` tests it).

/// What figure of a workload counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// The rate, or the cost, as a multiple of a peer's.
    Times(&'static str),
    /// The figure itself.
    Itself,
    /// CPU seconds for each 10^9 bytes.
    CpuPerGb,
    /// What a message's way takes longer than without anything between, as a multiple of a peer's.
    AddedLatency(&'static str),
    /// Memory for each cluster, in KiB.
    KibPerCluster,
}

/// How far it has to come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    /// At least so far.
    AtLeast(f64),
    /// No further.
    AtMost(f64),
}

/// One thing to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Goal {
    /// The workload's name.
    pub(crate) workload: &'static str,
    /// Its figure.
    pub(crate) measure: Measure,
    /// How far.
    pub(crate) bound: Bound,
}

/// Everything that has to be reached. Where less than a tenth is to differ it counts on one core, where nobody is lucky
/// in who runs where.
pub(crate) const GOALS: [Goal; 18] = [
    goal("bulk-8", Measure::Times("haproxy"), Bound::AtLeast(3.8)),
    goal("bulk-8", Measure::Times("haproxy-best"), Bound::AtLeast(0.95)),
    goal("bulk-8", Measure::Times("direct"), Bound::AtLeast(0.58)),
    goal("bulk-8", Measure::CpuPerGb, Bound::AtMost(0.07)),
    goal("bulk-1", Measure::Times("haproxy"), Bound::AtLeast(2.8)),
    goal("bulk-1", Measure::Times("haproxy-best"), Bound::AtLeast(1.0)),
    goal("one-core-ping-pong-1", Measure::Times("haproxy"), Bound::AtLeast(1.07)),
    goal("one-core-ping-pong-1", Measure::Times("haproxy-best"), Bound::AtLeast(1.10)),
    goal("one-core-ping-pong-1", Measure::AddedLatency("haproxy"), Bound::AtMost(0.88)),
    goal("one-core-ping-pong-64", Measure::Times("haproxy"), Bound::AtLeast(1.05)),
    goal("ping-pong-64", Measure::Times("haproxy-best"), Bound::AtLeast(1.35)),
    goal("one-core-connections", Measure::Times("haproxy"), Bound::AtLeast(1.04)),
    goal("one-core-connections", Measure::Times("direct"), Bound::AtLeast(0.48)),
    goal("ping-beside-bulk", Measure::Times("haproxy"), Bound::AtMost(1.0)),
    goal("idle", Measure::Itself, Bound::AtMost(1400.0)),
    goal("idle", Measure::Times("haproxy"), Bound::AtMost(0.42)),
    goal("scale", Measure::Itself, Bound::AtMost(0.5)),
    goal("scale", Measure::KibPerCluster, Bound::AtMost(64.0)),
];

const fn goal(workload: &'static str, measure: Measure, bound: Bound) -> Goal {
    Goal { workload, measure, bound }
}

/// The medians of one workload that a goal asks for.
pub(crate) trait Medians {
    /// What the workload has come to on a peer.
    fn value(&self, workload: &str, peer: &str) -> Option<f64>;
    /// CPU seconds of Raftgate for each 10^9 bytes.
    fn cpu_per_gb(&self, workload: &str) -> Option<f64>;
    /// Raftgate's memory for each cluster, in KiB.
    fn kib_per_cluster(&self) -> Option<f64>;
}

impl Goal {
    /// How far Raftgate has come; nothing if something that it takes was not run.
    pub(crate) fn reached(&self, medians: &impl Medians) -> Option<f64> {
        let own = || medians.value(self.workload, "raftgate");
        match self.measure {
            Measure::Times(peer) => Some(own()? / medians.value(self.workload, peer)?),
            Measure::Itself => own(),
            Measure::CpuPerGb => medians.cpu_per_gb(self.workload),
            Measure::AddedLatency(peer) => {
                let direct = medians.value(self.workload, "direct")?;
                let others = added_latency(medians.value(self.workload, peer)?, direct);
                Some(added_latency(own()?, direct) / others)
            }
            Measure::KibPerCluster => medians.kib_per_cluster(),
        }
    }

    /// Whether that is far enough.
    pub(crate) fn is_met_by(&self, reached: f64) -> bool {
        match self.bound {
            Bound::AtLeast(bound) => reached >= bound,
            Bound::AtMost(bound) => reached <= bound,
        }
    }
}

/// By how many seconds a message is later at this rate of messages, each of which waits for the one before.
pub(crate) fn added_latency(rate: f64, direct: f64) -> f64 {
    1.0 / rate - 1.0 / direct
}
