//! PROXY headers in: `bind ... accept-proxy`, and `tcp-request connection expect-proxy` with the networks that it is for.

use ipnet::IpNet;
use toml_edit::Array;

use super::Written;
use super::page::Page;
use super::proxy::Proxy;
use super::remarks::Remarks;
use super::sections::Line;

/// Networks as they are written; everybody's for `accept-proxy`.
pub(super) type Networks = Vec<String>;

/// What everybody is.
const EVERYBODY: [&str; 2] = ["0.0.0.0/0", "::/0"];

/// Whether a `tcp-request` line is about PROXY headers.
pub(super) fn is_expect_proxy(line: &Line) -> bool {
    line.argument(0) == "connection" && line.argument(1) == "expect-proxy"
}

/// Reads such a line: whose connections begin with a header.
pub(super) fn expect_proxy(line: &Line, remarks: &mut Remarks) -> Option<Written<Networks>> {
    let about = "tcp-request connection expect-proxy";
    let words: Vec<&str> = line.arguments.iter().skip(2).map(|word| word.text.as_str()).collect();
    let networks = match words.as_slice() {
        ["layer4"] => Some(EVERYBODY.map(str::to_owned).to_vec()),
        ["layer4", "if", "{", "src", networks @ .., "}"] => {
            networks.iter().map(|text| network(text)).collect()
        }
        _ => None,
    };
    if let Some(networks) = networks.filter(|networks: &Networks| !networks.is_empty()) {
        if words.len() > 1 {
            let why =
                "from elsewhere a PROXY header is refused, which HAProxy would pass on as the client's words";
            remarks.translated(&line.span(), about, why);
        }
        return Some(Written { value: networks, span: line.span() });
    }
    let why = "only `layer4`, and behind it `if { src NETWORK ... }` with the addresses or networks of the proxies, is \
               understood; write them on this line";
    remarks.refused(&line.span(), about, why)
}

/// An address or network; HAProxy does not mind bits behind the prefix.
fn network(text: &str) -> Option<String> {
    if text.parse::<std::net::IpAddr>().is_ok() {
        return Some(text.to_owned());
    }
    text.parse::<IpNet>().ok().map(|network| network.trunc().to_string())
}

/// Writes down whose connections begin with a PROXY header.
pub(super) fn write(front: &Proxy, page: &mut Page, remarks: &mut Remarks) {
    let by_bind: Vec<_> = front.binds.iter().filter_map(|bind| bind.accept_proxy.as_ref()).collect();
    if let [some, ..] = by_bind.as_slice()
        && by_bind.len() < front.binds.len()
        && front.introducers.iter().all(|rule| rule.value != EVERYBODY)
    {
        let why = "not every `bind` line of the section has it, but a listener takes PROXY headers at all its addresses or \
                   at none; write the others in a section of their own";
        return remarks.refuse(some, "bind accept-proxy", why);
    }
    let (networks, span): (Vec<&str>, _) = match (by_bind.first(), front.introducers.first()) {
        (Some(span), _) => (EVERYBODY.to_vec(), *span),
        (None, Some(rule)) => {
            let all = front.introducers.iter().flat_map(|rule| &rule.value);
            (all.map(String::as_str).collect(), &rule.span)
        }
        (None, None) => return,
    };
    let mut once: Vec<&str> = Vec::new();
    for network in networks {
        if !once.contains(&network) {
            once.push(network);
        }
    }
    page.set(
        &["listeners", &front.name.text, "accept_proxy_from"],
        once.into_iter().collect::<Array>(),
        span,
    );
}
