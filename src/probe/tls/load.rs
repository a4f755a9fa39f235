//! Reads what TLS is set up with: whom to trust, and who the gate itself is.

use std::path::{Path, PathBuf};
use std::{fmt, io};

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

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

pub(super) fn roots(roots: &Roots) -> Result<RootCertStore, TlsSetupError> {
    match roots {
        Roots::System => system_roots(),
        Roots::File(path) => roots_from_file(path),
    }
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
    roots_in(&pem, path)
}

/// The trusted certificates of a file in which this stands.
fn roots_in(pem: &[u8], path: &Path) -> Result<RootCertStore, TlsSetupError> {
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem)
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
    CertifiedKey::from_der(certificates, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            TlsSetupError::ClientMismatch { certificate: files.certificate.clone(), key: files.key.clone() }
        }
        rustls::Error::InvalidCertificate(_) => {
            unusable(ClientPart::Certificate, &files.certificate, error.to_string())
        }
        other => unusable(ClientPart::Key, &files.key, other.to_string()),
    })
}

/// The client certificate's chain, of a file in which this stands.
fn certificates_in(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(ClientPart::Certificate, path, format!("it is not valid PEM: {error}")))?;
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
            pem::Error::NoItemsFound => "it has no private key in it that is not encrypted; expected PEM, \
                 with lines \"-----BEGIN PRIVATE KEY-----\" (an encrypted one: openssl pkey -in FILE -out FILE.pem)"
                .to_owned(),
            error => format!("it is not valid PEM: {error}"),
        };
        unusable(ClientPart::Key, path, reason)
    })
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
