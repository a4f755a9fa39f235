//! Checks one cluster: its nodes, and how they and their clients are treated.

use std::time::Duration;

use super::{connect, probe, tls};
use crate::config::address::{HostPort, is_server_name};
use crate::config::findings::{At, all};
use crate::config::model::{Cluster, Hold, Node, Timeouts};
use crate::config::presets::{Defaults, Preset};
use crate::config::raw;
use crate::config::words::{HOLD_THEN, ON_DEMOTION, ON_UNREACHABLE, PRESET};
use crate::follow::{FateSettings, OnUnreachable};
use crate::leader::Policy;

pub(super) fn check(name: &str, raw: &raw::Cluster, at: &At<'_>) -> Option<Cluster> {
    let name = at.name(name);
    let preset = at.key("preset").one_of(raw.preset.as_deref(), PRESET, Preset::None);
    // Whatever it was meant to be: the other keys are to be checked as well.
    let defaults = preset.unwrap_or(Preset::None).defaults();
    let nodes = nodes(raw, &defaults, at);
    let probe = probe::check(&raw.probe, &defaults, &at.key("probe"));
    let max_age = raw.max_age.and_then(|span| span.0);
    if let Some(probe) = &probe {
        doubt_max_age(max_age, &probe.policy, &at.key("max_age"));
    }
    let tls = probe.as_ref().and_then(|probe| probe.tls.as_ref());
    let ids = match (tls, &nodes) {
        (Some(tls), Some(nodes)) => tls::check_ids(tls, nodes, &at.key("probe").key("tls")),
        _ => Some(()),
    };
    let hold = hold(&raw.hold, &defaults, &at.key("hold"));
    let fates = fates(&raw.sessions, &defaults, &at.key("sessions"));
    let connect = connect::check(&raw.connect, &defaults, nodes.as_deref(), &at.key("connect"));
    let timeouts = timeouts(&raw.timeouts, &defaults, &at.key("timeouts"));
    let dns_refresh = at.key("dns").key("refresh").positive(raw.dns.refresh, Duration::from_secs(10));
    ids?;
    Some(Cluster {
        name: name?,
        preset: preset?,
        nodes: nodes?,
        max_age,
        probe: probe?,
        hold: hold?,
        fates: fates?,
        drain: raw.sessions.drain.map_or(defaults.drain, |span| span.0),
        connect: connect?,
        timeouts: timeouts?,
        dns_refresh: dns_refresh?,
    })
}

fn nodes(raw: &raw::Cluster, defaults: &Defaults, at: &At<'_>) -> Option<Vec<Node>> {
    let tls_name =
        server_name(raw.probe.tls.server_name.as_deref(), &at.key("probe").key("tls").key("server_name"));
    let at = at.key("nodes");
    if raw.nodes.is_empty() {
        return at
            .reject("there is no node; add at least one, such as nodes = { ctrl1 = \"10.0.0.1:1280\" }");
    }
    let tls_name = tls_name?;
    let mut taken = Vec::new();
    all(raw.nodes.iter().map(|(name, node)| {
        let at = at.key(name);
        let checked = check_node(name, node, defaults, tls_name, &raw.probe.tls, &at)?;
        no_twin(&checked, &taken, &at)?;
        taken.push(checked.clone());
        Some(checked)
    }))
}

fn check_node(
    name: &str,
    raw: &raw::Node,
    defaults: &Defaults,
    tls_name: Option<&str>,
    tls: &raw::Tls,
    at: &At<'_>,
) -> Option<Node> {
    let name = at.name(name);
    let address = match &raw.address {
        Some(text) => host_port(text, &at.key("address")),
        None => at.key("address").reject("is missing; give \"host:port\""),
    };
    let probe_address = match &raw.probe_address {
        Some(text) => host_port(text, &at.key("probe_address")),
        None => address
            .clone()
            .map(|address| HostPort { port: defaults.probe_port.unwrap_or(address.port), ..address }),
    };
    let own_name = server_name(raw.server_name.as_deref(), &at.key("server_name"));
    let spiffe_id = tls::spiffe_id(raw.spiffe_id.as_deref(), tls, defaults.tls, &at.key("spiffe_id"));
    let probe_address = probe_address?;
    let server_name = own_name?.or(tls_name).unwrap_or(&probe_address.host).to_owned();
    Some(Node {
        name: name?,
        address: address?,
        probe_address,
        server_name,
        spiffe_id: spiffe_id?,
        priority: raw.priority.unwrap_or(0),
    })
}

fn host_port(text: &str, at: &At<'_>) -> Option<HostPort> {
    text.parse().map_or_else(|error| at.reject(format!("found {text:?}, {error}")), Some)
}

#[expect(clippy::option_option, reason = "whether it was right, and whether it was given")]
fn server_name<'n>(name: Option<&'n str>, at: &At<'_>) -> Option<Option<&'n str>> {
    match name {
        Some(name) if !is_server_name(name) => {
            at.reject(format!("found {name:?}, expected a DNS name or an IP address, without a port"))
        }
        name => Some(name),
    }
}

/// Two nodes at one address would claim leadership together.
fn no_twin(node: &Node, taken: &[Node], at: &At<'_>) -> Option<()> {
    for earlier in taken {
        if earlier.address == node.address {
            let message =
                format!("has the address {} of {}; each node has its own", node.address, earlier.name);
            return at.reject(message);
        }
        if earlier.probe_address == node.probe_address {
            let message = format!(
                "has the probe address {} of {}; each node has its own, set by `probe_address`",
                node.probe_address, earlier.name
            );
            return at.reject(message);
        }
    }
    Some(())
}

fn doubt_max_age(max_age: Option<Duration>, policy: &Policy, at: &At<'_>) {
    let lease = policy.lease();
    if let Some(max_age) = max_age.filter(|max_age| lease <= *max_age) {
        at.warn(format!(
            "{} changes nothing: a leader that has not said so for {} is no longer one, by the settings of `probe`",
            humantime::format_duration(max_age),
            humantime::format_duration(lease),
        ));
    }
}

fn hold(raw: &raw::Hold, defaults: &Defaults, at: &At<'_>) -> Option<Hold> {
    Some(Hold {
        timeout: raw.timeout.map_or(defaults.hold_timeout, |span| span.0),
        limit: raw.limit.unwrap_or(10_000),
        then: at.key("then").one_of(raw.then.as_deref(), HOLD_THEN, defaults.hold_then)?,
    })
}

fn fates(raw: &raw::Sessions, defaults: &Defaults, at: &At<'_>) -> Option<FateSettings> {
    let on_demotion =
        at.key("on_demotion").one_of(raw.on_demotion.as_deref(), ON_DEMOTION, defaults.on_demotion);
    let on_unreachable =
        at.key("on_unreachable").one_of(raw.on_unreachable.as_deref(), ON_UNREACHABLE, OnUnreachable::Cut);
    let unreachable_after = raw.unreachable_after.map_or(Duration::from_secs(10), |span| span.0);
    Some(FateSettings { on_demotion: on_demotion?, on_unreachable: on_unreachable?, unreachable_after })
}

fn timeouts(raw: &raw::Timeouts, defaults: &Defaults, at: &At<'_>) -> Option<Timeouts> {
    let idle = at.key("idle").span_or_off(raw.idle, defaults.idle);
    let half_closed = at.key("half_closed").span_or_off(raw.half_closed, Some(Duration::from_mins(1)));
    Some(Timeouts { idle: idle?, half_closed: half_closed? })
}
