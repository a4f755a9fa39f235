//! Keeps a client until there is a route for it and, in a crowd, its turn (S2), until the node that failed it counts
//! again (S3), or until the leader has said lately enough that it leads (`max_age`, L7).

use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use super::choice::{Age, Choice, Setbacks, Word, choose, judge_age};
use super::generation::Cluster;
use super::journey::Journey;
use super::limits::Place;
use super::metrics::Counted;
use super::opening::Opening;
use super::outcome::{Ending, Outcome, Refusal};
use super::readers;
use super::release::Release;
use super::sessions::{Key, Sessions};
use super::trace::Trace;
use crate::tenure::{Tenure, TenureReader};

/// The tenure to dial. While there is none the client is held, and its opening is read: a client that gives up gives its
/// place back.
///
/// # Errors
/// The end of the connection: too many held already, held in vain, or the client has gone.
pub(super) async fn wait_for_route(
    journey: &mut Journey,
    opening: &mut Opening,
    setbacks: &Setbacks,
) -> Result<Arc<Tenure>, Ending> {
    let mut held: Option<Held> = None;
    // Who leaves a node comes as one of all its clients.
    let mut queue = Queue { in_crowd: journey.has_left_a_node, ready: None };
    // Whatever it was let go to before, it has left.
    (journey.released, journey.approach) = (None, None);
    loop {
        journey.route.mark_seen();
        let pause = match queue.advance(journey, setbacks)? {
            ControlFlow::Break(tenure) => return Ok(tenure),
            ControlFlow::Continue(pause) => pause,
        };
        if held.is_none() {
            match Held::begin(journey) {
                Ok(new) => held = Some(new),
                // Who has a node to go to is not turned away for want of a place to wait, but goes out of turn.
                Err(_) if matches!(pause, Pause::Turn(..)) => {
                    queue.in_crowd = false;
                    continue;
                }
                Err(refusal) => return Err(refusal.into()),
            }
        }
        let (client, route) = journey.split();
        tokio::select! {
            biased;
            ending = client.end(opening) => return Err(ending),
            () = next_change(route) => journey.released = None,
            () = pause.over() => {}
        }
    }
}

/// What a client that cannot go yet waits for, besides a change of the route.
enum Pause {
    /// That moment.
    Until(Instant),
    /// Its turn in the crowd of a node, or that moment.
    Turn(Rc<Release>, Instant),
    /// The leader's word.
    Word(Word),
}

impl Pause {
    async fn over(&self) {
        match self {
            Pause::Until(until) => sleep_until(*until).await,
            Pause::Turn(release, until) => first(release.turn(), *until).await,
            Pause::Word(word) => first(word.tenure.confirmed_after(word.after), word.until).await,
        }
    }
}

async fn first(event: impl Future<Output = ()>, until: Instant) {
    tokio::select! {
        () = event => {}
        () = sleep_until(until) => {}
    }
}

/// How far one client has come: to a route, then to its turn if it waited with a crowd, then to a word of the leader
/// that is young enough. Each step is made anew when an earlier one has taken time.
struct Queue {
    /// Whether many wait for what this client has waited for. Who only waits for the leader's word does not become
    /// one of a crowd: without `max_age` all these clients would have gone as they came.
    in_crowd: bool,
    /// Since when nothing but the age of the leader's word holds it up.
    ready: Option<Instant>,
}

impl Queue {
    /// The tenure to dial, or what to wait for.
    fn advance(
        &mut self,
        journey: &mut Journey,
        setbacks: &Setbacks,
    ) -> Result<ControlFlow<Arc<Tenure>, Pause>, Outcome> {
        let now = Instant::now();
        let cluster = Rc::clone(&journey.cluster);
        let patience = cluster.settings.hold_timeout;
        let route = journey.route.load();
        let pick = |tenures: &[_]| readers::pick(journey, tenures, setbacks, now);
        let tenure = match choose(&route, setbacks, now, patience, pick) {
            Choice::Dial(tenure) => tenure,
            Choice::Wait(until) => return Ok(self.wait_in_crowd(journey, Pause::Until(until))),
            Choice::WaitForWord(word) => {
                let ask = || journey.route.want_confirmation(word.after);
                let until = word.until.min(cluster.inquiry.ask(now, word.after, ask));
                return Ok(self.wait_in_crowd(journey, Pause::Word(Word { until, ..word })));
            }
            Choice::GiveUp(outcome) => return Err(give_up(journey, outcome)),
        };
        if self.in_crowd && journey.released.is_none() {
            let release = cluster.release(&tenure);
            match release.let_go(&tenure, now) {
                Ok(released) => journey.released = Some(released),
                Err(until) => {
                    return Ok(self.wait_in_crowd(journey, Pause::Turn(Rc::clone(release), until)));
                }
            }
        }
        let (max_age, outdated) = (cluster.settings.max_age, journey.route.outdated(now));
        if max_age.is_some() || outdated.is_some() {
            let ready = *self.ready.get_or_insert(now);
            match judge_age(&tenure, ready, now, max_age, outdated, patience) {
                Age::Young => {}
                Age::Old(word) => {
                    journey.route.want_confirmation(word.after);
                    return Ok(ControlFlow::Continue(Pause::Word(word)));
                }
                Age::InVain => return Err(give_up(journey, Outcome::Leaderless)),
            }
        }
        if self.in_crowd && tenure.is_stand_in() {
            count_held_in_vain(journey);
        }
        Ok(ControlFlow::Break(tenure))
    }

    fn wait_in_crowd(&mut self, journey: &mut Journey, pause: Pause) -> ControlFlow<Arc<Tenure>, Pause> {
        journey.released = None;
        *self = Queue { in_crowd: true, ready: None };
        ControlFlow::Continue(pause)
    }
}

fn give_up(journey: &mut Journey, outcome: Outcome) -> Outcome {
    if outcome == Outcome::Leaderless {
        count_held_in_vain(journey);
    }
    outcome
}

/// Once a client, however often it comes back from a stand-in that does not take it.
fn count_held_in_vain(journey: &mut Journey) {
    if !std::mem::replace(&mut journey.is_held_in_vain, true) {
        journey.cluster.metrics.hold_timeouts.inc();
    }
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
