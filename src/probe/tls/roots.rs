//! The certificates that are trusted, and the paths that lead to them.

use aws_lc_rs::digest::{Context, Digest, SHA256, digest};
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::refusal::{constraints_not_processed, subject};
use crate::intent::{CertificateKind, RelatedCertificate};

/// All trusted certificates of one source.
#[derive(Debug, Default)]
pub(super) struct TrustStore {
    anchors: Vec<TrustAnchor<'static>>,
    /// In the order of the anchors.
    facts: Vec<Facts>,
}

/// What an anchor does not tell of its certificate.
#[derive(Debug)]
struct Facts {
    /// Of the whole certificate.
    digest: Digest,
    /// `None` if only the strict parser can read it.
    shown: Option<RelatedCertificate>,
    /// The kinds of its name constraints that no path can be verified against.
    not_processed: Vec<&'static str>,
}

impl TrustStore {
    /// Trusts one more certificate.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn add(&mut self, certificate: &CertificateDer<'_>) -> Result<(), webpki::Error> {
        let anchor = webpki::anchor_from_trusted_cert(certificate)?.to_owned();
        let parsed = X509Certificate::from_der(certificate).ok().map(|(_, parsed)| parsed);
        self.facts.push(Facts {
            digest: digest(&SHA256, certificate),
            shown: parsed.as_ref().map(|parsed| related(CertificateKind::Root, parsed)),
            not_processed: parsed.as_ref().map(constraints_not_processed).unwrap_or_default(),
        });
        self.anchors.push(anchor);
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn len(&self) -> usize {
        self.anchors.len()
    }

    /// Of all of every certificate: names, keys, dates and constraints.
    pub(super) fn fingerprint(&self) -> Digest {
        let mut fingerprint = Context::new(&SHA256);
        self.facts.iter().for_each(|facts| fingerprint.update(facts.digest.as_ref()));
        fingerprint.finish()
    }

    /// Whether this very certificate is trusted, byte for byte.
    pub(super) fn has(&self, certificate: &CertificateDer<'_>) -> bool {
        let wanted = digest(&SHA256, certificate);
        self.facts.iter().any(|facts| facts.digest.as_ref() == wanted.as_ref())
    }

    /// The certificates above this one, on a path that ends with a trusted one.
    pub(super) fn path(
        &self,
        leaf: &CertificateDer<'_>,
        presented: &[CertificateDer<'_>],
        now: UnixTime,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> Result<Vec<RelatedCertificate>, webpki::Error> {
        let leaf = EndEntityCert::try_from(leaf)?;
        let usage = KeyUsage::server_auth();
        let path = leaf.verify_for_usage(algorithms, &self.anchors, presented, now, usage, None, None)?;
        let between =
            path.intermediate_certificates().filter_map(|certificate| intermediate(&certificate.der()));
        let root = self.anchors.iter().position(|anchor| std::ptr::eq(anchor, path.anchor()));
        let root = root.and_then(|place| self.facts.get(place)?.shown.clone());
        Ok(between.chain(root).collect())
    }

    /// The kinds of name constraints, of trusted certificates with this subject, that no path can be verified against.
    pub(super) fn not_processed(&self, subject: &[u8]) -> Vec<&'static str> {
        let anchors = self.anchors.iter().zip(&self.facts);
        let named = anchors.filter(|(anchor, _)| is_content_of(anchor.subject.as_ref(), subject));
        named.flat_map(|(_, facts)| facts.not_processed.iter().copied()).collect()
    }

    /// The trusted certificates that have expired, by their subjects.
    pub(super) fn expired(&self, now: UnixTime) -> Vec<&RelatedCertificate> {
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let shown = self.facts.iter().filter_map(|facts| facts.shown.as_ref());
        shown.filter(|root| root.not_after < now).collect()
    }
}

/// Whether this is what stands in that element of DER, behind its tag and length.
fn is_content_of(content: &[u8], element: &[u8]) -> bool {
    element.ends_with(content) && element.len() <= content.len() + 6
}

/// The part of a certificate that is shown, between a node's own and a trusted one.
pub(super) fn intermediate(certificate: &CertificateDer<'_>) -> Option<RelatedCertificate> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(related(CertificateKind::Intermediate, &parsed))
}

pub(super) fn related(kind: CertificateKind, certificate: &X509Certificate<'_>) -> RelatedCertificate {
    let not_after = certificate.validity().not_after.timestamp();
    RelatedCertificate { kind, name: subject(certificate), not_after }
}
