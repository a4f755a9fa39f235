//! Checks how nodes are dialled, and from which addresses.

use std::io::ErrorKind;
use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use crate::config::findings::{At, all};
use crate::config::model::{Config, Connect, Node};
use crate::config::presets::Defaults;
use crate::config::raw::{self, OneOrMany};
use crate::config::words::SEND_PROXY;
use crate::sockets::SHOW_ADDRESSES;

/// As HAProxy's usual `timeout client`, and longer than a packet that is lost several times takes.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(30);

/// Checks one cluster's; its nodes are looked at if they are right.
pub(super) fn check(
    raw: &raw::Connect,
    defaults: &Defaults,
    nodes: Option<&[Node]>,
    at: &At<'_>,
) -> Option<Connect> {
    let timeout = at.key("timeout").positive(raw.timeout, Duration::from_secs(2));
    let send_proxy = at.key("send_proxy").one_of(raw.send_proxy.as_deref(), SEND_PROXY, None);
    let on_first_byte = raw.on_first_byte.unwrap_or(defaults.on_first_byte);
    let at_first_byte = at.key("first_byte_timeout");
    let first_byte_timeout = at_first_byte.span_or_off(raw.first_byte_timeout, Some(FIRST_BYTE_TIMEOUT));
    if raw.first_byte_timeout.is_some() && !on_first_byte {
        at_first_byte.warn(
            "has no effect, because `on_first_byte` is false: the node's first byte may be the first of all",
        );
    }
    let source = source(raw.source.as_ref(), &at.key("source"));
    if let (Some(source), Some(nodes)) = (&source, nodes) {
        each_node_is_reached(source, nodes, &at.key("source"))?;
    }
    Some(Connect {
        timeout: timeout?,
        on_first_byte,
        first_byte_timeout: first_byte_timeout?,
        send_proxy: send_proxy?,
        source: source?.into(),
    })
}

fn source(list: Option<&OneOrMany<String>>, at: &At<'_>) -> Option<Vec<IpAddr>> {
    let mut known: Vec<IpAddr> = Vec::new();
    let texts = list.map_or_else(Vec::new, |list| list.items(at));
    all(texts.into_iter().map(|(at, text)| {
        let Ok(address) = text.parse::<IpAddr>().map(|address| address.to_canonical()) else {
            return at.reject(format!(
                "found {text:?}, expected an IP address of this machine, without a port, such as \"10.0.0.5\""
            ));
        };
        if address.is_unspecified() {
            return at.reject(format!(
                "found {text:?}, which is no address to connect from; name one of this machine, or leave `source` out \
                 and the system chooses"
            ));
        }
        if known.contains(&address) {
            return at.reject(format!("{address} is there twice; leave one out"));
        }
        known.push(address);
        Some(address)
    }))
}

/// Nodes that are known by name may have addresses of either family.
fn each_node_is_reached(source: &[IpAddr], nodes: &[Node], at: &At<'_>) -> Option<()> {
    let is_out_of_reach = |address: &IpAddr| source.iter().all(|from| from.is_ipv4() != address.is_ipv4());
    let mut literal = nodes.iter().filter_map(|node| Some((node, node.address.host.parse::<IpAddr>().ok()?)));
    match literal.find(|(_, address)| !source.is_empty() && is_out_of_reach(address)) {
        None => Some(()),
        Some((node, address)) => at.reject(format!(
            "has no {} address, but the node {} is at {}; add one",
            if address.is_ipv4() { "IPv4" } else { "IPv6" },
            node.name,
            node.address
        )),
    }
}

/// Reports every source that this machine cannot connect from, as the kernel has it: where `net.ipv4.ip_nonlocal_bind`
/// lets addresses be used that are not there yet, none is reported.
pub(super) fn look_at(config: &Config, at: &At<'_>) -> Option<()> {
    let usable = config.clusters.iter().flat_map(|cluster| {
        let at = at.key("clusters").key(&cluster.name).key("connect").key("source");
        cluster
            .connect
            .source
            .iter()
            .enumerate()
            .map(move |(place, address)| usable(*address, &at.element(place)))
    });
    all(usable).map(|_| ())
}

fn usable(address: IpAddr, at: &At<'_>) -> Option<()> {
    match UdpSocket::bind((address, 0)) {
        Ok(_) => Some(()),
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => at.reject(format!(
            "no interface of this machine has the address {address}; `{SHOW_ADDRESSES}` shows those it has"
        )),
        Err(error) => at.reject(format!("this machine cannot connect from {address}: {error}")),
    }
}
