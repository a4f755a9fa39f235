//! How nodes are connected to: PROXY headers out (`send-proxy`), and `source`.

use std::net::IpAddr;

use super::cluster::{Out, shared};
use super::proxy::Proxy;
use super::server::Server;

/// Writes down the keys of `connect` that these options are. `asked_elsewhere` tells of each server whether it is asked
/// at another address than its clients go to.
pub(super) fn write(backend: &Proxy, servers: &[&Server], asked_elsewhere: &[bool], out: &mut Out<'_>) {
    send_proxy(backend, servers, asked_elsewhere, out);
    source(backend, servers, out);
}

fn send_proxy(backend: &Proxy, servers: &[&Server], asked_elsewhere: &[bool], out: &mut Out<'_>) {
    let v1 = shared(servers, "send-proxy", |options| &options.send_proxy, out.remarks);
    let v2 = shared(servers, "send-proxy-v2", |options| &options.send_proxy_v2, out.remarks);
    // Where both are written HAProxy sends the newer one.
    let wanted = v2.map(|written| (written, "v2")).or(v1.map(|written| (written, "v1")));
    if let Some((written, version)) = wanted {
        out.set(&["connect", "send_proxy"], version, &written.span);
    }
    let as_servers_say = backend.checks.as_servers_say();
    for (server, elsewhere) in servers.iter().zip(asked_elsewhere) {
        let options = &server.options;
        let check = options.check_send_proxy.as_ref().filter(|_| as_servers_say);
        if let Some(check) = check
            && (*elsewhere || wanted.is_none())
        {
            let why = "Raftgate's probes begin with a PROXY header only where clients' connections do, by `send-proxy`, at the \
                       same address and port; remove it if the check does without, or `port` and `addr`";
            out.remarks.refuse(&check.span, "server option check-send-proxy", why);
        } else if let Some((written, _)) = wanted
            && check.is_none()
            && !elsewhere
            && (options.port.is_some() || options.addr.is_some() || !as_servers_say)
        {
            let although = if as_servers_say {
                "it is written with `port` or `addr` and without `check-send-proxy`"
            } else {
                "`http-check connect` is written without `default`"
            };
            let why = format!(
                "the check goes where clients go, so that it begins with a PROXY header, too, although {although}"
            );
            out.remarks.translated(&written.span, "server option send-proxy", why);
        }
    }
}

fn source(backend: &Proxy, servers: &[&Server], out: &mut Out<'_>) {
    let by_server = shared(servers, "source", |options| &options.source, out.remarks);
    let Some(written) = by_server.or(backend.source.as_ref()) else { return };
    match address(&written.value) {
        Some(any) if any.is_unspecified() => {}
        Some(address) => {
            out.set(&["connect", "source"], address.to_string(), &written.span);
            let why = "clients' connections come from it, but probes from whatever the system chooses; let the nodes take \
                       those, too";
            out.remarks.translated(&written.span, "source", why);
        }
        None => {
            let why = format!(
                "found {:?}, but Raftgate wants one of this machine's IP addresses, and lets the system choose the port",
                written.value
            );
            out.remarks.refuse(&written.span, "source", why);
        }
    }
}

/// An address without a port, or with the port 0 that stands for any.
fn address(text: &str) -> Option<IpAddr> {
    if text == "*" {
        return Some(IpAddr::from([0, 0, 0, 0]));
    }
    let ip = |text: &str| text.trim_start_matches('[').trim_end_matches(']').parse().ok();
    let without_port = text.rsplit_once(':').filter(|(_, port)| port.is_empty() || *port == "0");
    without_port.and_then(|(host, _)| ip(host)).or_else(|| ip(text))
}
