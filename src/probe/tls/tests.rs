//! Handshakes with nodes of every kind.

mod chains;
mod client;
mod matrix;

use rustls::HandshakeKind;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::failure::Failure;
use super::super::settings::Roots;
use super::super::testing::{Authority, Happened, Identity, Node, Step, patiently};
use super::*;
use crate::leader::ProbeFailure;

/// Shakes hands once with a node of this identity; the failure's kind and words if that fails.
async fn shake(settings: &TlsSettings, server: Arc<rustls::ServerConfig>) -> Result<Leaf, Failure> {
    let node = Node::start(move |_| (Some(Arc::clone(&server)), vec![Step::Listen])).await;
    let name = ServerName::try_from(settings.server_name.clone()).unwrap();
    let peer = Peer { name, spiffe_id: settings.spiffe_id.clone() };
    let stream = TcpStream::connect(node.address).await.unwrap();
    let handshake = Connector::new(settings).unwrap();
    let (result, leaf) = patiently("handshake", handshake.handshake(&peer, stream)).await;
    match result {
        Ok(_) => Ok(leaf.unwrap()),
        Err(error) => Err(Failure::handshake(&error, leaf.as_ref(), &peer.name)),
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
    let peer = Peer { name: ServerName::try_from("n1").unwrap(), spiffe_id: None };
    for _ in 0..2 {
        let stream = TcpStream::connect(node.address).await.unwrap();
        let mut stream = connector.handshake(&peer, stream).await.0.unwrap();
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
    let settings = TlsSettings::new(Verify::Full, Roots::File(path.clone()), "n1");
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
    let settings = TlsSettings::new(Verify::Full, roots, "n1");
    shake(&settings, first.identity("n1").server()).await.unwrap();
    shake(&settings, second.identity("n1").server()).await.unwrap();
}

#[test]
fn without_a_chain_no_roots_are_needed() {
    let roots = Roots::File("/nonexistent/ca.pem".into());
    for verify in [Verify::None, Verify::Pin] {
        Connector::new(&TlsSettings::new(verify, roots.clone(), "n1")).unwrap();
    }
}
