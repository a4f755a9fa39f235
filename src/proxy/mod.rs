//! The data plane: one client's life from accept to its last byte.
//!
//! ```text
//! worker      a thread with its own runtime (D1)     accept      takes clients in, pauses, stops (O4)
//! connection  one client's life, and its task        choice      where a client may go, without IO (S2, S3)
//! routing     reads a hello to know the cluster      routes      which cluster, without IO
//! hold        waits for a route (S2)                 dial        connects (S3)
//! readers     which of several nodes a reader goes to (S3)
//! release     paces a crowd by its node's answers (S2)
//! opening     until the node's first byte (S4)       sessions    the table: fates and inactivity (D8, S5, S6)
//! limits      bounds, as guards (S8)                 sources     bounds by source (S8)
//! access      who may come in (S8)                   unjoined    a stream that is reset when dropped
//! proxy_header      for whom a trusted proxy comes   source_addresses  where the gate connects from
//! outcome     why connections end                    metrics     what is counted
//! trace       what is logged of each
//! ```

mod accept;
mod access;
mod choice;
mod connection;
mod dial;
mod dials;
mod hold;
mod limits;
mod metrics;
mod opening;
mod outcome;
mod proxy_header;
mod readers;
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

use tokio::sync::watch;
use tokio::time::Instant;

use crate::census::{self, Census};
use crate::intent::Inbox;
use crate::tenure::{OfReaders, TenureReader, To};
pub use access::Access;
use limits::{Bounds, Places};
pub use metrics::{Metrics, Totals};
pub use outcome::{Outcome, Refusal};
pub use proxy_header::Proxies;
pub use routes::{Route, Routes, ServerNames, Target};
pub use settings::{ClusterSettings, ListenerSettings, Settings};
use worker::{Order, Plan, Socket};

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
}

/// The running data plane. Dropped, it ends as by [`cut`](Self::cut).
#[derive(Debug)]
pub struct Proxy {
    orders: watch::Sender<Order>,
    places: Arc<Places>,
    open: Arc<Places>,
    threads: Vec<thread::JoinHandle<()>>,
    metrics: Metrics,
    census: Census,
}

/// Starts the workers' threads. `listeners` are the bound sockets of each of `settings.listeners`, for all its
/// addresses; `clusters` belong to `settings.clusters`. Both are in the settings' order.
///
/// # Errors
/// If a thread, its runtime or one of its sockets cannot be had, or the three arguments do not fit together.
pub fn start(
    settings: Settings,
    listeners: Vec<Vec<TcpListener>>,
    clusters: Vec<ClusterHandle>,
    metrics: Metrics,
) -> io::Result<Proxy> {
    if listeners.len() != settings.listeners.len()
        || clusters.len() != settings.clusters.len()
        || settings.listeners.iter().any(|listener| !has_place(&clusters, listener))
    {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "listeners or clusters do not fit the settings",
        ));
    }
    let shares = distribute(listeners, settings.workers.max(1))?;
    let (census, questions) = census::census(shares.len());
    let (orders, received) = watch::channel(Order::Serve);
    let plan = Plan {
        places: Places::new(settings.max_connections),
        held: settings.clusters.iter().map(|cluster| Places::new(cluster.hold_limit)).collect(),
        open: Places::new(usize::MAX),
        bounds: settings.listeners.iter().map(Bounds::new).collect(),
        settings: Arc::new(settings),
        clusters,
        metrics: metrics.clone(),
        orders: received,
    };
    let (started, starts) = mpsc::channel();
    let mut proxy = Proxy {
        orders,
        places: Arc::clone(&plan.places),
        open: Arc::clone(&plan.open),
        threads: Vec::new(),
        metrics,
        census,
    };
    for (number, (sockets, questions)) in shares.into_iter().zip(questions).enumerate() {
        let (plan, started) = (plan.clone(), started.clone());
        let thread = thread::Builder::new().name(format!("worker-{number}"));
        proxy.threads.push(thread.spawn(move || worker::run(plan, sockets, questions, &started))?);
    }
    drop(started);
    for _ in &proxy.threads {
        starts.recv().map_err(|_| io::Error::other("a worker ended before it served"))??;
    }
    Ok(proxy)
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
    /// Stops taking new clients without losing those who are in the kernel's queue, and closes the listening sockets
    /// (O4). Returns at once; clients that are there stay, held ones too, and the workers end with the last of them.
    pub fn quiesce(&self) {
        self.orders.send_if_modified(|order| {
            let serving = *order == Order::Serve;
            if serving {
                *order = Order::Quiesce;
            }
            serving
        });
    }

    /// Connections at this moment, held ones included.
    pub fn active(&self) -> usize {
        self.places.taken()
    }

    /// Where to ask for its sessions; it works as long as the workers do.
    pub fn census(&self) -> Census {
        self.census.clone()
    }

    /// Waits until all listening sockets are closed, which takes [`quiesce`](Self::quiesce), and no connection is left.
    pub async fn drained(&self) {
        self.open.emptied().await;
        self.places.emptied().await;
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

/// Each worker's listening sockets. Of each address every worker gets one: where there are fewer sockets than
/// workers, some share one; where there are more, some have several, so that no queue goes unserved.
fn distribute(listeners: Vec<Vec<TcpListener>>, workers: usize) -> io::Result<Vec<Vec<Socket>>> {
    let mut shares: Vec<Vec<Socket>> = (0..workers).map(|_| Vec::new()).collect();
    for (place, sockets) in listeners.into_iter().enumerate() {
        let mut by_address: BTreeMap<SocketAddr, Vec<TcpListener>> = BTreeMap::new();
        for socket in sockets {
            by_address.entry(socket.local_addr()?).or_default().push(socket);
        }
        for group in by_address.into_values() {
            for worker in group.len()..workers {
                shares[worker].push((place, group[worker % group.len()].try_clone()?));
            }
            for (number, socket) in group.into_iter().enumerate() {
                shares[number % workers].push((place, socket));
            }
        }
    }
    Ok(shares)
}
