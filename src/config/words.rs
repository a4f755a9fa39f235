//! The words that users choose among, and what each stands for; read both ways.

use tracing::Level;

use super::model::LogFormat;
use super::presets::Preset;
use crate::follow::{HoldThen, OnDemotion, OnUnreachable};
use crate::probe::Verify;
use crate::tenure::To;
use crate::wire::proxy_header::Version;

/// Words and their meanings, in the order in which they are shown.
pub(super) type Words<T> = [(&'static str, T)];

pub(super) const LOG_FORMAT: &Words<LogFormat> = &[("text", LogFormat::Text), ("json", LogFormat::Json)];

pub(super) const LOG_LEVEL: &Words<Level> = &[
    ("error", Level::ERROR),
    ("warn", Level::WARN),
    ("info", Level::INFO),
    ("debug", Level::DEBUG),
    ("trace", Level::TRACE),
];

pub(super) const PRESET: &Words<Preset> = &[
    ("none", Preset::None),
    ("openziti", Preset::OpenZiti),
    ("vault", Preset::Vault),
    ("patroni", Preset::Patroni),
];

pub(super) const TO: &Words<To> = &[("leader", To::Leader), ("followers", To::Followers), ("any", To::Any)];

pub(super) const HOLD_THEN: &Words<HoldThen> = &[
    ("refuse", HoldThen::Refuse),
    ("last_leader", HoldThen::LastLeader),
    ("any_reachable", HoldThen::AnyReachable),
];

pub(super) const ON_DEMOTION: &Words<OnDemotion> =
    &[("keep", OnDemotion::Keep), ("drain", OnDemotion::Drain), ("cut", OnDemotion::Cut)];

pub(super) const ON_UNREACHABLE: &Words<OnUnreachable> =
    &[("cut", OnUnreachable::Cut), ("keep", OnUnreachable::Keep)];

pub(super) const VERIFY: &Words<Verify> =
    &[("full", Verify::Full), ("chain", Verify::Chain), ("pin", Verify::Pin), ("none", Verify::None)];

pub(super) const SEND_PROXY: &Words<Option<Version>> =
    &[("off", None), ("v1", Some(Version::V1)), ("v2", Some(Version::V2))];

/// Headers whose names contain one of these carry secrets.
const SECRET: [&str; 6] = ["auth", "cookie", "key", "password", "secret", "token"];

/// Whether a text (a header's name, a line) speaks of something that is not to be shown.
pub(super) fn may_be_secret(text: &str) -> bool {
    let text = text.to_lowercase();
    SECRET.iter().any(|part| text.contains(part))
}

/// What a word stands for.
pub(super) fn meaning<T: Copy>(words: &Words<T>, word: &str) -> Option<T> {
    words.iter().find(|(known, _)| *known == word).map(|(_, meaning)| *meaning)
}

/// The word for a meaning. Every meaning has one: a test looks at all of them.
pub(super) fn word<T: PartialEq>(words: &Words<T>, meaning: &T) -> &'static str {
    words.iter().find(|(_, known)| known == meaning).map_or("", |(word, _)| word)
}
