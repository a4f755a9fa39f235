//! A client's way to a node: it waits for a route, is dialled and opened, until a node is joined to it.
//!
//! ```text
//! [first byte] -> hold -> dial -> opening -> joined
//!                 ^       |        |
//!                 +-------+--------+   failed, overtaken or moved: choose again
//! ```

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

use super::choice::{Fault, Setbacks};
use super::client_end::Waiting;
use super::dial::{Dialled, dial};
use super::generation::{Cluster, Listener};
use super::hold::wait_for_route;
use super::joined::{Joined, fail};
use super::metrics::Counted;
use super::opening::{Opened, Opening, open};
use super::outcome::{Ending, Outcome};
use super::proxy_header::FORGED;
use super::release::Released;
use super::sessions::Key;
use super::settings::LogConnections;
use super::sources::SourcePlace;
use super::trace::Trace;
use super::unjoined::Unjoined;
use super::worker::Worker;
use crate::relay::{Meter, Relay};
use crate::sockets::FirstWord;
use crate::tenure::{Approach, Tenure, TenureReader, Unserved};
use crate::wire::hello::is_cancel_request;
use crate::wire::proxy_header::{SIGNATURE, Sign, sign};

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
        if opening.is_abandoned() {
            self.client.keep_orderly();
            return Err(Outcome::Client.into());
        }
        if opening.is_whole() {
            self.meter.opening_complete.set(true);
        }
        if self.cluster.settings.on_first_byte && !opening.has_words() {
            self.wait_for_first_byte().await?;
        }
        let mut setbacks = Setbacks::default();
        loop {
            let tenure = wait_for_route(&mut self, &mut opening, &setbacks).await?;
            let Some(node) = self.reach(&tenure, &opening, &mut setbacks).await? else { continue };
            let counted = Counted::by(&self.cluster.metrics.sessions(&tenure));
            let trial = self.approach.take().map(Approach::accepted);
            let setback = setbacks.of(&tenure);
            match open(&mut self, opening, tenure, node, setback).await {
                Ok(Opened::Joined { node, tenure, first, unsent, finished }) => {
                    tenure.note_served();
                    self.worker.sessions.join(self.key, tenure);
                    let has_spoken = !first.is_empty();
                    // A server answers a cancel request by closing: that says nothing against it.
                    let trial = trial.filter(|_| !is_cancel_request(&unsent));
                    let (released, of_source) = (self.released.take(), self.of_source.take());
                    let relay = self.relay(node, first, unsent, finished);
                    let mut joined = Joined::new(relay, released, trial, counted, of_source);
                    if has_spoken {
                        joined.note_first_byte();
                    }
                    return Ok(joined);
                }
                Ok(Opened::Moved { opening: kept, closed_early }) => {
                    opening = kept;
                    self.note_moved();
                    if let Some((tenure, at)) = closed_early {
                        tenure.note_unserved(at, Unserved::ClosedEarly);
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

    /// The client, and the route that it waits for, to be watched at the same time.
    pub(super) fn split(&mut self) -> (Waiting<'_>, &mut TenureReader) {
        let may_not_introduce_itself = self.may_not_introduce_itself();
        let client = Waiting {
            client: &mut self.client,
            worker: &self.worker,
            listener: &self.listener,
            trace: &self.trace,
            meter: &self.meter,
            may_not_introduce_itself,
        };
        (client, &mut self.route)
    }

    /// Dials the node of this tenure; `None`: another one is to be chosen.
    async fn reach(
        &mut self,
        tenure: &Arc<Tenure>,
        opening: &Opening,
        setbacks: &mut Setbacks,
    ) -> Result<Option<Unjoined>, Ending> {
        // Who was waited for has spoken (D10), and a header goes first of all.
        let settings = &self.cluster.settings;
        let spoken = settings.on_first_byte || settings.send_proxy.is_some() || opening.has_words();
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
        if self.worker.log_connections.get() != LogConnections::None {
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
