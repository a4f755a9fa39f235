//! Why a probe brought no answer that could be judged, in words that say what to do.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};

use rustix::io::Errno;
use rustls::CertificateError;
use rustls::pki_types::{ServerName, UnixTime};

use super::exchange::{BODY_LIMIT, HEAD_LIMIT};
use super::tls::{Leaf, Rejection};
use crate::leader::ProbeFailure;
use crate::names::Address;
use crate::sockets;

mod alert;

/// A failed exchange: the kind that the tracker and the metrics know, and words for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) kind: ProbeFailure,
    pub(super) detail: String,
    /// Whether this host had no descriptor, port or memory for it: that says nothing about the node (L5).
    pub(super) exhausted: bool,
    /// Whether the node's host says that nothing listens there.
    pub(super) nobody_listens: bool,
}

/// What an exchange was doing when its deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Connect,
    Handshake,
    Head,
    Body,
}

impl Failure {
    fn new(kind: ProbeFailure, detail: impl Into<String>) -> Self {
        Failure { kind, detail: detail.into(), exhausted: false, nobody_listens: false }
    }

    pub(super) fn timeout(phase: Phase, timeout: Duration) -> Self {
        let doing = match phase {
            Phase::Connect => {
                "the connection was not accepted: is the host up, or a firewall dropping packets?"
            }
            Phase::Handshake => "the TLS handshake was not done",
            Phase::Head => "it was asked, but did not answer",
            Phase::Body => "its answer's body was not complete",
        };
        let timeout = humantime::format_duration(timeout);
        Failure::new(ProbeFailure::Timeout, format!("no answer within {timeout}: {doing}"))
    }

    pub(super) fn dns(address: &Address) -> Self {
        let cause = address.trouble();
        let cause = cause.as_deref().unwrap_or("the name service has not answered yet");
        Failure::new(
            ProbeFailure::Dns,
            format!("{address} has no address: {cause}; check the name, or write the IP address"),
        )
    }

    pub(super) fn connect(address: SocketAddr, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::TimedOut => ProbeFailure::Timeout,
            _ => ProbeFailure::Refused,
        };
        let hint = match error.kind() {
            _ if is_local(error) => local_hint(error),
            io::ErrorKind::ConnectionRefused => "; does the node run, and listen on this port?",
            _ => "; check the address, and the way to it",
        };
        let exhausted = sockets::is_local_exhaustion(error);
        let nobody_listens = error.kind() == io::ErrorKind::ConnectionRefused;
        Failure {
            exhausted,
            nobody_listens,
            ..Failure::new(kind, format!("cannot connect to {address}: {error}{hint}"))
        }
    }

    pub(super) fn handshake(error: &io::Error, leaf: Option<&Leaf>, name: &ServerName<'static>) -> Self {
        match tls_error(error) {
            Some(rustls::Error::InvalidCertificate(cause)) => {
                Failure::new(ProbeFailure::Certificate, certificate(cause, leaf, name))
            }
            Some(rustls::Error::NoCertificatesPresented) => {
                Failure::new(ProbeFailure::Certificate, "the node presented no certificate")
            }
            Some(error) => Failure::new(ProbeFailure::Tls, alert::words(error, leaf.is_some())),
            None if is_closure(error) => {
                Failure::new(ProbeFailure::Tls, "the node closed the connection during the TLS handshake")
            }
            None => Failure::new(ProbeFailure::Tls, format!("the TLS handshake failed: {error}")),
        }
    }

    pub(super) fn unreadable_certificate() -> Self {
        Failure::new(ProbeFailure::Certificate, Rejection::NoCertificate.to_string())
    }

    /// A failure of HTTP, or of what is below it once the connection was established.
    pub(super) fn http(error: &(dyn Error + 'static)) -> Self {
        if let Some(error) = find::<io::Error>(error).and_then(tls_error) {
            return Failure::new(ProbeFailure::Tls, alert::words(error, false));
        }
        if find::<http_body_util::LengthLimitError>(error).is_some() {
            return Failure::new(
                ProbeFailure::Protocol,
                format!("the answer's body is larger than {BODY_LIMIT} bytes"),
            );
        }
        if find::<io::Error>(error).is_some_and(is_closure) {
            return Failure::closed();
        }
        match find::<hyper::Error>(error) {
            Some(http) if http.is_canceled() || http.is_closed() || http.is_incomplete_message() => {
                Failure::closed()
            }
            Some(http) if http.is_parse_too_large() => Failure::new(
                ProbeFailure::Protocol,
                format!("the answer's head has no end within {HEAD_LIMIT} bytes"),
            ),
            Some(http) if http.is_parse() => Failure::new(
                ProbeFailure::Protocol,
                format!("what the node sent is not HTTP/1.1: {http}; check the port, and probe.tls.enabled"),
            ),
            _ => Failure::new(
                ProbeFailure::Protocol,
                format!("the answer is not acceptable: {}", chain(error)),
            ),
        }
    }

    pub(super) fn closed() -> Self {
        Failure::new(ProbeFailure::Closed, "the node closed the connection before its answer was complete")
    }
}

/// What is wrong with a certificate, and how to get it right.
fn certificate(cause: &CertificateError, leaf: Option<&Leaf>, name: &ServerName<'static>) -> String {
    let issuer = leaf.map_or("an unknown authority", |leaf| leaf.issuer.as_str());
    match cause {
        CertificateError::UnknownIssuer => format!(
            "the node's certificate was issued by \"{issuer}\", which is not trusted; \
             check probe.tls.ca_file, and that the node sends its intermediate certificates"
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            wrong_name(leaf, name)
        }
        CertificateError::ExpiredContext { not_after, .. } => {
            let which = which(leaf.map(|leaf| leaf.certificate.not_after), *not_after);
            format!("{which} expired at {}; renew it", date(*not_after))
        }
        CertificateError::NotValidYetContext { not_before, .. } => format!(
            "{} is not valid before {}; check the clocks of both hosts",
            which(leaf.map(|leaf| leaf.not_before), *not_before),
            date(*not_before)
        ),
        CertificateError::BadSignature => {
            "the node does not prove that its certificate is its own: a signature does not fit".to_owned()
        }
        CertificateError::BadEncoding => {
            "the node's certificate cannot be read: it breaks the encoding rules of X.509 (DER); issue it again"
                .to_owned()
        }
        CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "the node does not prove that its certificate is its own: it signed with an algorithm that does not fit its key"
                .to_owned()
        }
        CertificateError::Other(other) if let Some(rejection) = other.0.downcast_ref::<Rejection>() => {
            rejection.to_string()
        }
        _ => "the node's certificate is not acceptable: it breaks a rule of RFC 5280 (`openssl verify -x509_strict` may say \
              which); issue it again, or pin its key: probe.tls.verify = \"pin\""
            .to_owned(),
    }
}

fn wrong_name(leaf: Option<&Leaf>, name: &ServerName<'static>) -> String {
    let wanted = name.to_str();
    let names = leaf.map_or_else(Vec::new, Leaf::host_names);
    if leaf.is_some_and(|leaf| !leaf.has_alternative_names) {
        let kind = if matches!(name, ServerName::IpAddress(_)) { "IP" } else { "DNS" };
        format!(
            "the node's certificate has no subject alternative names, and the common name does not count; issue it with \
             subjectAltName={kind}:{wanted}, or pin its key: probe.tls.verify = \"pin\""
        )
    } else if names.is_empty() {
        format!(
            "the node's certificate is for no host at all; issue it for {wanted}, \
             or let probe.tls.verify be \"chain\" and set the node's spiffe_id"
        )
    } else {
        let names = names.join(", ");
        format!(
            "the node's certificate is for {names}, not for {wanted}; set the node's server_name to one of its names"
        )
    }
}

/// Whose date was complained of: the leaf's, if it is the leaf's own.
fn which(leafs: Option<i64>, complained_of: UnixTime) -> &'static str {
    if leafs.and_then(|date| u64::try_from(date).ok()) == Some(complained_of.as_secs()) {
        "the node's certificate"
    } else {
        "a certificate above the node's own"
    }
}

fn date(time: UnixTime) -> String {
    let since_epoch = Duration::from_secs(time.as_secs());
    match UNIX_EPOCH.checked_add(since_epoch) {
        Some(time) => humantime::format_rfc3339_seconds(time).to_string(),
        None => format!("{} seconds after 1970", time.as_secs()),
    }
}

/// The TLS error in an I/O error, which `source` would skip.
fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// What to do about a cause that is on this host.
fn local_hint(error: &io::Error) -> &'static str {
    match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE) => {
            "; the cause is on this host, not at the node: it has no descriptor left, so raise the limit (LimitNOFILE=) \
             or lower max_connections"
        }
        Some(Errno::ADDRNOTAVAIL) => {
            "; the cause is on this host, not at the node: it has no port left for connections there, so widen \
             net.ipv4.ip_local_port_range, or give connect.source of the cluster more addresses"
        }
        Some(Errno::NOBUFS | Errno::NOMEM) => {
            "; the cause is on this host, not at the node: it has no memory left for another connection"
        }
        _ => "; the cause is on this host, not at the node: it does not let the gate connect there",
    }
}

/// Whether the connection failed for want of something here: descriptors, ports, memory, permission.
fn is_local(error: &io::Error) -> bool {
    const LOCAL: [Errno; 7] = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
        Errno::NOMEM,
        Errno::ADDRNOTAVAIL,
        Errno::ACCESS,
        Errno::PERM,
    ];
    Errno::from_io_error(error).is_some_and(|errno| LOCAL.contains(&errno))
}

fn is_closure(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
}

fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

fn chain(error: &(dyn Error + 'static)) -> String {
    causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_this_host_is_not_blamed_on_the_node() {
        let address = SocketAddr::from(([10, 0, 0, 1], 1280));
        let failure = |errno: Errno| Failure::connect(address, &errno.into());
        assert_eq!(failure(Errno::MFILE).kind, ProbeFailure::Refused);
        assert!(failure(Errno::MFILE).detail.contains("on this host"));
        for (errno, is_limit) in [(Errno::MFILE, true), (Errno::ADDRNOTAVAIL, false), (Errno::NOMEM, false)] {
            assert_eq!(failure(errno).detail.contains("LimitNOFILE"), is_limit, "{errno:?}");
        }
        assert!(!failure(Errno::CONNREFUSED).detail.contains("on this host"));
        assert!(failure(Errno::MFILE).exhausted && failure(Errno::ADDRNOTAVAIL).exhausted);
        assert!(!failure(Errno::CONNREFUSED).exhausted && !failure(Errno::HOSTUNREACH).exhausted);
        assert_eq!(failure(Errno::TIMEDOUT).kind, ProbeFailure::Timeout);
    }
}
