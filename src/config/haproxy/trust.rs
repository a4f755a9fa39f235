//! Whether probes use TLS, and what they verify.

use std::path::Path;

use super::Written;
use super::cluster::{Out, shared};
use super::global::Global;
use super::proxy::Proxy;
use super::server::Server;
use crate::config::presets::Preset;

/// What `ca-file` says for the roots of the system.
const SYSTEM_ROOTS: &str = "@system-ca";

/// Writes down the keys of `probe.tls`; the names that certificates have to bear, in the order of the servers.
pub(super) fn write<'s>(
    backend: &'s Proxy,
    servers: &[&'s Server],
    preset: Preset,
    global: &Global,
    out: &mut Out<'_>,
) -> Vec<Option<&'s Written<String>>> {
    let by_connect = backend.checks.connect.as_ref().and_then(|connect| connect.value.ssl.as_ref());
    let by_server = || shared(servers, "check-ssl", |options| &options.check_ssl, out.remarks);
    let by_server = backend.checks.as_servers_say().then(by_server).flatten();
    let Some(ssl) = by_connect.or(by_server) else {
        plainly(backend, servers, preset, out);
        return vec![None; servers.len()];
    };
    if preset == Preset::Patroni {
        out.set(&["probe", "tls", "enabled"], true, &ssl.span);
    }
    let names = names(backend, servers, out);
    let verify = shared(servers, "verify", |options| &options.verify, out.remarks).or(global.verify.as_ref());
    let ca_file = shared(servers, "ca-file", |options| &options.ca_file, out.remarks);
    if let Some(crt) = shared(servers, "crt", |options| &options.crt, out.remarks) {
        let file = below(global.crt_base.as_deref(), &crt.value);
        out.set(&["probe", "tls", "client_cert_file"], file.as_str(), &crt.span);
        out.set(&["probe", "tls", "client_key_file"], file.as_str(), &crt.span);
    }
    if let Some(verify) = verify.filter(|verify| verify.value == "none") {
        out.set(&["probe", "tls", "verify"], "none", &verify.span);
        return names;
    }
    match ca_file {
        None => {
            let why = "servers are verified, but there is no `ca-file`; name their root certificates, @system-ca for \
                       those of the system, or `verify none`";
            out.remarks.refuse(&ssl.span, "check-ssl", why);
        }
        Some(file) if file.value == SYSTEM_ROOTS => {}
        Some(file) => {
            let path = below(global.ca_base.as_deref(), &file.value);
            out.set(&["probe", "tls", "ca_file"], path, &file.span);
        }
    }
    if names.iter().all(Option::is_none) {
        out.set(&["probe", "tls", "verify"], "chain", &ssl.span);
        let sni =
            if backend.checks.as_servers_say() { "`check-sni`" } else { "a `sni` of `http-check connect`" };
        if ca_file.is_some_and(|file| file.value == SYSTEM_ROOTS) {
            let why = format!(
                "names in certificates are not checked without `verifyhost` and {sni}, so that everybody who has a \
                 certificate of a public authority could claim leadership; add one of the two, or name the `ca-file` of a \
                 private authority"
            );
            out.remarks.refuse(&ssl.span, "check-ssl", why);
            return names;
        }
        let why = format!(
            "names in certificates are not checked, as HAProxy has it without `verifyhost` and {sni}: any certificate of \
             that authority will do; add one of the two"
        );
        out.remarks.translated(&ssl.span, "check-ssl", why);
    } else if let Some(place) = names.iter().position(Option::is_none) {
        let why =
            "its certificate is checked without a name, those of others with one; give each its `verifyhost`";
        out.remarks.refuse(&servers[place].span, "server", why);
    }
    names
}

/// What is said of options of servers that `http-check connect` puts aside.
const PUT_ASIDE: &str = "`http-check connect` without `default` puts it aside; write it on that line, as `ssl` and `sni`, or \
                         `default`";

fn plainly(backend: &Proxy, servers: &[&Server], preset: Preset, out: &mut Out<'_>) {
    let switch =
        if backend.checks.as_servers_say() { "`check-ssl`" } else { "`ssl` on `http-check connect`" };
    for options in servers.iter().map(|server| &server.options) {
        if let Some(ssl) = &options.check_ssl {
            out.remarks.ignored(&ssl.span, "server option check-ssl", PUT_ASIDE);
        }
        let given = [
            ("verify", &options.verify),
            ("ca-file", &options.ca_file),
            ("crt", &options.crt),
            ("verifyhost", &options.verifyhost),
            ("check-sni", &options.check_sni),
        ];
        for (name, written) in given {
            if let Some(written) = written {
                let why = format!(
                    "checks are made without TLS, so there is nothing to verify; {switch} makes them with it"
                );
                out.remarks.ignored(&written.span, &format!("server option {name}"), why);
            }
        }
    }
    if preset != Preset::Patroni {
        let span = backend.checks.kind.as_ref().map_or(&backend.name.span, |kind| &kind.span);
        out.set(&["probe", "tls", "enabled"], false, span);
    }
}

/// HAProxy checks the name that it sent, else `verifyhost`; Raftgate sends the name that it checks.
fn names<'s>(
    backend: &'s Proxy,
    servers: &[&'s Server],
    out: &mut Out<'_>,
) -> Vec<Option<&'s Written<String>>> {
    let by_connect = backend.checks.connect.as_ref().and_then(|connect| connect.value.sni.as_ref());
    let as_servers_say = backend.checks.as_servers_say();
    let mut names = Vec::new();
    for server in servers {
        let by_server = server.options.check_sni.as_ref();
        if let Some(sni) = by_server.filter(|_| !as_servers_say) {
            out.remarks.ignored(&sni.span, "server option check-sni", PUT_ASIDE);
        }
        let sni = by_connect.or(by_server.filter(|_| as_servers_say));
        let host = server.options.verifyhost.as_ref();
        if let (Some(sni), Some(host)) = (sni, host)
            && sni.value != host.value
        {
            let why = format!(
                "is {:?}, and the SNI {:?}, but Raftgate sends the name that it checks; write one",
                host.value, sni.value
            );
            out.remarks.refuse(&host.span, "server option verifyhost", why);
        }
        names.push(sni.or(host));
    }
    names
}

/// A path, if it is relative, below the folder that `ca-base` or `crt-base` names.
fn below(base: Option<&str>, path: &str) -> String {
    base.map_or_else(|| path.to_owned(), |base| Path::new(base).join(path).display().to_string())
}
