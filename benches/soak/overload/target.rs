//! What is attacked: Raftgate or HAProxy, as a process.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use rustix::process::Pid;
use tokio::time::{Instant, timeout};

use crate::gate::Gate;
use crate::haproxy::Haproxy;
use crate::processes;
use crate::support::attack::NETWORK;
use crate::support::descriptors;
use crate::support::gate::metrics_of;
use crate::support::node::Node;

use super::attacks::Overload;

/// How long an answer of the admin listener is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Raftgate.
    Raftgate,
    /// HAProxy with the common recipe.
    Haproxy,
}

impl Kind {
    /// Both.
    pub(super) const ALL: [Self; 2] = [Self::Raftgate, Self::Haproxy];

    /// Its name in tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Raftgate => "raftgate",
            Self::Haproxy => "haproxy",
        }
    }
}

/// A running one; it ends when this is dropped.
pub(super) struct Target {
    /// Where clients connect.
    pub(super) address: SocketAddr,
    /// Its process.
    pub(super) process: Pid,
    admin: Option<SocketAddr>,
    _running: Running,
}

enum Running {
    Raftgate { _gate: Box<Gate> },
    Haproxy { _haproxy: Box<Haproxy> },
}

impl Target {
    /// Starts it before these nodes, as the attack needs it.
    pub(super) async fn start(kind: Kind, overload: Overload, nodes: &[Node], folder: &Path) -> Self {
        match kind {
            Kind::Raftgate => {
                let listener = match overload {
                    Overload::SlowProxyHeader => format!("accept_proxy_from = [\"{NETWORK}\"]\n"),
                    // Else no hello is waited for: what there is of it goes to the node at once.
                    Overload::SlowHello => {
                        "routes = [{ server_names = [\"gate.test\"], cluster = \"controllers\" }]\n"
                            .to_owned()
                    }
                    _ => String::new(),
                };
                let gate = Gate::start_with(None, &listener, nodes, folder).await;
                let address = gate.address;
                let (admin, process) = (gate.watcher().admin, gate.watcher().pid());
                let running = Running::Raftgate { _gate: Box::new(gate) };
                Target { address, process, admin: Some(admin), _running: running }
            }
            Kind::Haproxy => {
                // Who comes by proxy is told apart as above.
                let frontend = match overload {
                    Overload::SlowProxyHeader => {
                        format!("  tcp-request connection expect-proxy layer4 if {{ src {NETWORK} }}\n")
                    }
                    _ => String::new(),
                };
                let haproxy = Haproxy::start_with(&frontend, nodes, folder, "").await;
                let (address, process) = (haproxy.address, haproxy.process());
                let running = Running::Haproxy { _haproxy: Box::new(haproxy) };
                Target { address, process, admin: None, _running: running }
            }
        }
    }

    /// CPU time so far, in seconds.
    pub(super) fn cpu(&self) -> f64 {
        processes::cpu_seconds(self.process).unwrap_or(f64::NAN)
    }

    /// Its memory, in MiB; nothing once it has ended.
    pub(super) fn memory(&self) -> Option<f64> {
        processes::memory(self.process).ok().map(|bytes| bytes / f64::from(1 << 20))
    }

    /// How long its admin listener takes to tell all of its metrics; nothing where it has none.
    pub(super) async fn admin_answers(&self) -> Option<Duration> {
        let begun = Instant::now();
        let answered = timeout(PATIENCE, metrics_of(self.admin?)).await;
        Some(if matches!(answered, Ok(Some(_))) { begun.elapsed() } else { PATIENCE })
    }

    /// Lets it have only so many descriptors more than it has.
    pub(super) fn leave_descriptors(&self, free: u32) -> Result<(), String> {
        descriptors::leave(self.process, free).map_err(|error| error.to_string())
    }
}
