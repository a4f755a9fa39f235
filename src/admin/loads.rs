//! How many clients each cluster has at this moment, as the metrics have it.

use std::collections::BTreeMap;

use prometheus::Registry;
use prometheus::proto::{Metric, MetricFamily};

/// All clusters' clients.
#[derive(Debug, Default)]
pub(super) struct Loads {
    /// Those that wait for a route, by cluster.
    held: BTreeMap<String, i64>,
    /// Those that are joined to a node, by cluster and node.
    sessions: BTreeMap<(String, String), i64>,
}

impl Loads {
    pub(super) fn of(registry: &Registry) -> Self {
        let families = registry.gather();
        let held = series(&families, "raftgate_held_connections");
        let sessions = series(&families, "raftgate_sessions_active");
        Loads {
            held: held.map(|(cluster, metric)| (cluster.to_owned(), number(metric))).collect(),
            sessions: sessions
                .filter_map(|(cluster, metric)| {
                    let node = label(metric, "node")?.to_owned();
                    Some(((cluster.to_owned(), node), number(metric)))
                })
                .collect(),
        }
    }

    pub(super) fn held(&self, cluster: &str) -> i64 {
        self.held.get(cluster).copied().unwrap_or(0)
    }

    pub(super) fn sessions(&self, cluster: &str, node: &str) -> i64 {
        self.sessions.get(&(cluster.to_owned(), node.to_owned())).copied().unwrap_or(0)
    }
}

/// The series of a metric, each with its cluster.
fn series<'f>(families: &'f [MetricFamily], name: &str) -> impl Iterator<Item = (&'f str, &'f Metric)> {
    let family = families.iter().filter(move |family| family.name() == name);
    family.flat_map(MetricFamily::get_metric).filter_map(|metric| Some((label(metric, "cluster")?, metric)))
}

fn label<'m>(metric: &'m Metric, name: &str) -> Option<&'m str> {
    metric.get_label().iter().find(|label| label.name() == name).map(prometheus::proto::LabelPair::value)
}

#[expect(clippy::cast_possible_truncation, reason = "a gauge that counts is whole, and far from the bounds")]
fn number(metric: &Metric) -> i64 {
    metric.get_gauge().get_value() as i64
}

#[cfg(test)]
mod tests {
    use prometheus::{IntGaugeVec, Opts};

    use super::*;

    fn gauges(registry: &Registry, name: &str, labels: &[&str]) -> IntGaugeVec {
        let gauges = IntGaugeVec::new(Opts::new(name, "help"), labels).unwrap();
        registry.register(Box::new(gauges.clone())).unwrap();
        gauges
    }

    #[test]
    fn each_cluster_has_its_own_clients() {
        let registry = Registry::new();
        let held = gauges(&registry, "raftgate_held_connections", &["cluster"]);
        let sessions = gauges(&registry, "raftgate_sessions_active", &["cluster", "node"]);
        held.with_label_values(&["a"]).set(3);
        sessions.with_label_values(&["a", "n1"]).set(5);
        sessions.with_label_values(&["b", "n1"]).set(7);
        let loads = Loads::of(&registry);
        assert_eq!((loads.held("a"), loads.sessions("a", "n1"), loads.sessions("b", "n1")), (3, 5, 7));
        assert_eq!((loads.held("b"), loads.sessions("a", "n2")), (0, 0));
    }
}
