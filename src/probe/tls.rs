//! How the gate makes sure whom it talks to: the TLS client of one cluster's probes.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use ::aws_lc_rs::digest::{Context, Digest, SHA256};
use rustls::client::{Resumption, WantsClientCert};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ConfigBuilder};
use tokio_rustls::client::TlsStream;

use super::dial::Stream;
use super::settings::{ClientFiles, Roots, TlsSettings, Verify};

#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod group;
mod leaf;
mod load;
mod pin;
mod refusal;
mod roots;
mod signature;
mod spiffe;
#[cfg(test)]
mod tests;
mod verify;

pub(super) use leaf::Leaf;
pub use load::{ClientPart, TlsSetupError};
pub use pin::{Pin, PinError};
pub use spiffe::{SpiffeError, SpiffeId, TrustDomain};
pub(super) use verify::Rejection;

use crate::intent::{CertificateKind, RelatedCertificate};
use roots::TrustStore;
use verify::{Judge, Rules, Seen, Trust};

/// The only protocol offered: nodes multiplex by ALPN, and the leader endpoint is plain HTTP/1.1.
const ALPN: &[u8] = b"http/1.1";

/// Makes TLS connections to a cluster's nodes; cheap to clone. Whom to trust and how much to verify are the
/// same for all of them; whom to find is each node's own ([`Peer`]).
#[derive(Clone, Debug)]
pub struct Connector {
    config: Arc<ClientConfig>,
    rules: Arc<Rules>,
    verify: Verify,
    /// The gate's own certificates.
    client: Arc<[RelatedCertificate]>,
    /// What was read, with the file that it was read from; `None` is the system's store.
    sources: Arc<[(Option<PathBuf>, Digest)]>,
}

/// Whom a connection should lead to.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// Sent as SNI; verified with [`Verify::Full`].
    pub(super) name: ServerName<'static>,
    /// Verified with [`Verify::Full`] and [`Verify::Chain`].
    pub(super) spiffe_id: Option<SpiffeId>,
}

impl Connector {
    /// Reads the files that the settings name and sets up verification. They are read here and not again.
    ///
    /// # Errors
    /// If the trusted certificates or the client certificate cannot be used.
    pub fn new(settings: &TlsSettings) -> Result<Self, TlsSetupError> {
        let provider = Arc::new(group::provider());
        let mut sources = Vec::new();
        let rules = Arc::new(rules(settings, &provider, &mut sources)?);
        let builder = builder(Arc::clone(&provider), &rules);
        let mut client = Vec::new();
        let mut config = match &settings.client {
            None => builder.with_no_client_auth(),
            Some(files) => {
                let identity = load::client_identity(files, &provider)?;
                // The key belongs to the first of them.
                let mut fingerprint = Context::new(&SHA256);
                identity.cert.iter().for_each(|certificate| fingerprint.update(certificate));
                sources.push((Some(files.certificate.clone()), fingerprint.finish()));
                client.extend(identity.cert.iter().filter_map(roots::intermediate));
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity)))
            }
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        // A resumed session would not show the node's certificate (L6).
        config.resumption = Resumption::disabled();
        for certificate in &mut client {
            certificate.kind = CertificateKind::Client;
        }
        Ok(Connector {
            config: Arc::new(config),
            rules,
            verify: settings.verify,
            client: client.into(),
            sources: sources.into(),
        })
    }

    /// Whether the files that the other one was made from held the same: of two that were made from the same settings
    /// this tells whether it matters which is used.
    pub fn has_read_the_same(&self, other: &Connector) -> bool {
        let digests = |connector: &Connector| -> Vec<Vec<u8>> {
            connector.sources.iter().map(|(_, digest)| digest.as_ref().to_vec()).collect()
        };
        digests(self) == digests(other)
    }

    /// The files that hold other certificates than when `before` was made from them; where it was the system's store,
    /// that is said instead.
    pub fn changed_files(&self, before: &Connector) -> Vec<String> {
        let has_changed = |(file, digest): &&(Option<PathBuf>, Digest)| {
            let mut sources = before.sources.iter();
            sources.any(|(known, was)| known == file && was.as_ref() != digest.as_ref())
        };
        let changed = self.sources.iter().filter(has_changed);
        let shown = |file: &Option<PathBuf>| {
            file.as_ref().map_or_else(|| "the system's store".to_owned(), |file| file.display().to_string())
        };
        changed.map(|(file, _)| shown(file)).collect()
    }

    /// One that accepts anybody and offers no protocol: what it is shown is what a client is shown.
    pub(super) fn onlooker() -> Self {
        let provider = Arc::new(group::provider());
        let algorithms = provider.signature_verification_algorithms;
        let rules = Arc::new(Rules { trust: Trust::Anybody, trust_domain: None, algorithms });
        let mut config = builder(provider, &rules).with_no_client_auth();
        config.resumption = Resumption::disabled();
        Connector {
            config: Arc::new(config),
            rules,
            verify: Verify::None,
            client: Arc::default(),
            sources: Arc::default(),
        }
    }

    /// What is verified.
    pub fn verify(&self) -> Verify {
        self.verify
    }

    /// A handshake on an established connection. The leaf is what the node presented, whether or not it was
    /// acceptable.
    pub(super) async fn handshake<S: Stream>(
        &self,
        peer: &Peer,
        stream: S,
    ) -> (Result<TlsStream<S>, io::Error>, Option<Leaf>) {
        let seen = Arc::new(Seen::default());
        // Of its own for each connection, since nodes of one cluster shake hands at the same time. Everything
        // large in the configuration is shared.
        let mut config = ClientConfig::clone(&self.config);
        config.dangerous().set_certificate_verifier(Arc::new(Judge {
            rules: Arc::clone(&self.rules),
            spiffe_id: peer.spiffe_id.clone(),
            seen: Arc::clone(&seen),
        }));
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let result = connector.connect(peer.name.clone(), stream).await;
        let leaf = seen.leaf.get().cloned();
        if result.is_err() {
            return (result, leaf);
        }
        let above = seen.above.get().into_iter().flatten();
        let related = above.chain(&*self.client).cloned().collect();
        (result, leaf.map(|leaf| leaf.accepted(related)))
    }
}

fn builder(
    provider: Arc<CryptoProvider>,
    rules: &Arc<Rules>,
) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has cipher suites for TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Judge::of_anybody(rules)))
}

/// Whether a client certificate can be used: its files are there, and belong together.
///
/// # Errors
/// Which of them cannot, and why.
pub fn check_client_files(files: &ClientFiles) -> Result<(), TlsSetupError> {
    load::client_identity(files, &aws_lc_rs::default_provider()).map(|_| ())
}

fn rules(
    settings: &TlsSettings,
    provider: &Arc<CryptoProvider>,
    sources: &mut Vec<(Option<PathBuf>, Digest)>,
) -> Result<Rules, TlsSetupError> {
    let mut trusted = || -> Result<TrustStore, TlsSetupError> {
        let roots = load::roots(&settings.roots)?;
        let file = match &settings.roots {
            Roots::System => None,
            Roots::File(file) => Some(file.clone()),
        };
        sources.push((file, roots.fingerprint()));
        Ok(roots)
    };
    Ok(Rules {
        trust: match settings.verify {
            Verify::Full => Trust::ChainAndName(trusted()?),
            Verify::Chain => Trust::Chain(trusted()?),
            Verify::Pin => Trust::Pins(settings.pins.clone()),
            Verify::None => Trust::Anybody,
        },
        trust_domain: settings.spiffe_trust_domain.clone(),
        algorithms: provider.signature_verification_algorithms,
    })
}
