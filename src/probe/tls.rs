//! How the gate makes sure whom it talks to: the TLS client of one cluster's probes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::settings::{Roots, TlsSettings, Verify};

mod leaf;
#[cfg(test)]
mod tests;
mod verify;

pub(super) use leaf::Leaf;

/// The only protocol offered: nodes multiplex by ALPN, and the leader endpoint is plain HTTP/1.1.
const ALPN: &[u8] = b"http/1.1";

/// Makes TLS connections to a cluster's nodes; cheap to clone. Whom to trust and how much to verify are the
/// same for all of them; the name to verify is each node's own.
#[derive(Clone, Debug)]
pub struct Connector {
    config: Arc<ClientConfig>,
    verifier: Arc<dyn ServerCertVerifier>,
    verify: Verify,
}

/// Why TLS cannot be set up as configured.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    /// The CA file cannot be read.
    #[error("cannot read the CA file {}: {source}; it must exist and be readable by raftgate's user", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The CA file has something in it that looks like PEM and is none.
    #[error("the CA file {} is not valid PEM: {reason}", path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The CA file has no certificate in it.
    #[error(
        "the CA file {} has no certificate in it; expected PEM, with lines \"-----BEGIN CERTIFICATE-----\" \
         (a DER file: openssl x509 -inform der -in FILE -out FILE.pem)", path.display()
    )]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The CA file has certificates in it, but none that can be trusted.
    #[error("none of the certificates in the CA file {} can be used: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with the first of them.
        reason: String,
    },
    /// The system's store has no certificates.
    #[error(
        "the system has no trusted certificates ({reason}); install ca-certificates, or set probe.tls.ca_file"
    )]
    NoSystemRoots {
        /// What was found wrong.
        reason: String,
    },
}

impl Connector {
    /// Reads the trusted certificates and sets up verification. The file is read here and not again.
    ///
    /// # Errors
    /// If the trusted certificates cannot be read, or if there are none.
    pub fn new(settings: &TlsSettings) -> Result<Self, TlsSetupError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = verifier(settings, &provider)?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has cipher suites for TLS 1.2 and 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier))
            .with_no_client_auth();
        config.alpn_protocols = vec![ALPN.to_vec()];
        // A resumed session would not show the node's certificate (L6).
        config.resumption = Resumption::disabled();
        Ok(Connector { config: Arc::new(config), verifier, verify: settings.verify })
    }

    /// What is verified.
    pub fn verify(&self) -> Verify {
        self.verify
    }

    /// A handshake on an established connection. The leaf is what the node presented, whether or not it was
    /// acceptable.
    pub(super) async fn handshake(
        &self,
        name: &ServerName<'static>,
        stream: TcpStream,
    ) -> (Result<TlsStream<TcpStream>, io::Error>, Option<Leaf>) {
        let presented = Arc::new(OnceLock::new());
        // Of its own for each connection, since nodes of one cluster shake hands at the same time. Everything
        // large in the configuration is shared.
        let mut config = ClientConfig::clone(&self.config);
        config.dangerous().set_certificate_verifier(Arc::new(verify::Recorder {
            verifier: Arc::clone(&self.verifier),
            presented: Arc::clone(&presented),
        }));
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let result = connector.connect(name.clone(), stream).await;
        (result, presented.get().cloned())
    }
}

fn verifier(
    settings: &TlsSettings,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsSetupError> {
    let algorithms = provider.signature_verification_algorithms;
    if settings.verify == Verify::None {
        return Ok(Arc::new(verify::Anybody { algorithms }));
    }
    let roots = match &settings.roots {
        Roots::System => system_roots()?,
        Roots::File(path) => roots_from_file(path)?,
    };
    let webpki =
        rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .build()
            .expect("there are roots, and no revocation lists that could be malformed");
    Ok(match settings.verify {
        Verify::Chain => Arc::new(verify::AnyName { verifier: webpki }),
        Verify::Full | Verify::None => webpki,
    })
}

fn system_roots() -> Result<RootCertStore, TlsSetupError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        let reason = if errors.is_empty() { "none found".to_owned() } else { errors.join("; ") };
        return Err(TlsSetupError::NoSystemRoots { reason });
    }
    Ok(roots)
}

fn roots_from_file(path: &Path) -> Result<RootCertStore, TlsSetupError> {
    let pem =
        std::fs::read(path).map_err(|source| TlsSetupError::Unreadable { path: path.to_owned(), source })?;
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsSetupError::NotPem { path: path.to_owned(), reason: error.to_string() })?;

    let mut roots = RootCertStore::empty();
    let mut first_rejection = None;
    for (index, certificate) in certificates.into_iter().enumerate() {
        if let Err(error) = roots.add(certificate) {
            let reason = format!("certificate {}: {error}", index + 1);
            tracing::warn!(file = %path.display(), "ignoring a certificate of the CA file: {reason}");
            first_rejection.get_or_insert(reason);
        }
    }
    match first_rejection {
        _ if !roots.is_empty() => Ok(roots),
        Some(reason) => Err(TlsSetupError::Unusable { path: path.to_owned(), reason }),
        None => Err(TlsSetupError::Empty { path: path.to_owned() }),
    }
}
