//! What nodes are asked, and which answers make one of them the leader.

use std::ops::{Range, RangeInclusive};

use toml_edit::{Array, InlineTable, Key, Value};

use super::check::Check;
use super::cluster::Out;
use super::expect::{self, Expect};
use super::proxy::Proxy;
use super::remarks::Remarks;
use crate::config::presets::Preset;
use crate::config::words::{PRESET, word};
use crate::tenure::To;

/// Where kinds of clusters say who leads.
const LEADER_PATHS: &[(&str, Preset)] = &[
    ("/health-checks/controller/raft", Preset::OpenZiti),
    ("/v1/sys/health", Preset::Vault),
    ("/v1/sys/leader", Preset::Vault),
    ("/primary", Preset::Patroni),
    ("/master", Preset::Patroni),
    ("/leader", Preset::Patroni),
    ("/read-write", Preset::Patroni),
];

/// Where Patroni answers 200 on replicas.
const REPLICA_PATHS: [&str; 11] = [
    "/replica",
    "/read-only",
    "/read-only-sync",
    "/read-only-quorum",
    "/synchronous",
    "/sync",
    "/quorum",
    "/asynchronous",
    "/async",
    "/standby",
    "/replica-sync",
];

/// Where every node that is well answers 200.
const HEALTH_PATHS: [&str; 10] = [
    "/health",
    "/healthz",
    "/livez",
    "/readyz",
    "/liveness",
    "/readiness",
    "/patroni",
    "/cluster",
    "/ping",
    "/v1/sys/seal-status",
];

/// Texts in a body that say who leads, and where they are in its JSON.
const BODIES: &[(&str, &str, &str)] = &[
    ("/v1/sys/leader", "\"is_self\":true", "/is_self"),
    ("/health-checks/controller/raft", "\"isLeader\":true", "/raft/isLeader"),
];

/// How a pool of other nodes than the leader is written: the question that tells who leads tells who follows, too.
fn instead(backend: &Proxy, to: To) -> String {
    let bind = backend.binds.iter().flat_map(|bind| &bind.addresses).next();
    format!(
        "In Raftgate a pool is a listener of the leader's cluster, which is asked who leads: leave this section out, import \
         the leader's, and add to its TOML\n\
         \x20   [listeners.{}]\n\
         \x20   bind = {}\n\
         \x20   cluster = \"...\"    # the leader's section\n\
         \x20   to = {}",
        Key::new(&backend.name.text),
        Value::from(bind.map_or("...", |bind| &bind.value)),
        Value::from(to.as_str()),
    )
}

/// The request as it is understood.
struct Asked {
    method: String,
    uri: String,
    span: Range<usize>,
}

/// Writes down what is asked; the kind of cluster that it tells of.
pub(super) fn write(backend: &Proxy, probe_ports: &[u16], out: &mut Out<'_>) -> Option<Preset> {
    let checks = &backend.checks;
    match &checks.kind {
        None => return out.remarks.refused(&backend.name.span, &backend.kind, no_check(backend)),
        Some(kind) => {
            if let Check::Other(name) = &kind.value {
                let why =
                    "only HTTP checks tell Raftgate who leads; use option httpchk with the leader's endpoint";
                return out.remarks.refused(&name.span, &format!("option {}", name.value), why);
            }
        }
    }
    if let Some(span) = &checks.second_step {
        let why = "Raftgate asks one question and looks at its answer; keep the step that tells who leads";
        return out.remarks.refused(span, "http-check", why);
    }
    let span = checks.kind.as_ref().map_or(backend.name.span.clone(), |kind| kind.span.clone());
    let request = &checks.request;
    let asked = Asked {
        method: request.method.as_ref().map_or("OPTIONS", |method| &method.value).to_owned(),
        uri: request.uri.as_ref().map_or("/", |uri| &uri.value).to_owned(),
        span: request.uri.as_ref().map_or(span, |uri| uri.span.clone()),
    };
    if asked.uri.contains("%[") {
        return out.remarks.refused(&asked.span, "the check's URI", "Raftgate computes no paths; write it");
    }
    let preset = preset_of(&asked, probe_ports);
    tells_leaders(backend, &asked, checks.expect.as_ref().map(|expect| &expect.value), out.remarks)?;
    if preset != Preset::None {
        out.set(&["preset"], word(PRESET, &preset), &asked.span);
    }
    out.set(&["probe", "path"], asked.uri.as_str(), &asked.span);
    if asked.method != "GET" {
        let span = request.method.as_ref().map_or(&asked.span, |method| &method.span);
        out.set(&["probe", "method"], asked.method.as_str(), span);
    }
    if let Some(host) = &request.host {
        out.set(&["probe", "host"], host.value.as_str(), &host.span);
    }
    for (name, value) in &request.headers {
        out.set(&["probe", "headers", name], value.value.as_str(), &value.span);
    }
    leader(backend, &asked, preset, out)?;
    Some(preset)
}

fn no_check(backend: &Proxy) -> String {
    let instead = instead(backend, To::Any);
    format!("there is no option httpchk, so nothing tells which server leads; give it one. {instead}")
}

fn path_of(uri: &str) -> &str {
    uri.split('?').next().unwrap_or_default()
}

fn preset_of(asked: &Asked, probe_ports: &[u16]) -> Preset {
    const PATRONI: u16 = 8008;
    let path = path_of(&asked.uri);
    let is_patroni = path == "/" && probe_ports.contains(&PATRONI);
    match LEADER_PATHS.iter().find(|(known, _)| *known == path) {
        Some((_, preset)) => *preset,
        // On its own port Patroni takes `/` for `/primary`.
        None if is_patroni => Preset::Patroni,
        None => Preset::None,
    }
}

/// Refuses what is known to be answered by others than the leader.
fn tells_leaders(
    backend: &Proxy,
    asked: &Asked,
    expect: Option<&Expect>,
    remarks: &mut Remarks,
) -> Option<()> {
    let (path, uri) = (path_of(&asked.uri), &asked.uri);
    if REPLICA_PATHS.contains(&path) {
        let why = format!("{path} is answered by replicas. {}", instead(backend, To::Followers));
        return remarks.refused(&asked.span, "the check", why);
    }
    if HEALTH_PATHS.contains(&path) {
        let instead = instead(backend, To::Any);
        let why = format!("{path} is answered alike by every node that is well; ask who leads. {instead}");
        return remarks.refused(&asked.span, "the check", why);
    }
    let any_standby = ["standbyok", "perfstandbyok", "standbycode=200", "performancestandbycode=200"];
    if path == "/v1/sys/health" && any_standby.iter().any(|it| uri.contains(it)) {
        let why = format!(
            "with this query Vault's standbys answer as the active node does; remove the query. {}",
            instead(backend, To::Any)
        );
        return remarks.refused(&asked.span, "the check", why);
    }
    if path == "/v1/sys/leader" && !matches!(expect, Some(Expect::Text(_))) {
        let why = "every node answers 200 here and says in the body who leads; ask GET /v1/sys/health, or add \
                   http-check expect string '\"is_self\":true'";
        return remarks.refused(&asked.span, "the check", why);
    }
    Some(())
}

fn leader(backend: &Proxy, asked: &Asked, preset: Preset, out: &mut Out<'_>) -> Option<()> {
    let by_default = (Expect::Statuses(vec![expect::BY_DEFAULT]), &asked.span);
    let (expect, span) =
        backend.checks.expect.as_ref().map_or((&by_default.0, by_default.1), |it| (&it.value, &it.span));
    match expect {
        Expect::Statuses(statuses) => by_status(backend, (statuses, span), asked, preset, out),
        Expect::Text(text) => by_body(text, span, asked, out),
    }
}

fn by_status(
    backend: &Proxy,
    (statuses, span): (&[RangeInclusive<u16>], &Range<usize>),
    asked: &Asked,
    preset: Preset,
    out: &mut Out<'_>,
) -> Option<()> {
    let is_listed = |status: u16| statuses.iter().any(|range| range.contains(&status));
    let followers: &[u16] = match preset {
        Preset::None => &[],
        Preset::OpenZiti => &[429],
        Preset::Vault => &[429, 472, 473],
        Preset::Patroni => &[503],
    };
    if let Some(follower) = followers.iter().find(|status| is_listed(**status)) {
        let why = format!("{follower} is what a follower answers. {}", instead(backend, To::Followers));
        return out.remarks.refused(span, "http-check expect", why);
    }
    out.set(&["probe", "leader"], condition(statuses), span);
    let bodiless = matches!(asked.method.as_str(), "OPTIONS" | "HEAD");
    match preset {
        Preset::None => {
            let taken = if is_listed(429) {
                out.set(&["probe", "follower"], Array::new(), span);
                "Raftgate takes any but a leader's for silence"
            } else {
                "Raftgate takes 429 for it, and others for silence"
            };
            let why = format!(
                "the file does not say what a follower answers: {taken}, which counts after `fall` of them; \
                 `probe.follower` can say more"
            );
            out.remarks.translated(span, "the check", why);
        }
        Preset::OpenZiti => {
            if bodiless {
                out.set(&["probe", "follower"], condition(&[429..=429]), span);
            }
            let why = "as the file says, the status alone makes a leader; without `probe.leader` Raftgate would look \
                       into the body, too, so that no slip in the controllers' set-up makes them all leaders";
            out.remarks.translated(span, "the check", why);
        }
        Preset::Patroni => {
            if bodiless {
                out.set(&["probe", "follower"], condition(&[503..=503]), span);
            }
            let why = "as the file says, the status alone makes a leader, which comes shortly before PostgreSQL takes \
                       writes; with GET and without `probe.leader` Raftgate would wait until it does";
            out.remarks.translated(span, "the check", why);
        }
        Preset::Vault => {
            if bodiless {
                out.set(&["probe", "follower"], condition(&[429..=429, 472..=472, 473..=473]), span);
            }
        }
    }
    Some(())
}

fn by_body(text: &str, span: &Range<usize>, asked: &Asked, out: &mut Out<'_>) -> Option<()> {
    let squeezed: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
    let known = BODIES.iter().find(|(path, said, _)| *path == path_of(&asked.uri) && *said == squeezed);
    let Some((_, _, pointer)) = known else {
        let why = "Raftgate looks for values in JSON, not for texts: remove this line, import the rest, and add to the TOML such as \
                   probe.leader = { status = 200, json = { \"/role\" = \"leader\" } }";
        return out.remarks.refused(span, "http-check expect string", why);
    };
    if asked.method != "GET" {
        let why = format!("the body says who leads, but {} may have none; use GET", asked.method);
        return out.remarks.refused(span, "http-check expect string", why);
    }
    for (key, leads) in [("leader", true), ("follower", false)] {
        let json = InlineTable::from_iter([(*pointer, leads)]);
        out.set(&["probe", key], InlineTable::from_iter([("json", Value::from(json))]), span);
    }
    Some(())
}

/// A condition on the status.
fn condition(statuses: &[RangeInclusive<u16>]) -> InlineTable {
    let spell = |range: &RangeInclusive<u16>| -> Value {
        let (first, last) = (*range.start(), *range.end());
        if first == last { i64::from(first).into() } else { format!("{first}-{last}").into() }
    };
    let value = match statuses {
        [one] => spell(one),
        many => Value::from(many.iter().map(spell).collect::<Array>()),
    };
    InlineTable::from_iter([("status", value)])
}
