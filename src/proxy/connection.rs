//! One client's life: it arrives, is joined to a node and relayed, until one of them or the gate ends it.
//!
//! ```text
//! accept -> [PROXY header] -> [hello] -> journey -> relay -> end
//! ```

use std::future::Future;
use std::mem;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::net::TcpStream;

use super::generation::{Entrance, Listener};
use super::joined::Joined;
use super::limits::Admission;
use super::metrics::Counted;
use super::opening::Opening;
use super::outcome::{Ending, Outcome};
use super::routing::Newcomer;
use super::sessions::{Call, Slot};
use super::settings::LogConnections;
use super::trace::Trace;
use super::unjoined::Unjoined;
use super::worker::Worker;
use crate::relay::{End, Meter, Side};
use crate::sockets;

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
                Call::Recheck => self.recheck(),
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
        joined.note_end(outcome);
        Poll::Ready(outcome.into())
    }

    /// Does what is worth its while only for a session that lasts.
    fn settle_in(&mut self) {
        self.recheck();
        if let Phase::Relaying(joined) = &self.phase
            && let Err(error) = sockets::keep_alive(joined.relay.node())
        {
            // It works without.
            tracing::debug!(%error, "cannot set socket options");
        }
    }

    fn recheck(&mut self) {
        if let Phase::Relaying(joined) = &mut self.phase {
            joined.relay.recheck();
        }
    }

    fn finish(&mut self, ending: Ending) {
        if let Phase::Relaying(joined) = mem::replace(&mut self.phase, Phase::Over) {
            // Where bytes are left over, an orderly end would make a part look like the whole (S7).
            let is_abrupt = matches!(ending, Ending::Closed(outcome) if outcome.is_abrupt());
            if is_abrupt || joined.relay.has_backlog() {
                reset(joined);
            }
        }
        self.presence.ending = Some(ending);
        let is_logged = match self.worker.log_connections.get() {
            LogConnections::None => false,
            LogConnections::Useful => self.trace.has_bytes(&self.meter),
            LogConnections::All => true,
        };
        if is_logged {
            self.trace.log(&self.presence.listener.name, &self.meter, ending);
        }
    }
}

fn reset(joined: Joined) {
    let (client, node) = joined.relay.into_streams();
    // If it fails, the peer has gone already.
    let _ = (sockets::reset_on_close(&client), sockets::reset_on_close(&node));
}

impl Drop for Connection {
    /// A session that neither its peers nor the gate have ended is cut short, by a panic for instance.
    fn drop(&mut self) {
        if let Phase::Relaying(joined) = mem::replace(&mut self.phase, Phase::Over) {
            reset(joined);
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
            Ending::Refused(refusal) => self.listener.count_refused(refusal),
            Ending::Closed(outcome) => self.listener.metrics.closed(outcome).inc(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::task::LocalSet;
    use tokio::time::{Instant, timeout};

    use super::super::tests::harness::{assert_reset, bare_worker, pair};
    use super::*;
    use crate::leader::NodeId;
    use crate::relay::Relay;
    use crate::tenure::channel;

    fn admit(worker: &Rc<Worker>, entrance: &Rc<Entrance>, client: TcpStream) -> Connection {
        let peer = client.peer_addr().unwrap();
        let place = worker.places.take().unwrap();
        let admission = entrance.listener.bounds.admit(Some(peer.ip()), place).unwrap();
        Connection::new(worker, entrance, client, peer, admission)
    }

    #[tokio::test]
    async fn a_panic_gives_back_what_the_connection_held() {
        let (worker, entrance) = bare_worker();
        let listener = &entrance.listener;
        let (client, _peer) = pair().await;
        let mut connection = admit(&worker, &entrance, client);
        assert_eq!((worker.places.taken(), listener.metrics.active.get()), (1, 1));
        connection.phase = Phase::Arriving(Box::pin(async { panic!("on purpose") }));
        let ended = LocalSet::new().run_until(async { tokio::task::spawn_local(connection).await }).await;
        assert!(ended.unwrap_err().is_panic());
        assert_eq!((worker.places.taken(), listener.metrics.active.get()), (0, 0));
        assert_eq!(listener.metrics.closed(Outcome::Shutdown).get(), 1);
        worker.sessions.emptied().await;
    }

    #[tokio::test]
    async fn s7_a_session_that_a_panic_ends_is_reset() {
        let (worker, entrance) = bare_worker();
        let ((client, mut peer), (node, mut far_node), (arriving, _arriving)) =
            (pair().await, pair().await, pair().await);
        let mut connection = admit(&worker, &entrance, arriving);
        let relay = Relay::new(client, node, worker.gear.clone(), Rc::default());
        let counted = Counted::by(&entrance.listener.metrics.active);
        connection.phase = Phase::Relaying(Joined::new(relay, None, None, counted, None));
        drop(connection);
        assert_reset(&mut peer).await;
        assert_reset(&mut far_node).await;
    }

    #[tokio::test(start_paused = true)]
    async fn s6_a_node_that_dies_silently_is_noticed_in_a_session_that_lasts() {
        let (worker, entrance) = bare_worker();
        let ((client, _client), (node, _node), (arriving, _arriving)) =
            (pair().await, pair().await, pair().await);
        let mut connection = admit(&worker, &entrance, arriving);
        let relay = Relay::new(client, node, worker.gear.clone(), Rc::default());
        let counted = Counted::by(&entrance.listener.metrics.active);
        connection.phase = Phase::Relaying(Joined::new(relay, None, None, counted, None));
        let (mut writer, _) = channel(Instant::now(), Arc::default());
        let tenure = writer.lead(NodeId(0), "a".into(), ([127, 0, 0, 1], 1).into(), Instant::now());
        worker.sessions.join(connection.slot.key(), tenure);
        let is_looked_after = async |connection: &mut Connection| {
            assert!(
                std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *connection).poll(cx).is_pending()))
                    .await
            );
            let Phase::Relaying(joined) = &connection.phase else { panic!("it is a session") };
            socket2::SockRef::from(joined.relay.node()).keepalive().unwrap()
        };
        assert!(!is_looked_after(&mut connection).await, "it has only just begun");
        let sweeping = Rc::clone(&worker.sessions).sweep();
        timeout(Duration::from_secs(5), sweeping).await.expect_err("it has no end");
        assert!(is_looked_after(&mut connection).await);
    }

    #[test]
    fn d4_a_relaying_connection_is_small() {
        assert!(size_of::<Connection>() <= 256, "{} bytes", size_of::<Connection>());
    }
}
