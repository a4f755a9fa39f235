//! A `frontend` as a listener.

use toml_edit::{Array, InlineTable, Value};

use super::Written;
use super::accept_proxy;
use super::conditions::Case;
use super::page::Page;
use super::proxy::Proxy;
use super::remarks::{MAXCONN, Remarks};
use super::routes::{Plan, Target};
use crate::config::effective::{one_a_line, span as duration};

/// Writes down where clients arrive, and where they go.
pub(super) fn write(front: &Proxy, plan: &Plan<'_>, page: &mut Page, remarks: &mut Remarks) {
    let name = front.name.text.as_str();
    let addresses = addresses(front, remarks);
    let Some(first) = addresses.first() else {
        let why = "it has no address; add a `bind` line";
        return remarks.refuse(&front.name.span, &front.kind, why);
    };
    let bind: Value = match addresses.as_slice() {
        [one] => one.value.as_str().into(),
        many => many.iter().map(|address| address.value.as_str()).collect::<Array>().into(),
    };
    page.set(&["listeners", name, "bind"], bind, &first.span);
    if let Target::Back(cluster, span) = &plan.others {
        page.set(&["listeners", name, "cluster"], cluster.name.text.as_str(), span);
    }
    if let Some((_, _, first)) = plan.routes.first() {
        let routes = plan.routes.iter().map(|(case, target, _)| route(case, target));
        page.set(&["listeners", name, "routes"], one_a_line(routes), first);
    }
    if let Some(timeout) = &plan.hello_timeout {
        page.set(&["listeners", name, "hello_timeout"], duration(timeout.value), &timeout.span);
    }
    accept_proxy::write(front, page, remarks);
    if let Some(bound) = bound(front, remarks) {
        let number = i64::try_from(bound.value).unwrap_or(i64::MAX);
        page.set(&["listeners", name, "max_connections"], number, &bound.span);
    }
}

fn route(case: &Case, target: &Target<'_>) -> InlineTable {
    let mut table = InlineTable::new();
    for (key, list) in [("server_names", &case.names), ("alpn", &case.alpn)] {
        if !list.is_empty() {
            table.insert(key, list.iter().map(String::as_str).collect::<Array>().into());
        }
    }
    match target {
        Target::Back(cluster, _) => table.insert("cluster", cluster.name.text.as_str().into()),
        Target::Reject => table.insert("reject", true.into()),
    };
    table
}

/// What is to be bound. An IPv6 address that stands for all takes IPv4 too.
fn addresses<'f>(front: &'f Proxy, remarks: &mut Remarks) -> Vec<&'f Written<String>> {
    let all: Vec<&Written<String>> = front.binds.iter().flat_map(|bind| &bind.addresses).collect();
    for bind in &front.binds {
        let Some(v6only) = &bind.v6only else { continue };
        let alone = bind.addresses.iter().filter_map(|address| port(&address.value, "[::]:")).find(|v6| {
            !all.iter().any(|address| port(&address.value, "0.0.0.0:").is_some_and(|v4| v4 == *v6))
        });
        if alone.is_some() {
            let why =
                "Raftgate takes IPv4 too where an IPv6 address stands for all; write the IPv6 address itself";
            remarks.refuse(v6only, "bind v6only", why);
        }
    }
    let is_covered = |address: &Written<String>| {
        port(&address.value, "0.0.0.0:")
            .is_some_and(|v4| all.iter().any(|other| other.value.strip_prefix("[::]:") == Some(v4)))
    };
    all.iter().copied().filter(|address| !is_covered(address)).collect()
}

/// The section's own bound, and that of its only `bind` line.
fn bound<'f>(front: &'f Proxy, remarks: &mut Remarks) -> Option<&'f Written<usize>> {
    let of_binds: Vec<&Written<usize>> =
        front.binds.iter().filter_map(|bind| bind.maxconn.as_ref()).filter(|bound| bound.value > 0).collect();
    if let [bound, ..] = of_binds.as_slice()
        && front.binds.len() > 1
    {
        let why = "Raftgate bounds a whole listener; write the sum as `maxconn` of the section";
        return remarks.refused(&bound.span, "bind maxconn", why);
    }
    if let Some(bound) = &front.maxconn {
        remarks.translated(&bound.span, "maxconn", MAXCONN);
    }
    for bound in &of_binds {
        remarks.translated(&bound.span, "bind maxconn", MAXCONN);
    }
    front.maxconn.as_ref().into_iter().chain(of_binds).min_by_key(|bound| bound.value)
}

/// The port of an address, if it is of this host.
fn port<'a>(address: &'a str, host: &str) -> Option<&'a str> {
    address.strip_prefix(host)
}
