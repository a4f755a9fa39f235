//! Why no chain vouches for a node, in words that say which certificate it is, what is wrong with it and what to do.

use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, Error};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::Oid;
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Version;

use super::Pin;
use super::roots::TrustStore;
use super::verify::Rejection;

/// The extensions that paths are verified by; any other one must not be marked critical (RFC 5280, section 4.2).
const PROCESSED: [&str; 6] = ["2.5.29.15", "2.5.29.17", "2.5.29.19", "2.5.29.30", "2.5.29.31", "2.5.29.37"];
/// Extensions that are known by a name.
const NAMED: [(&str, &str); 8] = [
    ("2.5.29.18", "issuerAltName"),
    ("2.5.29.32", "certificatePolicies"),
    ("2.5.29.33", "policyMappings"),
    ("2.5.29.36", "policyConstraints"),
    ("2.5.29.54", "inhibitAnyPolicy"),
    ("1.3.6.1.5.5.7.1.3", "qcStatements"),
    ("1.3.6.1.5.5.7.1.24", "tlsFeature"),
    ("2.16.840.1.113730.1.1", "nsCertType"),
];
/// Algorithms of signatures that are too weak, or unknown to the crypto library.
const SIGNED_WITH: [(&str, &str); 5] = [
    ("1.2.840.113549.1.1.4", "MD5"),
    ("1.2.840.113549.1.1.5", "SHA-1"),
    ("1.2.840.10045.4.1", "SHA-1"),
    ("1.3.101.113", "Ed448"),
    ("1.2.840.10040.4.3", "DSA"),
];

/// What a node presented, and what it was verified against.
#[derive(Clone, Copy)]
pub(super) struct Presented<'a> {
    pub(super) leaf: &'a CertificateDer<'a>,
    pub(super) above: &'a [CertificateDer<'a>],
    pub(super) trusted: &'a TrustStore,
}

impl Presented<'_> {
    /// The refusal for what the verifier of paths found wrong.
    pub(super) fn refusal(&self, error: &webpki::Error) -> Error {
        use webpki::Error as E;
        let words = match *error {
            E::CertNotValidYet { time, not_before } => {
                return CertificateError::NotValidYetContext { time, not_before }.into();
            }
            E::CertExpired { time, not_after } => {
                return CertificateError::ExpiredContext { time, not_after }.into();
            }
            E::UnknownIssuer if !self.is_self_signed() => return CertificateError::UnknownIssuer.into(),
            E::UnknownIssuer => self.self_signed(),
            E::CaUsedAsEndEntity if self.is_self_signed() => self.self_signed(),
            E::CaUsedAsEndEntity => self.or_pin(
                "the node's certificate is an authority's (CA:TRUE), which must not stand for a node in a chain; issue \
                 one of its own to the node",
            ),
            E::EndEntityUsedAsCa => self.or_pin(&format!(
                "{} issued a certificate of the node's chain, but is not an authority (basicConstraints without \
                 CA:TRUE); issue the chain again",
                self.found(is_no_authority).unwrap_or("a certificate that".to_owned())
            )),
            E::UnsupportedCertVersion => self.or_pin(&format!(
                "{} is of X.509 version 1 or 2, which raftgate does not verify in a chain; issue it as version 3 (for \
                 `openssl x509 -req`, add -extfile or -copy_extensions)",
                self.found(is_old_version).unwrap_or("a certificate of the node's chain".to_owned())
            )),
            E::UnsupportedCriticalExtension => self.critical_extension(),
            E::NameConstraintViolation => self.name_constraints(),
            E::InvalidNetworkMaskConstraint | E::MalformedNameConstraint => self.or_pin(
                "an authority above the node's certificate has name constraints that cannot be read; issue it again",
            ),
            E::PathLenConstraintViolated => self.or_pin(
                "an authority above the node's certificate has let more authorities follow than it may \
                 (pathLenConstraint); issue the chain again with a shorter one",
            ),
            #[expect(deprecated, reason = "it is still a variant")]
            E::RequiredEkuNotFound | E::RequiredEkuNotFoundContext(_) | E::EmptyEkuExtension => self.or_pin(
                "the node's certificate, or an authority above it, is not for servers (its extendedKeyUsage has no \
                 serverAuth); issue it with that",
            ),
            E::InvalidSignatureForPublicKey => self.signature(),
            #[expect(deprecated, reason = "they are still variants")]
            E::UnsupportedSignatureAlgorithm
            | E::UnsupportedSignatureAlgorithmContext(_)
            | E::UnsupportedSignatureAlgorithmForPublicKey
            | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
            | E::SignatureAlgorithmMismatch => self.algorithm(),
            E::MaximumPathDepthExceeded
            | E::MaximumPathBuildCallsExceeded
            | E::MaximumSignatureChecksExceeded
            | E::MaximumNameConstraintComparisonsExceeded => self.or_pin(
                "the node's chain of certificates is too long, or has too many branches; have the node send its own \
                 certificate and the few above it",
            ),
            E::InvalidCertValidity => self.or_pin(
                "a certificate of the node's chain ends before it begins (its validity dates); issue it again",
            ),
            E::BadDer | E::BadDerTime | E::TrailingData(_) | E::MalformedExtensions | E::ExtensionValueInvalid => {
                self.or_pin(
                    "a certificate of the node's chain cannot be read: it breaks the encoding rules of X.509 (DER); \
                     issue it again",
                )
            }
            _ => self.or_pin(
                "the node's chain of certificates breaks a rule of RFC 5280; `openssl verify -x509_strict` may say \
                 which",
            ),
        };
        Rejection::Chain(words).into()
    }

    fn is_self_signed(&self) -> bool {
        parsed(self.leaf).is_some_and(|leaf| leaf.subject().as_raw() == leaf.issuer().as_raw())
    }

    fn self_signed(&self) -> String {
        self.or_pin(
            "the node's certificate is self-signed, and is none of the trusted ones; name its file as \
             probe.tls.ca_file",
        )
    }

    fn critical_extension(&self) -> String {
        let (whose, extension) = self
            .certificates()
            .find_map(|(who, certificate)| Some((who, unprocessed_extension(&certificate)?)))
            .unwrap_or(("a certificate of the node's chain".to_owned(), "an extension".to_owned()));
        self.or_pin(&format!(
            "{whose} has {extension} marked critical, which raftgate does not process; issue it without that mark"
        ))
    }

    fn name_constraints(&self) -> String {
        let has_uris = parsed(self.leaf).is_some_and(|leaf| has_uris(&leaf));
        let mut kinds: Vec<&str> = self
            .certificates()
            .flat_map(|(_, certificate)| {
                let of_roots = self.trusted.not_processed(certificate.issuer().as_raw());
                [constraints_not_processed(&certificate), of_roots].concat()
            })
            .filter(|kind| *kind != URI || has_uris)
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        if kinds.is_empty() {
            return self.or_pin(
                "an authority above the node's certificate may not issue for its names (name constraints); issue the \
                 certificate for permitted names",
            );
        }
        self.or_pin(&format!(
            "an authority above the node's certificate has name constraints of the kind {}, which raftgate does not \
             process; leave them out of it",
            kinds.join(" and ")
        ))
    }

    fn signature(&self) -> String {
        let issuer =
            parsed(self.leaf).map_or_else(|| "its issuer".to_owned(), |leaf| leaf.issuer().to_string());
        self.or_pin(&format!(
            "a signature in the node's chain was not made with the key of the authority of that name (the node's \
             certificate names \"{issuer}\"), or that key is RSA of less than 2048 bits; check that probe.tls.ca_file \
             has the authority's present certificate"
        ))
    }

    fn algorithm(&self) -> String {
        let signed_with = |certificate: &X509Certificate<'_>| {
            let oid = certificate.signature_algorithm.algorithm.to_id_string();
            SIGNED_WITH.iter().find(|(known, _)| *known == oid).map(|(_, name)| *name)
        };
        let weak = self.certificates().find_map(|(who, certificate)| Some((who, signed_with(&certificate)?)));
        match weak {
            Some((who, algorithm)) => self.or_pin(&format!(
                "{who} is signed with {algorithm}, which raftgate does not accept in a chain; issue it with SHA-256"
            )),
            None => self.or_pin(
                "a certificate of the node's chain is signed with an algorithm that raftgate does not know; issue it \
                 with an RSA, ECDSA or Ed25519 key and SHA-256",
            ),
        }
    }

    /// The way out that is open with every certificate.
    fn or_pin(&self, words: &str) -> String {
        match Pin::of(self.leaf) {
            Some(pin) => format!(
                "{words}, or pin the node's key: probe.tls.verify = \"pin\" with probe.tls.pins = [\"{pin}\"]"
            ),
            None => words.to_owned(),
        }
    }

    /// The first certificate that is of this kind.
    fn found(&self, is_meant: impl Fn(&X509Certificate<'_>, bool) -> bool) -> Option<String> {
        let mut certificates = self.certificates().enumerate();
        certificates.find_map(|(place, (who, certificate))| is_meant(&certificate, place == 0).then_some(who))
    }

    /// All that were presented and can be read, the node's own first, with how each is called in a sentence.
    fn certificates(&self) -> impl Iterator<Item = (String, X509Certificate<'_>)> {
        let leaf = parsed(self.leaf).map(|leaf| ("the node's certificate".to_owned(), leaf));
        let above = self.above.iter().filter_map(|der| {
            let certificate = parsed(der)?;
            Some((format!("the authority's certificate \"{}\"", subject(&certificate)), certificate))
        });
        leaf.into_iter().chain(above)
    }
}

fn parsed<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    X509Certificate::from_der(der).ok().map(|(_, certificate)| certificate)
}

/// Whose certificate it is: the common name, else the whole name.
pub(super) fn subject(certificate: &X509Certificate<'_>) -> String {
    let common = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    common.map_or_else(|| certificate.subject().to_string(), str::to_owned)
}

fn is_old_version(certificate: &X509Certificate<'_>, _: bool) -> bool {
    certificate.version() != X509Version::V3
}

fn is_no_authority(certificate: &X509Certificate<'_>, is_leaf: bool) -> bool {
    !is_leaf && !certificate.is_ca()
}

/// The first extension that is marked critical and that paths are not verified by.
fn unprocessed_extension(certificate: &X509Certificate<'_>) -> Option<String> {
    certificate.extensions().iter().filter(|extension| extension.critical).find_map(|extension| {
        let oid = extension.oid.to_id_string();
        (!PROCESSED.contains(&oid.as_str())).then(|| extension_name(&extension.oid))
    })
}

fn extension_name(oid: &Oid<'_>) -> String {
    let oid = oid.to_id_string();
    match NAMED.iter().find(|(known, _)| *known == oid) {
        Some((_, name)) => format!("the extension {name}"),
        None => format!("the extension {oid}"),
    }
}

/// One kind of name constraints, as a person calls it.
const URI: &str = "URI";

/// The kinds of a certificate's name constraints that no path can be verified against.
pub(super) fn constraints_not_processed(certificate: &X509Certificate<'_>) -> Vec<&'static str> {
    let constraints =
        certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::NameConstraints(constraints) => Some(constraints),
            _ => None,
        });
    let Some(constraints) = constraints else { return Vec::new() };
    let subtrees = [&constraints.permitted_subtrees, &constraints.excluded_subtrees];
    let bases = subtrees.into_iter().flatten().flatten().map(|subtree| &subtree.base);
    bases
        .filter_map(|base| match base {
            GeneralName::DNSName(_) | GeneralName::IPAddress(_) | GeneralName::RFC822Name(_) => None,
            GeneralName::DirectoryName(_) => Some("directoryName"),
            GeneralName::URI(_) => Some(URI),
            _ => Some("otherName"),
        })
        .collect()
}

fn has_uris(certificate: &X509Certificate<'_>) -> bool {
    let names = certificate.subject_alternative_name().ok().flatten();
    names
        .is_some_and(|names| names.value.general_names.iter().any(|name| matches!(name, GeneralName::URI(_))))
}
