//! What the readers of configurations hold for any text.

use std::time::Duration;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};

use super::address::{HostPort, collide, parse_bind, parse_network};
use super::haproxy::translate;
use super::import::toml;
use super::layers::Layers;
use super::quote::quote;
use super::spelling::{Span, SpanOrOff, Status};
use super::{Config, ConfigError, effective, import_text, load_text};
use crate::nearest::nearest;
use crate::probe::tls::{Pin, SpiffeId, TrustDomain};

/// A name that no error has for another reason.
const FILE: &str = "fuzz.file";

/// A configuration: every error has a place, and what is accepted reads back as the same.
///
/// Behind the file, each after a byte 0, may follow `NAME=VALUE` of variables.
pub fn configuration(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.split('\0');
    let file = parts.next().unwrap_or_default();
    let variable = |part: &str| {
        let (name, value) = part.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    let environment: Vec<(String, String)> = parts.filter_map(variable).collect();
    let layers = Layers { file: Some(toml(FILE, file)), environment, ..Layers::default() };
    match layers.assemble() {
        Ok(loaded) => {
            loaded.warnings.iter().for_each(|warning| has_place(warning));
            reads_back(&loaded.config);
        }
        Err(error) => has_places(&error),
    }
}

/// A `haproxy.cfg`: whatever it says has a place, and what is made of it is TOML that says the same.
pub fn haproxy(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let variables = |name: &str| (name == "HOST").then(|| "10.0.0.9".to_owned());
    let translation = translate(&text, &variables);
    let spans = translation.spans.iter().map(|(_, span)| span);
    for span in spans.chain(translation.remarks.iter().map(|remark| &remark.span)) {
        assert!(text.get(span.clone()).is_some(), "{span:?} is no part of the file");
    }
    match import_text(FILE, &text, &variables) {
        Ok(imported) => {
            imported.remarks.iter().for_each(|remark| has_line(remark));
            let loaded = load_text("imported", &imported.toml).expect("what was imported is valid");
            assert_eq!(loaded.config, imported.config, "{}", imported.toml);
            reads_back(&imported.config);
        }
        Err(error) => has_places(&error),
    }
}

fn has_places(error: &ConfigError) {
    let ConfigError::Invalid(errors) = error else { panic!("{error}") };
    assert!(!errors.is_empty(), "refused for no reason");
    for error in errors {
        has_place(error);
    }
}

/// A line of the file, the whole of it, or a variable.
fn has_place(told: &str) {
    let is_known = [FILE, "environment variable RAFTGATE_"].iter().any(|place| told.starts_with(place));
    assert!(is_known && told.contains(": "), "where? {told}");
}

fn has_line(told: &str) {
    let line =
        told.strip_prefix(FILE).and_then(|rest| rest.strip_prefix(':')?.split(':').next()?.parse().ok());
    assert!(line.is_some_and(|line: usize| line > 0), "where? {told}");
}

/// What is shown as the effective configuration is the same configuration, if no secret is hidden in it.
fn reads_back(config: &Config) {
    let shown = config.effective_toml();
    if shown.contains("(hidden)") {
        return;
    }
    match load_text("effective", &shown) {
        Ok(loaded) => assert_eq!(loaded.config, *config, "{shown}"),
        Err(error) => panic!("{error}\n{shown}"),
    }
}

/// Single values: what is accepted is shown in a way that means the same.
pub fn values(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(address) = text.parse::<HostPort>() {
        assert_eq!(address.to_string().parse(), Ok(address.clone()));
        assert!(address.port > 0 && !address.host.is_empty(), "{address}");
    }
    if let Ok(network) = parse_network(&text) {
        assert_eq!(parse_network(&network.to_string()), Ok(network));
        assert_eq!(network, network.trunc());
    }
    if let Ok(id) = text.parse::<SpiffeId>() {
        assert_eq!(id.to_string().parse(), Ok(id));
    }
    if let Ok(domain) = text.parse::<TrustDomain>() {
        assert_eq!(domain.to_string().parse(), Ok(domain));
    }
    if let Ok(pin) = text.parse::<Pin>() {
        assert_eq!(pin.to_string().parse(), Ok(pin));
    }
    durations(&text);
    binds(&text);
    words(&text);
}

fn spelled<'t, T: Deserialize<'t>>(text: &'t str) -> Option<T> {
    let deserializer: StrDeserializer<'t, Error> = text.into_deserializer();
    T::deserialize(deserializer).ok()
}

fn durations(text: &str) {
    let _: Option<Status> = spelled(text);
    let span = spelled::<Span>(text).map(|span| span.0);
    let or_off = spelled::<SpanOrOff>(text).map(|span| span.0);
    assert_eq!(or_off, if text == "off" { Some(None) } else { span.map(Some) });
    if let Some(duration) = span {
        assert!(duration <= Duration::from_hours(365 * 24), "{duration:?}");
        let shown = effective::span(duration);
        assert_eq!(spelled::<Span>(&shown).map(|span| span.0), Some(duration), "{shown}");
    }
}

fn binds(text: &str) {
    let binds: Vec<_> = text.lines().filter_map(parse_bind).collect();
    for (place, one) in binds.iter().enumerate() {
        assert_eq!(parse_bind(&one.to_string()), Some(*one));
        assert!(one.port() == 0 || collide(*one, *one), "{one} can be bound twice");
        for other in &binds[..place] {
            assert_eq!(collide(*one, *other), collide(*other, *one), "{one} {other}");
        }
    }
}

/// A misspelled word, and a line that is shown.
fn words(text: &str) {
    let known: Vec<&str> = text.lines().skip(1).take(5).collect();
    let word: String = text.lines().next().unwrap_or_default().chars().take(100).collect();
    if let Some(near) = nearest(&word, known.iter().copied()) {
        assert!(known.contains(&near), "{near}");
    }
    for at in (0..=text.len()).step_by(text.len() / 4 + 1) {
        let Some(shown) = quote(text, at..text.len()) else { continue };
        assert_eq!(shown.lines().count(), 2, "{shown:?}");
        assert!(shown.lines().all(|line| !line.contains(char::is_control)), "{shown:?}");
    }
}
