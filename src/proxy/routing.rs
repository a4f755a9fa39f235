//! Reads what a client says first, to know which cluster it belongs to. TLS stays closed, and what was read is the
//! beginning of the client's opening: it goes to the node as it came (S7), and once more to its successor (S4).

use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::ready;

use tokio::time::{Instant, sleep_until};

use super::choice::later;
use super::generation::{Cluster, Entrance};
use super::joined::Joined;
use super::journey::Journey;
use super::opening::{Opening, SCRATCH, poll_read};
use super::outcome::{Ending, Outcome, Refusal};
use super::proxy_header::{FORGED, refuse_header};
use super::routes::Target;
use super::sessions::Key;
use super::sources::SourcePlace;
use super::trace::Trace;
use super::unjoined::Unjoined;
use super::worker::Worker;
use crate::relay::Meter;
use crate::wire::hello::names::{self, Names, Reading};
use crate::wire::proxy_header::{Sign, sign};

/// A client that has been let in and belongs to no cluster yet.
pub(super) struct Newcomer {
    pub(super) worker: Rc<Worker>,
    pub(super) entrance: Rc<Entrance>,
    pub(super) client: Unjoined,
    pub(super) key: Key,
    pub(super) meter: Rc<Meter>,
    pub(super) trace: Rc<Trace>,
    /// Its place by its source, if that was not known at accept.
    pub(super) of_source: Option<Box<SourcePlace>>,
}

impl Newcomer {
    /// From here on it is that cluster's, and goes to those of its nodes that the listener is for.
    pub(super) fn bound_for(self, cluster: &Rc<Cluster>) -> Journey {
        self.trace.bound_for(cluster);
        Journey {
            route: cluster.route.clone(),
            cluster: Rc::clone(cluster),
            worker: self.worker,
            listener: Rc::clone(&self.entrance.listener),
            client: self.client,
            key: self.key,
            meter: self.meter,
            trace: self.trace,
            released: None,
            of_source: self.of_source,
            approach: None,
            has_left_a_node: false,
            is_held_in_vain: false,
        }
    }

    /// Its whole way, by the listener's routes.
    ///
    /// A client that is silent until the listener's `hello_timeout`, or has not said its hello by then, is not ended but
    /// goes on as one that speaks no TLS: it may wait for the server's first word, and whoever has set HAProxy's
    /// `inspect-delay` expects the rules to be applied to what is there.
    pub(super) async fn arrive_by_hello(mut self) -> Result<Joined, Ending> {
        let (entrance, listener) = (Rc::clone(&self.entrance), Rc::clone(&self.entrance.listener));
        let mut opening = Opening::default();
        let deadline = later(Instant::now(), listener.routes.hello_timeout);
        let reading = tokio::select! {
            biased;
            reading = self.read_hello(&mut opening) => reading?,
            () = sleep_until(deadline) => Reading::Other,
        };
        // What is no header yet is the opening's to find.
        if listener.proxies.forbid(self.trace.peer().ip()) && matches!(sign(opening.kept()), Sign::Header(_))
        {
            return Err(refuse_header(&listener, &self.trace, &FORGED).into());
        }
        let target = match &reading {
            Reading::Hello(names) => listener.routes.target(names),
            Reading::Incomplete | Reading::Other => None,
        };
        let default = || listener.cluster.map_or(Target::Reject, Target::Cluster);
        match target.unwrap_or_else(default) {
            Target::Cluster(place) => {
                let cluster = Rc::clone(entrance.cluster_at(place));
                // It may be long on its way, and needs no other cluster.
                drop(entrance);
                self.worker.sessions.bound_for(self.key, &cluster);
                self.bound_for(&cluster).arrive(opening).await
            }
            // Who comes and goes without a word has asked for nothing that could be refused.
            Target::Reject if opening.is_finished() && !opening.has_words() => {
                self.client.keep_orderly();
                Err(Outcome::Client.into())
            }
            Target::Reject => {
                tracing::debug!(listener = %listener.name, asked = %Asked(&reading), "no route for this client");
                Err(Refusal::RejectedName.into())
            }
        }
    }

    /// Reads until the hello is there, or cannot be one any more.
    async fn read_hello(&mut self, opening: &mut Opening) -> Result<Reading, Outcome> {
        poll_fn(|cx| {
            let mut scratch = self.worker.scratch.borrow_mut();
            loop {
                // Never nothing: a hello that is not known by then is none.
                let room = SCRATCH - opening.kept().len();
                let known = match ready!(poll_read(cx, &mut self.client, &mut scratch[..room])) {
                    Ok([]) => {
                        opening.finish();
                        self.meter.half_closed.set(true);
                        Ok(Reading::Other)
                    }
                    Ok(bytes) => {
                        opening.add(bytes);
                        self.trace.has_words.set(true);
                        match names::read(opening.kept()) {
                            Reading::Incomplete => continue,
                            known => Ok(known),
                        }
                    }
                    Err(_) => Err(Outcome::ClientError),
                };
                return known.into();
            }
        })
        .await
    }
}

/// What a client asked for, for the log.
struct Asked<'r>(&'r Reading);

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Reading::Hello(Names { server_name: Some(name), .. }) => write!(f, "{}", name.escape_ascii()),
            Reading::Hello(Names { server_name: None, .. }) => f.write_str("no name"),
            Reading::Incomplete | Reading::Other => f.write_str("no ClientHello"),
        }
    }
}
