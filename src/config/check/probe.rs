//! Checks how a cluster's leader is found: what is asked, what an answer means, when, and of whom.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use hyper::http::uri::{Authority, PathAndQuery};

use super::{question, tls};
use crate::config::findings::{At, all};
use crate::config::model::Probe;
use crate::config::presets::Defaults;
use crate::config::raw::{self, OneOrMany, Status};
use crate::leader::Policy;
use crate::probe::judge::{Condition, Rules};

/// The most of `fall` and `rise`: more would be a mistake, and could make the lease (L7) overflow.
const MOST_IN_A_ROW: u32 = 100;

/// What a status can be.
const STATUSES: RangeInclusive<u16> = 100..=999;

/// The lowest status of a final answer: those below announce one, and are never looked at.
pub(in crate::config) const LOWEST_FINAL: u16 = 200;

pub(super) fn check(raw: &raw::Probe, defaults: &Defaults, at: &At<'_>) -> Option<Probe> {
    let path = path(raw.path.as_deref().unwrap_or(defaults.path), &at.key("path"));
    let method = method(raw.method.as_deref().unwrap_or("GET"), &at.key("method"));
    let host = raw.host.as_deref().map_or(Some(None), |host| authority(host, &at.key("host")).map(Some));
    let headers = headers(&raw.headers, &at.key("headers"));
    let rules = rules(raw, defaults, method.as_deref() == Some("HEAD"), at);
    let policy = policy(raw, defaults, at);
    let renew = at.key("renew").positive(raw.renew, Duration::from_secs(30));
    let tls = tls::check(&raw.tls, defaults.tls, &at.key("tls"));
    let (method, rules) = (method?, rules?);
    let path = path.filter(|path| question::check(path, &rules, &at.key("path")).is_some());
    if method == "HEAD"
        && rules.leader.iter().chain(&rules.follower).any(|condition| !condition.json.is_empty())
    {
        return at
            .key("method")
            .reject("answers to HEAD have no body, but `json` conditions need one; use GET");
    }
    Some(Probe {
        path: path?,
        method,
        host: host?,
        headers: headers?,
        rules: Arc::new(rules),
        policy: policy?,
        renew: renew?,
        tls: tls?,
    })
}

fn path(path: &str, at: &At<'_>) -> Option<String> {
    // The parser would take "#..." for a fragment and drop it silently.
    let valid = path.starts_with('/') && !path.contains('#') && path.parse::<PathAndQuery>().is_ok();
    if valid {
        Some(path.to_owned())
    } else {
        at.reject(format!("found {path:?}, expected a path that starts with /, without spaces or #"))
    }
}

fn method(method: &str, at: &At<'_>) -> Option<String> {
    let upper = method.to_uppercase();
    match Method::from_bytes(method.as_bytes()) {
        Ok(parsed) if parsed == Method::CONNECT => {
            at.reject("CONNECT asks for a tunnel, not for an answer; use GET")
        }
        Ok(_) if upper == method => Some(upper),
        Ok(_) => at.reject(format!("found {method:?}, but methods are in capitals; write {upper:?}")),
        Err(_) => at.reject(format!("found {method:?}, expected an HTTP method such as GET")),
    }
}

fn authority(host: &str, at: &At<'_>) -> Option<String> {
    match host.parse::<Authority>() {
        Ok(_) if !host.contains('@') => Some(host.to_owned()),
        _ => at.reject(format!("found {host:?}, expected a name or address, with or without a port")),
    }
}

fn headers(raw: &BTreeMap<String, String>, at: &At<'_>) -> Option<Vec<(String, String)>> {
    let mut seen = Vec::new();
    all(raw.iter().map(|(name, value)| {
        let at = at.key(name);
        let Ok(parsed) = name.parse::<HeaderName>() else {
            return at.reject("is not a header's name; use letters, digits and dashes");
        };
        if parsed == HOST {
            return at.reject("has a key of its own; use probe.host");
        }
        if [CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION, UPGRADE].contains(&parsed) {
            return at.reject("is set by the probe itself; leave it out");
        }
        if seen.contains(&parsed) {
            return at.reject("is there twice, for case does not matter; leave one out");
        }
        // Not shown: it may be a secret.
        if HeaderValue::from_str(value).is_err() {
            return at.reject("its value has characters that no header may have, such as a line's end");
        }
        seen.push(parsed);
        Some((name.clone(), value.clone()))
    }))
}

/// `is_bodiless`: a preset's followers are then known by their status alone.
fn rules(raw: &raw::Probe, defaults: &Defaults, is_bodiless: bool, at: &At<'_>) -> Option<Rules> {
    let leader = match &raw.leader {
        Some(OneOrMany::Many(none)) if none.is_empty() => {
            at.key("leader").reject("is empty, so nobody could ever lead; give at least one condition")
        }
        Some(conditions) => alternatives(conditions, &at.key("leader")),
        None => Some(defaults.rules.leader.clone()),
    };
    let follower = match &raw.follower {
        Some(conditions) => alternatives(conditions, &at.key("follower")),
        None if is_bodiless => {
            let statuses = defaults.rules.follower.iter();
            Some(statuses.map(|it| Condition { json: Vec::new(), ..it.clone() }).collect())
        }
        None => Some(defaults.rules.follower.clone()),
    };
    if follower.as_ref().is_some_and(Vec::is_empty) {
        at.key("follower").warn(
            "no answer counts as a follower's, so that a change of leader shows only when the old one falls silent",
        );
    }
    Some(Rules { leader: leader?, follower: follower?, health: defaults.rules.health })
}

fn alternatives(conditions: &OneOrMany<raw::Condition>, at: &At<'_>) -> Option<Vec<Condition>> {
    all(conditions.items(at).into_iter().map(|(at, raw)| condition(raw, &at)))
}

fn condition(raw: &raw::Condition, at: &At<'_>) -> Option<Condition> {
    if raw.status.is_none() && raw.json.is_empty() {
        return at.reject("is empty, so that every answer would do; give `status`, `json` or both");
    }
    let status = match &raw.status {
        Some(status) => statuses(status, &at.key("status")),
        None => Some(vec![STATUSES]),
    };
    let json = all(raw.json.iter().map(|(pointer, value)| {
        let at = at.key("json").key(pointer);
        if !is_pointer(pointer) {
            return at.reject(
                "is not a JSON pointer; it starts with /, such as \"/raft/isLeader\", or is \"\" for the whole body",
            );
        }
        if value.is_null() {
            return at.reject("JSON has no such number");
        }
        Some((pointer.clone(), value.clone()))
    }));
    Some(Condition { status: status?, json: json? })
}

/// RFC 6901: empty for the whole document, else it begins with a slash; a tilde only ever escapes itself (`~0`) or a slash (`~1`).
fn is_pointer(text: &str) -> bool {
    (text.is_empty() || text.starts_with('/'))
        && text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']))
}

fn statuses(raw: &OneOrMany<Status>, at: &At<'_>) -> Option<Vec<RangeInclusive<u16>>> {
    let items = raw.items(at);
    if items.is_empty() {
        return at.reject("is empty, so that no answer would do; give at least one status");
    }
    all(items.into_iter().map(|(at, Status(first, last))| {
        if first > last || !STATUSES.contains(first) || !STATUSES.contains(last) {
            return at.reject(format!(
                "found {}, expected statuses from 100 to 999, the lower first",
                spell(*first, *last)
            ));
        }
        if *last < LOWEST_FINAL {
            return at.reject(format!(
                "found {}, but a status below {LOWEST_FINAL} only announces an answer, so that it is never seen; give \
                 the status of the answer",
                spell(*first, *last)
            ));
        }
        Some(*first..=*last)
    }))
}

fn spell(first: u16, last: u16) -> String {
    if first == last { first.to_string() } else { format!("\"{first}-{last}\"") }
}

fn policy(raw: &raw::Probe, defaults: &Defaults, at: &At<'_>) -> Option<Policy> {
    let default = Policy::default();
    let interval = at.key("interval").positive(raw.interval, defaults.interval);
    // A shorter `interval` alone is no contradiction: then there is one pace.
    let fast_default = interval.map_or(default.fast_interval, |interval| interval.min(default.fast_interval));
    let fast_interval = at.key("fast_interval").positive(raw.fast_interval, fast_default);
    let timeout = at.key("timeout").positive(raw.timeout, default.timeout);
    let fall = at.key("fall").within(raw.fall.unwrap_or(default.fall), 1..=MOST_IN_A_ROW);
    let rise = at.key("rise").within(raw.rise.unwrap_or(default.rise), 1..=MOST_IN_A_ROW);
    let (interval, fast_interval) = (interval?, fast_interval?);
    if fast_interval > interval {
        let (fast, steady) =
            (humantime::format_duration(fast_interval), humantime::format_duration(interval));
        return at
            .key("fast_interval")
            .reject(format!("{fast} is longer than `interval`, {steady}; make it shorter"));
    }
    Some(Policy { interval, fast_interval, timeout: timeout?, fall: fall?, rise: rise? })
}
