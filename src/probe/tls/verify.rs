//! The verifier of node certificates. In every mode it verifies the handshake's signature: without that, a copied
//! certificate would do.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};

use super::refusal::Presented;
use super::roots::{TrustStore, intermediate};
use super::signature::{Keys, Version};
use super::spiffe::{self, SpiffeId, SpiffeRejection, TrustDomain};
use super::{Leaf, Pin};
use crate::intent::RelatedCertificate;

/// What makes a certificate acceptable, whoever of the cluster presents it.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) trust: Trust,
    /// Looked at where a chain vouches for the certificate.
    pub(super) trust_domain: Option<TrustDomain>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

/// What vouches for a certificate; see [`Verify`](super::Verify).
#[derive(Debug)]
pub(super) enum Trust {
    ChainAndName(TrustStore),
    Chain(TrustStore),
    Pins(Vec<Pin>),
    Anybody,
}

/// Why a certificate is not acceptable, where rustls has no word for it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::probe) enum Rejection {
    #[error("the node's key is none of probe.tls.pins; if it is the right one, add \"{seen}\" to them")]
    Pin { seen: Pin },
    #[error("what the node presented is not a certificate")]
    NoCertificate,
    /// No chain vouches for it; in words.
    #[error("{0}")]
    Chain(String),
    #[error(
        "the node's key is RSA of {bits} bits, and its signature cannot be verified{}; give the node a key of 2048 \
         bits or more", if *.by_key_alone { " over TLS 1.3, or as RSA-PSS" } else { " with less than 2048" }
    )]
    ShortKey { bits: usize, by_key_alone: bool },
    #[error(transparent)]
    Spiffe(#[from] SpiffeRejection),
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(rejection))))
    }
}

/// Judges one connection's node, and notes what it presents, so that a rejection can say what was wrong with it.
#[derive(Debug)]
pub(super) struct Judge {
    pub(super) rules: Arc<Rules>,
    pub(super) spiffe_id: Option<SpiffeId>,
    pub(super) seen: Arc<Seen>,
}

/// What one connection's node presented.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) leaf: OnceLock<Leaf>,
    /// The certificates that vouch for the leaf.
    pub(super) above: OnceLock<Vec<RelatedCertificate>>,
}

impl Judge {
    /// One that expects no node in particular.
    pub(super) fn of_anybody(rules: &Arc<Rules>) -> Self {
        Judge { rules: Arc::clone(rules), spiffe_id: None, seen: Arc::default() }
    }

    fn check_spiffe(&self, leaf: Option<&Leaf>) -> Result<(), Error> {
        let (domain, id) = (self.rules.trust_domain.as_ref(), self.spiffe_id.as_ref());
        if domain.is_none() && id.is_none() {
            return Ok(());
        }
        let leaf = leaf.ok_or(Rejection::NoCertificate)?;
        spiffe::check(&leaf.uris, domain, id).map_err(|rejection| Rejection::from(rejection).into())
    }

    /// Which certificates vouch for the leaf: those above it up to a trusted one, or itself if it is a trusted one.
    fn path(
        &self,
        presented: Presented<'_>,
        leaf: Option<&Leaf>,
        now: UnixTime,
    ) -> Result<Vec<RelatedCertificate>, Error> {
        let Presented { leaf: der, above, trusted } = presented;
        if trusted.has(der) {
            let leaf = leaf.ok_or(Rejection::NoCertificate)?;
            return leaf.check_alone(now).map(|()| Vec::new());
        }
        let algorithms = self.rules.algorithms.all;
        trusted.path(der, above, now, algorithms).map_err(|error| presented.refusal(&error))
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let leaf = Leaf::parse(end_entity);
        if let Some(leaf) = &leaf {
            let _ = self.seen.leaf.set(leaf.clone());
        }
        let leaf = leaf.as_ref();
        let presented = |trusted| Presented { leaf: end_entity, above: intermediates, trusted };
        let above = match &self.rules.trust {
            Trust::ChainAndName(trusted) => {
                let above = self.path(presented(trusted), leaf, now)?;
                check_name(end_entity, leaf, server_name)?;
                self.check_spiffe(leaf)?;
                above
            }
            Trust::Chain(trusted) => {
                let above = self.path(presented(trusted), leaf, now)?;
                self.check_spiffe(leaf)?;
                above
            }
            Trust::Pins(pins) => {
                let seen = Pin::of(end_entity).ok_or(Rejection::NoCertificate)?;
                if !pins.contains(&seen) {
                    return Err(Rejection::Pin { seen }.into());
                }
                intermediates.iter().filter_map(intermediate).collect()
            }
            Trust::Anybody => intermediates.iter().filter_map(intermediate).collect(),
        };
        let _ = self.seen.above.set(above);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.rules.keys().verify(Version::Tls12, message, cert, dss, &self.rules.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.rules.keys().verify(Version::Tls13, message, cert, dss, &self.rules.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.rules.keys().schemes(&self.rules.algorithms)
    }
}

impl Rules {
    fn keys(&self) -> Keys {
        match self.trust {
            Trust::ChainAndName(_) | Trust::Chain(_) => Keys::Current,
            Trust::Pins(_) | Trust::Anybody => Keys::All,
        }
    }
}

/// Whether the certificate is for this name. Common names do not count.
fn check_name(
    certificate: &CertificateDer<'_>,
    leaf: Option<&Leaf>,
    name: &ServerName<'_>,
) -> Result<(), Error> {
    if leaf.is_some_and(|leaf| !leaf.has_alternative_names) {
        return Err(CertificateError::NotValidForName.into());
    }
    let parsed = ParsedCertificate::try_from(certificate).map_err(|_| {
        let words = "the node's certificate breaks a rule of RFC 5280, so that its names cannot be read";
        Error::from(Rejection::Chain(words.to_owned()))
    })?;
    verify_server_name(&parsed, name)
}
