//! The data plane: one client's life from accept to its last byte.
//!
//! ```text
//! worker      a thread with its own runtime (D1)     accept      takes clients in, pauses, stops (O4)
//! settings    what it has to know; made by `config`  generation  listeners and clusters as configured now (O2)
//! connection  one client's life, and its task        sessions    the table: fates and inactivity (D8, S5, S6)
//! routing     reads a hello to know the cluster      routes      which cluster, without IO
//! journey     a client's way to a node               choice      where a client may go, without IO (S2, S3)
//! client_end  reads openings, and sees that a client has gone (S2, S4)
//! hold        waits for a route (S2)                 readers     which of several nodes a reader goes to (S3)
//! dial        connects (S3)                          dials       notices connects that take long (L5)
//! inquiry     when the leader is asked again because it has failed a client (S3)
//! opening     until the node's first byte (S4)       joined      client and node, once they belong together
//! release     paces a crowd by its node's answers (S2)
//! limits      bounds, as guards (S8)                 sources     bounds by source (S8)
//! refusals    warns of bounds that are reached (S8)
//! open        which listening sockets are open (O4)
//! access      who may come in (S8)                   unjoined    a stream that is reset when dropped
//! proxy_header      for whom a trusted proxy comes   source_addresses  where the gate connects from
//! outcome     why connections end                    metrics     what is counted
//! trace       what is logged of each
//! ```

mod accept;
mod access;
mod choice;
mod client_end;
mod connection;
mod dial;
mod dials;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod generation;
mod hold;
mod inquiry;
mod joined;
mod journey;
mod limits;
mod metrics;
mod open;
mod opening;
mod outcome;
mod proxy_header;
mod readers;
mod refusals;
mod release;
mod routes;
mod routing;
mod sessions;
mod settings;
mod source_addresses;
mod sources;
#[cfg(test)]
mod tests;
mod trace;
mod unjoined;
mod worker;

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::census::{self, Census};
use crate::intent::{Inbox, Interest};
use crate::supervise::Failing;
use crate::tenure::{OfReaders, TenureReader, To};
pub use access::Access;
use generation::Plan;
use limits::Limits;
pub use metrics::{Metrics, Totals};
use open::OpenSockets;
pub use outcome::{Outcome, Refusal};
pub use proxy_header::Proxies;
pub use routes::{Route, Routes, ServerNames, Target};
pub use settings::{ClusterSettings, ListenerSettings, LogConnections, Settings};
use worker::{Beginning, Change, Order, Share, Socket};

/// How long a data plane that is dropped may take to reset what is left.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// The data plane's two strings to one cluster's `follow`.
#[derive(Clone, Debug)]
pub struct ClusterHandle {
    /// Where its clients go.
    pub route: TenureReader,
    /// Where its readers go, for each kind that some listener has.
    pub readers: OfReaders<TenureReader>,
    /// Who hears of what went wrong with a node.
    pub inbox: Inbox,
    /// Has it followed for as long as somebody here is concerned.
    pub interest: Interest,
}

/// The running data plane. Dropped, it ends as by [`cut`](Self::cut).
#[derive(Debug)]
pub struct Proxy {
    orders: watch::Sender<Order>,
    limits: Limits,
    open: Arc<OpenSockets>,
    threads: Vec<thread::JoinHandle<()>>,
    /// Where each worker hears of the next configuration.
    changes: Vec<UnboundedSender<Change>>,
    metrics: Metrics,
    census: Census,
}

/// Where the clients of one address of a listener arrive.
#[derive(Debug)]
pub enum Sockets {
    /// At the sockets that are bound to this address already.
    Kept(SocketAddr),
    /// At these, which are new here.
    New {
        /// The sockets.
        sockets: Vec<TcpListener>,
        /// Whether another process has them, too, and keeps them when this one stops.
        shared: bool,
    },
}

/// Starts the workers' threads. `sockets` are those of each of `settings.listeners`, for all its addresses, all new;
/// `clusters` belong to `settings.clusters`. Both are in the settings' order. `failing` is told if a worker's thread ends
/// by a panic.
///
/// # Errors
/// If a thread, its runtime or one of its sockets cannot be had, or the three arguments do not fit together.
pub fn start(
    settings: Settings,
    sockets: Vec<Vec<Sockets>>,
    clusters: Vec<ClusterHandle>,
    metrics: Metrics,
    failing: Failing,
) -> io::Result<Proxy> {
    check_fit(&settings, sockets.len(), &clusters)?;
    let (_, new) = tell_apart(sockets);
    let open = Arc::<OpenSockets>::default();
    let shares = distribute(new, settings.workers.max(1), &open)?;
    let (census, questions) = census::census(shares.len());
    let (orders, received) = watch::channel(Order::Serve);
    let mut limits = Limits::new();
    limits.adapt(&settings);
    let beginning = Beginning {
        places: Arc::clone(&limits.in_all),
        plan: Plan::new(settings, &limits, clusters, metrics.clone()),
        orders: received,
        failing,
    };
    let (started, starts) = mpsc::channel();
    let mut proxy = Proxy { orders, limits, open, threads: Vec::new(), changes: Vec::new(), metrics, census };
    for (number, (sockets, questions)) in shares.into_iter().zip(questions).enumerate() {
        let (change, changes) = unbounded_channel();
        proxy.changes.push(change);
        let share = Share { sockets, questions, changes };
        let (beginning, started) = (beginning.clone(), started.clone());
        let thread = thread::Builder::new().name(format!("worker-{number}"));
        proxy.threads.push(thread.spawn(move || worker::run(beginning, share, &started))?);
    }
    drop(started);
    for _ in &proxy.threads {
        starts.recv().map_err(|_| io::Error::other("a worker ended before it served"))??;
    }
    Ok(proxy)
}

/// Whether there are sockets for every listener, and somebody to say where each one's clients go.
fn check_fit(settings: &Settings, listeners: usize, clusters: &[ClusterHandle]) -> io::Result<()> {
    let fits = listeners == settings.listeners.len()
        && clusters.len() == settings.clusters.len()
        && settings.listeners.iter().all(|listener| has_place(clusters, listener));
    let why = "listeners or clusters do not fit the settings";
    if fits { Ok(()) } else { Err(io::Error::new(io::ErrorKind::InvalidInput, why)) }
}

/// Whether there is somebody to say where a listener's clients go.
fn has_place(clusters: &[ClusterHandle], listener: &ListenerSettings) -> bool {
    listener.clusters().all(|place| {
        clusters
            .get(place)
            .is_some_and(|cluster| listener.to == To::Leader || cluster.readers.get(listener.to).is_some())
    })
}

impl Proxy {
    /// Goes over to other settings (O2). Clients who come from now on do so under these; those who are there stay, with
    /// the timeouts of their cluster as they are now. Sockets that nothing names any more are closed without losing who
    /// waits there (O4). `sockets` has all addresses of each listener; `clusters` belong to `settings.clusters`: those
    /// with the same `route` as before are the same ones. The number of workers and pipes stays as it was.
    ///
    /// # Errors
    /// If a socket cannot be shared out, or the arguments do not fit together; nothing has changed then.
    pub fn change(
        &mut self,
        settings: Settings,
        sockets: Vec<Vec<Sockets>>,
        clusters: Vec<ClusterHandle>,
    ) -> io::Result<()> {
        check_fit(&settings, sockets.len(), &clusters)?;
        let (kept, new) = tell_apart(sockets);
        let shares = distribute(new, self.changes.len(), &self.open)?;
        let settings = Settings { workers: self.changes.len(), ..settings };
        self.limits.adapt(&settings);
        let plan = Plan::new(settings, &self.limits, clusters, self.metrics.clone());
        let kept: Arc<[_]> = kept.into();
        for (worker, sockets) in self.changes.iter().zip(shares) {
            // A worker that has ended has nothing to change.
            let _ = worker.send(Change { plan: plan.clone(), kept: Arc::clone(&kept), sockets });
        }
        Ok(())
    }

    /// Stops taking new clients without losing those who are in the kernel's queue, and closes the listening sockets
    /// (O4). Returns at once; clients that are there stay, held ones too, and the workers end with the last of them.
    pub fn quiesce(&self) {
        self.turn(&[Order::Serve], Order::Quiesce);
    }

    /// Leaves new clients to another process that has the same listening sockets, and keeps them for
    /// [`resume`](Self::resume).
    pub fn pause(&self) {
        self.turn(&[Order::Serve], Order::Pause);
    }

    /// Takes new clients again after [`pause`](Self::pause).
    pub fn resume(&self) {
        self.turn(&[Order::Pause], Order::Serve);
    }

    /// Closes the listening sockets at once: another process has the same, and takes in who waits there. Clients that
    /// are here stay, and the workers end with the last of them.
    pub fn leave(&self) {
        self.turn(&[Order::Serve, Order::Pause], Order::Leave);
    }

    fn turn(&self, from: &[Order], to: Order) {
        self.orders.send_if_modified(|order| {
            let turns = from.contains(order);
            if turns {
                *order = to;
            }
            turns
        });
    }

    /// Whether it has a listening socket that takes connections to this address, be it one that is about to be closed.
    pub fn listens_at(&self, address: SocketAddr) -> bool {
        self.open.has(address)
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.changes.len()
    }

    /// Connections at this moment, held ones included.
    pub fn active(&self) -> usize {
        self.limits.in_all.taken()
    }

    /// Where to ask for its sessions; it works as long as the workers do.
    pub fn census(&self) -> Census {
        self.census.clone()
    }

    /// Waits until no connection is left, whether or not new ones may come. It does not borrow the proxy.
    pub fn emptied(&self) -> impl Future<Output = ()> + use<> {
        let places = Arc::clone(&self.limits.in_all);
        async move { places.emptied().await }
    }

    /// Waits until all listening sockets are closed, which takes [`quiesce`](Self::quiesce), and no connection is left.
    pub async fn drained(&self) {
        self.open.emptied().await;
        self.limits.in_all.emptied().await;
    }

    /// Resets everything that is left ([`Outcome::Shutdown`]) and closes the listening sockets.
    pub fn cut(&self) {
        self.orders.send_replace(Order::Cut);
    }

    /// Waits for the workers' threads to end, which takes [`cut`](Self::cut), or [`quiesce`](Self::quiesce) and the last
    /// client's leaving; says what has become of all its connections. Blocks its thread.
    pub fn join(mut self) -> Totals {
        for thread in std::mem::take(&mut self.threads) {
            if thread.join().is_err() {
                tracing::error!("a worker's thread had failed");
            }
        }
        self.metrics.totals()
    }
}

impl Drop for Proxy {
    /// Cuts, and gives the workers a moment to say so: without it the kernel would end the sessions as if they were
    /// complete (S6).
    fn drop(&mut self) {
        self.cut();
        let deadline = Instant::now() + LAST_MOMENT;
        while self.threads.iter().any(|thread| !thread.is_finished()) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A listening socket, and whether another process has it, too.
type Bound = (TcpListener, bool);

/// The addresses that are bound already, with their listener's place, and the new sockets of each listener.
fn tell_apart(sockets: Vec<Vec<Sockets>>) -> (Vec<(SocketAddr, usize)>, Vec<Vec<Bound>>) {
    let mut kept = Vec::new();
    let mut new = Vec::new();
    for (place, sockets) in sockets.into_iter().enumerate() {
        let mut of_listener = Vec::new();
        for sockets in sockets {
            match sockets {
                Sockets::Kept(address) => kept.push((address, place)),
                Sockets::New { sockets, shared } => {
                    of_listener.extend(sockets.into_iter().map(|socket| (socket, shared)));
                }
            }
        }
        new.push(of_listener);
    }
    (kept, new)
}

/// Each worker's listening sockets. Of each address every worker gets one: where there are fewer sockets than
/// workers, some share one; where there are more, some have several, so that no queue goes unserved.
fn distribute(
    listeners: Vec<Vec<Bound>>,
    workers: usize,
    open: &Arc<OpenSockets>,
) -> io::Result<Vec<Vec<Socket>>> {
    let mut shares: Vec<Vec<Socket>> = (0..workers).map(|_| Vec::new()).collect();
    for (place, sockets) in listeners.into_iter().enumerate() {
        let mut by_address: BTreeMap<(SocketAddr, bool), Vec<TcpListener>> = BTreeMap::new();
        for (socket, shared) in sockets {
            by_address.entry((socket.local_addr()?, shared)).or_default().push(socket);
        }
        for ((address, shared), group) in by_address {
            let socket = |listener| Socket { place, listener, shared, open: open.add(address) };
            for worker in group.len()..workers {
                shares[worker].push(socket(group[worker % group.len()].try_clone()?));
            }
            for (number, listener) in group.into_iter().enumerate() {
                shares[number % workers].push(socket(listener));
            }
        }
    }
    Ok(shares)
}
