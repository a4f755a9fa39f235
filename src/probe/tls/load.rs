//! Reads what TLS is set up with: whom to trust, and who the gate itself is.

use std::path::{Path, PathBuf};
use std::{fmt, io};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;

use super::roots::TrustStore;
use super::signature::public_key;
use crate::probe::settings::{ClientFiles, Roots};

#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;

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
    /// A file of the client certificate cannot be read.
    #[error("cannot read the {what} {}: {source}; it must exist and be readable by raftgate's user", path.display())]
    ClientUnreadable {
        /// What the file should hold.
        what: ClientPart,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file of the client certificate does not hold what it should.
    #[error("the {what} {} cannot be used: {reason}", path.display())]
    ClientUnusable {
        /// What the file should hold.
        what: ClientPart,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The client certificate is for another key.
    #[error(
        "the client certificate {} is for another key than the one in {}; its first certificate has to be the client's own",
        certificate.display(), key.display()
    )]
    ClientMismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
}

/// One of the two files that make a client certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientPart {
    /// `client_cert_file`.
    Certificate,
    /// `client_key_file`.
    Key,
}

impl fmt::Display for ClientPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ClientPart::Certificate => "client certificate",
            ClientPart::Key => "client key",
        })
    }
}

pub(super) fn roots(roots: &Roots) -> Result<TrustStore, TlsSetupError> {
    match roots {
        Roots::System => system_roots(),
        Roots::File(path) => roots_from_file(path),
    }
}

fn system_roots() -> Result<TrustStore, TlsSetupError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = TrustStore::default();
    for certificate in &found.certs {
        // Stores have certificates in them that nothing can read any more.
        let _ = roots.add(certificate);
    }
    if roots.is_empty() {
        let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        let reason = if errors.is_empty() { "none found".to_owned() } else { errors.join("; ") };
        return Err(TlsSetupError::NoSystemRoots { reason });
    }
    Ok(roots)
}

fn roots_from_file(path: &Path) -> Result<TrustStore, TlsSetupError> {
    let pem =
        std::fs::read(path).map_err(|source| TlsSetupError::Unreadable { path: path.to_owned(), source })?;
    let roots = roots_in(&pem, path)?;
    for expired in roots.expired(UnixTime::now()) {
        tracing::warn!(
            file = %path.display(),
            "the trusted certificate \"{}\" has expired: clients refuse nodes that it vouches for; renew it, or take it \
             out of the file", expired.name
        );
    }
    Ok(roots)
}

/// The trusted certificates of a file in which this stands.
fn roots_in(pem: &[u8], path: &Path) -> Result<TrustStore, TlsSetupError> {
    let certificates: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| {
            TlsSetupError::NotPem { path: path.to_owned(), reason: pem_words(&error).to_owned() }
        })?;

    let mut roots = TrustStore::default();
    let mut first_rejection = None;
    for (index, certificate) in certificates.iter().enumerate() {
        if roots.add(certificate).is_err() {
            let reason = format!("certificate {} is no X.509 certificate that can be read", index + 1);
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

/// The certificate and key that the gate shows to nodes: PEM; the key in PKCS#8, PKCS#1 or SEC1.
///
/// # Errors
/// If a file cannot be read or does not hold what it should, or if the two do not belong together.
pub(crate) fn client_identity(
    files: &ClientFiles,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsSetupError> {
    let certificates = read(ClientPart::Certificate, &files.certificate)?;
    let certificates = certificates_in(&certificates, &files.certificate)?;
    let key = key_in(&read(ClientPart::Key, &files.key)?, &files.key)?;
    identity(certificates, key, files, provider)
}

/// The two of them together.
fn identity(
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    files: &ClientFiles,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsSetupError> {
    let key = provider.key_provider.load_private_key(key).map_err(|_| {
        let reason = "its key is of no kind that raftgate can sign with; expected RSA of 2048 bits or more, ECDSA \
                      (P-256, P-384, P-521) or Ed25519";
        unusable(ClientPart::Key, &files.key, reason)
    })?;
    let named = certificates.first().and_then(public_key).ok_or_else(|| {
        let reason = "its first certificate is no X.509 certificate that can be read";
        unusable(ClientPart::Certificate, &files.certificate, reason)
    })?;
    if key.public_key().is_some_and(|own| own.as_ref() != named.as_ref()) {
        return Err(TlsSetupError::ClientMismatch {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
        });
    }
    Ok(CertifiedKey::new(certificates, key))
}

/// The client certificate's chain, of a file in which this stands.
fn certificates_in(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| {
            unusable(ClientPart::Certificate, path, format!("it is not valid PEM: {}", pem_words(&error)))
        })?;
    if certificates.is_empty() {
        let reason = "it has no certificate in it; expected PEM, with lines \"-----BEGIN CERTIFICATE-----\"";
        return Err(unusable(ClientPart::Certificate, path, reason));
    }
    Ok(certificates)
}

/// The client's key, of a file in which this stands.
fn key_in(pem: &[u8], path: &Path) -> Result<PrivateKeyDer<'static>, TlsSetupError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| {
        let reason = match error {
            _ if is_encrypted(pem) => {
                "its key is encrypted, and raftgate cannot ask for a passphrase; decrypt it \
                 (openssl pkey -in FILE -out FILE.pem), and let only raftgate's user read the result"
                    .to_owned()
            }
            pem::Error::NoItemsFound => "it has no private key in it that is not encrypted; expected PEM, \
                 with lines \"-----BEGIN PRIVATE KEY-----\""
                .to_owned(),
            error => format!("it is not valid PEM: {}", pem_words(&error)),
        };
        unusable(ClientPart::Key, path, reason)
    })
}

/// The mistake in a file that is nearly PEM (RFC 7468).
fn pem_words(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => {
            "a section has no line \"-----END ...-----\" of its own; is the file cut short?"
        }
        pem::Error::IllegalSectionStart { .. } => {
            "a line \"-----BEGIN ...-----\" has no five dashes at its end"
        }
        pem::Error::Base64Decode(_) => {
            "between its lines \"-----BEGIN ...-----\" and \"-----END ...-----\" there is something \
             that is not base64"
        }
        _ => "it has no section that can be read",
    }
}

/// Whether there is a key in it that needs a passphrase: in PKCS#8, or the older way (RFC 1421).
fn is_encrypted(pem: &[u8]) -> bool {
    let has = |mark: &[u8]| pem.windows(mark.len()).any(|window| window == mark);
    has(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || has(b"Proc-Type: 4,ENCRYPTED")
}

fn read(what: ClientPart, path: &Path) -> Result<Vec<u8>, TlsSetupError> {
    std::fs::read(path).map_err(|source| TlsSetupError::ClientUnreadable {
        what,
        path: path.to_owned(),
        source,
    })
}

fn unusable(what: ClientPart, path: &Path, reason: impl Into<String>) -> TlsSetupError {
    TlsSetupError::ClientUnusable { what, path: path.to_owned(), reason: reason.into() }
}
