//! What probing counts.

use std::cell::OnceCell;
use std::time::Duration;

use prometheus::core::{AtomicI64, AtomicU64};
use prometheus::{Histogram, HistogramOpts, HistogramVec, Registry};

use crate::intent::Certificate;
use crate::leader::{ProbeFailure, Verdict};
use crate::metrics::{Counter, Family};

/// From a local network's answer to long deadlines, in seconds.
const DURATION_BUCKETS: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0];

/// The metrics of all probes of a process.
#[derive(Clone, Debug)]
pub struct MetricFamilies {
    probes: Family<AtomicU64>,
    duration: HistogramVec,
    certificate_expiry: Family<AtomicI64>,
    expiry_by_certificate: Family<AtomicI64>,
}

impl MetricFamilies {
    /// Defines and registers them.
    ///
    /// # Errors
    /// If they are registered twice, which is a defect of the program.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let families = MetricFamilies {
            probes: Family::counters(
                registry,
                "raftgate_probes_total",
                "Probes finished, by what came of them",
                &["cluster", "node", "result"],
            )?,
            duration: HistogramVec::new(
                HistogramOpts::new(
                    "raftgate_probe_duration_seconds",
                    "How long probes took, whatever came of them",
                )
                .buckets(DURATION_BUCKETS.to_vec()),
                &["cluster", "node"],
            )?,
            certificate_expiry: Family::gauges(
                registry,
                "raftgate_node_certificate_expiry_timestamp_seconds",
                "When the first certificate expires that the node's newest probe connection depends on",
                &["cluster", "node"],
            )?,
            expiry_by_certificate: Family::gauges(
                registry,
                "raftgate_certificate_expiry_timestamp_seconds",
                "When the certificates expire that the node's newest probe connection depends on: the node's own (leaf), \
                 those between (intermediate), the trusted one (root) and the gate's (client)",
                &["cluster", "node", "certificate"],
            )?,
        };
        registry.register(Box::new(families.duration.clone()))?;
        Ok(families)
    }

    /// Shows nothing any more of a node that is not probed any more.
    pub fn forget(&self, cluster: &str, node: &str) {
        self.probes.forget(&[cluster, node]);
        self.certificate_expiry.forget(&[cluster, node]);
        self.expiry_by_certificate.forget(&[cluster, node]);
        // It fails if it is not there: so it shall be.
        let _ = self.duration.remove_label_values(&[cluster, node]);
    }

    /// One node's metrics; nothing is shown of them yet.
    pub fn node(&self, cluster: &str, node: &str) -> Metrics {
        Metrics {
            families: self.clone(),
            labels: [cluster.to_owned(), node.to_owned()],
            shown: OnceCell::new(),
        }
    }

    /// Every label resolved; shown from now on.
    fn show(&self, [cluster, node]: &[String; 2]) -> Numbers {
        let result = |name: &str| self.probes.with(&[cluster, node, name]);
        let failure = |failure: ProbeFailure| result(failure.as_str());
        Numbers {
            leader: result("leader"),
            follower: result("follower"),
            unfit: result("unfit"),
            refused: failure(ProbeFailure::Refused),
            timeout: failure(ProbeFailure::Timeout),
            tls: failure(ProbeFailure::Tls),
            certificate: failure(ProbeFailure::Certificate),
            protocol: failure(ProbeFailure::Protocol),
            closed: failure(ProbeFailure::Closed),
            dns: failure(ProbeFailure::Dns),
            duration: self.duration.with_label_values(&[cluster, node]),
        }
    }
}

/// One node's metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    families: MetricFamilies,
    labels: [String; 2],
    shown: OnceCell<Box<Numbers>>,
}

#[derive(Clone, Debug)]
struct Numbers {
    leader: Counter,
    follower: Counter,
    unfit: Counter,
    refused: Counter,
    timeout: Counter,
    tls: Counter,
    certificate: Counter,
    protocol: Counter,
    closed: Counter,
    dns: Counter,
    duration: Histogram,
}

impl Metrics {
    /// Shows them, all at zero: by the prober itself as the first thing it does, so that a node that is configured but
    /// not probed yet is not shown, and one that was forgotten before is not forgotten again in its place.
    pub(super) fn show(&self) {
        self.numbers();
    }

    pub(super) fn count(&self, verdict: Verdict, took: Duration) {
        let numbers = self.numbers();
        numbers.result(verdict).inc();
        numbers.duration.observe(took.as_secs_f64());
    }

    /// The series begin with the first certificate: one at zero would read as a certificate that expired in 1970.
    pub(super) fn set_certificate_expiries(&self, certificate: &Certificate) {
        let [cluster, node] = &self.labels;
        self.families.certificate_expiry.with(&[cluster, node]).set(certificate.first_expiry().1);
        // A root that vouches no more, or a client certificate that is not shown any more, expires for nobody.
        self.families.expiry_by_certificate.forget(&[cluster, node]);
        for (kind, not_after) in certificate.expiries() {
            self.families.expiry_by_certificate.with(&[cluster, node, kind.as_str()]).set(not_after);
        }
    }

    fn numbers(&self) -> &Numbers {
        self.shown.get_or_init(|| Box::new(self.families.show(&self.labels)))
    }
}

impl Numbers {
    fn result(&self, verdict: Verdict) -> &Counter {
        match verdict {
            Verdict::Leader => &self.leader,
            Verdict::Follower => &self.follower,
            Verdict::Unfit { .. } => &self.unfit,
            Verdict::Unreachable { failure } => match failure {
                ProbeFailure::Refused => &self.refused,
                ProbeFailure::Timeout => &self.timeout,
                ProbeFailure::Tls => &self.tls,
                ProbeFailure::Certificate => &self.certificate,
                ProbeFailure::Protocol => &self.protocol,
                ProbeFailure::Closed => &self.closed,
                ProbeFailure::Dns => &self.dns,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intent::{CertificateKind, RelatedCertificate};

    #[test]
    fn every_result_is_there_from_the_start_but_no_expiry() {
        let registry = Registry::new();
        let metrics = MetricFamilies::register(&registry).unwrap().node("c", "n");
        metrics.count(Verdict::Unreachable { failure: ProbeFailure::Closed }, Duration::from_millis(3));
        let text = String::from_utf8(crate::metrics::render(&registry).unwrap()).unwrap();
        let lines: Vec<&str> =
            text.lines().filter(|line| line.starts_with("raftgate_probes_total{")).collect();
        let expected = [
            "certificate",
            "closed",
            "dns",
            "follower",
            "leader",
            "protocol",
            "refused",
            "timeout",
            "tls",
            "unfit",
        ]
        .map(|result| {
            let count = u8::from(result == "closed");
            format!("raftgate_probes_total{{cluster=\"c\",node=\"n\",result=\"{result}\"}} {count}")
        });
        assert_eq!(lines, expected);
        assert!(text.contains("raftgate_probe_duration_seconds_count{cluster=\"c\",node=\"n\"} 1"));
        assert!(!text.contains("raftgate_node_certificate_expiry_timestamp_seconds{"));
        let intermediate = RelatedCertificate {
            kind: CertificateKind::Intermediate,
            name: "between".into(),
            not_after: 4_100_000_000,
        };
        let root = RelatedCertificate {
            kind: CertificateKind::Root,
            not_after: 4_000_000_000,
            ..intermediate.clone()
        };
        let related = vec![intermediate.clone(), intermediate, root];
        metrics.set_certificate_expiries(&Certificate {
            not_after: 4_200_000_000,
            related,
            ..Certificate::default()
        });
        let text = String::from_utf8(crate::metrics::render(&registry).unwrap()).unwrap();
        let line = "raftgate_node_certificate_expiry_timestamp_seconds{cluster=\"c\",node=\"n\"} 4000000000";
        assert!(text.contains(line), "{text}");
        for (kind, not_after) in
            [("leaf", 4_200_000_000_i64), ("intermediate", 4_100_000_000), ("root", 4_000_000_000)]
        {
            let labels = format!("{{certificate=\"{kind}\",cluster=\"c\",node=\"n\"}}");
            let line = format!("raftgate_certificate_expiry_timestamp_seconds{labels} {not_after}");
            assert!(text.contains(&line), "{line} in {text}");
        }
        metrics.set_certificate_expiries(&Certificate { not_after: 4_200_000_000, ..Certificate::default() });
        let text = String::from_utf8(crate::metrics::render(&registry).unwrap()).unwrap();
        assert!(!text.contains("certificate=\"root\""), "{text}");
    }
}
