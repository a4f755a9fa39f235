//! How single values are spelled: durations with a unit, statuses and their ranges, one value or a list.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use crate::proxy::LogConnections;

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
                parse_span(text, &self).map(Span)
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
                parse_span(text, &self).map(|duration| SpanOrOff(Some(duration)))
            }
        }

        deserializer.deserialize_any(WithUnitOrOff)
    }
}

fn parse_span<E: Error>(text: &str, expected: &dyn Expected) -> Result<Duration, E> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration <= LONGEST => Ok(duration),
        Ok(_) => Err(E::invalid_value(Unexpected::Str(text), &"a duration of at most 365 days")),
        Err(_) => Err(E::invalid_value(Unexpected::Str(text), expected)),
    }
}

/// Which connections are logged: `true`, `false`, or `"useful"`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connections(pub(super) LogConnections);

impl<'de> Deserialize<'de> for Connections {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BoolOrUseful;

        impl Visitor<'_> for BoolOrUseful {
            type Value = Connections;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false, or \"useful\" for connections on which a byte has come")
            }

            fn visit_bool<E: Error>(self, all: bool) -> Result<Connections, E> {
                Ok(Connections(if all { LogConnections::All } else { LogConnections::None }))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Connections, E> {
                match text {
                    "useful" => Ok(Connections(LogConnections::Useful)),
                    _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }
        }

        deserializer.deserialize_any(BoolOrUseful)
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
