//! One client's life: it waits for a route, is dialled to its node, opened with it and joined to it, until
//! one of them or the gate ends it.
//!
//! ```text
//! accept -> [PROXY header] -> [hello] -> [first byte] -> hold -> dial -> opening -> relay -> end
//!                                                         ^       |        |
//!                                                         +-------+--------+   failed, overtaken or moved: choose again
//! ```

use std::future::Future;
use std::mem;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

use super::choice::{Fault, Setbacks};
use super::dial::{Dialled, dial};
use super::generation::{Cluster, Entrance, Listener};
use super::hold::wait_for_route;
use super::limits::Admission;
use super::metrics::Counted;
use super::opening::{Opened, Opening, open};
use super::outcome::{Ending, Outcome};
use super::proxy_header::FORGED;
use super::release::Released;
use super::routing::Newcomer;
use super::sessions::{Call, Key, Slot};
use super::sources::SourcePlace;
use super::trace::Trace;
use super::unjoined::Unjoined;
use super::worker::Worker;
use crate::relay::{End, Meter, Relay, Side};
use crate::sockets::{self, FirstWord};
use crate::tenure::{Approach, Tenure, TenureReader, Trial};
use crate::wire::proxy_header::{SIGNATURE, Sign, sign};

/// The task of one connection. Small while it relays (D4): what arriving needed is freed by then.
pub(super) struct Connection {
    // Dropped in this order: a connection's place is free only when its sockets are closed.
    phase: Phase,
    slot: Slot,
    presence: Presence,
    worker: Rc<Worker>,
    trace: Rc<Trace>,
    meter: Rc<Meter>,
}

type Arriving = Pin<Box<dyn Future<Output = Result<Joined, Ending>>>>;

enum Phase {
    Arriving(Arriving),
    Relaying(Joined),
    Over,
}

/// A client and a node that belong together.
pub(super) struct Joined {
    relay: Relay<TcpStream, TcpStream>,
    /// Until the client has its first byte. Boxed, for most come alone and to the leader.
    awaited: Option<Box<Awaited>>,
    _counted: Counted,
    /// Where it was not known who the client is before a proxy had told.
    _of_source: Option<Box<SourcePlace>>,
}

/// What the node's first byte is of use to.
struct Awaited {
    released: Option<Released>,
    trial: Option<Trial>,
}

impl Connection {
    /// A connection that has just been accepted from `peer` and has been let in.
    pub(super) fn new(
        worker: &Rc<Worker>,
        entrance: &Rc<Entrance>,
        client: TcpStream,
        peer: SocketAddr,
        admission: Admission,
    ) -> Self {
        let meter = Rc::new(Meter::default());
        let trace = Rc::new(Trace::new(peer));
        let slot = worker.sessions.admit(entrance, &meter, &trace);
        let newcomer = Newcomer {
            worker: Rc::clone(worker),
            entrance: Rc::clone(entrance),
            client: Unjoined::new(client),
            key: slot.key(),
            meter: Rc::clone(&meter),
            trace: Rc::clone(&trace),
            of_source: None,
        };
        let arriving: Arriving = match entrance.only_cluster() {
            _ if newcomer.comes_by_proxy() => Box::pin(newcomer.arrive_by_proxy()),
            Some(cluster) => Box::pin(newcomer.bound_for(cluster).arrive(Opening::default())),
            None => Box::pin(newcomer.arrive_by_hello()),
        };
        Connection {
            phase: Phase::Arriving(arriving),
            slot,
            presence: Presence::new(&entrance.listener, admission),
            worker: Rc::clone(worker),
            trace,
            meter,
        }
    }

    fn poll_phase(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        while let Poll::Ready(call) = self.slot.poll_call(cx) {
            match call {
                Call::End(outcome) => return Poll::Ready(outcome.into()),
                Call::SettleIn => self.settle_in(),
            }
        }
        if let Phase::Arriving(arriving) = &mut self.phase {
            match ready!(arriving.as_mut().poll(cx)) {
                Ok(joined) => self.phase = Phase::Relaying(joined),
                Err(ending) => return Poll::Ready(ending),
            }
            // Joining a tenure whose fate is a cut ends the session before it begins.
            if let Poll::Ready(Call::End(outcome)) = self.slot.poll_call(cx) {
                return Poll::Ready(outcome.into());
            }
        }
        let Phase::Relaying(joined) = &mut self.phase else { return Poll::Pending };
        let relayed = Pin::new(&mut joined.relay).poll(cx);
        if self.meter.to_client.get() > 0 {
            joined.note_first_byte();
        }
        let outcome = match ready!(relayed) {
            End::Closed { first: Side::Client } => Outcome::Client,
            End::Closed { first: Side::Node } => Outcome::Node,
            End::Failed { side: Side::Client, .. } => Outcome::ClientError,
            End::Failed { side: Side::Node, .. } => Outcome::NodeError,
        };
        fail(joined.awaited.take().and_then(|awaited| awaited.trial), outcome);
        Poll::Ready(outcome.into())
    }

    /// Does what is worth its while only for a session that lasts.
    fn settle_in(&self) {
        if let Phase::Relaying(joined) = &self.phase
            && let Err(error) = sockets::keep_alive(joined.relay.node())
        {
            // It works without.
            tracing::debug!(%error, "cannot set socket options");
        }
    }

    fn finish(&mut self, ending: Ending) {
        if let Phase::Relaying(joined) = mem::replace(&mut self.phase, Phase::Over) {
            let (client, node) = joined.relay.into_streams();
            if matches!(ending, Ending::Closed(outcome) if outcome.is_abrupt()) {
                // If it fails, the peer has gone already.
                let _ = (sockets::reset_on_close(&client), sockets::reset_on_close(&node));
            }
        }
        self.presence.ending = Some(ending);
        if self.worker.log_connections.get() {
            self.trace.log(&self.presence.listener.name, &self.meter, ending);
        }
    }
}

impl Future for Connection {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let ending = ready!(self.poll_phase(cx));
        self.finish(ending);
        Poll::Ready(())
    }
}

impl Awaited {
    fn is_of_use(&self) -> bool {
        self.released.is_some() || self.trial.is_some()
    }
}

impl Joined {
    fn note_first_byte(&mut self) {
        let Some(awaited) = self.awaited.take() else { return };
        if let Some(released) = awaited.released {
            released.answered();
        }
        if let Some(trial) = awaited.trial {
            trial.answered();
        }
    }
}

/// Notes against a reader's node that it had said nothing, if it was the node that ended the connection.
fn fail(trial: Option<Trial>, outcome: Outcome) {
    if let Some(trial) = trial
        && matches!(outcome, Outcome::Node | Outcome::NodeError)
    {
        trial.failed(Instant::now());
    }
}

/// A client on its way to a node.
pub(super) struct Journey {
    pub(super) worker: Rc<Worker>,
    pub(super) cluster: Rc<Cluster>,
    pub(super) listener: Rc<Listener>,
    pub(super) route: TenureReader,
    pub(super) client: Unjoined,
    pub(super) key: Key,
    pub(super) meter: Rc<Meter>,
    pub(super) trace: Rc<Trace>,
    /// Its place among the crowd that is on its way to the node, until that has answered (S2).
    pub(super) released: Option<Released>,
    /// Its place by its source, if that was not known at accept.
    pub(super) of_source: Option<Box<SourcePlace>>,
    /// A reader's way to the node that it was given, until that counts it as a session.
    pub(super) approach: Option<Approach>,
    /// Whether it has left a node before: one that had said nothing yet (S4), or had not even accepted (S3).
    pub(super) has_left_a_node: bool,
    /// Whether it has been counted as one whose hold was over (S2).
    pub(super) is_held_in_vain: bool,
}

impl Journey {
    /// The whole way; `opening` is what has been read of the client already.
    pub(super) async fn arrive(mut self, mut opening: Opening) -> Result<Joined, Ending> {
        if self.cluster.settings.on_first_byte && !opening.has_words() {
            self.wait_for_first_byte().await?;
        }
        let mut setbacks = Setbacks::default();
        loop {
            let tenure = wait_for_route(&mut self, &setbacks).await?;
            let spoken = opening.has_words();
            let Some(node) = self.reach(&tenure, spoken, &mut setbacks).await? else { continue };
            let counted = Counted::by(&self.cluster.metrics.sessions(&tenure));
            let trial = self.approach.take().map(Approach::accepted);
            let setback = setbacks.of(&tenure);
            match open(&mut self, opening, tenure, node, setback).await {
                Ok(Opened::Joined { node, tenure, first, unsent, finished }) => {
                    self.worker.sessions.join(self.key, tenure);
                    let awaited = Awaited { released: self.released.take(), trial };
                    let has_spoken = !first.is_empty();
                    let mut joined = Joined {
                        awaited: awaited.is_of_use().then(|| Box::new(awaited)),
                        _counted: counted,
                        _of_source: self.of_source.take(),
                        relay: self.relay(node, first, unsent, finished),
                    };
                    if has_spoken {
                        joined.note_first_byte();
                    }
                    return Ok(joined);
                }
                Ok(Opened::Moved { opening: kept, closed_early }) => {
                    opening = kept;
                    self.note_moved();
                    if let Some((tenure, at)) = closed_early {
                        fail(trial, Outcome::Node);
                        setbacks.note(&tenure, Fault::ClosedEarly, at, fastrand::f64());
                    }
                }
                Err(ending) => {
                    if let Ending::Closed(outcome) = ending {
                        fail(trial, outcome);
                    }
                    return Err(ending);
                }
            }
        }
    }

    /// Dials the node of this tenure for a client that has `spoken` or not; `None`: another one is to be chosen.
    async fn reach(
        &mut self,
        tenure: &Arc<Tenure>,
        spoken: bool,
        setbacks: &mut Setbacks,
    ) -> Result<Option<Unjoined>, Ending> {
        // Who was waited for has spoken (D10), and a header goes first of all.
        let settings = &self.cluster.settings;
        let spoken = settings.on_first_byte || settings.send_proxy.is_some() || spoken;
        let first_word = if spoken { FirstWord::Ours } else { FirstWord::Anybodys };
        match dial(self, tenure, first_word).await? {
            Dialled::Connected(node) => return Ok(Some(node)),
            Dialled::Overtaken => self.has_left_a_node = true,
            Dialled::Failed { failure, at } => {
                if let Some(approach) = self.approach.take()
                    && failure.fault() != Fault::Local
                {
                    approach.failed(at);
                }
                setbacks.note(tenure, failure.fault(), at, fastrand::f64());
            }
        }
        Ok(None)
    }

    fn note_moved(&mut self) {
        self.has_left_a_node = true;
        self.cluster.metrics.moved.inc();
        self.trace.moves.set(self.trace.moves.get() + 1);
    }

    /// Notes the connection to a node for the log; the last one is told.
    pub(super) fn note_connected(&self, tenure: &Tenure, stream: &TcpStream, took: Duration) {
        if self.worker.log_connections.get() {
            self.trace.connected(tenure, stream, took);
        }
    }

    /// Waits until the client has said something (D10), and leaves it unread. A forged PROXY header that comes in one
    /// piece is turned away before any node hears of it; one in several is the opening's to find.
    async fn wait_for_first_byte(&mut self) -> Result<(), Ending> {
        let mut first = [0; SIGNATURE];
        let looked_at = if self.may_not_introduce_itself() { SIGNATURE } else { 1 };
        match self.client.peek(&mut first[..looked_at]).await {
            Ok(0) => {
                self.client.keep_orderly();
                Err(Outcome::Client.into())
            }
            Ok(seen) if matches!(sign(&first[..seen]), Sign::Header(_)) => {
                Err(self.refuse_header(FORGED).into())
            }
            Ok(_) => Ok(()),
            Err(_) => Err(Outcome::ClientError.into()),
        }
    }

    fn relay(
        self,
        node: Unjoined,
        first: Vec<u8>,
        unsent: Vec<u8>,
        finished: bool,
    ) -> Relay<TcpStream, TcpStream> {
        let mut relay =
            Relay::new(self.client.join(), node.join(), self.worker.gear.clone(), Rc::clone(&self.meter));
        if !first.is_empty() {
            relay = relay.with_pending_to_client(first);
        }
        if !unsent.is_empty() {
            relay = relay.with_pending_to_node(unsent);
        }
        if finished { relay.with_client_closed() } else { relay }
    }
}

/// A connection's part in the counts, from accept to end: whatever drops it, the sums stay right.
struct Presence {
    listener: Rc<Listener>,
    ending: Option<Ending>,
    _active: Counted,
    _admission: Admission,
}

impl Presence {
    fn new(listener: &Rc<Listener>, admission: Admission) -> Self {
        Presence {
            listener: Rc::clone(listener),
            ending: None,
            _active: Counted::by(&listener.metrics.active),
            _admission: admission,
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        // Without an ending it was a panic, or the worker itself went: the gate's doing either way.
        match self.ending.unwrap_or(Ending::Closed(Outcome::Shutdown)) {
            Ending::Refused(refusal) => self.listener.metrics.refused(refusal).inc(),
            Ending::Closed(outcome) => self.listener.metrics.closed(outcome).inc(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio::task::LocalSet;

    use super::super::tests::harness::bare_worker;
    use super::*;

    #[tokio::test]
    async fn a_panic_gives_back_what_the_connection_held() {
        let (worker, entrance) = bare_worker();
        let listener = &entrance.listener;
        let port = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let _peer = TcpStream::connect(port.local_addr().unwrap()).await.unwrap();
        let (client, peer) = port.accept().await.unwrap();
        let place = worker.places.take().unwrap();
        let admission = listener.bounds.admit(Some(peer.ip()), place).unwrap();
        let mut connection = Connection::new(&worker, &entrance, client, peer, admission);
        assert_eq!((worker.places.taken(), listener.metrics.active.get()), (1, 1));
        connection.phase = Phase::Arriving(Box::pin(async { panic!("on purpose") }));
        let ended = LocalSet::new().run_until(async { tokio::task::spawn_local(connection).await }).await;
        assert!(ended.unwrap_err().is_panic());
        assert_eq!((worker.places.taken(), listener.metrics.active.get()), (0, 0));
        assert_eq!(listener.metrics.closed(Outcome::Shutdown).get(), 1);
        worker.sessions.emptied().await;
    }

    #[test]
    fn d4_a_relaying_connection_is_small() {
        assert!(size_of::<Connection>() <= 256, "{} bytes", size_of::<Connection>());
    }
}
