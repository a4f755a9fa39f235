//! Takes clients in at one listening socket, and stops without losing the queued ones (O4).

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::connection::Connection;
use super::generation::{Entrance, Listener};
use super::limits::Admission;
use super::outcome::Refusal;
use super::worker::{Order, Worker};
use crate::sockets::{self, AcceptError};

/// How long accepting pauses when the machine is out of descriptors or memory: between this and twice as long.
const PAUSE: Duration = Duration::from_millis(50);
/// Once there were no descriptors, so many have to be free before another client is taken in: whoever watches, and the
/// nodes' probes, need some too, and so does each client that is in already and is yet to be joined to a node. Else those who
/// wait in the queue would take all, and nobody could be served.
const ROOM: usize = 16;
/// How long this is looked after once there was room again.
const WARY: Duration = Duration::from_secs(1);
/// How long a quiesced socket has to stay quiet before it is closed: handshakes under way complete meanwhile, which takes
/// a client its round trip.
const QUIET: Duration = Duration::from_millis(500);

/// Accepts until told otherwise; the socket can be closed then.
pub(super) async fn accept(
    worker: Rc<Worker>,
    doorway: Rc<Doorway>,
    socket: Rc<TcpListener>,
    mut orders: watch::Receiver<Order>,
) {
    let mut door = Door { worker, doorway: Rc::clone(&doorway), wary_until: None };
    let order = loop {
        // The runtime's budget makes this yield after a batch.
        tokio::select! {
            biased;
            order = other_than(Order::Serve, &mut orders) => match order {
                Order::Pause => tokio::select! {
                    biased;
                    _ = other_than(Order::Pause, &mut orders) => {}
                    // Another process has closed it, and has served who waited there.
                    () = doorway.closed() => break Order::Leave,
                },
                order => break order,
            },
            () = doorway.closed() => break Order::Quiesce,
            accepted = door.next(&socket) => door.admit(accepted).await,
        }
    };
    if order == Order::Quiesce && !doorway.shared {
        tokio::select! {
            biased;
            _ = orders.wait_for(|order| *order == Order::Cut) => {}
            () = door.empty(&socket) => {}
        }
    }
}

/// Waits for another order than this. Without a sender the proxy itself is gone.
async fn other_than(present: Order, orders: &mut watch::Receiver<Order>) -> Order {
    orders.wait_for(|order| *order != present).await.map_or(Order::Cut, |order| *order)
}

/// What a worker has to say about one of its listening sockets.
#[derive(Debug)]
pub(super) struct Doorway {
    /// What the socket is bound to.
    pub(super) address: SocketAddr,
    /// Whether another process has it, too, and goes on with it: whatever is done to it here is done to that one.
    shared: bool,
    /// Where those get to who come in there.
    entrance: RefCell<Rc<Entrance>>,
    closing: Cell<bool>,
    /// Rung when it is to be closed.
    told: Notify,
}

impl Doorway {
    pub(super) fn new(address: SocketAddr, shared: bool, entrance: Rc<Entrance>) -> Self {
        Doorway {
            address,
            shared,
            entrance: RefCell::new(entrance),
            closing: Cell::new(false),
            told: Notify::new(),
        }
    }

    pub(super) fn entrance(&self) -> Rc<Entrance> {
        Rc::clone(&self.entrance.borrow())
    }

    /// From now on clients who come in there get here.
    pub(super) fn lead_to(&self, entrance: Rc<Entrance>) {
        self.entrance.replace(entrance);
    }

    /// Has the socket closed as by [`Order::Quiesce`].
    pub(super) fn close(&self) {
        self.closing.set(true);
        self.told.notify_one();
    }

    async fn closed(&self) {
        while !self.closing.get() {
            self.told.notified().await;
        }
    }
}

/// The acceptor at one listening socket.
struct Door {
    worker: Rc<Worker>,
    doorway: Rc<Doorway>,
    /// While descriptors are scarce, and some time longer.
    wary_until: Option<Instant>,
}

impl Door {
    async fn next(&self, socket: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        if self.wary_until.is_some() {
            sockets::try_descriptors(socket, ROOM)?;
        }
        socket.accept().await
    }

    async fn admit(&mut self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        match accepted {
            Ok((client, peer)) => {
                self.wary_until = self.wary_until.filter(|until| Instant::now() < *until);
                self.take(client, peer);
            }
            Err(error) => match sockets::classify_accept_error(&error) {
                AcceptError::Retry => {}
                AcceptError::Pause => self.pause(&error).await,
            },
        }
    }

    fn take(&self, client: TcpStream, peer: SocketAddr) {
        let entrance = self.doorway.entrance();
        let listener = &entrance.listener;
        listener.metrics.connections.inc();
        match self.admission(listener, peer.ip()) {
            Ok(admission) => {
                let connection = Connection::new(&self.worker, &entrance, client, peer, admission);
                // The task is on its own: a panic ends it and nothing else, and its guards give back what it held.
                drop(tokio::task::spawn_local(connection));
            }
            Err(refusal) => {
                listener.count_refused(refusal);
                tracing::debug!(listener = %listener.name, %peer, reason = refusal.as_str(), "client refused");
                // If it fails, the client has gone already.
                let _ = sockets::reset_on_close(&client);
            }
        }
    }

    /// Who is denied takes no place, and is told so even where there is none left. Of a trusted proxy's client it is
    /// not known yet who it is: it is judged when it is (`be_introduced`), and has its other places until then.
    fn admission(&self, listener: &Listener, peer: IpAddr) -> Result<Admission, Refusal> {
        let client = Some(peer).filter(|peer| !listener.proxies.have(*peer));
        if client.is_some_and(|client| !listener.access.admits(client)) {
            return Err(Refusal::Denied);
        }
        let in_all = self.worker.places.take().ok_or(Refusal::Limit)?;
        listener.bounds.admit(client, in_all)
    }

    async fn pause(&mut self, error: &io::Error) {
        let listener = Rc::clone(&self.doorway.entrance().listener);
        listener.metrics.accept_pauses.inc();
        let until = Instant::now() + PAUSE * 2 + WARY;
        if self.wary_until.replace(until).is_none() {
            tracing::warn!(
                listener = %listener.name,
                %error,
                "cannot accept: new clients wait in the kernel's queue; raise the limit of descriptors (LimitNOFILE=) \
                 or lower max_connections"
            );
        }
        tokio::time::sleep(PAUSE + PAUSE.mul_f64(fastrand::f64())).await;
    }

    /// Takes in everybody whose handshake has begun, and nobody else.
    async fn empty(&mut self, socket: &TcpListener) {
        let quiesced = sockets::quiesce(socket);
        if let Err(error) = &quiesced {
            tracing::warn!(
                listener = %self.doorway.entrance().listener.name,
                %error,
                "cannot stop new connections before closing: those of this moment may be reset; it takes Linux, \
                and with newer kernels CAP_NET_ADMIN"
            );
        }
        // Where newcomers cannot be kept away, one such time has to do: on a busy gate it would never be quiet.
        let end = quiesced.err().map(|_| Instant::now() + QUIET);
        while end.is_none_or(|end| Instant::now() < end)
            && let Ok(accepted) = tokio::time::timeout(QUIET, self.next(socket)).await
        {
            self.admit(accepted).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustix::io::Errno;
    use tokio::io::AsyncReadExt;
    use tokio::task::LocalSet;
    use tokio::time::Instant;

    use super::super::open::OpenSockets;
    use super::super::tests::harness::{bare_worker, until};
    use super::super::worker::Socket;
    use super::*;

    fn failed(errno: Errno) -> io::Result<(TcpStream, SocketAddr)> {
        Err(errno.into())
    }

    #[tokio::test(start_paused = true)]
    async fn want_of_descriptors_pauses_and_a_lost_connection_does_not() {
        let (worker, entrance) = bare_worker();
        let listener = Rc::clone(&entrance.listener);
        let doorway = Rc::new(Doorway::new(([127, 0, 0, 1], 1).into(), false, entrance));
        let mut door = Door { worker, doorway, wary_until: None };
        let admissions = async {
            let before = Instant::now();
            door.admit(failed(Errno::CONNABORTED)).await;
            assert_eq!((before.elapsed(), listener.metrics.accept_pauses.get()), (Duration::ZERO, 0));
            for pauses in 1..=3 {
                let before = Instant::now();
                door.admit(failed(Errno::MFILE)).await;
                assert!(before.elapsed() >= PAUSE && before.elapsed() <= PAUSE * 3);
                assert_eq!(listener.metrics.accept_pauses.get(), pauses);
            }
        };
        LocalSet::new().run_until(admissions).await;
    }

    #[tokio::test]
    #[expect(clippy::await_holding_refcell_ref, reason = "the very defect that makes the acceptor panic")]
    async fn o5_an_acceptor_that_panics_accepts_again_at_the_same_socket() {
        let serves = async {
            let (worker, entrance) = bare_worker();
            let metrics = &entrance.listener.metrics;
            let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
            let address = listener.local_addr().unwrap();
            let open = Arc::<OpenSockets>::default().add(address);
            let doorway = worker.open(Socket { place: 0, listener, shared: false, open }).unwrap();
            let come = async |clients: u64| {
                let _client = TcpStream::connect(address).await.unwrap();
                until("the client is counted", || metrics.connections.get() == clients).await;
            };
            come(1).await;
            // Whoever looks for the listener while it is being replaced finds a defect, and panics.
            let broken = doorway.entrance.borrow_mut();
            let mut lost = TcpStream::connect(address).await.unwrap();
            assert!(matches!(lost.read(&mut [0]).await, Ok(0) | Err(_)));
            drop(broken);
            come(2).await;
        };
        LocalSet::new().run_until(serves).await;
    }
}
