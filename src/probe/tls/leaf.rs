//! What a node's leaf certificate says about itself.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::intent::Certificate;

/// A presented leaf certificate: what is shown of it, and who issued it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::probe) struct Leaf {
    pub(in crate::probe) certificate: Arc<Certificate>,
    /// The issuer's distinguished name.
    pub(in crate::probe) issuer: String,
    /// The URIs among its names.
    pub(super) uris: Vec<String>,
    /// Begin of its validity, in seconds since the Unix epoch.
    pub(in crate::probe) not_before: i64,
    der: CertificateDer<'static>,
}

impl Leaf {
    /// `None` if it is no certificate; whether that is acceptable is for the verifier to say.
    pub(super) fn parse(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        Some(Leaf {
            certificate: Arc::new(Certificate {
                names: names(&certificate),
                not_after: certificate.validity().not_after.timestamp(),
            }),
            issuer: certificate.issuer().to_string(),
            uris: uris(&certificate),
            not_before: certificate.validity().not_before.timestamp(),
            der: der.clone().into_owned(),
        })
    }

    /// Its names but for URIs: what a server's name can be.
    pub(in crate::probe) fn host_names(&self) -> Vec<&str> {
        let names = self.certificate.names.iter().filter(|name| !self.uris.contains(name));
        names.map(String::as_str).collect()
    }

    /// Whether a client that asks for this name would accept the certificate for it.
    pub(in crate::probe) fn covers(&self, name: &ServerName<'_>) -> bool {
        ParsedCertificate::try_from(&self.der).is_ok_and(|leaf| verify_server_name(&leaf, name).is_ok())
    }
}

/// The alternative names that a node can be known by; without any, the common names (which no verifier
/// accepts any more, but which tell people whose certificate it is). None if there are malformed alternative names:
/// a verifier goes by those of them that it can read.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(alternatives) = certificate.subject_alternative_name() else { return Vec::new() };
    let names: Vec<String> =
        alternatives.iter().flat_map(|names| &names.value.general_names).filter_map(shown).collect();
    if !names.is_empty() {
        return names;
    }
    certificate
        .subject()
        .iter_common_name()
        .filter_map(|name| name.as_str().ok())
        .map(str::to_owned)
        .collect()
}

fn uris(certificate: &X509Certificate<'_>) -> Vec<String> {
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let names = alternatives.iter().flat_map(|names| &names.value.general_names);
    names
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some((*uri).to_owned()),
            _ => None,
        })
        .collect()
}

fn shown(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) | GeneralName::URI(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(octets) => address(octets),
        _ => None,
    }
}

fn address(octets: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(octets).map(|octets| Ipv4Addr::from(octets).to_string());
    let v6 = || <[u8; 16]>::try_from(octets).map(|octets| Ipv6Addr::from(octets).to_string());
    v4.or_else(|_| v6()).ok()
}
