//! What users write, as it is spelled: names, nesting and types of the keys, no defaults and no meaning.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    pub(super) workers: Option<usize>,
    pub(super) max_connections: Option<usize>,
    pub(super) log: Log,
    pub(super) shutdown: Shutdown,
    pub(super) admin: Admin,
    pub(super) listeners: BTreeMap<String, Listener>,
    pub(super) clusters: BTreeMap<String, Cluster>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Log {
    pub(super) format: Option<String>,
    pub(super) level: Option<String>,
    pub(super) connections: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Shutdown {
    pub(super) drain: Option<Span>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Admin {
    pub(super) bind: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Listener {
    pub(super) bind: Option<OneOrMany<String>>,
    pub(super) cluster: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Cluster {
    pub(super) preset: Option<String>,
    pub(super) nodes: BTreeMap<String, Node>,
    pub(super) probe: Probe,
    pub(super) hold: Hold,
    pub(super) sessions: Sessions,
    pub(super) connect: Connect,
    pub(super) timeouts: Timeouts,
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
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Timeouts {
    pub(super) idle: Option<SpanOrOff>,
    pub(super) half_closed: Option<SpanOrOff>,
}

/// A node: `"host:port"`, or a table.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) address: Option<String>,
    pub(super) probe_address: Option<String>,
    pub(super) server_name: Option<String>,
    pub(super) priority: Option<i32>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct NodeTable {
    address: Option<String>,
    probe_address: Option<String>,
    server_name: Option<String>,
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
                let NodeTable { address, probe_address, server_name, priority } =
                    NodeTable::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Node { address, probe_address, server_name, priority })
            }
        }

        deserializer.deserialize_any(StringOrTable)
    }
}

/// A duration with its unit, such as `"250ms"`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span(pub(super) Duration);

/// Longer ones are mistakes, and would overflow when they are added to a moment or to one another.
const LONGEST: Duration = Duration::from_hours(365 * 24);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WithUnit;

        impl Visitor<'_> for WithUnit {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration with its unit, such as \"250ms\", \"10s\" or \"1h\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
                match humantime::parse_duration(text) {
                    Ok(duration) if duration <= LONGEST => Ok(Span(duration)),
                    Ok(_) => Err(E::invalid_value(Unexpected::Str(text), &"a duration of at most 365 days")),
                    Err(_) => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }
        }

        deserializer.deserialize_any(WithUnit)
    }
}

/// A duration, or `"off"`.
#[derive(Clone, Copy, Debug)]
pub(super) struct SpanOrOff(pub(super) Option<Duration>);

impl<'de> Deserialize<'de> for SpanOrOff {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WithUnitOrOff;

        impl Visitor<'_> for WithUnitOrOff {
            type Value = SpanOrOff;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"off\", or a duration with its unit, such as \"60s\" or \"1h\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<SpanOrOff, E> {
                if text == "off" {
                    return Ok(SpanOrOff(None));
                }
                match humantime::parse_duration(text) {
                    Ok(duration) if duration <= LONGEST => Ok(SpanOrOff(Some(duration))),
                    Ok(_) => Err(E::invalid_value(
                        Unexpected::Str(text),
                        &"\"off\", or a duration of at most 365 days",
                    )),
                    Err(_) => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }
        }

        deserializer.deserialize_any(WithUnitOrOff)
    }
}

/// An HTTP status (`200`) or a range of them (`"200-299"`), first and last; which numbers make sense is not looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Status(pub(super) u16, pub(super) u16);

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrRange;

        impl Visitor<'_> for NumberOrRange {
            type Value = Status;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a status such as 200, or a range such as \"200-299\"")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Status, E> {
                match u16::try_from(number) {
                    Ok(status) => Ok(Status(status, status)),
                    Err(_) => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
                }
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Status, E> {
                match u16::try_from(number) {
                    Ok(status) => Ok(Status(status, status)),
                    Err(_) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
                }
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Status, E> {
                let range = || {
                    let (first, last) = text.split_once('-').unwrap_or((text, text));
                    Some(Status(first.trim().parse().ok()?, last.trim().parse().ok()?))
                };
                range().ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_any(NumberOrRange)
    }
}

/// One value, or a list of such values.
#[derive(Debug)]
pub(super) enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueOrList<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ValueOrList<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one value or a list")
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
                T::deserialize(value.into_deserializer()).map(OneOrMany::One)
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
                T::deserialize(value.into_deserializer()).map(OneOrMany::One)
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
                T::deserialize(value.into_deserializer()).map(OneOrMany::One)
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
                T::deserialize(value.into_deserializer()).map(OneOrMany::One)
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
                T::deserialize(value.into_deserializer()).map(OneOrMany::One)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(OneOrMany::One)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(OneOrMany::Many)
            }
        }

        deserializer.deserialize_any(ValueOrList(PhantomData))
    }
}
