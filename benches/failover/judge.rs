//! What the clients of one run lived through, in numbers: pure arithmetic on stamps.
//!
//! *Reigns* are the truth that clients are judged by. A node's begins at its own stamp of claiming, and ends when it
//! steps down (its own stamp), is struck by the fault, or another claims, whichever is first.

use std::time::Duration;

use crate::support::client::{Outcome, Visit};
use crate::support::clock::Stamp;

/// The time during which one node led.
#[derive(Clone, Debug)]
pub(crate) struct Reign {
    /// Who led.
    pub(crate) node: String,
    /// When it claimed.
    pub(crate) from: Stamp,
    /// When it had ended.
    pub(crate) until: Option<Stamp>,
    /// When a node had answered the first probe that gave the end away: one that reached the node which stepped down
    /// after it had, or the next leader after it had claimed.
    pub(crate) given_away: Option<Stamp>,
}

/// Who led when, and what was broken.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// The reigns, in their order.
    pub(crate) reigns: Vec<Reign>,
    /// The node that was killed, frozen or cut off, and when.
    pub(crate) fault: Option<(String, Stamp)>,
    /// Whether new clients were all served by the last leader in the end.
    pub(crate) settled: bool,
}

/// One run in numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Figures {
    /// Clients in all.
    pub(crate) clients: usize,
    /// Clients that were not served, those cut off excepted.
    pub(crate) failed: usize,
    /// Clients whose node was struck after their first byte of it: nothing between them can mend that.
    pub(crate) cut_off: usize,
    /// Clients served by a node that led at no moment between their connect and their answer.
    pub(crate) misrouted: usize,
    /// Those of them who connected after a probe's answer had given away that it did not lead.
    pub(crate) beyond_promise: usize,
    /// How long after that answer the last of these connected.
    pub(crate) latest_beyond: Duration,
    /// From the last claim to the first client that the new leader, as such, has served.
    pub(crate) claim_to_first: Option<Duration>,
    /// The longest that any client but those cut off went on, served or not, while some node led.
    pub(crate) longest_wait: Duration,
    /// The longest that any client that was cut off was left in the dark while some node led.
    pub(crate) longest_cut_off: Duration,
    /// Of the clients that came after the last claimant's first client: the share, in percent, that it served.
    pub(crate) share: Option<f64>,
    /// Whether new clients were all served by the last leader in the end.
    pub(crate) settled: bool,
}

impl History {
    /// The figures of these clients.
    pub(crate) fn judge(&self, visits: &[Visit]) -> Figures {
        let fault = self.fault.as_ref().map(|(node, moment)| (node.as_str(), *moment));
        let served = |visit: &Visit| matches!(visit.outcome, Outcome::Served { .. });
        let failed = visits.iter().filter(|visit| visit.is_failed(fault)).count();
        let (cut_off, others): (Vec<&Visit>, Vec<&Visit>) =
            visits.iter().partition(|visit| !served(visit) && !visit.is_failed(fault));
        let longest =
            |visits: Vec<&Visit>| visits.iter().map(|visit| self.wait(visit)).max().unwrap_or_default();
        let misrouted: Vec<&Visit> = visits.iter().filter(|visit| self.is_misrouted(visit)).collect();
        let late: Vec<Duration> = misrouted.iter().filter_map(|visit| self.lateness(visit)).collect();
        Figures {
            clients: visits.len(),
            failed,
            cut_off: cut_off.len(),
            misrouted: misrouted.len(),
            beyond_promise: late.len(),
            latest_beyond: late.iter().copied().max().unwrap_or_default(),
            claim_to_first: self.first_served(visits).map(|(claim, first)| first.since(claim)),
            longest_wait: longest(others),
            longest_cut_off: longest(cut_off),
            share: self.share(visits),
            settled: self.settled,
        }
    }

    /// Whether a client was served by a node that led at no moment between its connect and its answer.
    pub(crate) fn is_misrouted(&self, visit: &Visit) -> bool {
        let Some(node) = served_by(visit) else { return false };
        !self
            .reigns_of(node)
            .any(|reign| reign.from <= visit.ended && reign.until.is_none_or(|until| until > visit.started))
    }

    /// How long after the promise had ended a misrouted client connected; nothing if promise 1 allows it.
    ///
    /// It allows who connected before the first probe begun after the end of that node's reign had answered. The
    /// answer's own way to the gate is not taken off: some tenths of a millisecond are no breach.
    pub(crate) fn lateness(&self, visit: &Visit) -> Option<Duration> {
        let ended = |reign: &&Reign| reign.until.is_some_and(|until| until <= visit.started);
        match self.reigns_of(served_by(visit)?).filter(ended).last() {
            Some(reign) => {
                let given_away = reign.given_away.filter(|given_away| *given_away <= visit.started)?;
                Some(visit.started.since(given_away))
            }
            // It had never led.
            None => Some(visit.ended.since(visit.started)),
        }
    }

    /// How much of a client's time some node led: it waited that long beyond the election.
    pub(crate) fn wait(&self, visit: &Visit) -> Duration {
        let led = self.reigns.iter().map(|reign| {
            let until = reign.until.map_or(visit.ended, |until| until.min(visit.ended));
            until.since(reign.from.max(visit.started))
        });
        led.sum()
    }

    /// The last claim, and when its node had served its first client as a leader.
    fn first_served(&self, visits: &[Visit]) -> Option<(Stamp, Stamp)> {
        let reign = self.reigns.last()?;
        let first = visits
            .iter()
            .filter(|visit| {
                served_by(visit) == Some(&reign.node)
                    && visit.outcome == Outcome::Served { leads: true }
                    && visit.ended >= reign.from
            })
            .map(|visit| visit.ended)
            .min()?;
        Some((reign.from, first))
    }

    fn share(&self, visits: &[Visit]) -> Option<f64> {
        let (_, first) = self.first_served(visits)?;
        let newest = &self.reigns.last()?.node;
        let later: Vec<&Visit> = visits.iter().filter(|visit| visit.started > first).collect();
        let at_newest = later.iter().filter(|visit| served_by(visit) == Some(newest)).count();
        (!later.is_empty()).then(|| 100.0 * as_f64(at_newest) / as_f64(later.len()))
    }

    fn reigns_of(&self, node: &str) -> impl Iterator<Item = &Reign> {
        self.reigns.iter().filter(move |reign| reign.node == node)
    }
}

fn served_by(visit: &Visit) -> Option<&str> {
    matches!(visit.outcome, Outcome::Served { .. }).then_some(visit.node.as_deref()).flatten()
}

/// The middle of these values; of an even number the mean of the two in the middle. Nothing of nothing.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len() % 2 == 1 { upper } else { f64::midpoint(sorted[middle - 1], upper) })
}

/// The largest of these values.
pub(crate) fn worst(values: &[f64]) -> Option<f64> {
    values.iter().copied().max_by(f64::total_cmp)
}

/// A count as a number to calculate with.
pub(crate) fn as_f64(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}
