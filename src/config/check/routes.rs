//! Checks where clients of one listener go by what their `ClientHello` says.

use rustls::pki_types::ServerName;

use super::listener::cluster;
use crate::config::findings::{At, all};
use crate::config::raw::{self, OneOrMany, Raw};
use crate::proxy::{Route, Routes, ServerNames, Target};

/// RFC 7301, section 3.1: a protocol's length is one byte.
const LONGEST_PROTOCOL: usize = 255;

/// Checks the routes of a listener.
pub(super) fn check(raw: &Raw, listener: &raw::Listener, at: &At<'_>) -> Option<Routes> {
    let (at_routes, at_timeout) = (at.key("routes"), at.key("hello_timeout"));
    let hello_timeout = at_timeout.positive(listener.hello_timeout, Routes::none().hello_timeout);
    if listener.hello_timeout.is_some() && listener.routes.is_none() {
        at_timeout.warn("has no effect, because no `routes` need the client's hello");
    }
    let routes = listener.routes.iter().flatten().enumerate();
    let table = all(routes.map(|(place, written)| route(raw, written, &at_routes.element(place))))?;
    warn_of_unreached(&table, &at_routes);
    Some(Routes { table: table.into(), hello_timeout: hello_timeout? })
}

fn route(raw: &Raw, written: &raw::Route, at: &At<'_>) -> Option<Route> {
    let server_names = listed(written.server_names.as_ref(), &at.key("server_names"), "name", server_names);
    let alpn = listed(written.alpn.as_ref(), &at.key("alpn"), "protocol", protocol);
    let target = target(raw, written, at);
    Some(Route { server_names: server_names?, alpn: alpn?, target: target? })
}

fn target(raw: &Raw, written: &raw::Route, at: &At<'_>) -> Option<Target> {
    match (&written.cluster, written.reject.unwrap_or(false)) {
        (Some(wanted), false) => cluster(raw, wanted, &at.key("cluster")).map(Target::Cluster),
        (None, true) => Some(Target::Reject),
        (Some(_), true) => at.reject("has a `cluster` and rejects; leave one of the two out"),
        (None, false) => at.reject(
            "leads nowhere; add `cluster` with one of [clusters], or reject = true to refuse these clients",
        ),
    }
}

/// A list that is left out rather than empty.
fn listed<T>(
    list: Option<&OneOrMany<String>>,
    at: &At<'_>,
    what: &str,
    check: impl Fn(&str, &At<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let Some(list) = list else { return Some(Vec::new()) };
    let items = list.items(at);
    if items.is_empty() {
        return at
            .reject(format!("is an empty list, which no client could match; leave it out for any {what}"));
    }
    all(items.into_iter().map(|(at, text)| check(text, &at)))
}

fn server_names(text: &str, at: &At<'_>) -> Option<ServerNames> {
    let (below, name) = match text.strip_prefix("*.") {
        Some(parent) => (true, parent),
        None => (false, text),
    };
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    match ServerName::try_from(name.as_str()) {
        Ok(ServerName::DnsName(_)) if below => Some(ServerNames::Below(name)),
        Ok(ServerName::DnsName(_)) => Some(ServerNames::Exactly(name)),
        Ok(_) => at.reject(format!("found {text:?}, but clients that connect to an IP address send no name")),
        Err(_) => at.reject(format!(
            "found {text:?}, expected a DNS name such as \"a.example.org\", or \"*.example.org\" for all names below \
             one; leave server_names out for any name"
        )),
    }
}

fn protocol(text: &str, at: &At<'_>) -> Option<Vec<u8>> {
    if text.is_empty() || text.len() > LONGEST_PROTOCOL {
        return at.reject(format!(
            "found {} bytes, expected the name of a protocol such as \"h2\", of 1 to {LONGEST_PROTOCOL} bytes",
            text.len()
        ));
    }
    if text.contains(',') {
        at.warn(format!("{text:?} is compared as the name of one protocol; several are a list"));
    }
    Some(text.as_bytes().to_vec())
}

/// Tells of routes, and of names in them, that others before them take first.
fn warn_of_unreached(table: &[Route], at: &At<'_>) {
    for (place, route) in table.iter().enumerate() {
        let taken_by = |names: Option<&ServerNames>| {
            table[..place].iter().position(|earlier| earlier.covers(names, &route.alpn))
        };
        let at = at.element(place);
        let taken: Vec<Option<usize>> = match route.server_names.as_slice() {
            [] => vec![taken_by(None)],
            names => names.iter().map(|names| taken_by(Some(names))).collect(),
        };
        if let Some(by) =
            taken.iter().copied().collect::<Option<Vec<usize>>>().as_deref().and_then(<[_]>::first)
        {
            at.warn(format!("is never reached, because route {by} (counted from 0) comes first"));
            continue;
        }
        for (number, (by, names)) in taken.iter().zip(&route.server_names).enumerate() {
            if let Some(by) = by {
                let at = at.key("server_names").element(number);
                at.warn(format!("{names} never gets here, because route {by} (counted from 0) has it"));
            }
        }
    }
}
