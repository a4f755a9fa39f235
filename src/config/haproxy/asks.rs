//! What nodes are asked, and which answers make one of them the leader.

use std::ops::{Range, RangeInclusive};

use toml_edit::{Array, InlineTable, Value};

use super::check::Check;
use super::cluster::Out;
use super::expect::{self, Expect};
use super::known::{Tells, known, path_of};
use super::pools::Ground;
use super::proxy::Proxy;
use super::remarks::Remarks;
use crate::config::presets::Preset;
use crate::config::vault_health;
use crate::config::words::{PRESET, word};
use crate::tenure::To;

/// Texts in a body that say who leads, and where they are in its JSON.
const BODIES: &[(&str, &str, &str)] = &[
    ("/v1/sys/leader", "\"is_self\":true", "/is_self"),
    ("/health-checks/controller/raft", "\"isLeader\":true", "/raft/isLeader"),
];

/// The request as it is understood.
struct Asked {
    method: String,
    uri: String,
    span: Range<usize>,
}

/// Writes down what is asked; the kind of cluster that it tells of.
pub(super) fn write(ground: &Ground<'_>, probe_ports: &[u16], out: &mut Out<'_>) -> Option<Preset> {
    let backend = ground.backend;
    let checks = &backend.checks;
    match &checks.kind {
        None => return out.remarks.refused(&backend.name.span, &backend.kind, no_check(ground)),
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
    if let Some(why) = objection(ground, &asked) {
        return out.remarks.refused(&asked.span, "the check", why);
    }
    if preset == Preset::Patroni {
        tell_of_patroni(ground, &asked, probe_ports, out.remarks);
    }
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
    leader(ground, &asked, preset, out)?;
    Some(preset)
}

fn no_check(ground: &Ground<'_>) -> String {
    let instead = ground.instead_of_alike();
    format!("there is no option httpchk, so nothing tells which server leads; give it one. {instead}")
}

fn objection(ground: &Ground<'_>, asked: &Asked) -> Option<String> {
    let expect = ground.backend.checks.expect.as_ref().map(|expect| &expect.value);
    let leads = |status: u16| match expect {
        Some(Expect::Statuses(statuses)) => statuses.iter().any(|range| range.contains(&status)),
        // A body that has to say it goes with any status.
        Some(Expect::Text(_)) => false,
        None => expect::BY_DEFAULT.contains(&status),
    };
    ground.objection(&asked.uri, leads, matches!(expect, Some(Expect::Text(_))))
}

/// The ports by which a check or its clients are known for `PostgreSQL`'s and Patroni's.
const PATRONI: u16 = 8008;
const POSTGRES: RangeInclusive<u16> = 5432..=5439;
/// Parts of names that speak of it.
const POSTGRES_NAMES: [&str; 3] = ["pg", "postgres", "patroni"];

fn preset_of(asked: &Asked, probe_ports: &[u16]) -> Preset {
    match known(&asked.uri) {
        Some(Tells::Leader(preset, _)) => preset,
        // On its own port Patroni takes `/` for `/primary`.
        None if path_of(&asked.uri) == "/" && probe_ports.contains(&PATRONI) => Preset::Patroni,
        _ => Preset::None,
    }
}

/// Says that Patroni is guessed, and by what.
fn tell_of_patroni(ground: &Ground<'_>, asked: &Asked, probe_ports: &[u16], remarks: &mut Remarks) {
    let backend = ground.backend;
    let names = backend.servers.iter().map(|server| &server.name.text).chain([&backend.name.text]);
    let mut names = names.chain(ground.fronts.iter().map(|front| &front.name.text));
    let is_named = names.any(|name| {
        let name = name.to_lowercase();
        POSTGRES_NAMES.iter().any(|part| name.contains(part))
    });
    let port_of = |address: &str| address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    let is_postgres = |port: u16| POSTGRES.contains(&port);
    let evidence = if probe_ports.contains(&PATRONI) {
        " and the port 8008"
    } else if backend.servers.iter().filter_map(|server| port_of(&server.address.text)).any(is_postgres) {
        " and PostgreSQL's port"
    } else if is_named {
        " and the names here"
    } else {
        " alone: where it is another system, import the file, and remove `preset` from the TOML"
    };
    let why = format!(
        "taken for PostgreSQL under Patroni by the path{evidence}; one node of a section leads at a time, so that \
         Citus groups need a section each"
    );
    remarks.translated(&asked.span, "the check", why);
}

fn leader(ground: &Ground<'_>, asked: &Asked, preset: Preset, out: &mut Out<'_>) -> Option<()> {
    let backend = ground.backend;
    let by_default = (Expect::Statuses(vec![expect::BY_DEFAULT]), &asked.span);
    let (expect, span) =
        backend.checks.expect.as_ref().map_or((&by_default.0, by_default.1), |it| (&it.value, &it.span));
    match expect {
        Expect::Statuses(statuses) => by_status(ground, (statuses, span), asked, preset, out),
        Expect::Text(text) => by_body(text, span, asked, out),
    }
}

fn by_status(
    ground: &Ground<'_>,
    (statuses, span): (&[RangeInclusive<u16>], &Range<usize>),
    asked: &Asked,
    preset: Preset,
    out: &mut Out<'_>,
) -> Option<()> {
    let is_listed = |status: u16| statuses.iter().any(|range| range.contains(&status));
    let states = vault_health::answers(&asked.uri).map(|answers| answers.others).unwrap_or_default();
    let followers: Vec<u16> = match (preset, known(&asked.uri)) {
        (Preset::None, Some(Tells::Leader(_, followers))) => followers.to_vec(),
        (Preset::None, _) => Vec::new(),
        (Preset::OpenZiti, _) => vec![429],
        (Preset::Vault, _) => states.iter().filter(|state| state.follows).map(|state| state.status).collect(),
        (Preset::Patroni, _) => vec![503],
    };
    if let Some(follower) = followers.iter().find(|status| is_listed(**status)) {
        let why = format!("{follower} is what a follower answers. {}", ground.instead(To::Followers));
        return out.remarks.refused(span, "http-check expect", why);
    }
    if preset == Preset::Vault
        && let Some(state) = states.iter().find(|state| is_listed(state.status))
    {
        let why = format!(
            "{} is what {} answers, and would count as the leader's answer; list what the active node answers, 200",
            state.status, state.node
        );
        return out.remarks.refused(span, "http-check expect", why);
    }
    if preset == Preset::None && followers.is_empty() {
        shared_out(ground.backend, asked, statuses, out.remarks)?;
    }
    out.set(&["probe", "leader"], condition(statuses), span);
    let bodiless = matches!(asked.method.as_str(), "OPTIONS" | "HEAD");
    match preset {
        Preset::None if !followers.is_empty() => {
            out.set(&["probe", "follower"], condition(&ranges(&followers)), span);
        }
        Preset::None => {
            let taken = if is_listed(429) {
                out.set(&["probe", "follower"], Array::new(), span);
                "any other answer for silence"
            } else {
                "429 for a follower's answer, and others for silence"
            };
            let why = format!(
                "Raftgate takes {} for a question that the leader alone answers with {}, and {taken}, which counts after \
                 `fall` of them; `probe.follower` can say more. If other nodes than the leader answer so, too, all clients \
                 go to one of them: then stay with HAProxy",
                path_of(&asked.uri),
                spelled(statuses)
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
            let why = if path_of(&asked.uri).starts_with("/standby") {
                "as the file says, the status alone makes a leader"
            } else {
                "as the file says, the status alone makes a leader, which comes shortly before PostgreSQL takes \
                 writes; with GET and without `probe.leader` Raftgate would wait until it does"
            };
            out.remarks.translated(span, "the check", why);
        }
        Preset::Vault => {
            if bodiless || states.iter().any(|state| state.follows && state.by.is_some()) {
                out.set(&["probe", "follower"], condition(&ranges(&followers)), &asked.span);
            }
        }
    }
    Some(())
}

/// Refuses an unknown question where the section itself says that several servers may answer it.
fn shared_out(
    backend: &Proxy,
    asked: &Asked,
    statuses: &[RangeInclusive<u16>],
    remarks: &mut Remarks,
) -> Option<()> {
    let (path, statuses) = (path_of(&asked.uri), spelled(statuses));
    let question =
        format!("Raftgate takes {path} for a question that the leader alone answers with {statuses}");
    if let Some(balance) = backend.balance.as_ref().filter(|balance| balance.value != "first") {
        let why = format!(
            "{question}, but clients are to be shared out among several servers that do, and would all go to one of them; \
             if the leader alone answers so, remove `balance`, and else stay with HAProxy"
        );
        return remarks.refused(&balance.span, "balance", why);
    }
    if let Some(backup) = backend.servers.iter().find_map(|server| server.options.backup.as_ref()) {
        let why = format!(
            "{question}, but a backup stands by for several that do, and here would keep the clients when the others are \
             back; if the leader alone answers so, remove `backup`, and else stay with HAProxy"
        );
        return remarks.refused(&backup.span, "server option backup", why);
    }
    Some(())
}

fn ranges(statuses: &[u16]) -> Vec<RangeInclusive<u16>> {
    let mut statuses = statuses.to_vec();
    statuses.sort_unstable();
    statuses.dedup();
    statuses.into_iter().map(|status| status..=status).collect()
}

/// Statuses for people.
fn spelled(statuses: &[RangeInclusive<u16>]) -> String {
    let spell = |range: &RangeInclusive<u16>| match (range.start(), range.end()) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    };
    statuses.iter().map(spell).collect::<Vec<_>>().join(",")
}

fn by_body(text: &str, span: &Range<usize>, asked: &Asked, out: &mut Out<'_>) -> Option<()> {
    let squeezed: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
    let known = BODIES.iter().find(|(path, said, _)| **path == path_of(&asked.uri) && *said == squeezed);
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
