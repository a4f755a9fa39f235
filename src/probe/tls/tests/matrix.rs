//! Every mode of verification against every defect of a certificate, by both versions of TLS.

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

use super::*;

const ID: &str = "spiffe://d.org/controller/n1";
const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// The columns: the same in every row.
const MODES: [(&str, Verify, bool); 6] = [
    ("full", Verify::Full, false),
    ("chain", Verify::Chain, false),
    ("pin", Verify::Pin, false),
    ("none", Verify::None, false),
    ("full and SPIFFE", Verify::Full, true),
    ("chain and SPIFFE", Verify::Chain, true),
];

/// What is wrong, who presents it, whether its key is pinned, and what each mode says; "" is acceptance.
type Row = (&'static str, Identity, bool, [&'static [&'static str]; 6]);

const FINE: &[&str] = &[];
const NAME: &[&str] = &["is for n2", "not for n1", "server_name"];
const ISSUER: &[&str] = &["CN=their root", "not trusted", "ca_file"];
const EXPIRED: &[&str] = &["the node's certificate expired at 2001-02-03T00:00:00Z"];
const EXPIRED_ABOVE: &[&str] = &["a certificate above the node's own expired at 2001-02-03T00:00:00Z"];
const FUTURE: &[&str] = &["the node's certificate is not valid before 2999-02-03T00:00:00Z", "clocks"];
const STOLEN: &[&str] = &["does not prove"];
const NO_ID: &[&str] = &["no SPIFFE id", ID];
const OTHER_ID: &[&str] =
    &["is for spiffe://d.org/controller/n2, not for spiffe://d.org/controller/n1", "spiffe_id"];
const OTHER_DOMAIN: &[&str] = &["spiffe://e.org/controller/n1", "trust domain is not d.org"];
const MANY_IDS: &[&str] = &["2 URIs"];
const OTHER_KEY: &[&str] = &["none of probe.tls.pins", "add \"sha256/"];

fn rows(ours: &Authority, theirs: &Authority) -> Vec<Row> {
    let right = |name| ours.identity_with_uris(name, &[ID]);
    let with_uris = |uris: &[&str]| ours.identity_with_uris("n1", uris);
    let chain = |words: &'static [&'static str]| [words, words, FINE, FINE, words, words];
    let spiffe = |words: &'static [&'static str]| [FINE, FINE, FINE, FINE, words, words];
    vec![
        ("nothing", right("n1"), true, [FINE; 6]),
        ("another key", right("n1"), false, [FINE, FINE, OTHER_KEY, FINE, FINE, FINE]),
        ("wrong name", right("n2"), true, [NAME, FINE, FINE, FINE, NAME, FINE]),
        ("unknown issuer", theirs.identity_with_uris("n1", &[ID]), true, chain(ISSUER)),
        ("expired", ours.expired_identity("n1"), true, chain(EXPIRED)),
        // Not forgiven along with the name.
        ("expired, wrong name", ours.expired_identity("n2"), true, chain(EXPIRED)),
        ("expired above", ours.identity_below_expired("n1"), true, chain(EXPIRED_ABOVE)),
        ("not yet valid", ours.future_identity("n1"), true, chain(FUTURE)),
        ("without its key", right("n1").stolen_by(ours.identity("n1")), true, [STOLEN; 6]),
        ("no SPIFFE id", with_uris(&[]), true, spiffe(NO_ID)),
        ("another SPIFFE id", with_uris(&["spiffe://d.org/controller/n2"]), true, spiffe(OTHER_ID)),
        ("another trust domain", with_uris(&["spiffe://e.org/controller/n1"]), true, spiffe(OTHER_DOMAIN)),
        ("two SPIFFE ids", with_uris(&[ID, "spiffe://d.org/x"]), true, spiffe(MANY_IDS)),
    ]
}

/// What a gate of this mode is told; a matching pin stands behind one that does not match.
fn settings(ours: &Authority, verify: Verify, spiffe: bool, pin: Option<Pin>) -> TlsSettings {
    let stranger = Pin::of(&ours.identity("stranger").certificate).unwrap();
    TlsSettings {
        pins: std::iter::once(stranger).chain(pin).collect(),
        spiffe_trust_domain: spiffe.then(|| "d.org".parse().unwrap()),
        spiffe_id: spiffe.then(|| ID.parse().unwrap()),
        ..ours.trusted(verify, "n1")
    }
}

#[tokio::test]
async fn l6_every_mode_rejects_what_it_has_to_and_says_why() {
    let (ours, theirs) = (Authority::new("our root"), Authority::new("their root"));
    for (defect, identity, pinned, expected) in rows(&ours, &theirs) {
        let pin = pinned.then(|| Pin::of(&identity.certificate).unwrap());
        for ((mode, verify, spiffe), words) in MODES.into_iter().zip(expected) {
            for version in VERSIONS {
                let cell = format!("{defect}, by {mode} over {version:?}");
                let server = identity.clone().server_with(&[version], &[]);
                match shake(&settings(&ours, verify, spiffe, pin), server).await {
                    Ok(_) => assert!(words.is_empty(), "accepted: {cell}"),
                    Err(failure) => {
                        assert_eq!(failure.kind, ProbeFailure::Certificate, "{cell}: {}", failure.detail);
                        assert!(!words.is_empty(), "rejected: {cell}: {}", failure.detail);
                        for words in words {
                            assert!(
                                failure.detail.contains(words),
                                "{cell}: no {words} in: {}",
                                failure.detail
                            );
                        }
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_certificate_for_no_host_is_not_told_to_be_for_its_uri() {
    use rcgen::{CertificateParams, SanType};

    let ours = Authority::new("root");
    let mut params = CertificateParams::default();
    params.subject_alt_names.push(SanType::URI(ID.try_into().unwrap()));
    let failure = shake(&ours.trusted(Verify::Full, "n1"), ours.issue(&params).server()).await.unwrap_err();
    assert!(failure.detail.contains("for no host at all; issue it for n1"), "{}", failure.detail);
}

#[tokio::test]
async fn l6_a_trust_domain_alone_takes_every_id_of_it() {
    let ours = Authority::new("root");
    let domain = TlsSettings {
        spiffe_trust_domain: Some("d.org".parse().unwrap()),
        ..ours.trusted(Verify::Full, "n1")
    };
    shake(&domain, ours.identity_with_uris("n1", &["spiffe://d.org/any"]).server()).await.unwrap();
    let failure =
        shake(&domain, ours.identity_with_uris("n1", &["spiffe://e.org/any"]).server()).await.unwrap_err();
    assert!(failure.detail.contains("trust domain is not d.org"), "{}", failure.detail);
}

#[tokio::test]
async fn l6_the_pin_that_is_shown_is_the_one_to_paste() {
    use data_encoding::BASE64;
    use sha2::{Digest, Sha256};
    use x509_parser::prelude::{FromDer, X509Certificate};

    let ours = Authority::new("root");
    let identity = ours.identity("n1");
    let (_, certificate) = X509Certificate::from_der(&identity.certificate).unwrap();
    let pin = format!("sha256/{}", BASE64.encode(&Sha256::digest(certificate.public_key().raw)));
    let failure =
        shake(&settings(&ours, Verify::Pin, false, None), identity.clone().server()).await.unwrap_err();
    assert!(failure.detail.contains(&format!("add \"{pin}\"")), "{}", failure.detail);
    let pinned = settings(&ours, Verify::Pin, false, Some(pin.parse().unwrap()));
    shake(&pinned, identity.server()).await.unwrap();
}
