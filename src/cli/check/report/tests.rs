//! Surveys, and what is printed of them.

use std::sync::Arc;

use super::*;
use crate::probe::{Answer, Shown};

/// 2026-11-23T00:00:00Z.
const NOW: i64 = 1_795_392_000;

fn certificate(names: &[&str], days_left: i64) -> Arc<Certificate> {
    let names = names.iter().map(|&name| name.to_owned()).collect();
    Arc::new(Certificate { names, not_after: NOW + days_left * DAY, ..Certificate::default() })
}

fn node(name: &str, verdict: Verdict, detail: &str, certificate: Option<&Arc<Certificate>>) -> NodeSurvey {
    NodeSurvey {
        name: name.into(),
        address: format!("{name}.example.org:1280").parse().unwrap(),
        answer: Answer {
            verdict,
            detail: detail.to_owned(),
            latency: Duration::from_micros(12_345),
            certificate: certificate.cloned(),
        },
        not_serving: None,
        others: Vec::new(),
    }
}

fn unreachable(failure: ProbeFailure) -> Verdict {
    Verdict::Unreachable { failure }
}

fn survey(nodes: Vec<NodeSurvey>, shown: Vec<Result<Shown, String>>) -> Survey {
    let public_names = if shown.is_empty() {
        vec![]
    } else {
        vec![PublicName { listener: "edge".into(), name: "gate.example.org".into(), cluster: 0, shown }]
    };
    Survey {
        clusters: vec![ClusterSurvey { name: "ctrl".into(), preset: Preset::None, nodes }],
        public_names,
    }
}

fn shown(certificate: &Arc<Certificate>, covers: bool) -> Shown {
    Shown { certificate: Arc::clone(certificate), covers, key: None }
}

#[test]
fn where_nothing_is_wrong_it_says_so() {
    let good = certificate(&["gate.example.org", "n1"], 100);
    let nodes = vec![
        node("n1", Verdict::Leader, "says that it leads (200)", Some(&good)),
        node("node2", Verdict::Follower, "says that it follows (429)", None),
    ];
    let seen = vec![Ok(shown(&good, true)), Ok(shown(&good, true))];
    let report = report(&survey(nodes, seen), NOW);
    assert_eq!(
        report.text,
        "\
CLUSTER  NODE   ADDRESS                 VERDICT   LATENCY  EXPIRES                CERTIFICATE NAMES
ctrl     n1     n1.example.org:1280     leader    12.3ms   2027-03-03 (100 days)  gate.example.org, n1
ctrl     node2  node2.example.org:1280  follower  12.3ms   -                      -

LISTENER  PUBLIC NAME       CLUSTER  NODE   COVERED
edge      gate.example.org  ctrl     n1     yes
edge      gate.example.org  ctrl     node2  yes

nothing is wrong
"
    );
    assert_eq!(report.errors, 0);
}

/// The lines below the tables.
fn problems(survey: &Survey) -> (Vec<String>, usize) {
    let report = report(survey, NOW);
    let below = report.text.rsplit("\n\n").next().unwrap();
    (below.lines().map(str::to_owned).collect(), report.errors)
}

#[test]
fn every_problem_has_its_line_and_counts() {
    let good = certificate(&["n"], 100);
    let expired = certificate(&["n"], -1);
    let leader = || node("n1", Verdict::Leader, "", Some(&good));
    let with = |other: NodeSurvey| survey(vec![leader(), other], vec![]);
    let rejected = unreachable(ProbeFailure::Certificate);
    for (survey, line, errors) in [
        (with(node("n2", unreachable(ProbeFailure::Refused), "down", None)), "error: ctrl/n2: down", 1),
        (with(node("n2", Verdict::Unfit { status: 404 }, "what?", Some(&good))), "error: ctrl/n2: what?", 1),
        (with(node("n2", rejected, "it expired", Some(&expired))), "error: ctrl/n2: it expired", 1),
        // Where the date is not verified, it is looked at nevertheless.
        (
            with(node("n2", Verdict::Follower, "", Some(&expired))),
            "error: ctrl/n2: its certificate expired at 2026-11-22T00:00:00Z; renew it",
            1,
        ),
        (
            with(node("n2", Verdict::Follower, "", Some(&certificate(&["n"], 13)))),
            "warning: ctrl/n2: its certificate expires in 13 days, at 2026-12-06T00:00:00Z; renew it",
            0,
        ),
        (with(node("n2", Verdict::Follower, "", Some(&certificate(&["n"], 14)))), "nothing is wrong", 0),
        (
            with(NodeSurvey {
                not_serving: Some("refused".to_owned()),
                ..node("n2", Verdict::Follower, "", None)
            }),
            "error: ctrl/n2: clients cannot be sent there: refused",
            1,
        ),
        (
            with(NodeSurvey {
                others: vec![([10, 0, 0, 2], 1).into()],
                ..node("n2", Verdict::Follower, "", None)
            }),
            "warning: ctrl/n2: its name stands for 10.0.0.2:1, too",
            0,
        ),
        (with(leader()), "error: ctrl: 2 nodes say that they lead (n1, n1)", 1),
        (
            survey(vec![node("n2", Verdict::Follower, "", None)], vec![]),
            "error: ctrl: no node says that it leads",
            1,
        ),
    ] {
        let (lines, counted) = problems(&survey);
        assert!(lines[0].starts_with(line), "no {line} in {lines:?}");
        assert_eq!(
            (lines.len(), counted),
            (if line == "nothing is wrong" { 1 } else { 2 }, errors),
            "{lines:?}"
        );
    }
}

#[test]
fn public_names_have_their_problems_too() {
    let (good, soon) = (certificate(&["n"], 100), certificate(&["gate.example.org"], 3));
    let with = |verdict, other| {
        survey(
            vec![node("n1", Verdict::Leader, "", Some(&good)), node("n2", verdict, "down", None)],
            vec![Ok(shown(&good, true)), other],
        )
    };
    let lines = |verdict, other| problems(&with(verdict, other)).0;
    let uncovered = lines(Verdict::Follower, Ok(shown(&good, false)));
    assert_eq!(
        uncovered,
        [
            "error: ctrl/n2: its certificate does not cover gate.example.org (listener edge), it is for n: clients \
          would refuse it once this node leads; issue it with this name",
            "1 error, 0 warnings"
        ]
    );
    let unseen = lines(Verdict::Follower, Err("not TLS".into()));
    assert_eq!(
        unseen[0],
        "error: ctrl/n2: shows no certificate to clients of gate.example.org (listener edge): not TLS"
    );
    // That it is down is enough.
    assert_eq!(
        lines(unreachable(ProbeFailure::Refused), Err("refused".into())),
        ["error: ctrl/n2: down", "1 error, 0 warnings"]
    );
    let expiring = lines(Verdict::Follower, Ok(shown(&soon, true)));
    assert!(
        expiring[0].starts_with("warning: ctrl/n2: its certificate for gate.example.org expires in 3 days")
    );
}

#[test]
fn what_nodes_say_cannot_steer_the_terminal() {
    let hostile = certificate(&["\u{1b}[2Jn1\nerror: forged"], 100);
    let nodes = vec![node("n1", Verdict::Leader, "", Some(&hostile))];
    let text = report(&survey(nodes, vec![]), NOW).text;
    assert!(!text.contains('\u{1b}') && !text.contains("\nerror"), "{text}");
}

#[test]
fn any_date_can_be_shown() {
    for seconds in [i64::MIN, -1, 253_402_300_800, i64::MAX] {
        assert!(date(seconds).ends_with("s from 1970"));
    }
    assert_eq!(date(253_402_300_799), "9999-12-31T23:59:59Z");
}

#[test]
fn keys_that_differ_for_one_name_are_a_warning_for_openziti() {
    let good = certificate(&["gate.example.org"], 100);
    let nodes = ["n1", "n2", "n3"].map(|name| node(name, Verdict::Follower, "", Some(&good)));
    let with_key = |letter: &str| {
        let key = letter.repeat(64).parse().unwrap();
        Ok(Shown { key: Some(key), ..shown(&good, true) })
    };
    let report = |preset, keys: [&str; 3]| {
        let mut survey = survey(nodes.to_vec(), keys.map(with_key).to_vec());
        survey.clusters[0].preset = preset;
        report(&survey, NOW).text
    };
    let differing = report(Preset::OpenZiti, ["a", "b", "a"]);
    assert!(
        differing.contains(
            "warning: ctrl: the controllers show different keys for gate.example.org (listener edge): n1 and n3, another \
             n2; an enrollment token is signed with that key"
        ),
        "{differing}"
    );
    assert!(!report(Preset::OpenZiti, ["a", "a", "a"]).contains("different keys"));
    assert!(!report(Preset::Vault, ["a", "b", "c"]).contains("different keys"));
}

#[test]
fn l6_a_related_certificate_that_ends_is_told() {
    let related = |kind, days| RelatedCertificate { kind, name: "it".into(), not_after: NOW + days * DAY };
    let of =
        |related| Certificate { related: vec![related], ..Certificate::clone(&certificate(&["n1"], 100)) };
    for (kind, days, line, expires) in [
        (CertificateKind::Root, -1, "error: ctrl/n1: the trusted certificate \"it\"", "(expired) root"),
        (CertificateKind::Root, 3, "warning: ctrl/n1: the trusted certificate \"it\"", "(3 days) root"),
        (
            CertificateKind::Intermediate,
            3,
            "warning: ctrl/n1: the certificate of its authority \"it\" expires in 3 days",
            "(3 days) intermediate",
        ),
        (
            CertificateKind::Client,
            -1,
            "error: ctrl/n1: raftgate's client certificate \"it\" expired",
            "(expired) client",
        ),
        (CertificateKind::Root, 200, "nothing is wrong", "(100 days)"),
    ] {
        let certificate = Arc::new(of(related(kind, days)));
        let nodes = vec![node("n1", Verdict::Leader, "says that it leads (200)", Some(&certificate))];
        let report = report(&survey(nodes, vec![]), NOW);
        assert!(report.text.contains(line) && report.text.contains(expires), "{}", report.text);
        assert_eq!(report.errors, usize::from(line.starts_with("error")), "{}", report.text);
    }
}
