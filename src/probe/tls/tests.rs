//! Handshakes with nodes of every kind, by every mode of verification.

use rustls::HandshakeKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::failure::Failure;
use super::super::testing::{Authority, Happened, Identity, Node, Step, patiently};
use super::*;
use crate::leader::ProbeFailure;

const MODES: [Verify; 3] = [Verify::Full, Verify::Chain, Verify::None];

/// Shakes hands once with a node of this identity; the failure's kind and words if that fails.
async fn shake(settings: &TlsSettings, server: Arc<rustls::ServerConfig>) -> Result<Leaf, Failure> {
    let node = Node::start(move |_| (Some(Arc::clone(&server)), vec![Step::Listen])).await;
    let name = ServerName::try_from(settings.server_name.clone()).unwrap();
    let stream = TcpStream::connect(node.address).await.unwrap();
    let handshake = Connector::new(settings).unwrap();
    let (result, leaf) = patiently("handshake", handshake.handshake(&name, stream)).await;
    match result {
        Ok(_) => Ok(leaf.unwrap()),
        Err(error) => Err(Failure::handshake(&error, leaf.as_ref(), &name)),
    }
}

#[track_caller]
fn assert_rejected(result: Result<Leaf, Failure>, words: &[&str]) {
    let failure = result.unwrap_err();
    assert_eq!(failure.kind, ProbeFailure::Certificate, "{}", failure.detail);
    for words in words {
        assert!(failure.detail.contains(words), "{words} in: {}", failure.detail);
    }
}

#[tokio::test]
async fn l6_every_mode_accepts_the_right_node() {
    let authority = Authority::new("root");
    for verify in MODES {
        shake(&authority.trusted(verify, "n1"), authority.identity("n1").server()).await.unwrap();
    }
}

#[tokio::test]
async fn l6_only_full_rejects_a_wrong_name_and_says_which_there_are() {
    let authority = Authority::new("root");
    let shake_as =
        async |verify| shake(&authority.trusted(verify, "n1"), authority.identity("n2").server()).await;
    assert_rejected(shake_as(Verify::Full).await, &["is for n2, not for n1", "server_name"]);
    shake_as(Verify::Chain).await.unwrap();
    shake_as(Verify::None).await.unwrap();
}

#[tokio::test]
async fn l6_full_and_chain_reject_an_unknown_issuer_and_name_it() {
    let (ours, other) = (Authority::new("our root"), Authority::new("their root"));
    for verify in [Verify::Full, Verify::Chain] {
        let result = shake(&ours.trusted(verify, "n1"), other.identity("n1").server()).await;
        assert_rejected(result, &["their root", "not trusted", "ca_file"]);
    }
    shake(&ours.trusted(Verify::None, "n1"), other.identity("n1").server()).await.unwrap();
}

#[tokio::test]
async fn l6_full_and_chain_reject_an_expired_certificate_and_say_since_when() {
    let authority = Authority::new("root");
    // Under a wrong name as well: `chain` must not forgive the date along with the name.
    for (verify, name) in [(Verify::Full, "n1"), (Verify::Chain, "n1"), (Verify::Chain, "n2")] {
        let result = shake(&authority.trusted(verify, name), authority.expired_identity("n1").server()).await;
        assert_rejected(result, &["expired at 2001-02-03T00:00:00Z"]);
    }
    shake(&authority.trusted(Verify::None, "n1"), authority.expired_identity("n1").server()).await.unwrap();
}

#[tokio::test]
async fn l6_no_mode_accepts_a_certificate_without_its_key() {
    let authority = Authority::new("root");
    for verify in MODES {
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let impostor = authority.identity("n1").stolen_by(authority.identity("n1"));
            let server = impostor.server_with(&[version], &[]);
            let result = shake(&authority.trusted(verify, "n1"), server).await;
            assert_rejected(result, &["does not prove"]);
        }
    }
}

#[tokio::test]
async fn http11_is_the_only_protocol_offered() {
    let authority = Authority::new("root");
    let settings = authority.trusted(Verify::Full, "n1");
    let with_alpn = |alpn| authority.identity("n1").server_with(rustls::DEFAULT_VERSIONS, alpn);
    shake(&settings, with_alpn(&["h2", "http/1.1"])).await.unwrap();
    shake(&settings, with_alpn(&[])).await.unwrap();
    let failure = shake(&settings, with_alpn(&["h2", "ziti-ctrl"])).await.unwrap_err();
    assert_eq!(failure.kind, ProbeFailure::Tls);
    assert!(failure.detail.contains("http/1.1"), "{}", failure.detail);
}

#[tokio::test]
async fn l6_sessions_are_never_resumed() {
    let authority = Authority::new("root");
    let server = authority.identity("n1").server();
    let node = Node::start(move |_| (Some(Arc::clone(&server)), vec![Step::AnswerAll("+")])).await;
    let connector = Connector::new(&authority.trusted(Verify::Full, "n1")).unwrap();
    let name = ServerName::try_from("n1").unwrap();
    for _ in 0..2 {
        let stream = TcpStream::connect(node.address).await.unwrap();
        let mut stream = connector.handshake(&name, stream).await.0.unwrap();
        // The tickets come with the first bytes after the handshake.
        stream.write_all(b"\r\n\r\n").await.unwrap();
        assert_eq!(patiently("answer", stream.read_u8()).await.unwrap(), b'+');
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
    }
    node.until(Happened::Asked(1)).await;
}

#[test]
fn a_leaf_is_shown_with_its_names_its_end_and_its_issuer() {
    let authority = Authority::new("root");
    let leaf = |identity: Identity| Leaf::parse(&identity.certificate).unwrap();
    let spiffe = leaf(authority.spiffe_identity("ctrl1.example", "spiffe://domain/controller/ctrl1"));
    assert_eq!(
        spiffe.certificate.names,
        ["ctrl1.example", "127.0.0.1", "::1", "spiffe://domain/controller/ctrl1"]
    );
    assert_eq!(spiffe.certificate.not_after, 4_102_444_800);
    assert!(spiffe.issuer.contains("CN=root"), "{}", spiffe.issuer);
    assert_eq!(leaf(authority.unnamed_identity("old style")).certificate.names, ["old style"]);
    assert_eq!(Leaf::parse(&CertificateDer::from(vec![1, 2, 3])), None);
}

fn setup_error(content: Option<&[u8]>) -> (String, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    if let Some(content) = content {
        std::fs::write(&path, content).unwrap();
    }
    let settings =
        TlsSettings { verify: Verify::Full, roots: Roots::File(path.clone()), server_name: "n1".into() };
    (Connector::new(&settings).unwrap_err().to_string(), path.display().to_string())
}

#[test]
fn a_ca_file_that_cannot_be_used_is_an_error_that_names_it() {
    // A private key: a frequent mix-up.
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let cases: [(Option<&[u8]>, &str); 6] = [
        (None, "cannot read the CA file"),
        (Some(b""), "has no certificate in it"),
        (Some(b"\x30\x82\x01\x00 DER"), "has no certificate in it"),
        (Some(key.as_bytes()), "has no certificate in it"),
        (Some(b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"), "is not valid PEM"),
        (
            Some(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "can be used: certificate 1",
        ),
    ];
    for (content, words) in cases {
        let (error, path) = setup_error(content);
        assert!(error.contains(words) && error.contains(&path), "{words} in: {error}");
    }
}

#[tokio::test]
async fn a_ca_file_may_be_a_bundle() {
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let mut bundle = tempfile::NamedTempFile::new().unwrap();
    for authority in [&first, &second] {
        let Roots::File(path) = authority.trusted(Verify::Full, "n1").roots else { unreachable!() };
        std::io::Write::write_all(&mut bundle, &std::fs::read(path).unwrap()).unwrap();
    }
    let roots = Roots::File(bundle.path().to_owned());
    let settings = TlsSettings { verify: Verify::Full, roots, server_name: "n1".into() };
    shake(&settings, first.identity("n1").server()).await.unwrap();
    shake(&settings, second.identity("n1").server()).await.unwrap();
}

#[test]
fn without_verification_no_roots_are_needed() {
    let roots = Roots::File("/nonexistent/ca.pem".into());
    Connector::new(&TlsSettings { verify: Verify::None, roots, server_name: "n1".into() }).unwrap();
}
