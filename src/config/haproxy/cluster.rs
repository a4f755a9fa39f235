//! A `backend` as a cluster.

use std::ops::Range;

use toml_edit::{InlineTable, Value};

use super::global::Global;
use super::page::Page;
use super::pools::Ground;
use super::proxy::Proxy;
use super::remarks::Remarks;
use super::server::{Options, Server};
use super::tokens::Word;
use super::{Written, asks, connect, pace, trust};
use crate::config::presets::Preset;

/// Where the keys of one cluster go, and what is to be said of it.
pub(super) struct Out<'o> {
    pub(super) cluster: &'o str,
    pub(super) page: &'o mut Page,
    pub(super) remarks: &'o mut Remarks,
}

impl Out<'_> {
    pub(super) fn set(&mut self, keys: &[&str], value: impl Into<Value>, span: &Range<usize>) {
        let keys: Vec<&str> = ["clusters", self.cluster].iter().chain(keys).copied().collect();
        self.page.set(&keys, value, span);
    }
}

/// Writes down a backend.
pub(super) fn write(ground: &Ground<'_>, global: &Global, page: &mut Page, remarks: &mut Remarks) {
    let (backend, fronts) = (ground.backend, ground.fronts);
    let servers = servers(backend, remarks);
    if servers.is_empty() {
        let why = "it has no server; add one for each node";
        return remarks.refuse(&backend.name.span, &backend.kind, why);
    }
    let mut out = Out { cluster: &backend.name.text, page, remarks };
    let places: Vec<Place> =
        servers.iter().filter_map(|server| place(backend, server, out.remarks)).collect();
    let ports: Vec<u16> = places.iter().filter_map(|place| place.probe_port).collect();
    let Some(preset) = asks::write(ground, &ports, &mut out) else { return };
    let names = trust::write(backend, &servers, preset, global, &mut out);
    for ((server, place), name) in servers.iter().zip(&places).zip(names) {
        write_node(server, place, name, preset, &mut out);
    }
    pace::write(backend, &servers, preset, &mut out);
    sessions(&servers, preset, &mut out);
    let asked_elsewhere: Vec<bool> = places.iter().map(|place| place.probe_address.is_some()).collect();
    connect::write(backend, &servers, &asked_elsewhere, &mut out);
    pace::timeouts(backend, fronts, preset, &mut out);
}

/// The option that all servers have alike, for a cluster has it once.
pub(super) fn shared<'s, T: PartialEq>(
    servers: &[&'s Server],
    name: &str,
    option: impl Fn(&'s Options) -> &'s Option<Written<T>>,
    remarks: &mut Remarks,
) -> Option<&'s Written<T>> {
    let (first, others) = servers.split_first()?;
    let wanted = option(&first.options).as_ref();
    for other in others {
        let found = option(&other.options).as_ref();
        if found.map(|found| &found.value) != wanted.map(|wanted| &wanted.value) {
            let span = found.map_or(&other.span, |found| &found.span);
            let why = format!(
                "it is not as with {}, but all nodes of a cluster are treated alike; write the same on both, best on a \
                 `default-server` line above",
                first.name.text
            );
            return remarks.refused(span, &format!("server option {name}"), why);
        }
    }
    wanted
}

/// The servers that take part, each with a name of its own.
fn servers<'b>(backend: &'b Proxy, remarks: &mut Remarks) -> Vec<&'b Server> {
    let mut taking_part: Vec<&Server> = Vec::new();
    for server in &backend.servers {
        let options = &server.options;
        let about = |option: &str| format!("server option {option}");
        if let Some(disabled) = &options.disabled {
            remarks.ignored(&disabled.span, "server", "it is disabled, so it is left out");
            continue;
        }
        if taking_part.iter().any(|earlier| earlier.name.text == server.name.text) {
            let why = "another server has this name; give each its own";
            remarks.refuse(&server.name.span, "server", why);
            continue;
        }
        if options.check.is_none() {
            let why = "it is not checked, so that nothing tells whether it leads; add `check`";
            remarks.refuse(&server.span, "server", why);
        }
        if let Some(ssl) = &options.ssl {
            let why = "Raftgate passes clients' bytes to the node as they come, so TLS is the client's; where only \
                       checks should use TLS, write check-ssl";
            remarks.refuse(&ssl.span, &about("ssl"), why);
        }
        if let Some(proxy) = &options.send_proxy_ssl {
            let why = "Raftgate ends no TLS, so that its PROXY header has nothing to tell of it; write send-proxy-v2";
            remarks.refuse(&proxy.span, &about(&proxy.value), why);
        }
        if let Some(weight) = &options.no_weight {
            let why = format!(
                "with weight 0 HAProxy sends it no clients, but here it would get them when it leads; remove it, and once the \
                 gate runs say `raftgate drain {} {}`, which lasts until `undrain` or a restart",
                backend.name.text, server.name.text
            );
            remarks.refuse(&weight.span, &about("weight"), why);
        }
        taking_part.push(server);
    }
    taking_part
}

/// Where a server is.
struct Place {
    address: String,
    /// Where it is asked, if that is elsewhere.
    probe_address: Option<String>,
    /// The port that it is asked on, if it is written for the check alone.
    probe_port: Option<u16>,
}

fn place(backend: &Proxy, server: &Server, remarks: &mut Remarks) -> Option<Place> {
    let (host, port) = host_and_port(&server.address, remarks)?;
    let connect = backend.checks.connect.as_ref().map(|connect| &connect.value);
    let own_port =
        connect.and_then(|it| it.port.as_ref()).or(server.options.port.as_ref()).map(|it| it.value);
    let own_host =
        connect.and_then(|it| it.addr.as_ref()).or(server.options.addr.as_ref()).map(|it| &it.value);
    let address = format!("{host}:{port}");
    let probe_port = own_port.map_or_else(|| port.clone(), |port| port.to_string());
    let probe_address = format!("{}:{probe_port}", own_host.map_or(host, |host| bracketed(host)));
    Some(Place {
        probe_address: (probe_address != address).then_some(probe_address),
        address,
        probe_port: own_port,
    })
}

fn host_and_port(address: &Word, remarks: &mut Remarks) -> Option<(String, String)> {
    let text = match address.text.split_once('@') {
        Some(("ipv4" | "ipv6" | "tcp" | "tcp4" | "tcp6", rest)) => rest,
        Some(_) => {
            return remarks.refused(&address.span, "server", "only TCP addresses are known; write HOST:PORT");
        }
        None => &address.text,
    };
    if text.starts_with('/') {
        let why = "Raftgate does not connect to Unix sockets; write HOST:PORT";
        return remarks.refused(&address.span, "server", why);
    }
    match text.rsplit_once(':') {
        // `+1` would be the port that the client came to, and one more.
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() && !port.starts_with('+') => {
            Some((bracketed(host), port.to_owned()))
        }
        _ => {
            let why = format!(
                "found {text:?}, but Raftgate wants the node's host and its port, such as 10.0.0.1:1280"
            );
            remarks.refused(&address.span, "server", why)
        }
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() }
}

fn write_node(
    server: &Server,
    place: &Place,
    name: Option<&Written<String>>,
    preset: Preset,
    out: &mut Out<'_>,
) {
    let keys = ["nodes", &server.name.text];
    // The preset would ask on another port.
    let moved = preset.defaults().probe_port.is_some();
    let probe_address = place.probe_address.as_ref().or(moved.then_some(&place.address));
    let is_backup = server.options.backup.is_some();
    if probe_address.is_none() && name.is_none() && !is_backup {
        return out.set(&keys, place.address.as_str(), &server.span);
    }
    let mut node = InlineTable::new();
    node.insert("address", place.address.as_str().into());
    if let Some(probe_address) = probe_address {
        node.insert("probe_address", probe_address.as_str().into());
    }
    if let Some(name) = name {
        node.insert("server_name", name.value.as_str().into());
    }
    if let Some(backup) = &server.options.backup {
        node.insert("priority", (-1).into());
        let why = "it leads like any other node; only where two claim to lead, and it is not known who was elected \
                   later, the other is preferred";
        out.remarks.translated(&backup.span, "server option backup", why);
    }
    out.set(&keys, node, &server.span);
}

/// HAProxy takes a follower for down, like a node that is gone: what it does to sessions is the same in both cases.
fn sessions(servers: &[&Server], preset: Preset, out: &mut Out<'_>) {
    let Some(first) = servers.first() else { return };
    let written = shared(servers, "on-marked-down", |options| &options.shutdown_sessions, out.remarks);
    let (fate, span) = written.map_or(("keep", &first.span), |written| ("cut", &written.span));
    if fate == "cut" || preset != Preset::OpenZiti {
        out.set(&["sessions", "on_demotion"], fate, span);
    }
    out.set(&["sessions", "on_unreachable"], fate, span);
    if written.is_none() {
        let why = "as HAProxy has it without on-marked-down shutdown-sessions, sessions stay on a node that is gone until \
                   a timeout ends them; write that on the servers, or sessions.on_unreachable = \"cut\"";
        out.remarks.translated(span, "server", why);
    } else if preset == Preset::OpenZiti {
        let why = "as HAProxy has it, sessions on a controller that leads no more are cut, too, although it would pass \
                   on what only the leader can do: sessions.on_demotion = \"keep\" lets them go on";
        out.remarks.translated(span, "server option on-marked-down", why);
    }
}
