//! What users write, as it is spelled: names, nesting and types of the keys, no defaults and no meaning.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

pub(super) use super::spelling::{Connections, OneOrMany, Span, SpanOrOff, Status};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    pub(super) workers: Option<usize>,
    pub(super) max_connections: Option<usize>,
    pub(super) log: Log,
    pub(super) shutdown: Shutdown,
    pub(super) upgrade: Upgrade,
    pub(super) admin: Admin,
    pub(super) listeners: BTreeMap<String, Listener>,
    pub(super) clusters: BTreeMap<String, Cluster>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Log {
    pub(super) format: Option<String>,
    pub(super) level: Option<String>,
    pub(super) connections: Option<Connections>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Shutdown {
    pub(super) drain: Option<Span>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Upgrade {
    pub(super) drain: Option<SpanOrOff>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Admin {
    pub(super) bind: Option<String>,
    pub(super) socket: Option<String>,
    pub(super) hosts: Option<OneOrMany<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Listener {
    pub(super) bind: Option<OneOrMany<String>>,
    pub(super) cluster: Option<String>,
    pub(super) routes: Option<Vec<Route>>,
    pub(super) hello_timeout: Option<Span>,
    pub(super) to: Option<String>,
    pub(super) public_names: Option<OneOrMany<String>>,
    pub(super) accept_proxy_from: Option<OneOrMany<String>>,
    pub(super) allow: Option<OneOrMany<String>>,
    pub(super) deny: Option<OneOrMany<String>>,
    pub(super) max_connections: Option<usize>,
    pub(super) max_connections_per_source: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Route {
    pub(super) server_names: Option<OneOrMany<String>>,
    pub(super) alpn: Option<OneOrMany<String>>,
    pub(super) cluster: Option<String>,
    pub(super) reject: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Cluster {
    pub(super) preset: Option<String>,
    pub(super) nodes: BTreeMap<String, Node>,
    pub(super) max_age: Option<SpanOrOff>,
    pub(super) probe: Probe,
    pub(super) hold: Hold,
    pub(super) sessions: Sessions,
    pub(super) connect: Connect,
    pub(super) timeouts: Timeouts,
    pub(super) dns: Dns,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Probe {
    pub(super) path: Option<String>,
    pub(super) method: Option<String>,
    pub(super) host: Option<String>,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) leader: Option<OneOrMany<Condition>>,
    pub(super) follower: Option<OneOrMany<Condition>>,
    pub(super) interval: Option<Span>,
    pub(super) fast_interval: Option<Span>,
    pub(super) timeout: Option<Span>,
    pub(super) fall: Option<u32>,
    pub(super) rise: Option<u32>,
    pub(super) renew: Option<Span>,
    pub(super) tls: Tls,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Condition {
    pub(super) status: Option<OneOrMany<Status>>,
    pub(super) json: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Tls {
    pub(super) enabled: Option<bool>,
    pub(super) verify: Option<String>,
    pub(super) ca_file: Option<String>,
    pub(super) server_name: Option<String>,
    pub(super) pins: Option<OneOrMany<String>>,
    pub(super) spiffe_trust_domain: Option<String>,
    pub(super) client_cert_file: Option<String>,
    pub(super) client_key_file: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Hold {
    pub(super) timeout: Option<Span>,
    pub(super) limit: Option<usize>,
    pub(super) then: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Sessions {
    pub(super) on_demotion: Option<String>,
    pub(super) on_unreachable: Option<String>,
    pub(super) unreachable_after: Option<Span>,
    pub(super) drain: Option<Span>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Connect {
    pub(super) timeout: Option<Span>,
    pub(super) on_first_byte: Option<bool>,
    pub(super) first_byte_timeout: Option<SpanOrOff>,
    pub(super) send_proxy: Option<String>,
    pub(super) source: Option<OneOrMany<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Timeouts {
    pub(super) idle: Option<SpanOrOff>,
    pub(super) half_closed: Option<SpanOrOff>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Dns {
    pub(super) refresh: Option<Span>,
}

/// A node: `"host:port"`, or a table.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) address: Option<String>,
    pub(super) probe_address: Option<String>,
    pub(super) server_name: Option<String>,
    pub(super) spiffe_id: Option<String>,
    pub(super) priority: Option<i32>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct NodeTable {
    address: Option<String>,
    probe_address: Option<String>,
    server_name: Option<String>,
    spiffe_id: Option<String>,
    priority: Option<i32>,
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StringOrTable;

        impl<'de> Visitor<'de> for StringOrTable {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"host:port\" or a table with `address`")
            }

            fn visit_str<E: Error>(self, address: &str) -> Result<Node, E> {
                Ok(Node { address: Some(address.to_owned()), ..Node::default() })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Node, A::Error> {
                let NodeTable { address, probe_address, server_name, spiffe_id, priority } =
                    NodeTable::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Node { address, probe_address, server_name, spiffe_id, priority })
            }
        }

        deserializer.deserialize_any(StringOrTable)
    }
}
