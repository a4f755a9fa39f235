//! One demo node: a thread with a runtime of its own, so that its faults are honest.
//!
//! Killed, the runtime is dropped and every socket closes at once, as the kernel does it for a dead process. Frozen,
//! the thread stands still: its sockets stay open, and the kernel goes on accepting connections for it.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, mpsc as blocking};
use std::thread::JoinHandle;

use openraft::BasicNode;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener as AsyncListener;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};

use super::certs::{Authority, CertificateError};
use super::https::{self, Subject};
use super::network::{self, Peers};
use super::raft::{self, Raft};
use super::standing::{Condition, NAMES, Standings, raft_id};
use super::store::{Disk, Machine};

/// What can go wrong with a node, other than what is done to it on purpose.
#[derive(Debug, thiserror::Error)]
pub(super) enum NodeError {
    /// It has no certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// It cannot listen on loopback, or have a thread.
    #[error("cannot start node {node}: {source}")]
    Start {
        /// The node's name.
        node: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// It was to do something, and does not run.
    #[error("node {node} does not run (any more)")]
    Gone {
        /// The node's name.
        node: &'static str,
    },
}

/// Members by raft id, as openraft wants them.
pub(super) type Members = BTreeMap<u64, BasicNode>;

/// A node, whether it runs or not.
pub(super) struct Node {
    place: usize,
    https: Port,
    raft: Port,
    tls: Arc<rustls::ServerConfig>,
    disk: Disk,
    standings: Standings,
    life: Option<Life>,
}

/// A running node.
struct Life {
    orders: mpsc::UnboundedSender<Order>,
    thread: JoinHandle<()>,
    /// While it is frozen: dropping it wakes the node.
    ice: Option<blocking::Sender<()>>,
}

enum Order {
    Found(Members),
    Freeze { frozen: oneshot::Sender<()>, until_dropped: blocking::Receiver<()> },
    StandForElection,
    Campaign(bool),
}

impl Node {
    /// A node that does not run yet. It owns its two ports from now on.
    pub(super) fn new(place: usize, authority: &Authority, standings: Standings) -> Result<Self, NodeError> {
        let node = NAMES[place];
        let port = || Port::reserve().map_err(|source| NodeError::Start { node, source });
        Ok(Node {
            place,
            https: port()?,
            raft: port()?,
            tls: authority.server_config(node)?,
            disk: Disk::default(),
            standings,
            life: None,
        })
    }

    /// Its name.
    pub(super) fn name(&self) -> &'static str {
        NAMES[self.place]
    }

    /// Where it serves HTTPS.
    pub(super) fn address(&self) -> SocketAddr {
        self.https.address
    }

    /// Where its raft listens.
    pub(super) fn raft_address(&self) -> SocketAddr {
        self.raft.address
    }

    /// Starts it, or starts it again on the same ports and with the same log.
    pub(super) fn start(&mut self) -> Result<(), NodeError> {
        let node = self.name();
        let failed = |source| NodeError::Start { node, source };
        let https = self.https.listen().map_err(failed)?;
        let raft = self.raft.listen().map_err(failed)?;
        let (orders, inbox) = mpsc::unbounded_channel();
        let body = Body {
            place: self.place,
            tls: Arc::clone(&self.tls),
            disk: self.disk.clone(),
            standings: self.standings.clone(),
        };
        let thread = std::thread::Builder::new()
            .name(node.to_owned())
            .spawn(move || body.live(https, raft, inbox))
            .map_err(failed)?;
        self.standings.set_condition(self.place, Condition::Up);
        self.life = Some(Life { orders, thread, ice: None });
        Ok(())
    }

    /// Makes it the first leader of a cluster that has never been.
    pub(super) fn found(&self, members: Members) -> Result<(), NodeError> {
        self.order(Order::Found(members))
    }

    /// Ends it at once, without a word to anybody. Returns when all its sockets are closed.
    pub(super) async fn kill(&mut self) {
        let Some(Life { orders, thread, ice }) = self.life.take() else { return };
        // Nobody left to give orders is the order to die.
        drop((ice, orders));
        // A thread that panicked is as dead as one that returned.
        let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        self.standings.set_condition(self.place, Condition::Down);
    }

    /// Stops its thread where it stands, until it is woken. Returns when it has stopped.
    pub(super) async fn freeze(&mut self) -> Result<(), NodeError> {
        let (frozen, stopped) = oneshot::channel();
        let (ice, until_dropped) = blocking::channel();
        self.order(Order::Freeze { frozen, until_dropped })?;
        stopped.await.map_err(|_| self.gone())?;
        if let Some(life) = &mut self.life {
            life.ice = Some(ice);
        }
        Ok(())
    }

    /// Lets it go on.
    pub(super) fn wake(&mut self) {
        if let Some(life) = &mut self.life {
            life.ice = None;
        }
    }

    /// Makes it stand for election now, whatever its timers say.
    pub(super) fn stand_for_election(&self) -> Result<(), NodeError> {
        self.order(Order::StandForElection)
    }

    /// Whether it may keep or seek leadership: sends heartbeats as leader, stands for election as follower.
    pub(super) fn campaign(&self, allowed: bool) -> Result<(), NodeError> {
        self.order(Order::Campaign(allowed))
    }

    fn order(&self, order: Order) -> Result<(), NodeError> {
        let life = self.life.as_ref().ok_or_else(|| self.gone())?;
        life.orders.send(order).map_err(|_| self.gone())
    }

    fn gone(&self) -> NodeError {
        NodeError::Gone { node: self.name() }
    }
}

/// What the node's thread takes with it.
struct Body {
    place: usize,
    tls: Arc<rustls::ServerConfig>,
    disk: Disk,
    standings: Standings,
}

impl Body {
    fn live(self, https: TcpListener, raft: TcpListener, orders: mpsc::UnboundedReceiver<Order>) {
        let place = self.place;
        let standings = self.standings.clone();
        let outcome = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())
            // The runtime is dropped when this returns, and every task and socket of the node with it.
            .and_then(|runtime| runtime.block_on(self.obey(https, raft, orders)));
        if let Err(reason) = outcome {
            standings.note_failure(place, &reason);
        }
        standings.set_condition(place, Condition::Down);
    }

    /// Runs the node until nobody is left to give it orders.
    async fn obey(
        self,
        https: TcpListener,
        raft: TcpListener,
        mut orders: mpsc::UnboundedReceiver<Order>,
    ) -> Result<(), String> {
        let node = self.begin(https, raft).await?;
        while let Some(order) = orders.recv().await {
            match order {
                Order::Found(members) => {
                    node.initialize(members).await.map_err(|error| error.to_string())?;
                }
                Order::Freeze { frozen, until_dropped } => {
                    self.standings.set_condition(self.place, Condition::Frozen);
                    let _ = frozen.send(());
                    // Blocks the thread, and so everything that this node does: that is the point.
                    let _ = until_dropped.recv();
                    self.standings.set_condition(self.place, Condition::Up);
                }
                Order::StandForElection => {
                    node.trigger().elect().await.map_err(|error| error.to_string())?;
                }
                Order::Campaign(allowed) => {
                    node.runtime_config().heartbeat(allowed);
                    node.runtime_config().elect(allowed);
                }
            }
        }
        Ok(())
    }

    async fn begin(&self, https: TcpListener, raft: TcpListener) -> Result<Raft, String> {
        let config = raft::config()?;
        let log = self.disk.clone();
        let node = Raft::new(raft_id(self.place), config, Peers, log, Machine::default())
            .await
            .map_err(|error| error.to_string())?;

        let peers = AsyncListener::from_std(raft).map_err(|error| error.to_string())?;
        tokio::spawn(network::serve(peers, node.clone()));

        let (place, standings, metrics) = (self.place, self.standings.clone(), node.metrics());
        let standing = Box::new(move || standings.observe(place, &metrics.borrow()));
        let subject = Arc::new(Subject { name: NAMES[place], standing });
        let clients = AsyncListener::from_std(https).map_err(|error| error.to_string())?;
        tokio::spawn(https::serve(clients, Arc::clone(&self.tls), subject));

        tokio::spawn(watch(node.clone(), place, self.standings.clone()));
        Ok(node)
    }
}

/// Notes every change of what the raft says of itself.
async fn watch(node: Raft, place: usize, standings: Standings) {
    let mut metrics = node.metrics();
    loop {
        standings.observe(place, &metrics.borrow_and_update());
        if metrics.changed().await.is_err() {
            return;
        }
    }
}

/// A loopback port that stays the node's own while nobody listens on it: a bound socket that never listens keeps the
/// kernel from giving it to anybody else, and connections to it are refused.
struct Port {
    address: SocketAddr,
    _reservation: Socket,
}

impl Port {
    fn reserve() -> io::Result<Self> {
        let reservation = bound(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = reservation
            .local_addr()?
            .as_socket()
            .ok_or_else(|| io::Error::other("loopback has an address that is none"))?;
        Ok(Port { address, _reservation: reservation })
    }

    fn listen(&self) -> io::Result<TcpListener> {
        let socket = bound(self.address)?;
        socket.set_nonblocking(true)?;
        socket.listen(1024)?;
        Ok(socket.into())
    }
}

fn bound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}
