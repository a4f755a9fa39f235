//! The targets.

use crate::{admin, app, cli, config, probe, proxy, wire};

/// A parser, and what it has to hold for any bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: of the folder of its seeds, of its dictionary if it has one, and of its libFuzzer driver.
    pub name: &'static str,
    /// Panics if the parser does something that it must not do.
    pub run: fn(&[u8]),
    /// How many mutations `cargo test` tries: as many as take about a second.
    pub mutations: u64,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "client_hello", run: wire::fuzz::client_hello, mutations: 4000 },
    Target { name: "proxy_header", run: wire::fuzz::proxy_header, mutations: 8000 },
    Target { name: "probe_answer", run: probe::fuzz::answer, mutations: 1500 },
    Target { name: "verdict", run: probe::fuzz::verdict, mutations: 8000 },
    Target { name: "certificate", run: probe::tls::fuzz::certificate, mutations: 2000 },
    Target { name: "pem", run: probe::tls::fuzz::pem, mutations: 2000 },
    Target { name: "configuration", run: config::fuzz::configuration, mutations: 1000 },
    Target { name: "haproxy", run: config::fuzz::haproxy, mutations: 1000 },
    Target { name: "values", run: config::fuzz::values, mutations: 8000 },
    Target { name: "routes", run: proxy::fuzz::routes, mutations: 8000 },
    Target { name: "control_request", run: admin::fuzz::control_request, mutations: 8000 },
    Target { name: "last_event_id", run: admin::fuzz::last_event_id, mutations: 4000 },
    Target { name: "letter", run: app::fuzz::letter, mutations: 4000 },
    Target { name: "gate_answer", run: cli::fuzz::gate_answer, mutations: 3000 },
];

/// The target of this name.
pub fn target(name: &str) -> Target {
    let found = TARGETS.iter().find(|target| target.name == name);
    *found.unwrap_or_else(|| panic!("there is no target {name:?}"))
}
