//! Where one client may go at this moment, decided without IO: hold (S2), retry (S3), and how old the word may be on
//! which it goes (`max_age`).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::outcome::Outcome;
use crate::tenure::{Route, Tenure};

/// Backoff after a first failure lies between half of this and all of it; it doubles up to the longest (S3).
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_millis(250);

/// What a client does next.
#[derive(Clone, Debug)]
pub(super) enum Choice {
    /// Dial this tenure's node.
    Dial(Arc<Tenure>),
    /// Wait for the route to change, at most until then, and choose again.
    Wait(Instant),
    /// The same, or until the tenure's node has said that it leads.
    WaitForWord(Word),
    /// Its patience is over.
    GiveUp(Outcome),
}

/// A leader statement that a client waits for.
#[derive(Clone, Debug)]
pub(super) struct Word {
    /// Of whose node.
    pub(super) tenure: Arc<Tenure>,
    /// It is to come from a probe begun later than this.
    pub(super) after: Instant,
    /// When to choose again without it.
    pub(super) until: Instant,
}

/// How an attempt to reach a node failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Here, for want of descriptors or ports: it says nothing about the node.
    Local,
    /// At the node: refused, unreachable, timed out.
    Node,
    /// The node accepted and ended the connection before its first byte (S4).
    ClosedEarly,
}

/// What one client has been through with one tenure's node; a new tenure starts afresh.
#[derive(Clone, Debug)]
pub(super) struct Setback {
    epoch: u64,
    address: SocketAddr,
    first: Instant,
    last: Instant,
    retry_at: Instant,
    failures: u32,
    closed_early: u32,
    needs_confirmation: bool,
}

impl Setback {
    /// Adds a failure, of `at`, to what the client has been through. `jitter` is in 0..1.
    pub(super) fn note(
        before: Option<&Setback>,
        tenure: &Tenure,
        fault: Fault,
        at: Instant,
        jitter: f64,
    ) -> Self {
        let before = before.filter(|setback| setback.concerns(tenure));
        let failures = before.map_or(0, |setback| setback.failures) + 1;
        Setback {
            epoch: tenure.epoch,
            address: tenure.address,
            first: before.map_or(at, |setback| setback.first),
            last: at,
            retry_at: at + backoff(failures, jitter),
            failures,
            closed_early: before.map_or(0, |setback| setback.closed_early)
                + u32::from(fault == Fault::ClosedEarly),
            // Else there is nothing to wait for (S2, L10).
            needs_confirmation: fault != Fault::Local && tenure.rests_on_statements(),
        }
    }

    /// Whether it was this tenure's node that failed.
    pub(super) fn concerns(&self, tenure: &Tenure) -> bool {
        self.epoch == tenure.epoch && self.address == tenure.address
    }

    /// How often the node accepted and said nothing before closing.
    pub(super) fn closed_early(&self) -> u32 {
        self.closed_early
    }

    fn choose(&self, tenure: &Arc<Tenure>, now: Instant, patience: Duration) -> Choice {
        let bound = later(self.first, patience);
        if now >= bound {
            return Choice::GiveUp(Outcome::NodeError);
        }
        if now < self.retry_at {
            return Choice::Wait(self.retry_at.min(bound));
        }
        let tenure = Arc::clone(tenure);
        if self.needs_confirmation && tenure.confirmed_at() <= self.last {
            return Choice::WaitForWord(Word { tenure, after: self.last, until: bound });
        }
        Choice::Dial(tenure)
    }
}

/// Where a client goes that has been through `setback`. `patience` is `hold.timeout`: it counts from the moment
/// when the cluster became leaderless (S2), or from the client's first failure under a tenure that stands (S3).
pub(super) fn choose(route: &Route, setback: Option<&Setback>, now: Instant, patience: Duration) -> Choice {
    let go = |tenure: &Arc<Tenure>| match setback.filter(|setback| setback.concerns(tenure)) {
        Some(setback) => setback.choose(tenure, now, patience),
        None => Choice::Dial(Arc::clone(tenure)),
    };
    match route {
        Route::Led(tenure) => go(tenure),
        Route::Leaderless { since, stand_in } => {
            let bound = later(*since, patience);
            match stand_in {
                _ if now < bound => Choice::Wait(bound),
                Some(tenure) => go(tenure),
                None => Choice::GiveUp(Outcome::Leaderless),
            }
        }
    }
}

/// What a client thinks of the age of a leader's newest statement (`max_age`).
#[derive(Clone, Debug)]
pub(super) enum Age {
    /// It goes on it.
    Young,
    /// It waits for another.
    Old(Word),
    /// It has waited too long.
    InVain,
}

/// Whether a client that nothing else has held up since `ready` goes to `tenure` on what its node has said so far. A
/// statement is as old as the probe that brought it. It has to be younger than `max_age`; one of a probe begun after
/// `ready` will do at any age, or a client would wait for ever where probes take longer than that.
pub(super) fn judge_age(
    tenure: &Arc<Tenure>,
    ready: Instant,
    now: Instant,
    max_age: Duration,
    patience: Duration,
) -> Age {
    // Before the clock began there was no statement.
    let after = now.checked_sub(max_age).map(|youngest| youngest.min(ready));
    let Some(after) = after.filter(|after| tenure.rests_on_statements() && tenure.confirmed_at() <= *after)
    else {
        return Age::Young;
    };
    let until = later(ready, patience);
    if now < until { Age::Old(Word { tenure: Arc::clone(tenure), after, until }) } else { Age::InVain }
}

/// Whether a dial to this tenure's node may go on (S3: dials end with their tenure).
pub(super) fn leads_to(route: &Route, tenure: &Tenure) -> bool {
    match route {
        Route::Led(leader) => leader.epoch == tenure.epoch,
        Route::Leaderless { stand_in: Some(other), .. } => {
            tenure.is_stand_in() && other.address == tenure.address
        }
        Route::Leaderless { stand_in: None, .. } => false,
    }
}

fn backoff(failures: u32, jitter: f64) -> Duration {
    let ceiling = FIRST_BACKOFF.saturating_mul(1 << (failures - 1).min(8)).min(LONGEST_BACKOFF);
    ceiling.div_f64(2.0) + ceiling.mul_f64(jitter / 2.0)
}

/// `at + by`, or very late where that cannot be said.
pub(super) fn later(at: Instant, by: Duration) -> Instant {
    const VERY_LONG: Duration = Duration::from_hours(30 * 365 * 24);
    at + by.min(VERY_LONG)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leader::NodeId;
    use crate::tenure::{TenureReader, TenureWriter, channel};

    const PATIENCE: Duration = Duration::from_secs(10);
    const NEARLY: Duration = Duration::from_millis(9999);
    const MS: Duration = Duration::from_millis(1);

    struct Scene {
        start: Instant,
        writer: TenureWriter,
        reader: TenureReader,
    }

    impl Scene {
        fn new() -> Self {
            let start = Instant::now();
            let (writer, reader) = channel(start, Arc::default());
            Scene { start, writer, reader }
        }

        fn lead(&mut self, node: usize) -> Arc<Tenure> {
            self.writer.lead(NodeId(node), "n".into(), ([127, 0, 0, 1], 1).into(), self.start)
        }

        fn stand_in(&mut self) -> Arc<Tenure> {
            let tenure = self.writer.stand_in(NodeId(0), "n".into(), ([127, 0, 0, 1], 1).into(), self.start);
            self.writer.leaderless(self.start, Some(Arc::clone(&tenure)));
            tenure
        }

        fn choose(&self, setback: Option<&Setback>, after: Duration) -> Choice {
            choose(&self.reader.load(), setback, self.start + after, PATIENCE)
        }

        fn fail(&self, before: Option<&Setback>, tenure: &Tenure, fault: Fault, after: Duration) -> Setback {
            Setback::note(before, tenure, fault, self.start + after, 0.5)
        }
    }

    fn dials(choice: &Choice) -> bool {
        matches!(choice, Choice::Dial(_))
    }

    fn waits_until(choice: &Choice) -> Instant {
        let Choice::Wait(until) = choice else { panic!("no wait but {choice:?}") };
        *until
    }

    fn waits_for_word(choice: Choice) -> Word {
        let Choice::WaitForWord(word) = choice else { panic!("no wait for a word but {choice:?}") };
        word
    }

    fn gives_up(choice: &Choice) -> Option<Outcome> {
        let Choice::GiveUp(outcome) = choice else { return None };
        Some(*outcome)
    }

    #[test]
    fn s2_a_client_is_held_until_the_patience_since_the_loss_is_over() {
        let mut scene = Scene::new();
        assert_eq!(waits_until(&scene.choose(None, Duration::ZERO)), scene.start + PATIENCE);
        assert_eq!(waits_until(&scene.choose(None, NEARLY)), scene.start + PATIENCE);
        assert_eq!(gives_up(&scene.choose(None, PATIENCE)), Some(Outcome::Leaderless));
        scene.stand_in();
        assert_eq!(waits_until(&scene.choose(None, NEARLY)), scene.start + PATIENCE);
        assert!(dials(&scene.choose(None, PATIENCE)));
        scene.lead(0);
        assert!(dials(&scene.choose(None, PATIENCE * 9)));
    }

    #[test]
    fn s3_a_failed_route_counts_again_after_backoff_and_a_later_statement() {
        let mut scene = Scene::new();
        let tenure = scene.lead(0);
        let setback = scene.fail(None, &tenure, Fault::Node, 100 * MS);
        // Confirmed by a probe begun before the failure, or at that moment: worth nothing.
        tenure.confirm(scene.start + 100 * MS);
        assert_eq!(waits_until(&scene.choose(Some(&setback), 100 * MS)), setback.retry_at);
        let word = waits_for_word(scene.choose(Some(&setback), 1000 * MS));
        assert_eq!(word.after, scene.start + 100 * MS);
        assert_eq!(word.until, scene.start + 100 * MS + PATIENCE);
        // By one begun later: worth something, but not before the backoff is over.
        tenure.confirm(scene.start + 101 * MS);
        assert_eq!(waits_until(&scene.choose(Some(&setback), 102 * MS)), setback.retry_at);
        assert!(dials(&scene.choose(Some(&setback), 1000 * MS)));
    }

    #[test]
    fn s3_another_tenure_starts_afresh() {
        let mut scene = Scene::new();
        let tenure = scene.lead(0);
        let setback = scene.fail(None, &tenure, Fault::Node, MS);
        let next = scene.lead(0);
        assert!(dials(&scene.choose(Some(&setback), MS)));
        let later = scene.fail(Some(&setback), &next, Fault::Node, 2 * MS);
        assert_eq!((later.failures, later.first), (1, scene.start + 2 * MS));
    }

    #[test]
    fn s3_patience_counts_from_the_first_failure() {
        let mut scene = Scene::new();
        let tenure = scene.lead(0);
        let first = scene.fail(None, &tenure, Fault::Node, MS);
        let second = scene.fail(Some(&first), &tenure, Fault::Node, 5000 * MS);
        tenure.confirm(scene.start + PATIENCE);
        assert!(dials(&scene.choose(Some(&second), PATIENCE)));
        assert_eq!(gives_up(&scene.choose(Some(&second), PATIENCE + MS)), Some(Outcome::NodeError));
        // A wait never outlasts it.
        let late = scene.fail(Some(&second), &tenure, Fault::Node, PATIENCE);
        assert_eq!(waits_until(&scene.choose(Some(&late), PATIENCE)), scene.start + PATIENCE + MS);
    }

    /// What is waited for at `now` by a client that was `ready`, both in ms; `None` if it goes.
    fn awaited(scene: &Scene, tenure: &Arc<Tenure>, ready: u32, now: u32, max_age: Duration) -> Option<Word> {
        let (ready, now) = (scene.start + ready * MS, scene.start + now * MS);
        match judge_age(tenure, ready, now, max_age, PATIENCE) {
            Age::Young => None,
            Age::Old(word) => Some(word),
            Age::InVain => panic!("in vain"),
        }
    }

    #[test]
    fn a_client_goes_on_a_statement_younger_than_max_age() {
        let mut scene = Scene::new();
        let tenure = scene.lead(0);
        tenure.confirm(scene.start + 100 * MS);
        let at = |ready, now| awaited(&scene, &tenure, ready, now, 50 * MS);
        assert!(at(149, 149).is_none());
        let word = at(150, 150).unwrap();
        assert_eq!((word.after, word.until), (scene.start + 100 * MS, scene.start + 150 * MS + PATIENCE));
        // What it waits for grows old, too; but a probe begun after it was ready will do at any age.
        assert_eq!(at(150, 170).unwrap().after, scene.start + 120 * MS);
        assert_eq!(at(150, 400).unwrap().after, scene.start + 150 * MS);
        assert!(at(99, 400).is_none());
    }

    #[test]
    fn a_max_age_of_nothing_wants_a_probe_begun_after_the_client_was_ready() {
        let mut scene = Scene::new();
        let tenure = scene.lead(0);
        tenure.confirm(scene.start + 100 * MS);
        let at = |ms| awaited(&scene, &tenure, 100, ms, Duration::ZERO);
        for ms in [100, 101, 5000] {
            assert_eq!(at(ms).unwrap().after, scene.start + 100 * MS);
        }
        tenure.confirm(scene.start + 101 * MS);
        assert!(at(102).is_none());
    }

    #[test]
    fn the_leaders_word_is_not_waited_for_beyond_the_patience() {
        let mut scene = Scene::new();
        let tenure = scene.lead(0);
        let (ready, end) = (scene.start + MS, scene.start + MS + PATIENCE);
        let judge = |now| judge_age(&tenure, ready, now, Duration::ZERO, PATIENCE);
        assert!(matches!(judge(end.checked_sub(MS).unwrap()), Age::Old(_)));
        assert!(matches!(judge(end), Age::InVain));
    }

    #[test]
    fn l10_nobody_waits_for_the_word_of_a_stand_in_or_of_a_pinned_node() {
        let mut scene = Scene::new();
        let pinned = scene.writer.pin(NodeId(0), "n".into(), ([127, 0, 0, 1], 1).into(), scene.start);
        for tenure in [pinned, scene.stand_in()] {
            assert!(awaited(&scene, &tenure, 100, 100, Duration::ZERO).is_none());
            assert!(!scene.fail(None, &tenure, Fault::Node, MS).needs_confirmation);
        }
    }

    #[test]
    fn s3_a_local_fault_or_a_stand_ins_needs_no_statement() {
        let mut scene = Scene::new();
        let tenure = scene.lead(0);
        let local = scene.fail(None, &tenure, Fault::Local, MS);
        assert_eq!(waits_until(&scene.choose(Some(&local), MS)), local.retry_at);
        assert!(dials(&scene.choose(Some(&local), 500 * MS)));
        let stand_in = scene.stand_in();
        let refused = scene.fail(None, &stand_in, Fault::Node, PATIENCE);
        assert_eq!(waits_until(&scene.choose(Some(&refused), PATIENCE)), refused.retry_at);
        assert!(dials(&scene.choose(Some(&refused), PATIENCE + 500 * MS)));
    }

    #[test]
    fn s3_backoff_grows_from_50_to_250_ms_with_jitter() {
        let range = |failures| (backoff(failures, 0.0).as_millis(), backoff(failures, 1.0).as_millis());
        assert_eq!(
            [1, 2, 3, 4, 1000].map(range),
            [(50, 100), (100, 200), (125, 250), (125, 250), (125, 250)]
        );
    }

    #[test]
    fn s3_a_dial_ends_with_its_tenure() {
        let mut scene = Scene::new();
        let tenure = scene.lead(0);
        assert!(leads_to(&scene.reader.load(), &tenure));
        let next = scene.lead(1);
        assert!(!leads_to(&scene.reader.load(), &tenure) && leads_to(&scene.reader.load(), &next));
        let stand_in = scene.stand_in();
        assert!(!leads_to(&scene.reader.load(), &next) && leads_to(&scene.reader.load(), &stand_in));
        scene.writer.leaderless(scene.start, None);
        assert!(!leads_to(&scene.reader.load(), &stand_in));
    }
}
