//! By which names the admin listener may be asked for what people read (O6).
//!
//! A web page can have its own name resolve to an operator's loopback or private address ("DNS rebinding"), and the
//! operator's browser then lets it read what a gate answers there. Such a request names the page's host. So the page,
//! `/status` and `/events`, which tell nodes' addresses, are answered only by a name that no foreign page can have: an
//! address, a name without a dot, `localhost`, or one of `admin.hosts`. A browser's other headers do not help: to an
//! address without TLS it sends no `Sec-Fetch-Site`, and the request is of the page's own origin.
//!
//! `/metrics`, `/livez` and `/readyz` are for machines, which use any name that DNS has; they tell no addresses.

use std::net::IpAddr;

use hyper::Request;
use hyper::header::HOST;

/// The names in `admin.hosts`.
#[derive(Clone, Debug, Default)]
pub(super) struct Hosts(Vec<String>);

impl Hosts {
    pub(super) fn new(names: &[String]) -> Self {
        Hosts(names.iter().map(|name| name.to_lowercase()).collect())
    }

    /// The name in this request that the listener must not be asked by, if there is one.
    pub(super) fn foreign_name<B>(&self, request: &Request<B>) -> Option<String> {
        if !matches!(request.uri().path(), "/" | "/status" | "/events") {
            return None;
        }
        let headers = request.headers().get_all(HOST).iter();
        let named = headers.map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
        let mut named = named.chain(request.uri().host().map(str::to_owned));
        named.find(|host| !self.is_own(host))
    }

    /// Whether no foreign web page can have this name, which a port may follow.
    fn is_own(&self, host: &str) -> bool {
        let name = without_port(host).trim_end_matches('.').to_lowercase();
        name.parse::<IpAddr>().is_ok()
            || !name.contains('.')
            || name.ends_with(".localhost")
            || self.0.contains(&name)
    }
}

/// The name or address alone: `a` of `a:1`, `::1` of `[::1]:1`.
fn without_port(host: &str) -> &str {
    if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foreign(path: &str, hosts: &[&str]) -> Option<String> {
        let request =
            hosts.iter().fold(Request::builder().uri(path), |request, host| request.header(HOST, *host));
        Hosts::new(&["Gate.Example.org".into()]).foreign_name(&request.body(()).unwrap())
    }

    #[test]
    fn o6_addresses_local_names_and_named_hosts_are_own() {
        for host in [
            "127.0.0.1:9180",
            "10.0.0.1",
            "[::1]:9180",
            "[2001:db8::1]",
            "localhost:9180",
            "LOCALHOST",
            "gate.localhost:1",
            "gate1",
            "gate.example.org:9180",
            "GATE.example.org.",
            "",
        ] {
            assert_eq!(foreign("/status", &[host]), None, "{host}");
        }
        // A browser always names the host.
        assert_eq!(foreign("/status", &[]), None);
    }

    #[test]
    fn o6_a_foreign_name_is_refused_where_addresses_are_told() {
        for host in
            ["evil.example", "evil.example:9180", "127.0.0.1.evil.example", "localhost.evil.example", "a.b:x"]
        {
            for path in ["/", "/status", "/events", "/status?x=1"] {
                assert_eq!(foreign(path, &[host]).as_deref(), Some(host), "{path}");
            }
            for path in ["/metrics", "/livez", "/readyz?cluster=c", "/page.css"] {
                assert_eq!(foreign(path, &[host]), None, "{path}");
            }
        }
        assert_eq!(foreign("/", &["localhost", "evil.example"]).as_deref(), Some("evil.example"));
        assert_eq!(foreign("http://evil.example/status", &["localhost"]).as_deref(), Some("evil.example"));
    }
}
