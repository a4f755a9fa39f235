//! The listeners and clusters of one configuration, as a worker sees them. A reload brings the next generation (O2);
//! who came under an older one keeps its cluster, with its fates, until it leaves.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use tokio::task::{AbortHandle, spawn_local};

use super::ClusterHandle;
use super::access::Access;
use super::dials::Dials;
use super::inquiry::Inquiry;
use super::limits::{Bounds, Limits, Places};
use super::metrics::{ClusterMetrics, ListenerMetrics, Metrics};
use super::outcome::Refusal;
use super::proxy_header::Proxies;
use super::release::Release;
use super::routes::Routes;
use super::sessions::{Sessions, Timeouts};
use super::settings::{ClusterSettings, ListenerSettings, Settings};
use super::source_addresses::SourceAddresses;
use crate::intent::{Inbox, Interest};
use crate::supervise::supervised;
use crate::tenure::{OfReaders, Tenure, TenureReader, To};

/// What a generation is made from, the same for every worker.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) settings: Arc<Settings>,
    /// Those of the settings' clusters, in their order.
    pub(super) clusters: Vec<ClusterHandle>,
    /// Bounds held clients over all workers, by cluster.
    pub(super) held: Vec<Arc<Places>>,
    /// Bounds connections by listener.
    pub(super) bounds: Vec<Bounds>,
    pub(super) metrics: Metrics,
}

impl Plan {
    pub(super) fn new(
        settings: Settings,
        limits: &Limits,
        clusters: Vec<ClusterHandle>,
        metrics: Metrics,
    ) -> Self {
        let (held, bounds) = (limits.of_held(&settings), limits.of_listeners(&settings));
        Plan { settings: Arc::new(settings), clusters, held, bounds, metrics }
    }
}

/// All of it.
#[derive(Debug)]
pub(super) struct Generation {
    /// In the order of the settings, as everywhere here.
    pub(super) entrances: Vec<Rc<Entrance>>,
    clusters: Rc<Clusters>,
}

/// The clusters of a generation.
#[derive(Debug)]
pub(super) struct Clusters {
    led: Vec<Rc<Cluster>>,
    /// The same clusters, as their readers see them.
    readers: Vec<OfReaders<Rc<Cluster>>>,
}

/// One listener.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) name: Arc<str>,
    /// Where clients go whom no route takes: a place among `clusters`.
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
    /// Counts a client that is refused; the log warns of bounds that are reached.
    pub(super) fn count_refused(&self, refusal: Refusal) {
        self.metrics.refused(refusal).inc();
        self.bounds.warnings.count(&self.name, refusal);
    }
}

/// A listener and the clusters that its clients may go to. Nobody keeps it who knows where to go: a session would keep
/// every cluster of its generation from being let go.
#[derive(Debug)]
pub(super) struct Entrance {
    pub(super) listener: Rc<Listener>,
    clusters: Rc<Clusters>,
}

/// One cluster, for clients who all want the same of it.
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
    pub(super) inquiry: Inquiry,
    pub(super) source: SourceAddresses,
    /// The newest that are configured for it, whatever generation this is of.
    timeouts: Rc<Cell<Timeouts>>,
    /// Has it followed for as long as somebody here is concerned.
    _interest: Interest,
    /// Its mailboxes; they end with it.
    mailboxes: RefCell<Vec<AbortHandle>>,
}

impl Generation {
    /// The first, or the one after `previous`: what has not changed is taken over from there.
    pub(super) fn new(plan: &Plan, previous: Option<&Generation>) -> Self {
        let previous = previous.map(|generation| &*generation.clusters);
        let clusters = Rc::new(Clusters::new(plan, previous));
        let listeners = plan.settings.listeners.iter().zip(&plan.bounds);
        let listeners = listeners.map(|(settings, bounds)| {
            let metrics = plan.metrics.listener(&settings.name);
            let listener = Rc::new(Listener::new(settings, bounds.clone(), metrics));
            Rc::new(Entrance { listener, clusters: Rc::clone(&clusters) })
        });
        Generation { entrances: listeners.collect(), clusters }
    }

    /// Opens the mailboxes of the clusters that have none yet.
    pub(super) fn open_mailboxes(&self, sessions: &Rc<Sessions>) {
        self.clusters.all().for_each(|cluster| cluster.open_mailboxes(sessions));
    }

    /// All its timeouts.
    pub(super) fn timeouts(&self) -> impl Iterator<Item = Timeouts> {
        self.clusters.all().map(|cluster| cluster.timeouts())
    }

    /// Whether some cluster of this one is not in `next` any more.
    pub(super) fn loses_clusters_to(&self, next: &Generation) -> bool {
        self.clusters.led.iter().any(|cluster| next.clusters.led.iter().all(|other| !cluster.precedes(other)))
    }
}

impl Clusters {
    fn new(plan: &Plan, previous: Option<&Clusters>) -> Self {
        let places = || 0..plan.clusters.len();
        let led = |place| {
            let before = previous.into_iter().flat_map(|clusters| &clusters.led);
            Cluster::succeeding(before, plan, place, plan.clusters[place].route.clone(), 1)
        };
        let readers = |place: usize| {
            let nodes = plan.settings.clusters[place].nodes.len();
            plan.clusters[place].readers.clone().map(|_, route| {
                let before = previous.into_iter().flat_map(|clusters| &clusters.readers);
                Cluster::succeeding(before.flat_map(OfReaders::iter), plan, place, route, nodes)
            })
        };
        Clusters { led: places().map(led).collect(), readers: places().map(readers).collect() }
    }

    fn all(&self) -> impl Iterator<Item = &Rc<Cluster>> {
        self.led.iter().chain(self.readers.iter().flat_map(OfReaders::iter))
    }
}

impl Listener {
    fn new(settings: &ListenerSettings, bounds: Bounds, metrics: ListenerMetrics) -> Self {
        Listener {
            name: Arc::clone(&settings.name),
            cluster: settings.cluster,
            routes: settings.routes.clone(),
            proxies: settings.proxies.clone(),
            to: settings.to,
            access: settings.access.clone(),
            metrics,
            bounds,
        }
    }
}

impl Entrance {
    /// The cluster in this place, as this listener's clients see it.
    pub(super) fn cluster_at(&self, place: usize) -> &Rc<Cluster> {
        // Who has readers is known from the start.
        self.clusters.readers[place].get(self.listener.to).unwrap_or(&self.clusters.led[place])
    }

    /// Where all clients go, whatever they say; `None` if it depends on that.
    pub(super) fn only_cluster(&self) -> Option<&Rc<Cluster>> {
        let place = self.listener.cluster.filter(|_| self.listener.routes.table.is_empty());
        place.map(|place| self.cluster_at(place))
    }
}

impl Cluster {
    /// The cluster at this place of the plan, for clients that go where `route` says: to as many nodes at a time. If
    /// nothing about it has changed it is the one of `before`.
    fn succeeding<'c>(
        mut before: impl Iterator<Item = &'c Rc<Cluster>>,
        plan: &Plan,
        place: usize,
        route: TenureReader,
        nodes: usize,
    ) -> Rc<Self> {
        let settings = &plan.settings.clusters[place];
        let Some(previous) = before.find(|cluster| cluster.route.is_same(&route)) else {
            let timeouts = Rc::new(Cell::new(Timeouts::of(settings)));
            return Rc::new(Cluster::new(plan, place, route, nodes, timeouts));
        };
        if previous.settings == *settings {
            return Rc::clone(previous);
        }
        let timeouts = Rc::clone(&previous.timeouts);
        timeouts.set(Timeouts::of(settings));
        Rc::new(Cluster::new(plan, place, route, nodes, timeouts))
    }

    fn new(
        plan: &Plan,
        place: usize,
        route: TenureReader,
        nodes: usize,
        timeouts: Rc<Cell<Timeouts>>,
    ) -> Self {
        let settings = &plan.settings.clusters[place];
        Cluster {
            settings: settings.clone(),
            route,
            inbox: plan.clusters[place].inbox.clone(),
            metrics: plan.metrics.cluster(settings),
            held: Arc::clone(&plan.held[place]),
            releases: (0..nodes).map(|_| Release::new(plan.settings.workers)).collect(),
            dials: Rc::default(),
            inquiry: Inquiry::default(),
            source: SourceAddresses::new(&settings.source),
            timeouts,
            _interest: plan.clusters[place].interest.clone(),
            mailboxes: RefCell::default(),
        }
    }

    /// What paces a crowd on its way to this tenure's node.
    pub(super) fn release(&self, tenure: &Tenure) -> &Rc<Release> {
        self.releases.get(tenure.node.0).unwrap_or(&self.releases[0])
    }

    /// When its sessions end by themselves.
    pub(super) fn timeouts(&self) -> Timeouts {
        self.timeouts.get()
    }

    /// Whether the other one is this, or this in a later generation.
    fn precedes(&self, other: &Cluster) -> bool {
        self.route.is_same(&other.route)
    }

    fn open_mailboxes(self: &Rc<Self>, sessions: &Rc<Sessions>) {
        let mut mailboxes = self.mailboxes.borrow_mut();
        if !mailboxes.is_empty() {
            return;
        }
        // Neither holds the cluster: it would never end.
        let (sessions, cluster, route) = (Rc::clone(sessions), Rc::downgrade(self), self.route.clone());
        let fates = move || Rc::clone(&sessions).follow_fates(Weak::clone(&cluster), route.clone());
        let (dials, inbox) = (Rc::clone(&self.dials), self.inbox.clone());
        let late = move || Rc::clone(&dials).watch(inbox.clone());
        let name = &self.settings.name;
        mailboxes.push(spawn_local(supervised(format!("fates of {name}"), fates)).abort_handle());
        mailboxes.push(spawn_local(supervised(format!("dials to {name}"), late)).abort_handle());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.mailboxes.borrow().iter().for_each(AbortHandle::abort);
    }
}
