//! From what users write to what the program needs: defaults filled in, every value checked, all mistakes told at once.

mod access;
mod cluster;
mod connect;
mod files;
mod listener;
mod probe;
mod question;
mod routes;
mod socket;
mod tls;
mod values;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use tracing::Level;

use super::address::{is_server_name, parse_bind};
use super::findings::{At, Findings, all};
use super::limits::DescriptorBudget;
use super::model::{Config, LogFormat, LogSettings};
use super::raw::{self, Raw};
use super::words::{LOG_FORMAT, LOG_LEVEL};
use crate::proxy::LogConnections;

pub(in crate::config) use probe::LOWEST_FINAL;
pub(in crate::config) use question::STATUS_LEADER;
pub(in crate::config) use socket::check as admin_socket;

/// More threads than any machine has cores for is a mistake.
const MOST_WORKERS: usize = 1024;

/// Checks the whole configuration; `None` if the findings have an error.
pub(super) fn config(raw: &Raw, findings: &RefCell<Findings>) -> Option<Config> {
    let at = At::root(findings);
    let workers = workers(raw, &at);
    let max_connections = max_connections(raw, &at);
    let log = log(&raw.log, &at.key("log"));
    let shutdown_drain = raw.shutdown.drain.map_or(Duration::from_secs(20), |span| span.0);
    let admin_bind = admin_bind(raw.admin.bind.as_deref(), &at.key("admin").key("bind"));
    let admin_socket = socket::check(raw.admin.socket.as_deref(), &at.key("admin").key("socket"));
    let admin_hosts = admin_hosts(raw, &at.key("admin").key("hosts"));
    let listeners = listener::all_of(raw, &at, admin_bind.flatten());
    let clusters = all(raw.clusters.iter().map(|(name, cluster)| {
        let at = at.key("clusters").key(name);
        cluster::check(name, cluster, &at).map(Arc::new)
    }));
    if raw.clusters.is_empty() {
        return at.key("clusters").reject("there is no cluster; add [clusters.NAME] with its nodes");
    }
    warn_of_idle_clusters(raw, &at);
    let mut config = Config {
        workers: workers?,
        max_connections: max_connections?,
        log: log?,
        shutdown_drain,
        upgrade_drain: raw.upgrade.drain.and_then(|span| span.0),
        admin_bind: admin_bind?,
        admin_socket: admin_socket?,
        admin_hosts: admin_hosts?,
        listeners: listeners?,
        clusters: clusters?,
    };
    listener::doubt_readers(&config, &at);
    bound_by_descriptors(&mut config, &at.key("max_connections"));
    Some(config)
}

/// Checks whether this machine has the files and addresses that a configuration names; `None` if the findings have an
/// error.
pub(super) fn machine(config: &Config, findings: &RefCell<Findings>) -> Option<()> {
    let at = At::root(findings);
    let (files, addresses) = (files::look_at(config, &at), connect::look_at(config, &at));
    files.and(addresses)
}

fn workers(raw: &Raw, at: &At<'_>) -> Option<usize> {
    let workers = raw.workers.unwrap_or_else(|| available_parallelism().map_or(1, usize::from));
    at.key("workers").within(workers, 1..=MOST_WORKERS)
}

/// As many as a configuration wants; without a word of it, as many as there are descriptors for
/// ([`bound_by_descriptors`]).
fn max_connections(raw: &Raw, at: &At<'_>) -> Option<usize> {
    const MOST: usize = usize::MAX >> 1;
    at.key("max_connections").within(raw.max_connections.unwrap_or(MOST), 1..=MOST)
}

/// Bounds connections by what this process may open, beside what the gate itself needs (S8).
fn bound_by_descriptors(config: &mut Config, at: &At<'_>) {
    let DescriptorBudget { descriptors, kept_back, connections } = config.descriptor_budget();
    let wanted = config.max_connections;
    if wanted == usize::MAX >> 1 {
        config.max_connections = connections;
    } else if wanted > connections {
        at.warn(format!(
            "{wanted} connections need more descriptors than this process may open: of {descriptors} the gate keeps \
             back {kept_back}, and the rest is enough for {connections}; raise LimitNOFILE or ulimit -Hn; until then no \
             more are taken"
        ));
    }
    if kept_back >= descriptors {
        at.warn(format!(
            "this process may open {descriptors} descriptors, and the gate itself needs {kept_back}: probes will fail; \
             raise LimitNOFILE or ulimit -Hn, or let there be fewer workers, listeners or nodes"
        ));
    }
}

fn log(raw: &raw::Log, at: &At<'_>) -> Option<LogSettings> {
    let format = at.key("format").one_of(raw.format.as_deref(), LOG_FORMAT, LogFormat::Text);
    let level = at.key("level").one_of(raw.level.as_deref(), LOG_LEVEL, Level::INFO);
    let connections = raw.connections.map_or(LogConnections::All, |written| written.0);
    Some(LogSettings { format: format?, level: level?, connections })
}

/// Off is `Some(None)`.
#[expect(clippy::option_option, reason = "whether it was right, and whether it is on")]
fn admin_bind(bind: Option<&str>, at: &At<'_>) -> Option<Option<SocketAddr>> {
    match bind {
        None => Some(Some(SocketAddr::from(([127, 0, 0, 1], 9180)))),
        Some("") => Some(None),
        Some(text) => match parse_bind(text) {
            Some(address) => Some(Some(address)),
            None => at.reject(format!(
                "found {text:?}, expected an address such as \"127.0.0.1:9180\", or \"\" for none"
            )),
        },
    }
}

fn admin_hosts(raw: &Raw, at: &At<'_>) -> Option<Vec<String>> {
    let names = raw.admin.hosts.as_ref().map_or_else(Vec::new, |names| names.items(at));
    all(names.into_iter().map(|(at, name)| {
        if !is_server_name(name) {
            return at.reject(format!(
                "found {name:?}, expected a DNS name that the page is opened by, without a port"
            ));
        }
        Some(name.clone())
    }))
}

fn warn_of_idle_clusters(raw: &Raw, at: &At<'_>) {
    let served = |name: &String| {
        raw.listeners.values().any(|listener| {
            let routed = listener.routes.iter().flatten().map(|route| &route.cluster);
            routed.chain([&listener.cluster]).flatten().any(|cluster| cluster == name)
        })
    };
    for name in raw.clusters.keys().filter(|name| !served(name)) {
        at.key("clusters").key(name).warn("no listener sends clients here");
    }
}
