//! Which of several nodes a reader goes to, decided without IO: of two taken at random the one with fewer sessions,
//! and none that has just failed this client while there is another (S3).

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::choice::{Choice, LONGEST_BACKOFF, Setbacks, Word};
use super::journey::Journey;
use crate::tenure::{Approach, Tenure};

/// Picks the node for a client, and counts the client as on its way there. The one that it was given before it had to
/// wait for its turn stays its own.
pub(super) fn pick(
    journey: &mut Journey,
    tenures: &[Arc<Tenure>],
    setbacks: &Setbacks,
    now: Instant,
) -> Choice {
    let metrics = &journey.cluster.metrics;
    let load = |tenure: &Tenure| {
        let sessions = metrics.sessions(tenure).get();
        let approaching = i64::try_from(tenure.approaching()).unwrap_or(i64::MAX);
        sessions.saturating_add(approaching)
    };
    let given = journey.approach.as_ref().map(|approach| approach.tenure().epoch);
    let patience = journey.cluster.settings.hold_timeout;
    let choice = choose(tenures, given, setbacks, now, patience, load);
    match &choice {
        Choice::Dial(tenure) => journey.approach = Some(Approach::to(tenure, now)),
        _ => journey.approach = None,
    }
    choice
}

/// Where a client goes that has been through `setbacks` and was `given` a node before, by epoch. `patience` counts from
/// its first failure under a tenure that stands, as for the leader.
fn choose(
    tenures: &[Arc<Tenure>],
    given: Option<u64>,
    setbacks: &Setbacks,
    now: Instant,
    patience: Duration,
    load: impl Fn(&Tenure) -> i64,
) -> Choice {
    let judged = || {
        tenures.iter().map(|tenure| match setbacks.of(tenure) {
            None => Choice::Dial(Arc::clone(tenure)),
            Some(setback) => setback.choose(tenure, now, patience),
        })
    };
    let ready: Vec<Arc<Tenure>> = judged()
        .filter_map(|choice| match choice {
            Choice::Dial(tenure) => Some(tenure),
            _ => None,
        })
        .collect();
    let own = ready.iter().find(|tenure| Some(tenure.epoch) == given);
    let sound: Vec<Arc<Tenure>> = ready.iter().filter(|tenure| tenure.may_be_tried(now)).cloned().collect();
    match own.or_else(|| lighter_of_two(&sound, &load)).or_else(|| lighter_of_two(&ready, &load)) {
        Some(tenure) => Choice::Dial(Arc::clone(tenure)),
        None => judged().reduce(sooner).map_or(Choice::Wait(now + LONGEST_BACKOFF), |it| soon(it, now)),
    }
}

/// Power of two choices: nearly as even as always taking the least of all, and no herd runs to one node that has just
/// come back empty.
fn lighter_of_two(ready: &[Arc<Tenure>], load: impl Fn(&Tenure) -> i64) -> Option<&Arc<Tenure>> {
    let first = fastrand::choice(0..ready.len())?;
    let one = ready.get(first)?;
    let Some(step) = fastrand::choice(1..ready.len()) else { return Some(one) };
    let other = &ready[(first + step) % ready.len()];
    Some(if load(other) < load(one) { other } else { one })
}

/// Of two that cannot be dialled now: what the client waits for. It gives up once it would with one of them.
fn sooner(one: Choice, other: Choice) -> Choice {
    let until = |choice: &Choice| match choice {
        Choice::Wait(until) => Some(*until),
        Choice::WaitForWord(word) => Some(word.until),
        Choice::Dial(_) | Choice::GiveUp(_) => None,
    };
    if until(&other) < until(&one) { other } else { one }
}

/// A word is waited for as long as a backoff lasts: another node may have spoken meanwhile.
fn soon(choice: Choice, now: Instant) -> Choice {
    match choice {
        Choice::WaitForWord(word) => {
            let until = word.until.min(now + LONGEST_BACKOFF);
            Choice::WaitForWord(Word { until, ..word })
        }
        choice => choice,
    }
}
