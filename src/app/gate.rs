//! Everything that serves, started as one: what `run` runs and what the demo puts to the test.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::info;

use super::admin::{AdminThread, Doors};
use super::control::{self, Control, ControlError, Plan};
use super::{panics, resolve, tls};
use crate::admin::{self, Controls};
use crate::board::Board;
use crate::config::{Cluster, Config};
use crate::follow;
use crate::intent::Inboxes;
use crate::metrics;
use crate::probe;
use crate::probe::tls::TlsSetupError;
use crate::proxy::{self, Proxy, Totals};
use crate::sockets;

/// A running gate.
pub struct Gate {
    board: Arc<Board>,
    proxy: Proxy,
    admin: Option<AdminThread>,
    control: Control,
    failed: watch::Receiver<Option<String>>,
    drain: Duration,
}

/// Why a gate could not start. Nothing of it is left running.
#[derive(Debug, Error)]
pub enum StartError {
    /// A cluster's TLS cannot be set up.
    #[error("cluster {cluster}: {cause}")]
    Tls {
        /// The cluster's name.
        cluster: String,
        /// Why.
        cause: TlsSetupError,
    },
    /// A listener cannot be bound.
    #[error("listener {listener}: {cause}")]
    Bind {
        /// The listener's name.
        listener: String,
        /// Why.
        cause: sockets::BindError,
    },
    /// The admin listener cannot be bound.
    #[error("admin.bind: {0}; `admin.bind = \"\"` turns it off")]
    BindAdmin(sockets::BindError),
    /// The control socket cannot be had.
    #[error("admin.socket: {0}; `admin.socket = \"\"` turns it off")]
    BindSocket(sockets::LocalSocketError),
    /// Probes cannot be started.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The operating system refused a thread, a poller or a socket.
    #[error("cannot start {what}: {source}; check the limits of processes and descriptors (ulimit -u, -n)")]
    Refused {
        /// What it was for.
        what: &'static str,
        /// Its answer.
        source: io::Error,
    },
    /// Two metrics share a name: a defect of the program.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Says what the operating system's refusal was about.
pub(super) fn refused(what: &'static str) -> impl FnOnce(io::Error) -> StartError {
    move |source| StartError::Refused { what, source }
}

impl Gate {
    /// Starts a gate; it serves when this returns. `dropped_lines` tells how many log lines have
    /// been dropped so far.
    ///
    /// # Errors
    /// If an address cannot be bound, or TLS cannot be set up; see [`StartError`].
    pub fn start(
        config: &Config,
        dropped_lines: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Result<Gate, StartError> {
        let registry = metrics::registry()?;
        let board = Arc::new(Board::new(config.clusters.iter().map(|cluster| Arc::clone(&cluster.name))));
        let admin_state = Arc::new(admin::State::new(registry.clone(), Arc::clone(&board), dropped_lines)?);
        panics::watch(&admin_state.metrics);
        let configured = admin_state.metrics.clone();
        let plans = plan_clusters(config, &board)?;
        // Bind before probing: a gate that cannot serve should not bother the nodes.
        let (sockets, addresses) = bind_listeners(config)?;
        let doors = Doors::bind(config)?;
        let (failing, failed) = watch::channel(None);
        let (control, handles) = control::start(plans, &control_metrics(&registry)?, failing)?;
        let inboxes = Inboxes::default();
        let names = config.clusters.iter().map(|cluster| Arc::clone(&cluster.name));
        inboxes.set(names.zip(handles.iter().map(|handle| handle.inbox.clone())).collect());
        let proxy_metrics = proxy::Metrics::register(&registry)?;
        board.set_traffic(proxy_metrics.traffic());
        let proxy = proxy::start(config.proxy_settings(), sockets, handles, proxy_metrics)
            .map_err(refused("the workers"))?;
        let admin = doors.open(admin_state, Controls { inboxes, census: proxy.census() })?;
        for (listener, address) in &addresses {
            info!(%listener, %address, "listening");
        }
        configured.configuration_taken();
        board.set_bound(addresses);
        Ok(Gate { board, proxy, admin, control, failed, drain: config.shutdown_drain })
    }

    /// The listeners with the addresses that they are bound to.
    pub fn listeners(&self) -> Vec<(Arc<str>, SocketAddr)> {
        self.board.listeners().collect()
    }

    /// Where the admin listener is bound.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().and_then(|admin| admin.address)
    }

    /// What the gate publishes about itself.
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Waits until the gate can no longer do its work; says why.
    pub async fn failed(&self) -> String {
        let mut failed = self.failed.clone();
        match failed.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            Err(_) => "the thread for probes is gone".to_owned(),
        }
    }

    /// Stops (O4): not ready, no new connections but none lost, sessions drain up to
    /// `shutdown.drain` while leaders are still followed, then what is left is cut.
    pub async fn stop(self) {
        self.board.set_draining();
        self.proxy.quiesce();
        info!(active = self.proxy.active(), "stopping: no new connections, sessions drain");
        if timeout(self.drain, self.proxy.drained()).await.is_err() {
            info!(active = self.proxy.active(), "drain is over: what is left is cut");
        }
        self.proxy.cut();
        let Totals { accepted, refused, closed, active } = self.proxy.join();
        info!(accepted, refused, closed, active, "stopped");
        drop(self.control);
        drop(self.admin);
    }
}

fn control_metrics(registry: &Registry) -> Result<control::Metrics, prometheus::Error> {
    Ok(control::Metrics {
        follow: follow::Metrics::register(registry)?,
        probe: probe::MetricFamilies::register(registry)?,
    })
}

fn plan_clusters(config: &Config, board: &Board) -> Result<Vec<Plan>, StartError> {
    let boards = board.clusters().map(|(_, board)| board);
    let mut connectors = tls::Connectors::default();
    let plan = |(place, (cluster, board)): (usize, (&Cluster, _))| {
        let names = resolve::enter(cluster);
        let probes = cluster.probe_settings(&names.addresses);
        Ok(Plan {
            tls: connectors
                .of(&probes)
                .map_err(|cause| StartError::Tls { cluster: cluster.name.to_string(), cause })?,
            probes,
            follow: cluster.follow_settings(&names.addresses),
            readers: config.readers_of(place),
            names,
            dns_refresh: cluster.dns_refresh,
            board,
        })
    };
    config.clusters.iter().zip(boards).enumerate().map(plan).collect()
}

type Bound = (Vec<Vec<std::net::TcpListener>>, Vec<(Arc<str>, SocketAddr)>);

fn bind_listeners(config: &Config) -> Result<Bound, StartError> {
    let mut sockets = Vec::new();
    let mut addresses = Vec::new();
    for listener in &config.listeners {
        let mut of_listener = Vec::new();
        for address in &listener.bind {
            let bound = sockets::bind(*address, config.workers)
                .map_err(|cause| StartError::Bind { listener: listener.name.to_string(), cause })?;
            addresses
                .push((Arc::clone(&listener.name), bound[0].local_addr().map_err(refused("a listener"))?));
            of_listener.extend(bound);
        }
        sockets.push(of_listener);
    }
    Ok((sockets, addresses))
}
