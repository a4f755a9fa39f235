//! What `check --probe` prints: a table of the nodes, one of the public names, and a line for each problem. Pure.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use crate::app::{ClusterSurvey, NodeSurvey, PublicName, Survey};
use crate::cli::table::{harmless, table};
use crate::config::Preset;
use crate::intent::{Certificate, CertificateKind, RelatedCertificate};
use crate::leader::{ProbeFailure, Verdict};
use crate::probe::tls::Pin;

#[cfg(test)]
mod tests;

const DAY: i64 = 24 * 60 * 60;
/// A certificate that ends sooner is worth a warning.
const SOON: i64 = 14 * DAY;

/// The text, and how many of its lines are errors.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) text: String,
    pub(super) errors: usize,
}

/// Writes a survey down; `now` is in seconds since the Unix epoch.
pub(super) fn report(survey: &Survey, now: i64) -> Report {
    let mut problems = Problems { now, errors: Vec::new(), warnings: Vec::new() };
    for cluster in &survey.clusters {
        problems.of_cluster(cluster);
    }
    for name in &survey.public_names {
        if let Some(cluster) = survey.clusters.get(name.cluster) {
            problems.of_public_name(name, cluster);
        }
    }
    let mut text = table(&node_rows(survey, now));
    if !survey.public_names.is_empty() {
        text.push('\n');
        text.push_str(&table(&name_rows(survey)));
    }
    text.push('\n');
    for (kind, problems) in [("error", &problems.errors), ("warning", &problems.warnings)] {
        for problem in problems {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{kind}: {}", harmless(problem));
        }
    }
    text.push_str(&summary(problems.errors.len(), problems.warnings.len()));
    Report { text, errors: problems.errors.len() }
}

fn summary(errors: usize, warnings: usize) -> String {
    let count = |number: usize, word: &str| match number {
        1 => format!("1 {word}"),
        number => format!("{number} {word}s"),
    };
    match (errors, warnings) {
        (0, 0) => "nothing is wrong\n".to_owned(),
        _ => format!("{}, {}\n", count(errors, "error"), count(warnings, "warning")),
    }
}

fn node_rows(survey: &Survey, now: i64) -> Vec<Vec<String>> {
    let head = ["CLUSTER", "NODE", "ADDRESS", "VERDICT", "LATENCY", "EXPIRES", "CERTIFICATE NAMES"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for cluster in &survey.clusters {
        rows.extend(cluster.nodes.iter().map(|node| node_row(cluster, node, now)));
    }
    rows
}

fn node_row(cluster: &ClusterSurvey, node: &NodeSurvey, now: i64) -> Vec<String> {
    let certificate = node.answer.certificate.as_deref();
    let none = || "-".to_owned();
    vec![
        cluster.name.to_string(),
        node.name.to_string(),
        node.address.to_string(),
        verdict(node.answer.verdict),
        latency(node.answer.verdict, node.answer.latency),
        certificate.map_or_else(none, |certificate| first_expiry(certificate, now)),
        certificate.map_or_else(none, names),
    ]
}

fn verdict(verdict: Verdict) -> String {
    match verdict {
        Verdict::Leader => "leader".to_owned(),
        Verdict::Follower => "follower".to_owned(),
        Verdict::Unfit { status } => format!("unfit ({status})"),
        Verdict::Unreachable { failure } => format!("unreachable ({failure})"),
    }
}

/// Of a node that has not answered, it would say nothing.
fn latency(verdict: Verdict, latency: Duration) -> String {
    match verdict {
        Verdict::Unreachable { .. } => "-".to_owned(),
        _ => format!("{:.1}ms", latency.as_secs_f64() * 1000.0),
    }
}

/// That of the node's own certificate, or of one that expires earlier, with the name for it.
fn first_expiry(certificate: &Certificate, now: i64) -> String {
    match certificate.first_expiry() {
        (CertificateKind::Leaf, not_after) => expiry(not_after, now),
        (kind, not_after) => format!("{} {}", expiry(not_after, now), kind.as_str()),
    }
}

fn expiry(not_after: i64, now: i64) -> String {
    let day: String = date(not_after).chars().take_while(|letter| *letter != 'T').collect();
    let left = not_after.saturating_sub(now);
    if left < 0 { format!("{day} (expired)") } else { format!("{day} ({})", days(left)) }
}

fn days(seconds: i64) -> String {
    match seconds / DAY {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

fn date(seconds: i64) -> String {
    let since_epoch = u64::try_from(seconds).ok().map(Duration::from_secs);
    // What `humantime` can write ends with the year 9999.
    let time = since_epoch.filter(|since| since.as_secs() < 253_402_300_800).map(|since| UNIX_EPOCH + since);
    time.map_or_else(
        || format!("{seconds}s from 1970"),
        |time| humantime::format_rfc3339_seconds(time).to_string(),
    )
}

fn names(certificate: &Certificate) -> String {
    if certificate.names.is_empty() { "none".to_owned() } else { certificate.names.join(", ") }
}

/// One row a node, since the listeners' clusters differ in their nodes.
fn name_rows(survey: &Survey) -> Vec<Vec<String>> {
    let mut rows =
        vec![["LISTENER", "PUBLIC NAME", "CLUSTER", "NODE", "COVERED"].map(str::to_owned).to_vec()];
    for name in &survey.public_names {
        let Some(cluster) = survey.clusters.get(name.cluster) else { continue };
        for (node, shown) in cluster.nodes.iter().zip(&name.shown) {
            let covered = match shown {
                Ok(shown) if shown.covers => "yes",
                Ok(_) => "no",
                Err(_) => "?",
            };
            let row = [&*name.listener, name.name.as_str(), &*cluster.name, &*node.name, covered];
            rows.push(row.map(str::to_owned).to_vec());
        }
    }
    rows
}

/// What is wrong (errors) or will be (warnings), in the order in which it was found.
struct Problems {
    now: i64,
    errors: Vec<String>,
    warnings: Vec<String>,
}

impl Problems {
    fn of_cluster(&mut self, cluster: &ClusterSurvey) {
        for node in &cluster.nodes {
            self.of_node(cluster, node);
        }
        let leads = |node: &&NodeSurvey| node.answer.verdict == Verdict::Leader;
        let leaders: Vec<&str> = cluster.nodes.iter().filter(leads).map(|node| &*node.name).collect();
        match leaders.as_slice() {
            [_] => {}
            [] => self.errors.push(format!(
                "{}: no node says that it leads, so that clients would be held; \
                 if this stays so, look at the nodes' own logs, and at probe.path and probe.leader",
                cluster.name
            )),
            several => self.errors.push(format!(
                "{}: {} nodes say that they lead ({}); if this stays so, check probe.path and probe.leader, and that \
                 these nodes are one raft cluster",
                cluster.name,
                several.len(),
                several.join(", ")
            )),
        }
    }

    fn of_node(&mut self, cluster: &ClusterSurvey, node: &NodeSurvey) {
        let who = format!("{}/{}", cluster.name, node.name);
        let answer = &node.answer;
        if matches!(answer.verdict, Verdict::Unfit { .. } | Verdict::Unreachable { .. }) {
            self.errors.push(format!("{who}: {}", answer.detail));
        }
        if let Some(why) = &node.not_serving {
            self.errors.push(format!("{who}: clients cannot be sent there: {why}"));
        }
        if !node.others.is_empty() {
            let others = node.others.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            self.warnings.push(format!(
                "{who}: its name stands for {others}, too, of which none is asked while this one answers; if these are \
                 other nodes, give each a name or an address of its own"
            ));
        }
        let rejected = answer.verdict == Verdict::Unreachable { failure: ProbeFailure::Certificate };
        if let Some(certificate) = &answer.certificate
            // What was rejected has been said.
            && !(rejected && certificate.not_after < self.now)
        {
            self.of_expiry(&who, "its certificate", certificate.not_after);
            for related in &certificate.related {
                self.of_expiry(&who, &related_words(related), related.not_after);
            }
        }
    }

    /// An OpenZiti controller signs enrollment tokens with the key that it shows for the public name.
    fn of_enrollment(&mut self, name: &PublicName, cluster: &ClusterSurvey) {
        let keys = nodes_by_key(name, cluster);
        if keys.len() > 1 {
            let nodes: Vec<String> = keys.iter().map(|(_, nodes)| nodes.join(" and ")).collect();
            self.warnings.push(format!(
                "{}: the controllers show different keys for {} (listener {}): {}; an enrollment token is signed with that \
                 key, so that it fails once another controller leads; give all of them one certificate and key for this name, \
                 as identity.alt_server_certs",
                cluster.name,
                name.name,
                name.listener,
                nodes.join(", another ")
            ));
        }
    }

    fn of_expiry(&mut self, who: &str, what: &str, not_after: i64) {
        let left = not_after.saturating_sub(self.now);
        let when = date(not_after);
        if left < 0 {
            self.errors.push(format!("{who}: {what} expired at {when}; renew it"));
        } else if left < SOON {
            self.warnings.push(format!("{who}: {what} expires in {}, at {when}; renew it", days(left)));
        }
    }

    fn of_public_name(&mut self, name: &PublicName, cluster: &ClusterSurvey) {
        if cluster.preset == Preset::OpenZiti {
            self.of_enrollment(name, cluster);
        }
        for (node, shown) in cluster.nodes.iter().zip(&name.shown) {
            let who = format!("{}/{}", cluster.name, node.name);
            match shown {
                Err(_) if is_silent(node) => {}
                Err(why) => self.errors.push(format!(
                    "{who}: shows no certificate to clients of {} (listener {}): {why}",
                    name.name, name.listener
                )),
                Ok(shown) => {
                    if !shown.covers {
                        self.errors.push(format!(
                            "{who}: its certificate does not cover {} (listener {}), it is for {}: clients would \
                             refuse it once this node leads; issue it with this name",
                            name.name,
                            name.listener,
                            names(&shown.certificate)
                        ));
                    }
                    if !node.answer.certificate.as_ref().is_some_and(|own| is_same(own, &shown.certificate)) {
                        let what = format!("its certificate for {}", name.name);
                        self.of_expiry(&who, &what, shown.certificate.not_after);
                    }
                }
            }
        }
    }
}

fn is_same(one: &Certificate, other: &Certificate) -> bool {
    (&one.names, one.not_after) == (&other.names, other.not_after)
}

/// What a certificate beside the node's own is to the node.
fn related_words(related: &RelatedCertificate) -> String {
    let name = &related.name;
    match related.kind {
        CertificateKind::Leaf => "its certificate".to_owned(),
        CertificateKind::Intermediate => format!("the certificate of its authority \"{name}\""),
        CertificateKind::Root => format!(
            "the trusted certificate \"{name}\" that vouches for it, by which clients refuse the node once it has expired,"
        ),
        CertificateKind::Client => format!("raftgate's client certificate \"{name}\""),
    }
}

/// The nodes that show a key for a name, by their keys.
fn nodes_by_key<'s>(name: &PublicName, cluster: &'s ClusterSurvey) -> Vec<(Pin, Vec<&'s str>)> {
    let mut keys: Vec<(Pin, Vec<&str>)> = Vec::new();
    for (node, shown) in cluster.nodes.iter().zip(&name.shown) {
        // A certificate that does not cover the name is an error of its own.
        let covering = shown.as_ref().ok().filter(|shown| shown.covers);
        let Some(key) = covering.and_then(|shown| shown.key) else { continue };
        match keys.iter_mut().find(|(known, _)| *known == key) {
            Some((_, nodes)) => nodes.push(&node.name),
            None => keys.push((key, vec![&node.name])),
        }
    }
    keys
}

/// Nothing came back from it, which has been said.
fn is_silent(node: &NodeSurvey) -> bool {
    use ProbeFailure::{Dns, Refused, Timeout};
    matches!(node.answer.verdict, Verdict::Unreachable { failure: Refused | Timeout | Dns })
}
