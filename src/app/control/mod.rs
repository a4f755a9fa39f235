//! The control plane: every cluster's probers and tracker, on a thread and runtime of their own, so that bulk traffic
//! cannot delay a failover (D5). A reload changes it under way (O2).
//!
//! ```text
//! hands      spawns tasks there, and sees whether they live      plan       one cluster as configured
//! followed   one cluster under way                               prepared   what is to be: checked, and not begun
//! new_prober a prober that can be begun anew           watch      sees to it that none hangs (O5)
//! overdue    who has given no sign of life for too long: pure
//! leaving    clusters that are configured no more, but have sessions
//! ```

mod followed;
mod hands;
mod leaving;
mod new_prober;
mod overdue;
mod prepared;
mod watch;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::thread;

use prometheus::IntCounter;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::board::Board;
use crate::config;
use crate::follow;
use crate::intent::Inboxes;
use crate::memory::ClusterMemory;
use crate::memory::orders::{OrderBook, OrdersInForce};
use crate::probe::tls::Connector;
use crate::probe::{self, ProberSetupError};
use crate::proxy;
use crate::supervise::Failing;
use crate::tenure::To;
use followed::Followed;
use hands::{Hands, Task};
use leaving::Leaving;
pub(super) use prepared::Prepared;

/// One cluster, as it is configured.
pub(super) struct Plan {
    pub(super) config: Arc<config::Cluster>,
    /// The kinds of readers that listeners have.
    pub(super) readers: Vec<To>,
    /// The TLS that its probes share, if they speak it.
    pub(super) tls: Option<Connector>,
}

/// The metrics of the control plane's roles.
#[derive(Clone)]
pub(super) struct Metrics {
    pub(super) follow: follow::Metrics,
    pub(super) probe: probe::MetricFamilies,
    /// The data plane's, where clusters are forgotten, too.
    pub(super) proxy: proxy::Metrics,
    /// Tasks that hung.
    pub(super) hangs: IntCounter,
}

/// What another process remembers.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Whether it was ready to be sent clients.
    pub(super) ready: bool,
    /// The last epoch that it gave out (S1).
    pub(super) epochs: u64,
    /// What operators have ordered.
    pub(super) orders: OrdersInForce,
    /// What it knows of each cluster, by name, and when it was asked.
    pub(super) clusters: BTreeMap<String, (Instant, ClusterMemory)>,
}

/// The running thread, and the clusters that are followed on it. Dropping it stops the probes.
pub(super) struct Control {
    // Dropped in this order: the tasks end before their thread does.
    clusters: Vec<Followed>,
    leaving: Arc<Leaving>,
    _watch: Task,
    hands: Hands,
    memory: Memory,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// Why the control plane could not start, or not be changed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The operating system refused a thread or a poller.
    #[error("cannot start the thread for probes: {0}")]
    Thread(#[from] io::Error),
    /// A prober's settings cannot work.
    #[error(transparent)]
    Probe(#[from] ProberSetupError),
}

impl Control {
    /// Starts the thread; no cluster is followed yet. `failing` is told if a task panics that cannot be begun
    /// anew. The clusters are shown on the board, and can be reached by the inboxes.
    ///
    /// # Errors
    /// If the operating system has no thread or no poller.
    pub(super) fn start(
        metrics: Metrics,
        board: Arc<Board>,
        inboxes: Inboxes,
        failing: Failing,
    ) -> Result<Self, ControlError> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let leaving = Arc::new(Leaving::new(board, inboxes, metrics.clone()));
        let hands = Hands::new(runtime.handle().clone(), metrics, failing);
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("control".to_owned()).spawn(move || {
            // Told, or abandoned: both mean the end.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Control {
            clusters: Vec::new(),
            leaving,
            _watch: hands.begin_watch(),
            hands,
            memory: Memory::default(),
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Goes on where another process left off (O3): with the clusters that are adopted next, and no later ones. To be called
    /// before anything is followed.
    pub(super) fn recall(&mut self, memory: Memory) {
        self.hands.epochs.go_on_after(memory.epochs);
        self.hands.orders.replace(memory.orders.clone());
        self.memory = memory;
    }

    /// What operators have ordered.
    pub(super) fn orders(&self) -> &OrderBook {
        &self.hands.orders
    }

    /// The last epoch that was given out.
    pub(super) fn last_epoch(&self) -> u64 {
        self.hands.epochs.last()
    }

    /// Prepares to follow these clusters, and no others. Nothing changes yet.
    ///
    /// # Errors
    /// If a prober's settings cannot work.
    pub(super) fn prepare(&self, plans: Vec<Plan>) -> Result<Vec<Prepared>, ControlError> {
        let prepare = |plan: Plan| {
            let before = self.clusters.iter().find(|cluster| *cluster.name() == plan.config.name);
            let before = match before {
                Some(cluster) => cluster.view.interests.another().map(|one| (cluster.view.clone(), one)),
                None => self.leaving.view(&plan.config.name, &self.hands),
            };
            Prepared::new(plan, before, &self.hands)
        };
        plans.into_iter().map(prepare).collect()
    }

    /// From now on these are followed as prepared, and the others until their last session has ended.
    pub(super) fn adopt(&mut self, prepared: Vec<Prepared>) {
        let names: Vec<_> = prepared.iter().map(|next| (Arc::clone(next.name()), next.inbox())).collect();
        let is_named = |cluster: &Followed| names.iter().any(|(name, _)| name == cluster.name());
        let (mut known, leaving): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.clusters).into_iter().partition(is_named);
        known.extend(self.leaving.turn_over(names, leaving, &self.hands));
        let memory = std::mem::take(&mut self.memory).clusters;
        for next in prepared {
            let remembered = memory.get(&**next.name());
            let place = known.iter().position(|cluster| cluster.name() == next.name());
            let board = self.leaving.board_of(next.name());
            self.clusters.push(next.begin(
                place.map(|place| known.swap_remove(place)),
                board,
                remembered,
                &self.hands,
            ));
        }
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
