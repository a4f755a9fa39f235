//! Keeps a client until there is a route for it (S2), or until the one that failed it counts again (S3).

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

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

/// More clients than this are not let go at the same instant.
const CROWD: usize = 64;
/// Over how long a crowd is spread.
const SPREAD: Duration = Duration::from_millis(10);

/// The tenure to dial. While there is none the client is held: the kernel keeps what it sends, and of the
/// client only a reset is noticed, since one that has finished sending may still want its answer.
///
/// # Errors
/// The end of the connection: too many held already, held in vain, or the client has gone.
pub(super) async fn wait_for_route(
    journey: &mut Journey,
    setback: Option<&Setback>,
) -> Result<Arc<Tenure>, Ending> {
    let mut held: Option<Held> = None;
    let mut spread = false;
    loop {
        journey.route.mark_seen();
        let route = journey.route.load();
        let until = match choose(&route, setback, Instant::now(), journey.cluster.settings.hold_timeout) {
            Choice::Dial(tenure) => match &held {
                Some(held) if !spread && held.place.taken() > CROWD => {
                    spread = true;
                    tokio::time::sleep(SPREAD.mul_f64(fastrand::f64())).await;
                    continue;
                }
                _ => return Ok(tenure),
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
            held = Some(Held::begin(journey)?);
        }
        tokio::select! {
            biased;
            () = failed(&journey.client) => return Err(Outcome::ClientError.into()),
            () = next_change(&mut journey.route) => {}
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
    place: Place,
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
            place,
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
