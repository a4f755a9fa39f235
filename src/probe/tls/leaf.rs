//! What a node's leaf certificate says about itself.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use rustls::CertificateError;
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use x509_parser::certificate::{BasicExtension, X509Certificate};
use x509_parser::extensions::{GeneralName, SubjectAlternativeName};
use x509_parser::prelude::FromDer;

use super::Pin;
use super::verify::Rejection;
use crate::intent::{Certificate, RelatedCertificate};

/// A presented leaf certificate: what is shown of it, and who issued it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::probe) struct Leaf {
    pub(in crate::probe) certificate: Arc<Certificate>,
    /// The issuer's distinguished name.
    pub(in crate::probe) issuer: String,
    /// The URIs among its names.
    pub(super) uris: Vec<String>,
    /// Whether it has alternative names, of whatever kind: a common name does not count for any verifier.
    pub(in crate::probe) has_alternative_names: bool,
    /// Whether the names that are shown are common names.
    is_shown_by_common_name: bool,
    /// Begin of its validity, in seconds since the Unix epoch.
    pub(in crate::probe) not_before: i64,
    /// Whether its purposes, if it names any, have a server's among them.
    is_for_servers: bool,
    der: CertificateDer<'static>,
}

impl Leaf {
    /// `None` if it is no certificate; whether that is acceptable is for the verifier to say.
    pub(super) fn parse(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let alternatives = certificate.subject_alternative_name();
        Some(Leaf {
            certificate: Arc::new(Certificate {
                names: names(&certificate),
                not_after: certificate.validity().not_after.timestamp(),
                ..Certificate::default()
            }),
            has_alternative_names: !matches!(alternatives, Ok(None)),
            is_shown_by_common_name: alternatives.is_ok_and(|names| shown_names(names.as_ref()).is_empty()),
            issuer: certificate.issuer().to_string(),
            uris: uris(&certificate),
            not_before: certificate.validity().not_before.timestamp(),
            is_for_servers: certificate
                .extended_key_usage()
                .is_ok_and(|usage| usage.is_none_or(|usage| usage.value.any || usage.value.server_auth)),
            der: der.clone().into_owned(),
        })
    }

    /// Whether a certificate that is trusted by itself may stand for a server now.
    pub(super) fn check_alone(&self, now: UnixTime) -> Result<(), rustls::Error> {
        let time = |seconds: i64| {
            UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
        };
        let (not_before, not_after) = (time(self.not_before), time(self.certificate.not_after));
        if now > not_after {
            return Err(CertificateError::ExpiredContext { time: now, not_after }.into());
        }
        if now < not_before {
            return Err(CertificateError::NotValidYetContext { time: now, not_before }.into());
        }
        if !self.is_for_servers {
            let words = "the node's certificate is not for servers (its extendedKeyUsage has no serverAuth); issue it \
                         with that";
            return Err(Rejection::Chain(words.to_owned()).into());
        }
        Ok(())
    }

    /// The same leaf after it was accepted, with what the connection depends on besides.
    pub(super) fn accepted(self, related: Vec<RelatedCertificate>) -> Self {
        let certificate = Certificate { is_accepted: true, related, ..Certificate::clone(&self.certificate) };
        Leaf { certificate: Arc::new(certificate), ..self }
    }

    /// Its names but for URIs: what a server's name can be. None without alternative names.
    pub(in crate::probe) fn host_names(&self) -> Vec<&str> {
        if self.is_shown_by_common_name {
            return Vec::new();
        }
        let names = self.certificate.names.iter().filter(|name| !self.uris.contains(name));
        names.map(String::as_str).collect()
    }

    /// The pin of its key.
    pub(in crate::probe) fn key(&self) -> Option<Pin> {
        Pin::of(&self.der)
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
    let names = shown_names(alternatives.as_ref());
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

fn shown_names(alternatives: Option<&BasicExtension<&SubjectAlternativeName<'_>>>) -> Vec<String> {
    alternatives.iter().flat_map(|names| &names.value.general_names).filter_map(shown).collect()
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
