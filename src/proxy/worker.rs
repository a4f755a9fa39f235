//! One worker: a thread with its own runtime, from which its sessions never leave (D1, D8).

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, mpsc};

use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::ClusterHandle;
use super::accept::accept;
use super::access::Access;
use super::dials::Dials;
use super::limits::{Bounds, Places};
use super::metrics::{ClusterMetrics, ListenerMetrics, Metrics};
use super::opening::SCRATCH;
use super::outcome::Outcome;
use super::proxy_header::Proxies;
use super::release::Release;
use super::routes::Routes;
use super::sessions::Sessions;
use super::settings::{ClusterSettings, Settings};
use super::source_addresses::SourceAddresses;
use crate::census::Question;
use crate::intent::Inbox;
use crate::relay::Gear;
use crate::tenure::{OfReaders, Tenure, TenureReader, To};

/// What all sessions of a worker read through (D2).
const BUFFER: usize = 256 * 1024;

/// After how many polls of tasks the poller is asked for more events although tasks are ready. It is worth a system call
/// only if the ready ones take long: more than a busy poller gives at once (D7), fewer than would keep others waiting
/// while each moves its share of bulk (D9).
const POLLS_BETWEEN_EVENTS: u32 = 256;

/// What the workers are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Take clients in.
    Serve,
    /// Take no new ones, and end once the last has left.
    Quiesce,
    /// End everything now.
    Cut,
}

/// What every worker is made from.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) settings: Arc<Settings>,
    pub(super) clusters: Vec<ClusterHandle>,
    pub(super) metrics: Metrics,
    /// Bounds connections over all workers.
    pub(super) places: Arc<Places>,
    /// Bounds connections by listener.
    pub(super) bounds: Vec<Bounds>,
    /// Bounds held clients over all workers, by cluster.
    pub(super) held: Vec<Arc<Places>>,
    /// Counts listening sockets that are not closed yet.
    pub(super) open: Arc<Places>,
    pub(super) orders: watch::Receiver<Order>,
}

/// A listening socket and the place of its listener in the settings.
pub(super) type Socket = (usize, std::net::TcpListener);

/// Where a worker is asked for its sessions.
pub(super) type Questions = tokio::sync::mpsc::Receiver<Question>;

/// Where the openings of a worker are read into. No await while it is borrowed.
pub(super) type Scratch = RefCell<Box<[u8]>>;

/// What the connections of one worker share.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) clusters: Vec<Rc<Cluster>>,
    /// The same clusters, as their readers see them.
    readers: Vec<OfReaders<Rc<Cluster>>>,
    pub(super) sessions: Rc<Sessions>,
    pub(super) gear: Gear,
    pub(super) scratch: Scratch,
    pub(super) places: Arc<Places>,
    pub(super) log_connections: bool,
}

/// One listener, as a worker sees it.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) name: Arc<str>,
    /// Where clients go whom no route takes.
    pub(super) cluster: Option<usize>,
    pub(super) routes: Routes,
    pub(super) proxies: Proxies,
    /// To which of a cluster's nodes.
    pub(super) to: To,
    pub(super) access: Access,
    pub(super) metrics: ListenerMetrics,
    pub(super) bounds: Bounds,
}

impl Listener {
    /// Where all clients go, whatever they say; `None` if it depends on that.
    pub(super) fn only_cluster(&self) -> Option<usize> {
        self.cluster.filter(|_| self.routes.table.is_empty())
    }
}

/// One cluster, as a worker sees it.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) settings: ClusterSettings,
    pub(super) route: TenureReader,
    pub(super) inbox: Inbox,
    pub(super) metrics: ClusterMetrics,
    pub(super) held: Arc<Places>,
    /// One for whoever leads; for readers one a node.
    pub(super) releases: Vec<Rc<Release>>,
    pub(super) dials: Rc<Dials>,
    pub(super) source: SourceAddresses,
}

/// The body of a worker's thread. Says by `started` whether it serves; returns when its last client has left after
/// [`Order::Quiesce`], or after [`Order::Cut`].
pub(super) fn run(
    plan: Plan,
    sockets: Vec<Socket>,
    questions: Questions,
    started: &mpsc::Sender<io::Result<()>>,
) {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .event_interval(POLLS_BETWEEN_EVENTS)
        .build_local(LocalOptions::default());
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    runtime.block_on(async {
        let worker = Worker::new(&plan);
        match worker.open(&plan, sockets) {
            Ok(doors) => {
                let _ = started.send(Ok(()));
                worker.serve(doors, plan.orders, questions).await;
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        }
    });
}

impl Cluster {
    /// The cluster at this place of the plan, for clients that go where `route` says: to as many nodes at a time.
    fn new(plan: &Plan, place: usize, route: TenureReader, nodes: usize) -> Rc<Self> {
        let settings = &plan.settings.clusters[place];
        Rc::new(Cluster {
            settings: settings.clone(),
            route,
            inbox: plan.clusters[place].inbox.clone(),
            metrics: plan.metrics.cluster(settings),
            held: Arc::clone(&plan.held[place]),
            releases: (0..nodes).map(|_| Release::new(plan.settings.workers)).collect(),
            dials: Rc::default(),
            source: SourceAddresses::new(&settings.source),
        })
    }

    /// What paces a crowd on its way to this tenure's node.
    pub(super) fn release(&self, tenure: &Tenure) -> &Rc<Release> {
        self.releases.get(tenure.node.0).unwrap_or(&self.releases[0])
    }
}

impl Worker {
    pub(super) fn new(plan: &Plan) -> Rc<Self> {
        let places = 0..plan.clusters.len();
        Rc::new(Worker {
            clusters: places
                .clone()
                .map(|place| Cluster::new(plan, place, plan.clusters[place].route.clone(), 1))
                .collect(),
            readers: places
                .map(|place| {
                    let nodes = plan.settings.clusters[place].nodes.len();
                    let routes = plan.clusters[place].readers.clone();
                    routes.map(|_, route| Cluster::new(plan, place, route, nodes))
                })
                .collect(),
            sessions: Sessions::new(&plan.settings.clusters),
            gear: Gear::new(BUFFER, plan.settings.pipes),
            scratch: RefCell::new(vec![0; SCRATCH].into_boxed_slice()),
            places: Arc::clone(&plan.places),
            log_connections: plan.settings.log_connections,
        })
    }

    /// A cluster as those see it who want this of it.
    pub(super) fn cluster(&self, place: usize, to: To) -> &Rc<Cluster> {
        // Who has readers is known from the start.
        self.readers[place].get(to).unwrap_or(&self.clusters[place])
    }

    /// Starts to accept at each socket.
    fn open(self: &Rc<Self>, plan: &Plan, sockets: Vec<Socket>) -> io::Result<Vec<JoinHandle<()>>> {
        let listeners: Vec<Rc<Listener>> = plan
            .settings
            .listeners
            .iter()
            .zip(&plan.bounds)
            .map(|(listener, bounds)| {
                Rc::new(Listener {
                    name: Arc::clone(&listener.name),
                    cluster: listener.cluster,
                    routes: listener.routes.clone(),
                    proxies: listener.proxies.clone(),
                    to: listener.to,
                    access: listener.access.clone(),
                    metrics: plan.metrics.listener(&listener.name),
                    bounds: bounds.clone(),
                })
            })
            .collect();
        let mut doors = Vec::new();
        for (listener, socket) in sockets {
            socket.set_nonblocking(true)?;
            let socket = TcpListener::from_std(socket)?;
            let open = plan.open.take().ok_or_else(|| io::Error::other("too many listening sockets"))?;
            let listener = Rc::clone(&listeners[listener]);
            let name = Arc::clone(&listener.name);
            let door = tokio::task::spawn_local(accept(
                Rc::clone(self),
                listener,
                socket,
                plan.orders.clone(),
                open,
            ));
            doors.push(tokio::task::spawn_local(async move {
                if let Err(error) = door.await {
                    tracing::error!(listener = %name, %error, "a listening socket is lost: its acceptor failed");
                }
            }));
        }
        Ok(doors)
    }

    async fn serve(
        self: Rc<Self>,
        doors: Vec<JoinHandle<()>>,
        mut orders: watch::Receiver<Order>,
        questions: Questions,
    ) {
        tokio::task::spawn_local(Rc::clone(&self.sessions).sweep());
        tokio::task::spawn_local(Rc::clone(&self.sessions).answer(questions));
        for (place, (leader, readers)) in self.clusters.iter().zip(&self.readers).enumerate() {
            for cluster in std::iter::once(leader).chain(readers.iter()) {
                let fates = Rc::clone(&self.sessions).follow_fates(place, cluster.route.clone());
                tokio::task::spawn_local(fates);
                tokio::task::spawn_local(Rc::clone(&cluster.dials).watch(cluster.inbox.clone()));
            }
        }
        for door in doors {
            // What it had to say it has said.
            let _ = door.await;
        }
        tokio::select! {
            () = self.sessions.emptied() => return,
            // Without a sender the proxy itself is gone, and so is everybody's wish to serve.
            _ = orders.wait_for(|order| *order == Order::Cut) => {}
        }
        self.sessions.end_all(Outcome::Shutdown);
        self.sessions.emptied().await;
    }
}
