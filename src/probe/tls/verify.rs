//! The verifier of node certificates. In every mode it verifies the handshake's signature: without that, a copied
//! certificate would do.

use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};

use super::spiffe::{self, SpiffeId, SpiffeRejection, TrustDomain};
use super::{Leaf, Pin};

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
    ChainAndName(Arc<WebPkiServerVerifier>),
    Chain(Arc<WebPkiServerVerifier>),
    Pins(Vec<Pin>),
    Anybody,
}

/// Why a certificate is not acceptable, where webpki has no word for it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::probe) enum Rejection {
    #[error("the node's key is none of probe.tls.pins; if it is the right one, add \"{seen}\" to them")]
    Pin { seen: Pin },
    #[error("what the node presented is not a certificate")]
    NoCertificate,
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
    pub(super) presented: Arc<OnceLock<Leaf>>,
}

impl Judge {
    /// One that expects no node in particular.
    pub(super) fn of_anybody(rules: &Arc<Rules>) -> Self {
        Judge { rules: Arc::clone(rules), spiffe_id: None, presented: Arc::default() }
    }

    fn check_spiffe(&self, leaf: Option<&Leaf>) -> Result<(), Error> {
        let (domain, id) = (self.rules.trust_domain.as_ref(), self.spiffe_id.as_ref());
        if domain.is_none() && id.is_none() {
            return Ok(());
        }
        let leaf = leaf.ok_or(Rejection::NoCertificate)?;
        spiffe::check(&leaf.uris, domain, id).map_err(|rejection| Rejection::from(rejection).into())
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let leaf = Leaf::parse(end_entity);
        if let Some(leaf) = &leaf {
            let _ = self.presented.set(leaf.clone());
        }
        let verify = |webpki: &WebPkiServerVerifier| {
            webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        };
        match &self.rules.trust {
            Trust::ChainAndName(webpki) => {
                verify(webpki)?;
                self.check_spiffe(leaf.as_ref())?;
            }
            Trust::Chain(webpki) => {
                verify(webpki).map(|_| ()).or_else(forgive_name)?;
                self.check_spiffe(leaf.as_ref())?;
            }
            Trust::Pins(pins) => {
                let seen = Pin::of(end_entity)?;
                if !pins.contains(&seen) {
                    return Err(Rejection::Pin { seen }.into());
                }
            }
            Trust::Anybody => {}
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.rules.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.rules.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.rules.algorithms.supported_schemes()
    }
}

/// The name is what webpki checks last: the chain and its validity were found good before.
fn forgive_name(error: Error) -> Result<(), Error> {
    match error {
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => Ok(()),
        other => Err(other),
    }
}
