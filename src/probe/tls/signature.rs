//! The handshake's signature: the proof that a node has the key of the certificate that it presents.
//!
//! Only the public key counts here. A certificate that no chain could vouch for still proves its key.

use aws_lc_rs::signature::{
    RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
    UnparsedPublicKey,
};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, PeerMisbehaved, SignatureScheme};
use webpki::RawPublicKeyEntity;
use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::OID_PKCS1_RSASSAPSS;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::verify::Rejection;

/// The shortest RSA key, in bits, that a chain may vouch for, and that the crypto library verifies with TLS 1.3.
const SHORTEST_RSA: usize = 2048;

/// `rsa_pss_pss_sha256` and its two sisters (RFC 8446, section 4.2.3), with what verifies them: for keys that are
/// marked as RSASSA-PSS keys.
const MARKED_PSS: [(u16, &RsaParameters); 3] = [
    (0x0809, &RSA_PSS_2048_8192_SHA256),
    (0x080a, &RSA_PSS_2048_8192_SHA384),
    (0x080b, &RSA_PSS_2048_8192_SHA512),
];

/// Which keys may prove a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    /// Those that a chain may vouch for.
    Current,
    /// All that the crypto library can verify: the key itself is pinned, or nothing is verified.
    All,
}

/// A version of TLS, by what its signatures mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Tls12,
    Tls13,
}

/// A certificate's public key. Read by the strict parser of chains, else by one that skips what it does not know.
pub(super) fn public_key(certificate: &CertificateDer<'_>) -> Option<SubjectPublicKeyInfoDer<'static>> {
    let strict = || Some(ParsedCertificate::try_from(certificate).ok()?.subject_public_key_info());
    let tolerant = || {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        Some(SubjectPublicKeyInfoDer::from(certificate.public_key().raw.to_vec()))
    };
    strict().or_else(tolerant)
}

impl Keys {
    /// What a node is offered to sign with, in order of preference.
    pub(super) fn schemes(self, algorithms: &WebPkiSupportedAlgorithms) -> Vec<SignatureScheme> {
        let mut schemes = algorithms.supported_schemes();
        if self == Keys::All {
            // A short RSA key can be verified by this one alone, and nodes choose the first that they can use.
            let first = SignatureScheme::RSA_PKCS1_SHA256;
            schemes.sort_by_key(|scheme| *scheme != first);
            schemes.extend(MARKED_PSS.map(|(scheme, _)| SignatureScheme::from(scheme)));
        }
        schemes
    }

    /// Whether the signature over this message was made with the certificate's key.
    ///
    /// # Errors
    /// Why that is not proven.
    pub(super) fn verify(
        self,
        version: Version,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = public_key(certificate).ok_or(Rejection::NoCertificate)?;
        let parsed = SubjectPublicKeyInfo::from_der(&key).ok().map(|(_, parsed)| parsed);
        if let Some(parsed) = &parsed
            && let Some(algorithm) = self.of_rsa(version, signed.scheme, parsed)?
        {
            return UnparsedPublicKey::new(algorithm, &parsed.subject_public_key.data)
                .verify(message, signed.signature())
                .map(|()| HandshakeSignatureValid::assertion())
                .map_err(|_| CertificateError::BadSignature.into());
        }
        match version {
            Version::Tls13 => verify_tls13_signature_with_raw_key(message, &key, signed, algorithms),
            Version::Tls12 => verify_tls12(message, &key, signed, algorithms),
        }
    }

    /// What verifies an RSA key that the usual algorithms do not know.
    fn of_rsa(
        self,
        version: Version,
        scheme: SignatureScheme,
        key: &SubjectPublicKeyInfo<'_>,
    ) -> Result<Option<&'static RsaParameters>, Error> {
        if key.algorithm.algorithm == OID_PKCS1_RSASSAPSS && self == Keys::All {
            let scheme = u16::from(scheme);
            return Ok(MARKED_PSS
                .iter()
                .find(|(marked, _)| *marked == scheme)
                .map(|(_, algorithm)| *algorithm));
        }
        let Ok(PublicKey::RSA(rsa)) = key.parsed() else { return Ok(None) };
        // The modulus is written with a leading zero.
        let bits = rsa.modulus.iter().skip_while(|octet| **octet == 0).count() * 8;
        if bits >= SHORTEST_RSA {
            return Ok(None);
        }
        match (self, version, scheme) {
            (Keys::All, Version::Tls12, SignatureScheme::RSA_PKCS1_SHA256) => {
                Ok(Some(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY))
            }
            (Keys::All, Version::Tls12, SignatureScheme::RSA_PKCS1_SHA512) => {
                Ok(Some(&RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY))
            }
            (keys, ..) => Err(Rejection::ShortKey { bits, by_key_alone: keys == Keys::All }.into()),
        }
    }
}

/// With TLS 1.2 a scheme names a hash, and leaves the curve open: each algorithm with that hash is tried.
fn verify_tls12(
    message: &[u8],
    key: &SubjectPublicKeyInfoDer<'_>,
    signed: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    use webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext as OtherKind;
    let unadvertised = || Error::from(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme);
    let known = algorithms.mapping.iter().find(|(scheme, _)| *scheme == signed.scheme);
    let (_, candidates) = known.ok_or_else(unadvertised)?;
    let key = RawPublicKeyEntity::try_from(key).map_err(|_| Rejection::NoCertificate)?;
    for candidate in *candidates {
        match key.verify_signature(*candidate, message, signed.signature()) {
            Ok(()) => return Ok(HandshakeSignatureValid::assertion()),
            Err(OtherKind(_)) => {}
            Err(_) => return Err(CertificateError::BadSignature.into()),
        }
    }
    Err(CertificateError::BadSignature.into())
}
