//! Checks where clients arrive.

use std::net::SocketAddr;

use super::{access, routes};
use crate::config::address::{collide, is_server_name, parse_bind};
use crate::config::findings::{At, all};
use crate::config::model::{Cluster, Config, Listener};
use crate::config::nearest::nearest;
use crate::config::raw::{self, OneOrMany, Raw};
use crate::config::words::TO;
use crate::proxy::Routes;
use crate::tenure::To;

/// Checks all listeners; `admin` is bound too.
pub(super) fn all_of(raw: &Raw, at: &At<'_>, admin: Option<SocketAddr>) -> Option<Vec<Listener>> {
    let at = at.key("listeners");
    if raw.listeners.is_empty() {
        return at.reject("there is no listener; add [listeners.NAME] with `bind` and `cluster`");
    }
    let mut bound: Vec<(SocketAddr, String)> =
        admin.into_iter().map(|address| (address, "admin.bind".to_owned())).collect();
    all(raw.listeners.iter().map(|(name, listener)| {
        let at = at.key(name);
        let name = at.name(name);
        let routes = routes::check(raw, listener, &at);
        let cluster = default_cluster(raw, listener, routes.as_ref(), &at.key("cluster"));
        let to = at.key("to").one_of(listener.to.as_deref(), TO, To::Leader);
        let bind = bind(listener, &at.key("bind"), &mut bound);
        let public_names = public_names(listener, &at.key("public_names"));
        let proxies = access::proxies(listener, &at);
        let access = access::check(listener, &at);
        let max_connections = bound_of(listener.max_connections, &at.key("max_connections"));
        let per_source = bound_of(listener.max_connections_per_source, &at.key("max_connections_per_source"));
        Some(Listener {
            name: name?,
            bind: bind?,
            cluster: cluster?,
            routes: routes?,
            to: to?,
            public_names: public_names?,
            proxies: proxies?,
            access: access?,
            max_connections: max_connections?,
            max_connections_per_source: per_source?,
        })
    }))
}

/// Warns of readers who will find no node.
pub(super) fn doubt_readers(config: &Config, at: &At<'_>) {
    for listener in config.listeners.iter().filter(|listener| listener.to == To::Followers) {
        let at = at.key("listeners").key(&listener.name).key("to");
        let mut places: Vec<usize> = listener.clusters().collect();
        places.sort_unstable();
        places.dedup();
        for place in places {
            let Cluster { name, nodes, probe, .. } = &*config.clusters[place];
            if nodes.len() == 1 {
                at.warn(format!(
                    "the only node of {name} leads or nobody does, so clients will wait in vain for one that follows; \
                     \"any\" takes the leader, too"
                ));
            } else if probe.rules.follower.is_empty() {
                at.warn(format!(
                    "no answer counts as a follower's, so clients will wait in vain for one; say by \
                     clusters.{name}.probe.follower which one does"
                ));
            }
        }
    }
}

/// No bound is `Some(None)`.
#[expect(clippy::option_option, reason = "whether it was right, and whether there is one")]
fn bound_of(connections: Option<usize>, at: &At<'_>) -> Option<Option<usize>> {
    connections.map_or(Some(None), |connections| at.within(connections, 1..=usize::MAX >> 1).map(Some))
}

/// Where clients go whom no route takes; none is `Some(None)`.
#[expect(clippy::option_option, reason = "whether it was right, and whether there is one")]
fn default_cluster(
    raw: &Raw,
    listener: &raw::Listener,
    routes: Option<&Routes>,
    at: &At<'_>,
) -> Option<Option<usize>> {
    match (&listener.cluster, routes) {
        (Some(wanted), _) => cluster(raw, wanted, at).map(Some),
        (None, Some(routes)) if routes.cover_all() => Some(None),
        (None, Some(routes)) if routes.table.is_empty() => at.reject("is missing; name one of [clusters]"),
        (None, Some(_)) => at.reject(
            "is missing, but some clients are taken by no route; name one of [clusters] for them, or end `routes` \
             with { reject = true }",
        ),
        // What is wrong with the routes has been said.
        (None, None) => None,
    }
}

/// The place of a cluster.
pub(super) fn cluster(raw: &Raw, wanted: &str, at: &At<'_>) -> Option<usize> {
    let place = raw.clusters.keys().position(|name| name == wanted);
    place.or_else(|| {
        at.reject(match nearest(wanted, raw.clusters.keys().map(String::as_str)) {
            Some(near) => format!("there is no cluster {wanted:?}; did you mean {near:?}?"),
            None => format!("there is no cluster {wanted:?}; add [clusters.{}]", toml_edit::Key::new(wanted)),
        })
    })
}

fn bind(
    listener: &raw::Listener,
    at: &At<'_>,
    bound: &mut Vec<(SocketAddr, String)>,
) -> Option<Vec<SocketAddr>> {
    let addresses = listener.bind.as_ref().map_or_else(Vec::new, |bind| bind.items(at));
    if addresses.is_empty() {
        return at.reject("is missing; give an address such as \":443\", or a list of them");
    }
    all(addresses.into_iter().map(|(at, text)| {
        let Some(address) = parse_bind(text) else {
            return at.reject(format!(
                "found {text:?}, expected IP:PORT, or :PORT for every address of this machine"
            ));
        };
        if let Some((other, holder)) = bound.iter().find(|(other, _)| collide(*other, address)) {
            return at.reject(format!(
                "{address} is already taken by {other} of {holder}; use another address or port"
            ));
        }
        bound.push((address, at.to_string()));
        Some(address)
    }))
}

fn public_names(listener: &raw::Listener, at: &At<'_>) -> Option<Vec<String>> {
    let names = listener.public_names.as_ref().map_or_else(Vec::new, |names| names.items(at));
    all(names.into_iter().map(|(at, name)| {
        if !is_server_name(name) {
            return at.reject(format!(
                "found {name:?}, expected a DNS name or an IP address that clients use, without a port"
            ));
        }
        Some(name.clone())
    }))
}

impl<T> OneOrMany<T> {
    /// The values, each with its place.
    pub(super) fn items<'r, 'f>(&'r self, at: &At<'f>) -> Vec<(At<'f>, &'r T)> {
        match self {
            OneOrMany::One(value) => vec![(at.clone(), value)],
            OneOrMany::Many(values) => {
                values.iter().enumerate().map(|(index, value)| (at.element(index), value)).collect()
            }
        }
    }
}
