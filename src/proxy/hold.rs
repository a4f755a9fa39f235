//! Keeps a client until there is a route for it and, in a crowd, its turn (S2), or until the node that failed it
//! counts again (S3).

use std::rc::Rc;
use std::sync::Arc;

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::choice::{Choice, Setback, choose};
use super::connection::{Journey, Trace};
use super::limits::Place;
use super::metrics::Counted;
use super::outcome::{Ending, Outcome, Refusal};
use super::sessions::{Key, Sessions};
use super::worker::Cluster;
use crate::tenure::{Tenure, TenureReader};

/// The tenure to dial. While there is none the client is held: the kernel keeps what it sends, and of the
/// client only a reset is noticed, since one that has finished sending may still want its answer. Who was held,
/// or is being moved as all others of its node are, goes when the crowd's pace allows.
///
/// # Errors
/// The end of the connection: too many held already, held in vain, or the client has gone.
pub(super) async fn wait_for_route(
    journey: &mut Journey,
    setback: Option<&Setback>,
) -> Result<Arc<Tenure>, Ending> {
    let mut held: Option<Held> = None;
    // Whatever it was let go to before, it has left.
    journey.released = None;
    loop {
        journey.route.mark_seen();
        let route = journey.route.load();
        let mut queued_for = None;
        let until = match choose(&route, setback, Instant::now(), journey.cluster.settings.hold_timeout) {
            Choice::Dial(tenure) if held.is_none() && !journey.trace.has_moved() => return Ok(tenure),
            Choice::Dial(tenure) => match journey.cluster.release.let_go(&tenure, Instant::now()) {
                Ok(released) => {
                    if tenure.is_stand_in() {
                        journey.cluster.metrics.hold_timeouts.inc();
                    }
                    journey.released = Some(released);
                    return Ok(tenure);
                }
                Err(until) => {
                    queued_for = Some(tenure);
                    until
                }
            },
            Choice::GiveUp(outcome) => {
                if outcome == Outcome::Leaderless {
                    journey.cluster.metrics.hold_timeouts.inc();
                }
                return Err(outcome.into());
            }
            Choice::Wait(until) => until,
        };
        if held.is_none() {
            match (Held::begin(journey), &queued_for) {
                (Ok(new), _) => held = Some(new),
                // Who has a node to go to is not turned away for want of a place to wait, but goes out of turn.
                (Err(_), Some(tenure)) => return Ok(Arc::clone(tenure)),
                (Err(refusal), None) => return Err(refusal.into()),
            }
        }
        tokio::select! {
            biased;
            () = failed(&journey.client) => return Err(Outcome::ClientError.into()),
            () = next_change(&mut journey.route) => {}
            () = journey.cluster.release.turn(), if queued_for.is_some() => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }
}

/// Waits until the client's connection has failed. Reads nothing; an end of file is no failure.
pub(super) async fn failed(client: &TcpStream) {
    // An error of `ready` itself means that the worker's runtime ends.
    let _ = client.ready(Interest::ERROR).await;
}

/// Waits for the next change of the route; for ever, once nobody is there to change it.
pub(super) async fn next_change(route: &mut TenureReader) {
    if !route.changed().await {
        std::future::pending::<()>().await;
    }
}

/// Counts a client as held, until dropped.
struct Held {
    _place: Place,
    _counted: Counted,
    since: Instant,
    cluster: Rc<Cluster>,
    trace: Rc<Trace>,
    sessions: Rc<Sessions>,
    key: Key,
}

impl Held {
    fn begin(journey: &Journey) -> Result<Self, Refusal> {
        let place = journey.cluster.held.take().ok_or(Refusal::HoldLimit)?;
        journey.worker.sessions.set_held(journey.key, true);
        Ok(Held {
            _place: place,
            _counted: Counted::by(&journey.cluster.metrics.held),
            since: Instant::now(),
            cluster: Rc::clone(&journey.cluster),
            trace: Rc::clone(&journey.trace),
            sessions: Rc::clone(&journey.worker.sessions),
            key: journey.key,
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let held = self.since.elapsed();
        self.cluster.metrics.hold_duration.observe(held.as_secs_f64());
        self.trace.held.set(self.trace.held.get() + held);
        self.sessions.set_held(self.key, false);
    }
}
