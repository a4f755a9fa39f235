//! Addresses as users write them: `host:port` of a node, what a listener is bound to, and networks.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};
use rustls::pki_types::ServerName;

use crate::sockets;

/// A host name or IP address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPort {
    /// A DNS name in lower case, or an IP address (IPv6 without brackets).
    pub host: String,
    /// Never 0.
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Why a text is not a `host:port`; completes "found ..., ".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostPortError {
    /// There is more than that: a scheme.
    #[error("which is a URL; write host:port alone")]
    Url,
    /// There is no `:port` at the end.
    #[error("which has no port; write host:port")]
    NoPort,
    /// What follows the last colon is no port.
    #[error("whose port is not a number from 1 to 65535")]
    Port,
    /// What precedes it is neither a DNS name nor an IP address.
    #[error("whose host is neither a name nor an IP address (IPv6 goes in brackets: [::1]:1280)")]
    Host,
}

impl FromStr for HostPort {
    type Err = HostPortError;

    fn from_str(text: &str) -> Result<Self, HostPortError> {
        if text.contains("://") {
            return Err(HostPortError::Url);
        }
        let (host, port) = text.rsplit_once(':').ok_or(HostPortError::NoPort)?;
        if text.ends_with(']') {
            return Err(HostPortError::NoPort);
        }
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inside) => inside.parse::<Ipv6Addr>().map_err(|_| HostPortError::Host)?.to_string(),
            None if host.contains(':') || !is_server_name(host) => return Err(HostPortError::Host),
            None => host.to_ascii_lowercase(),
        };
        match port.parse() {
            // Rust's numbers may have a plus sign; ports have none.
            Ok(number @ 1..) if !port.starts_with('+') => Ok(HostPort { host, port: number }),
            _ => Err(HostPortError::Port),
        }
    }
}

/// Whether a certificate could be checked for this name: a DNS name or an IP address.
pub(super) fn is_server_name(text: &str) -> bool {
    ServerName::try_from(text).is_ok()
}

/// An address to bind: `ip:port`, or `:port`, which is dual-stack, or IPv4 alone on a machine without IPv6. An interface's
/// name may stand in an IPv6 address that is only valid there: `[fe80::1%eth0]:443`.
pub(super) fn parse_bind(text: &str) -> Option<SocketAddr> {
    parse_bind_on(text, sockets::has_ipv6(), sockets::interface_index)
}

fn parse_bind_on(text: &str, has_ipv6: bool, index: impl FnOnce(&str) -> Option<u32>) -> Option<SocketAddr> {
    if let Some(port) = text.strip_prefix(':') {
        let any = if has_ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { IpAddr::from(Ipv4Addr::UNSPECIFIED) };
        return port.parse().ok().map(|port| SocketAddr::new(any, port));
    }
    let zone = text.split_once('%').and_then(|(before, rest)| {
        let (zone, after) = rest.split_once(']')?;
        zone.parse::<u32>().is_err().then_some((before, zone, after))
    });
    match zone {
        Some((before, zone, after)) => format!("{before}%{}]{after}", index(zone)?).parse().ok(),
        None => text.parse().ok(),
    }
}

/// Whether both cannot be bound at once. Port 0 is any free port, so it never collides.
pub(super) fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let covers = |all: SocketAddr, some: SocketAddr| match all.ip() {
        // Bound dual-stack, so it takes IPv4 too.
        IpAddr::V6(ip) => ip.is_unspecified(),
        IpAddr::V4(ip) => ip.is_unspecified() && some.is_ipv4(),
    };
    one.port() != 0
        && one.port() == other.port()
        && (one.ip() == other.ip() || covers(one, other) || covers(other, one))
}

/// Why a text is not a network; completes "found ..., ".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NetworkError {
    /// It is neither an address nor one with a prefix.
    #[error("expected an IP address or network such as \"10.1.2.3\", \"10.0.0.0/8\" or \"2001:db8::/32\"")]
    Malformed,
    /// Either the address or the prefix is not what was meant.
    #[error(
        "whose address goes on after the prefix; write \"{}\" for the network or \"{}\" for the address alone",
        .0.trunc(), .0.addr()
    )]
    HostBits(IpNet),
}

/// A network, or an address, which is the least of networks. IPv4-mapped ones become IPv4, as clients do.
pub(super) fn parse_network(text: &str) -> Result<IpNet, NetworkError> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_canonical().into());
    }
    let network: IpNet = text.parse().map_err(|_| NetworkError::Malformed)?;
    if network != network.trunc() {
        return Err(NetworkError::HostBits(network));
    }
    Ok(unmapped(network).unwrap_or(network))
}

/// The IPv4 network, if it is one in IPv6's clothes.
fn unmapped(network: IpNet) -> Option<IpNet> {
    /// What precedes the IPv4 address in a mapped one.
    const MAPPED_BITS: u8 = 96;
    let IpNet::V6(network) = network else { return None };
    let address = network.addr().to_ipv4_mapped()?;
    let prefix = network.prefix_len().checked_sub(MAPPED_BITS)?;
    Ipv4Net::new(address, prefix).ok().map(IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_a_host_and_a_port() {
        for (text, shown) in [
            ("10.0.0.1:1280", "10.0.0.1:1280"),
            ("Ctrl1.Example.ORG:443", "ctrl1.example.org:443"),
            ("[::1]:1", "[::1]:1"),
            ("[2001:DB8:0::1]:65535", "[2001:db8::1]:65535"),
            ("ctrl_1:1280", "ctrl_1:1280"),
        ] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_host_and_port_says_why() {
        for (text, error) in [
            ("", HostPortError::NoPort),
            ("ctrl1", HostPortError::NoPort),
            ("[::1]", HostPortError::NoPort),
            ("ctrl1:", HostPortError::Port),
            ("ctrl1:0", HostPortError::Port),
            ("ctrl1:65536", HostPortError::Port),
            ("ctrl1:+1", HostPortError::Port),
            ("ctrl1:https", HostPortError::Port),
            (":1280", HostPortError::Host),
            ("::1:1280", HostPortError::Host),
            ("[10.0.0.1]:1280", HostPortError::Host),
            ("https://ctrl1:1280", HostPortError::Url),
            ("ctrl 1:1280", HostPortError::Host),
        ] {
            assert_eq!(text.parse::<HostPort>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_bare_port_is_dual_stack() {
        let on = |text: &str, has_ipv6| parse_bind_on(text, has_ipv6, |_| panic!("{text} has no interface"));
        assert_eq!(on(":443", true), Some("[::]:443".parse().unwrap()));
        assert_eq!(on(":443", false), Some("0.0.0.0:443".parse().unwrap()));
        assert_eq!(
            on("[::]:443", false),
            Some("[::]:443".parse().unwrap()),
            "what is asked for by name stays"
        );
        assert_eq!(parse_bind("0.0.0.0:443"), Some("0.0.0.0:443".parse().unwrap()));
        for text in ["443", "", ":", "localhost:443", ":65536", "0.0.0.0"] {
            assert_eq!(parse_bind(text), None, "{text}");
        }
    }

    #[test]
    fn an_interface_may_be_named_in_an_address_to_bind() {
        let on = |text| parse_bind_on(text, true, |name| (name == "eth0").then_some(7));
        assert_eq!(on("[fe80::1%eth0]:443"), Some("[fe80::1%7]:443".parse().unwrap()));
        assert_eq!(on("[fe80::1%3]:443"), Some("[fe80::1%3]:443".parse().unwrap()));
        for text in ["[fe80::1%eth9]:443", "[fe80::1%]:443", "10.0.0.1%eth0:443", "[%eth0]:443"] {
            assert_eq!(on(text), None, "{text}");
        }
        assert_eq!(parse_bind("[fe80::1%../lo]:443"), None);
    }

    #[test]
    fn addresses_collide_when_one_covers_the_other() {
        for (one, other, expected) in [
            ("1.1.1.1:1", "1.1.1.1:1", true),
            ("1.1.1.1:1", "1.1.1.1:2", false),
            ("1.1.1.1:1", "1.1.1.2:1", false),
            ("0.0.0.0:1", "1.1.1.1:1", true),
            ("[::]:1", "1.1.1.1:1", true),
            ("[::]:1", "[::1]:1", true),
            ("0.0.0.0:1", "[::1]:1", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
        ] {
            let (a, b) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!((collide(a, b), collide(b, a)), (expected, expected), "{one} {other}");
        }
    }
    #[test]
    fn a_network_is_an_address_or_has_a_prefix() {
        for (text, network) in [
            ("10.1.2.3", "10.1.2.3/32"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:DB8::1", "2001:db8::1/128"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::/0", "::/0"),
            ("::ffff:10.1.2.3", "10.1.2.3/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
        ] {
            assert_eq!(parse_network(text), Ok(network.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn what_is_no_network_says_why() {
        for text in [
            "",
            "10.0.0",
            "10.0.0.0/33",
            "10.0.0.0/",
            "::/129",
            "10.0.0.0/-1",
            "a.org",
            "10.0.0.1:80",
            "[::1]",
            "*",
        ] {
            assert_eq!(parse_network(text), Err(NetworkError::Malformed), "{text}");
        }
        for text in ["10.0.0.1/8", "10.0.0.1/0", "2001:db8::1/32", "::ffff:10.0.0.1/104"] {
            assert_eq!(parse_network(text), Err(NetworkError::HostBits(text.parse().unwrap())), "{text}");
        }
    }
}
