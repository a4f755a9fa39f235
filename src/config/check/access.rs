//! Checks who may come in at a listener, and who may bring others.

use ipnet::IpNet;

use crate::config::address::parse_network;
use crate::config::findings::{At, all};
use crate::config::raw::{self, OneOrMany};
use crate::proxy::{Access, Proxies};

/// Checks the two lists of one listener.
pub(super) fn check(listener: &raw::Listener, at: &At<'_>) -> Option<Access> {
    let (at_allow, at_deny) = (at.key("allow"), at.key("deny"));
    let allow = networks(listener.allow.as_ref(), &at_allow);
    let deny = networks(listener.deny.as_ref(), &at_deny);
    let (allow, deny) = (allow?, deny?);
    for (place, allowed) in allow.iter().enumerate() {
        if let Some(denied) = deny.iter().find(|denied| denied.contains(allowed)) {
            at_allow.element(place).warn(format!("{allowed} has no effect, because `deny` has {denied}"));
        }
    }
    Some(Access { allow: allow.into(), deny: deny.into() })
}

/// Checks whose connections begin with a PROXY header.
pub(super) fn proxies(listener: &raw::Listener, at: &At<'_>) -> Option<Proxies> {
    networks(listener.accept_proxy_from.as_ref(), &at.key("accept_proxy_from"))
        .map(|networks| Proxies(networks.into()))
}

fn networks(list: Option<&OneOrMany<String>>, at: &At<'_>) -> Option<Vec<IpNet>> {
    let texts = list.map_or_else(Vec::new, |list| list.items(at));
    all(texts.into_iter().map(|(at, text)| match parse_network(text) {
        Ok(network) => Some(network),
        Err(error) => at.reject(format!("found {text:?}, {error}")),
    }))
}
