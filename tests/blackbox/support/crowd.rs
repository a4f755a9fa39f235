//! A new client every few milliseconds, and what each of them lived through.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

use super::client::{Outcome, Trust, Visit};
use super::clock::Stamp;
use super::wait::{until, within_deadline};

/// How often a client arrives.
const EVERY: Duration = Duration::from_millis(5);

/// Clients that keep arriving until [`leave`](Crowd::leave), or until this is dropped.
pub(crate) struct Crowd {
    done: Arc<Mutex<Vec<Visit>>>,
    enough: oneshot::Sender<()>,
    arrivals: JoinHandle<()>,
}

impl Crowd {
    /// Lets clients arrive at `gate` from now on.
    pub(crate) fn arrive(trust: &Trust, gate: SocketAddr) -> Self {
        Self::arrive_every(EVERY, trust, gate)
    }

    /// The same at another pace.
    pub(crate) fn arrive_every(every: Duration, trust: &Trust, gate: SocketAddr) -> Self {
        let done = Arc::new(Mutex::new(Vec::new()));
        let (enough, mut stop) = oneshot::channel();
        let (trust, visits) = (trust.clone(), Arc::clone(&done));
        let arrivals = tokio::spawn(async move {
            let mut under_way = JoinSet::new();
            let mut tick = interval(every);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                match stop.try_recv() {
                    Err(TryRecvError::Empty) => (),
                    Ok(()) => break,
                    // Nobody wants to know any more.
                    Err(TryRecvError::Closed) => return,
                }
                tick.tick().await;
                let (trust, visits) = (trust.clone(), Arc::clone(&visits));
                under_way.spawn(async move {
                    let visit = trust.visit(gate).await;
                    visits.lock().unwrap().push(visit);
                });
                while under_way.try_join_next().is_some() {}
            }
            under_way.join_all().await;
        });
        Crowd { done, enough, arrivals }
    }

    /// Waits until this many clients have been served by `node` that had started after `moment`.
    pub(crate) async fn served_by(&self, node: &str, count: usize, moment: Stamp) {
        until(&format!("{count} new clients are served by {node}"), async || {
            let done = self.done.lock().unwrap();
            let served =
                done.iter().filter(|visit| visit.started > moment && visit.is_served_by(node)).count();
            (served >= count).then_some(())
        })
        .await;
    }

    /// How many clients that had started since `moment` are done and were served by `node`, and how many are done in all.
    pub(crate) fn done_since(&self, node: &str, moment: Stamp) -> (usize, usize) {
        let done = self.done.lock().unwrap();
        let young = || done.iter().filter(|visit| visit.started > moment);
        (young().filter(|visit| visit.is_served_by(node)).count(), young().count())
    }

    /// No new client arrives; those under way finish. Every visit, in the order of their starts.
    pub(crate) async fn leave(self) -> Vec<Visit> {
        self.enough.send(()).expect("the arrivals go on until now");
        within_deadline("the last clients", self.arrivals).await.expect("the arrivals do not panic");
        let mut visits = std::mem::take(&mut *self.done.lock().unwrap());
        visits.sort_by_key(|visit| visit.started);
        visits
    }
}

impl Visit {
    /// Whether the client has failed, and not only because its node did at the given moment: who had started before and
    /// had had a byte of it is in nobody else's hands.
    pub(crate) fn is_failed(&self, faulty: Option<(&str, Stamp)>) -> bool {
        match self.outcome {
            Outcome::Served { .. } => false,
            Outcome::Failed(_) => true,
            Outcome::Interrupted(_) => !faulty.is_some_and(|(node, moment)| {
                // Who was interrupted within the handshake cannot say by whom.
                self.started < moment && self.node.as_deref().is_none_or(|seen| seen == node)
            }),
        }
    }

    /// Whether a node's answer arrived whole, and it was this node's.
    pub(crate) fn is_served_by(&self, node: &str) -> bool {
        matches!(self.outcome, Outcome::Served { .. }) && self.node.as_deref() == Some(node)
    }
}

/// Promise 1: no client is refused, reset or left waiting. A client may have been interrupted only
/// in the hands of `faulty`, a node that was killed or frozen at the given moment, and only if it came before.
pub(crate) fn assert_nobody_failed(visits: &[Visit], faulty: Option<(&str, Stamp)>) {
    assert!(!visits.is_empty(), "no client came");
    let bad: Vec<&Visit> = visits.iter().filter(|visit| visit.is_failed(faulty)).collect();
    assert!(bad.is_empty(), "{} of {} clients failed: {bad:#?}", bad.len(), visits.len());
}

/// No client that came after `moment` ended at `node`.
pub(crate) fn assert_avoided(visits: &[Visit], node: &str, moment: Stamp) {
    let misled: Vec<&Visit> =
        visits.iter().filter(|visit| visit.started > moment && visit.node.as_deref() == Some(node)).collect();
    assert!(misled.is_empty(), "{} clients reached {node} after {moment}: {misled:#?}", misled.len());
}
