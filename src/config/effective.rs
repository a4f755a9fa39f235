//! The effective configuration as TOML, for people: every key, and what reads back as the same configuration.

use std::fmt::{Display, Write as _};
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;
use toml_edit::{Array, InlineTable, Key, Value};

use super::model::{Cluster, Config, Listener, Node, Probe};
use super::words::{
    HOLD_THEN, LOG_FORMAT, LOG_LEVEL, ON_DEMOTION, ON_UNREACHABLE, PRESET, SEND_PROXY, TO, VERIFY,
    may_be_secret, word,
};
use crate::probe::Roots;
use crate::probe::judge::Condition;
use crate::proxy::{LogConnections, Route, Target};

impl Config {
    /// Every key with its value, defaults and presets filled in, secrets hidden.
    pub fn effective_toml(&self) -> String {
        let mut page = Page::default();
        page.set("workers", count(self.workers));
        page.set("max_connections", count(self.max_connections));
        page.table(&["log"]);
        page.set("format", word(LOG_FORMAT, &self.log.format));
        page.set("level", word(LOG_LEVEL, &self.log.level));
        let connections: Value = match self.log.connections {
            LogConnections::None => false.into(),
            LogConnections::Useful => "useful".into(),
            LogConnections::All => true.into(),
        };
        page.set("connections", connections);
        page.table(&["shutdown"]);
        page.set("drain", span(self.shutdown_drain));
        page.table(&["upgrade"]);
        page.set("drain", span_or_off(self.upgrade_drain));
        page.table(&["admin"]);
        page.set("bind", self.admin_bind.map_or_else(String::new, |address| address.to_string()));
        let socket = self.admin_socket.as_deref().map_or_else(String::new, |path| path.display().to_string());
        page.set("socket", socket);
        page.set("hosts", self.admin_hosts.iter().map(String::as_str).collect::<Array>());
        for listener in &self.listeners {
            self.write_listener(&mut page, listener);
        }
        for cluster in &self.clusters {
            write_cluster(&mut page, cluster);
        }
        page.0
    }

    fn write_listener(&self, page: &mut Page, listener: &Listener) {
        page.table(&["listeners", &listener.name]);
        page.set("bind", listener.bind.iter().map(ToString::to_string).collect::<Array>());
        match listener.cluster {
            Some(cluster) => page.set("cluster", self.name_of(cluster)),
            None => page.note("cluster", "none: who is taken by no route is refused"),
        }
        page.set("routes", one_a_line(listener.routes.table.iter().map(|it| self.route(it))));
        page.set("hello_timeout", span(listener.routes.hello_timeout));
        page.set("to", word(TO, &listener.to));
        page.set("public_names", listener.public_names.iter().map(String::as_str).collect::<Array>());
        page.set("accept_proxy_from", listener.proxies.0.iter().map(network).collect::<Array>());
        page.set("allow", listener.access.allow.iter().map(network).collect::<Array>());
        page.set("deny", listener.access.deny.iter().map(network).collect::<Array>());
        let bounds = [
            ("max_connections", listener.max_connections),
            ("max_connections_per_source", listener.max_connections_per_source),
        ];
        for (key, bound) in bounds {
            match bound {
                Some(bound) => page.set(key, count(bound)),
                None => page.note(key, "no bound of its own"),
            }
        }
    }

    fn name_of(&self, cluster: usize) -> &str {
        self.clusters.get(cluster).map_or("", |cluster| &cluster.name)
    }

    fn route(&self, route: &Route) -> InlineTable {
        let mut table = InlineTable::new();
        if !route.server_names.is_empty() {
            let names = route.server_names.iter().map(ToString::to_string);
            table.insert("server_names", names.collect::<Array>().into());
        }
        if !route.alpn.is_empty() {
            let protocols = route.alpn.iter().map(|name| String::from_utf8_lossy(name).into_owned());
            table.insert("alpn", protocols.collect::<Array>().into());
        }
        match route.target {
            Target::Cluster(cluster) => table.insert("cluster", self.name_of(cluster).into()),
            Target::Reject => table.insert("reject", true.into()),
        };
        table
    }
}

/// A list of tables, each on a line of its own.
pub(super) fn one_a_line(tables: impl Iterator<Item = InlineTable>) -> Array {
    let mut list: Array = tables.collect();
    for table in list.iter_mut() {
        table.decor_mut().set_prefix("\n    ");
    }
    if !list.is_empty() {
        list.set_trailing_comma(true);
        list.set_trailing("\n");
    }
    list
}

/// As people write it: a single address without `/32` or `/128`.
fn network(network: &IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}

fn write_cluster(page: &mut Page, cluster: &Cluster) {
    let name: &str = &cluster.name;
    page.table(&["clusters", name]);
    page.set("preset", word(PRESET, &cluster.preset));
    page.set("max_age", span_or_off(cluster.max_age));
    for node in &cluster.nodes {
        write_node(page, name, node);
    }
    write_probe(page, name, &cluster.probe);
    page.table(&["clusters", name, "hold"]);
    page.set("timeout", span(cluster.hold.timeout));
    page.set("limit", count(cluster.hold.limit));
    page.set("then", word(HOLD_THEN, &cluster.hold.then));
    page.table(&["clusters", name, "sessions"]);
    page.set("on_demotion", word(ON_DEMOTION, &cluster.fates.on_demotion));
    page.set("on_unreachable", word(ON_UNREACHABLE, &cluster.fates.on_unreachable));
    page.set("unreachable_after", span(cluster.fates.unreachable_after));
    page.set("drain", span(cluster.drain));
    page.table(&["clusters", name, "connect"]);
    page.set("timeout", span(cluster.connect.timeout));
    page.set("on_first_byte", cluster.connect.on_first_byte);
    page.set("first_byte_timeout", span_or_off(cluster.connect.first_byte_timeout));
    page.set("send_proxy", word(SEND_PROXY, &cluster.connect.send_proxy));
    page.set("source", cluster.connect.source.iter().map(ToString::to_string).collect::<Array>());
    page.table(&["clusters", name, "timeouts"]);
    page.set("idle", span_or_off(cluster.timeouts.idle));
    page.set("half_closed", span_or_off(cluster.timeouts.half_closed));
    page.table(&["clusters", name, "dns"]);
    page.set("refresh", span(cluster.dns_refresh));
}

fn write_node(page: &mut Page, cluster: &str, node: &Node) {
    page.table(&["clusters", cluster, "nodes", &node.name]);
    page.set("address", node.address.to_string());
    page.set("probe_address", node.probe_address.to_string());
    page.set("server_name", node.server_name.as_str());
    if let Some(id) = &node.spiffe_id {
        page.set("spiffe_id", id.to_string());
    }
    page.set("priority", i64::from(node.priority));
}

fn write_probe(page: &mut Page, cluster: &str, probe: &Probe) {
    page.table(&["clusters", cluster, "probe"]);
    page.set("path", probe.path.as_str());
    page.set("method", probe.method.as_str());
    match &probe.host {
        Some(host) => page.set("host", host.as_str()),
        None => page.note("host", "each node's own name and port"),
    }
    let headers = probe.headers.iter().map(|(name, value)| (name, shown(name, value)));
    page.set("headers", headers.collect::<InlineTable>());
    page.set("leader", probe.rules.leader.iter().map(condition).collect::<Array>());
    page.set("follower", probe.rules.follower.iter().map(condition).collect::<Array>());
    page.set("interval", span(probe.policy.interval));
    page.set("fast_interval", span(probe.policy.fast_interval));
    page.set("timeout", span(probe.policy.timeout));
    page.set("fall", i64::from(probe.policy.fall));
    page.set("rise", i64::from(probe.policy.rise));
    page.set("renew", span(probe.renew));
    page.table(&["clusters", cluster, "probe", "tls"]);
    page.set("enabled", probe.tls.is_some());
    let Some(tls) = &probe.tls else { return };
    page.set("verify", word(VERIFY, &tls.verify));
    match &tls.roots {
        Roots::File(file) => page.set("ca_file", file.display().to_string()),
        Roots::System => page.note("ca_file", "the system's roots"),
    }
    page.set("pins", tls.pins.iter().map(ToString::to_string).collect::<Array>());
    if let Some(domain) = &tls.spiffe_trust_domain {
        page.set("spiffe_trust_domain", domain.to_string());
    }
    if let Some(client) = &tls.client {
        page.set("client_cert_file", client.certificate.display().to_string());
        page.set("client_key_file", client.key.display().to_string());
    }
}

fn shown<'v>(name: &str, value: &'v str) -> &'v str {
    if may_be_secret(name) { "(hidden)" } else { value }
}

fn condition(condition: &Condition) -> Value {
    let mut table = InlineTable::new();
    table.insert("status", condition.status.iter().map(status).collect::<Array>().into());
    if !condition.json.is_empty() {
        let json = condition.json.iter().map(|(pointer, value)| (pointer, toml(value)));
        table.insert("json", json.collect::<InlineTable>().into());
    }
    table.into()
}

fn status(range: &RangeInclusive<u16>) -> Value {
    let (first, last) = (*range.start(), *range.end());
    if first == last { i64::from(first).into() } else { format!("{first}-{last}").into() }
}

fn toml(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Bool(value) => (*value).into(),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.into(),
            (None, Some(real)) => real.into(),
            (None, None) => number.to_string().into(),
        },
        serde_json::Value::String(text) => text.as_str().into(),
        serde_json::Value::Array(list) => list.iter().map(toml).collect::<Array>().into(),
        serde_json::Value::Object(table) => {
            table.iter().map(|(key, value)| (key, toml(value))).collect::<InlineTable>().into()
        }
        // No configuration has it: TOML cannot say it.
        serde_json::Value::Null => "".into(),
    }
}

/// As people write it: `1500ms`, not `1s 500ms`.
pub(super) fn span(duration: Duration) -> String {
    match duration.subsec_nanos() {
        0 => humantime::format_duration(duration).to_string(),
        nanos if nanos % 1_000_000 == 0 => format!("{}ms", duration.as_millis()),
        _ => humantime::format_duration(duration).to_string(),
    }
}

pub(super) fn span_or_off(duration: Option<Duration>) -> String {
    duration.map_or_else(|| "off".to_owned(), span)
}

/// TOML's integers end where nothing is counted any more.
fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// TOML as it is written, top to bottom.
#[derive(Default)]
struct Page(String);

impl Page {
    fn table(&mut self, keys: &[&str]) {
        let keys: Vec<String> = keys.iter().map(|key| Key::new(*key).to_string()).collect();
        self.line(format_args!("\n[{}]", keys.join(".")));
    }

    fn set(&mut self, key: &str, value: impl Into<Value>) {
        let value: Value = value.into();
        self.line(format_args!("{} = {value}", Key::new(key)));
    }

    /// A key without a value that could be written.
    fn note(&mut self, key: &str, meaning: &str) {
        self.line(format_args!("# {key}: {meaning}"));
    }

    fn line(&mut self, line: impl Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{line}");
    }
}
