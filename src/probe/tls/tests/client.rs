//! The certificate that the gate shows of itself.

use std::path::PathBuf;

use tokio::net::TcpStream;

use super::*;

/// Files of a client certificate; they go with it.
struct Files {
    folder: tempfile::TempDir,
    files: ClientFiles,
}

impl Files {
    fn new(certificate: &str, key: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| -> PathBuf {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let files =
            ClientFiles { certificate: write("client.pem", certificate), key: write("client.key", key) };
        Files { folder, files }
    }

    fn of(identity: &Identity) -> Self {
        Self::new(&pem("CERTIFICATE", &identity.certificate), &pem("PRIVATE KEY", &identity.key))
    }
}

pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let base64 = data_encoding::BASE64.encode(der);
    format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n")
}

/// An exchange's failure, if it fails: over TLS 1.3 a node's objection to a client comes after the handshake.
async fn ask(settings: &TlsSettings, server: Arc<rustls::ServerConfig>) -> Result<(), String> {
    let node = Node::start(move |_| (Some(Arc::clone(&server)), vec![Step::AnswerAll("+")])).await;
    let peer = Peer { name: ServerName::try_from("n1").unwrap(), spiffe_id: None };
    let stream = TcpStream::connect(node.address).await.unwrap();
    let connector = Connector::new(settings).unwrap();
    let (result, leaf) = patiently("handshake", connector.handshake(&peer, stream)).await;
    let answer = async {
        let mut stream = result.map_err(|error| Failure::handshake(&error, leaf.as_ref(), &peer.name))?;
        // The objection may be there before the request has left.
        let _ = stream.write_all(b"\r\n\r\n").await;
        stream.read_u8().await.map_err(|error| Failure::http(&error))
    };
    patiently("answer", answer).await.map(|_| ()).map_err(|failure: Failure| failure.detail)
}

#[tokio::test]
async fn a_node_that_wants_a_client_certificate_gets_it() {
    let (ours, theirs) = (Authority::new("our root"), Authority::new("their root"));
    let with = |client: Option<&Files>| TlsSettings {
        client: client.map(|client| client.files.clone()),
        ..ours.trusted(Verify::Full, "n1")
    };
    let server = || ours.identity("n1").server_for_clients_of(&ours);
    ask(&with(Some(&Files::of(&ours.identity("gate")))), server()).await.unwrap();
    let missing = ask(&with(None), server()).await.unwrap_err();
    assert!(missing.contains("requires a client certificate; set probe.tls.client_cert_file"), "{missing}");
    let stranger = ask(&with(Some(&Files::of(&theirs.identity("gate")))), server()).await.unwrap_err();
    assert!(stranger.contains("does not accept raftgate's client certificate"), "{stranger}");
}

#[test]
fn keys_may_be_pkcs8_pkcs1_or_sec1() {
    for (certificate, key) in [
        (include_str!("keys/rsa.pem"), include_str!("keys/rsa_pkcs1.key")),
        (include_str!("keys/rsa.pem"), include_str!("keys/rsa_pkcs8.key")),
        (include_str!("keys/ec.pem"), include_str!("keys/ec_sec1.key")),
        (include_str!("keys/ec.pem"), include_str!("keys/ec_pkcs8.key")),
    ] {
        check_client_files(&Files::new(certificate, key).files).unwrap();
    }
}

/// A key that is encrypted the older way, as `openssl genrsa -aes256 -traditional` writes one.
const ENCRYPTED: &str = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: \
    AES-256-CBC,7D21C6A2A0F6B1CF4D0C8A4D5A7E8C11\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";

#[test]
fn files_that_cannot_be_used_are_errors_that_name_them() {
    let ours = Authority::new("root");
    let (one, other) = (ours.identity("one"), ours.identity("other"));
    let (certificate, key) = (pem("CERTIFICATE", &one.certificate), pem("PRIVATE KEY", &one.key));
    let other_key = pem("PRIVATE KEY", &other.key);
    for (certificate, key, named, words) in [
        (&*certificate, &*other_key, &["client.pem", "client.key"][..], "is for another key"),
        ("", &*key, &["client.pem"], "has no certificate in it"),
        (&*certificate, "", &["client.key"], "no private key in it that is not encrypted"),
        (&*certificate, &*certificate, &["client.key"], "no private key"),
        (&*key, &*key, &["client.pem"], "has no certificate in it"),
        (&*certificate, &*pem("ENCRYPTED PRIVATE KEY", &one.key), &["client.key"], "openssl pkey"),
        (&*certificate, ENCRYPTED, &["client.key"], "is encrypted, and raftgate cannot ask for a passphrase"),
        (&*certificate, &*pem("PRIVATE KEY", b"no key"), &["client.key"], "cannot be used"),
        (&*pem("CERTIFICATE", b"none"), &*key, &["client.pem"], "cannot be used"),
    ] {
        let files = Files::new(certificate, key);
        let error = check_client_files(&files.files).unwrap_err().to_string();
        assert!(error.contains(words), "{words} in: {error}");
        for name in named {
            let path = files.folder.path().join(name).display().to_string();
            assert!(error.contains(&path), "{path} in: {error}");
        }
    }
    let mut gone = Files::of(&one).files;
    gone.certificate = "/nonexistent/client.pem".into();
    let error = check_client_files(&gone).unwrap_err().to_string();
    assert!(error.contains("cannot read the client certificate /nonexistent/client.pem"), "{error}");
}
