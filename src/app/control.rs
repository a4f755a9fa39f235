//! The control plane's thread: every cluster's probers and tracker, on a runtime of their own, so
//! that bulk traffic cannot delay a failover (D5).

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::resolve::Names;
use crate::board::ClusterBoard;
use crate::follow::{self, Follow, Links};
use crate::intent::{ProbeIds, ProbeOrder, inbox, interest};
use crate::names::{self, Host};
use crate::probe::tls::Connector;
use crate::probe::{self, Prober, ProberSetupError};
use crate::proxy::ClusterHandle;
use crate::tenure::{self, Epochs, OfReaders, To};

/// One cluster, ready to be followed.
pub(super) struct Plan {
    pub(super) follow: follow::Settings,
    /// The kinds of readers that listeners have.
    pub(super) readers: Vec<To>,
    /// One a node, in the order of their ids.
    pub(super) probes: Vec<probe::Settings>,
    /// The TLS that they share, if they speak it.
    pub(super) tls: Option<Connector>,
    pub(super) names: Names,
    /// How long after an answer they are looked up again.
    pub(super) dns_refresh: Duration,
    pub(super) board: Arc<ClusterBoard>,
}

/// The metrics of the control plane's roles.
#[derive(Clone)]
pub(super) struct Metrics {
    pub(super) follow: follow::Metrics,
    pub(super) probe: probe::MetricFamilies,
}

/// The running thread. Dropping it stops the probes.
pub(super) struct Control {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// Everything that one cluster's tasks are made of, and the ends that the data plane gets.
struct Cluster {
    follow: Follow,
    probers: Vec<Prober>,
    /// To be looked up.
    hosts: Vec<Host>,
    dns_refresh: Duration,
}

/// Prepares all clusters and starts the thread. `failed` is told if one of its tasks panics: what
/// remains could no longer be trusted to follow.
pub(super) fn start(
    plans: Vec<Plan>,
    metrics: &Metrics,
    failed: watch::Sender<Option<String>>,
) -> Result<(Control, Vec<ClusterHandle>), ControlError> {
    let (epochs, ids) = (Arc::<Epochs>::default(), Arc::<ProbeIds>::default());
    let mut clusters = Vec::new();
    let mut ends = Vec::new();
    for plan in plans {
        let (cluster, end) = prepare(plan, metrics, &epochs, &ids)?;
        clusters.push(cluster);
        ends.push(end);
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = oneshot::channel();
    let thread = thread::Builder::new().name("control".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                why = drive(clusters) => { failed.send_replace(Some(why)); }
                _ = stopped => {}
            }
        });
    })?;
    Ok((Control { stop: Some(stop), thread: Some(thread) }, ends))
}

/// Why the control plane could not start.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The operating system refused a thread or a poller.
    #[error("cannot start the thread for probes: {0}")]
    Thread(#[from] io::Error),
    /// A prober's settings cannot work.
    #[error(transparent)]
    Probe(#[from] ProberSetupError),
}

fn prepare(
    plan: Plan,
    metrics: &Metrics,
    epochs: &Arc<Epochs>,
    ids: &Arc<ProbeIds>,
) -> Result<(Cluster, ClusterHandle), ControlError> {
    let now = Instant::now();
    let channel = || tenure::channel(now, Arc::clone(epochs));
    let (writer, route) = channel();
    let (writers, readers) = OfReaders::new(&plan.readers, |_| channel()).unzip();
    let (sender, receiver) = inbox();
    let mut orders = Vec::new();
    let mut probers = Vec::new();
    for settings in plan.probes {
        let (order, ordered) = watch::channel(ProbeOrder::default());
        orders.push(order);
        let metrics = metrics.probe.node(&settings.cluster, &settings.node);
        let tls = plan.tls.clone();
        probers.push(Prober::new(settings, tls, ordered, sender.clone(), Arc::clone(ids), metrics)?);
    }
    let links = Links {
        writer,
        readers: writers,
        inbox: receiver,
        orders,
        directory: plan.names.directory,
        board: plan.board,
    };
    let follow = Follow::new(plan.follow, links, &metrics.follow, now);
    let cluster = Cluster { follow, probers, hosts: plan.names.hosts, dns_refresh: plan.dns_refresh };
    Ok((cluster, ClusterHandle { route, readers, inbox: sender, interest: interest().0 }))
}

/// Runs until a task ends, which none does by itself before the gate stops; says which.
async fn drive(clusters: Vec<Cluster>) -> String {
    let mut tasks = JoinSet::new();
    for cluster in clusters {
        tasks.spawn(cluster.follow.run());
        for prober in cluster.probers {
            tasks.spawn(prober.run());
        }
        for host in cluster.hosts {
            tasks.spawn(names::keep(host, cluster.dns_refresh, names::system));
        }
    }
    match tasks.join_next().await {
        Some(Err(panic)) => format!("a task of the control plane panicked: {panic}"),
        Some(Ok(())) => "a task of the control plane ended".to_owned(),
        None => std::future::pending().await, // no clusters: nothing to drive
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic was reported through `failed`; there is nobody else to tell.
            let _ = thread.join();
        }
    }
}
