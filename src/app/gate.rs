//! Everything that serves, started as one: what `run` runs and what the demo puts to the test.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tracing::info;

use super::admin::{AdminThread, Doors};
use super::control::{self, Control, ControlError, Memory, Plan, Prepared};
use super::inherited::{Inherited, Wanted};
use super::listening::Listening;
use super::reload::{Renewed, in_force};
use super::{panics, tls};
use crate::admin::{self, Controls, Request};
use crate::board::Board;
use crate::config::{Cluster, Config};
use crate::follow;
use crate::intent::Inboxes;
use crate::metrics;
use crate::probe;
use crate::probe::tls::TlsSetupError;
use crate::proxy::{self, Proxy, Sockets, Totals};
use crate::sockets;

/// A running gate.
pub struct Gate {
    /// What is in force of what was configured.
    pub(super) config: Config,
    pub(super) board: Arc<Board>,
    pub(super) proxy: Proxy,
    pub(super) listening: Listening,
    /// Sockets that somebody keeps open for this gate, and that its configuration has no place for.
    pub(super) spare: Inherited,
    pub(super) admin: Option<AdminThread>,
    /// Where admin was served before another process took over, as long as this one guards it.
    pub(super) retired: Doors,
    pub(super) admin_state: Arc<admin::State>,
    pub(super) controls: Controls,
    pub(super) inboxes: Inboxes,
    pub(super) orders: admin::Orders,
    pub(super) control: Control,
    failed: watch::Receiver<Option<String>>,
    own_metrics: admin::Metrics,
}

/// What a gate begins with, besides its configuration.
#[derive(Default)]
pub(super) struct Heritage {
    /// Sockets that were passed to this process.
    pub(super) inherited: Inherited,
    /// What the process before remembers.
    pub(super) memory: Memory,
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
    /// been dropped so far; what people ask of the process as a whole goes to `requests`.
    ///
    /// # Errors
    /// If an address cannot be bound, or TLS cannot be set up; see [`StartError`].
    pub fn start(
        config: &Config,
        dropped_lines: impl Fn() -> u64 + Send + Sync + 'static,
        requests: mpsc::Sender<Request>,
    ) -> Result<Gate, StartError> {
        Self::inherit(config, dropped_lines, requests, Heritage::default())
    }

    /// The same, with what the process before, or the service manager, has left to this one.
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    pub(super) fn inherit(
        config: &Config,
        dropped_lines: impl Fn() -> u64 + Send + Sync + 'static,
        requests: mpsc::Sender<Request>,
        Heritage { mut inherited, memory }: Heritage,
    ) -> Result<Gate, StartError> {
        let registry = metrics::registry()?;
        let board = Arc::new(Board::new([]));
        let admin_state = admin::State::new(registry.clone(), Arc::clone(&board), dropped_lines)?;
        let admin_state = Arc::new(admin_state.with_hosts(&config.admin_hosts));
        let own_metrics = admin_state.metrics.clone();
        panics::watch(&own_metrics);
        let proxy_metrics = proxy::Metrics::register(&registry)?;
        board.set_traffic(proxy_metrics.traffic());
        let (failing, failed) = watch::channel(None);
        let inboxes = Inboxes::default();
        let metrics = control_metrics(&registry, &own_metrics, proxy_metrics.clone())?;
        let mut control = Control::start(metrics, Arc::clone(&board), inboxes.clone(), failing.clone())?;
        if memory.ready {
            board.set_ready();
        }
        control.recall(memory);
        let plans = plan_clusters(config)?;
        // Bind before probing: a gate that cannot serve should not bother the nodes.
        let opened = open(config, &mut inherited);
        // Whoever reads why something could not be bound wants to know of these, too.
        let spare = inherited.settle();
        let (listening, sockets, doors) = opened?;
        let prepared = control.prepare(plans)?;
        let handles = prepared.iter().map(Prepared::handle).collect();
        let proxy =
            proxy::start(settings(config, &prepared), sockets, handles, proxy_metrics, failing.clone())
                .map_err(refused("the workers"))?;
        control.adopt(prepared);
        let orders = admin::Orders::default();
        let controls =
            Controls { inboxes: inboxes.clone(), orders: orders.clone(), census: proxy.census(), requests };
        let admin = doors.open(Arc::clone(&admin_state), controls.clone())?;
        let config = config.clone();
        let gate = Gate {
            config,
            board,
            proxy,
            listening,
            spare,
            admin,
            retired: Doors::default(),
            admin_state,
            controls,
            inboxes,
            orders,
            control,
            failed,
            own_metrics,
        };
        gate.tell_where_it_listens(&Listening::default());
        Ok(gate)
    }

    /// Goes over to this configuration.
    ///
    /// # Errors
    /// As [`start`](Self::start); nothing has changed then.
    /// The files of certificates that hold others than before, each with the clusters that read it.
    pub(super) fn adopt(&mut self, config: &Config) -> Result<Renewed, StartError> {
        let plans = plan_clusters(config)?;
        let prepared = self.control.prepare(plans)?;
        // Bound last: clients may come to a new address from that moment on.
        let is_own = |address| self.proxy.listens_at(address);
        let wanted = Wanted { count: self.proxy.workers(), is_own: &is_own };
        let let_go = self.listening.without_place_in(config);
        let mut spare = let_go.and_then(|sockets| self.spare.with(sockets)).map_err(refused("a listener"))?;
        let (listening, sockets) = self.listening.go_on(config, wanted, &mut spare)?;
        let handles = prepared.iter().map(Prepared::handle).collect();
        self.proxy
            .change(settings(config, &prepared), sockets, handles)
            .map_err(refused("a listener's sockets for all workers"))?;
        let renewed = Renewed::from_clusters(&prepared);
        self.control.adopt(prepared);
        let before = std::mem::replace(&mut self.listening, listening);
        self.spare = spare.settle();
        self.config = in_force(&self.config, config);
        self.tell_where_it_listens(&before);
        Ok(renewed)
    }

    /// Notes that a configuration was refused (O1).
    pub(super) fn note_refused(&self) {
        self.own_metrics.configuration_refused();
    }

    fn tell_where_it_listens(&self, before: &Listening) {
        let (before, now) = (before.addresses(), self.listening.addresses());
        for (listener, address) in now.iter().filter(|address| !before.contains(address)) {
            info!(%listener, %address, "listening");
        }
        for (listener, address) in before.iter().filter(|(_, old)| now.iter().all(|(_, new)| new != old)) {
            info!(%listener, %address, "no longer listening");
        }
        self.own_metrics.configuration_taken();
        self.board.set_bound(now);
    }

    /// The listeners with the addresses that they are bound to.
    pub fn listeners(&self) -> Vec<(Arc<str>, SocketAddr)> {
        self.board.listeners().collect()
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
    pub async fn stop(mut self) {
        self.close();
        info!(active = self.proxy.active(), "stopping: no new connections, sessions drain");
        self.drained_within(self.config.shutdown_drain).await;
        self.finish();
    }

    /// Not ready, and no new connections but none lost; sessions stay.
    pub(super) fn close(&mut self) {
        self.board.set_draining();
        self.proxy.quiesce();
        // They would keep open what the workers close.
        (self.listening, self.spare) = (Listening::default(), Inherited::default());
    }

    /// Waits until the last session has ended, or this time is over.
    pub(super) async fn drained_within(&self, limit: Duration) {
        if timeout(limit, self.proxy.drained()).await.is_err() {
            info!(active = self.proxy.active(), "drain is over: what is left is cut");
        }
    }

    /// Cuts what is left, and says what became of all its connections.
    pub(super) fn finish(self) {
        self.proxy.cut();
        let Totals { accepted, refused, closed, active } = self.proxy.join();
        info!(accepted, refused, closed, active, "stopped");
        drop(self.control);
        drop(self.admin);
    }
}

/// Opens everything that listens.
fn open(
    config: &Config,
    inherited: &mut Inherited,
) -> Result<(Listening, Vec<Vec<Sockets>>, Doors), StartError> {
    let wanted = Wanted { count: config.workers, is_own: &|_| false };
    let (listening, sockets) = Listening::default().go_on(config, wanted, inherited)?;
    Ok((listening, sockets, Doors::bind(config, inherited)?))
}

fn control_metrics(
    registry: &Registry,
    own: &admin::Metrics,
    proxy: proxy::Metrics,
) -> Result<control::Metrics, prometheus::Error> {
    Ok(control::Metrics {
        follow: follow::Metrics::register(registry)?,
        probe: probe::MetricFamilies::register(registry)?,
        proxy,
        hangs: own.task_hangs.clone(),
    })
}

fn plan_clusters(config: &Config) -> Result<Vec<Plan>, StartError> {
    let mut connectors = tls::Connectors::default();
    let plan = |(place, cluster): (usize, &Arc<Cluster>)| {
        let tls = connectors.of(cluster);
        let tls = tls.map_err(|cause| StartError::Tls { cluster: cluster.name.to_string(), cause })?;
        Ok(Plan { tls, readers: config.readers_of(place), config: Arc::clone(cluster) })
    };
    config.clusters.iter().enumerate().map(plan).collect()
}

/// What the data plane has to know. A cluster's nodes go by the ids that they have.
fn settings(config: &Config, prepared: &[Prepared]) -> proxy::Settings {
    let mut settings = config.proxy_settings();
    for (cluster, prepared) in settings.clusters.iter_mut().zip(prepared) {
        cluster.nodes = prepared.nodes();
    }
    settings
}
