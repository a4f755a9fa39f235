//! Where one client may go, step by step.

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

    /// A tenure of a node that readers go to, at an address of its own.
    fn reader(&self, node: u16) -> Arc<Tenure> {
        let address = ([127, 0, 0, 1], 1000 + node).into();
        self.writer.reader(NodeId(node.into()), "n".into(), address, self.start)
    }

    fn stand_in(&mut self) -> Arc<Tenure> {
        let tenure = self.writer.stand_in(NodeId(0), "n".into(), ([127, 0, 0, 1], 1).into(), self.start);
        self.writer.leaderless(self.start, Some(Arc::clone(&tenure)));
        tenure
    }

    fn choose(&self, setback: Option<&Setback>, after: Duration) -> Choice {
        let setbacks = Setbacks(setback.cloned().into_iter().collect());
        let no_readers = |_: &[_]| panic!("there are several nodes");
        choose(&self.reader.load(), &setbacks, self.start + after, PATIENCE, no_readers)
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
fn s3_of_each_node_what_it_did_last_is_remembered_and_of_stand_ins_the_last() {
    let mut scene = Scene::new();
    let (one, other) = (scene.reader(0), scene.reader(1));
    let mut setbacks = Setbacks::default();
    for tenure in [&one, &other, &one] {
        setbacks.note(tenure, Fault::Node, scene.start, 0.5);
    }
    assert_eq!(setbacks.0.len(), 2);
    assert_eq!([&one, &other].map(|tenure| setbacks.of(tenure).unwrap().failures), [2, 1]);
    let again = scene.reader(0);
    assert!(setbacks.of(&again).is_none(), "another tenure starts afresh");
    setbacks.note(&again, Fault::Node, scene.start, 0.5);
    assert_eq!(setbacks.0.len(), 2);
    let stand_in = scene.stand_in();
    setbacks.note(&stand_in, Fault::Node, scene.start, 0.5);
    assert_eq!(setbacks.0.len(), 3);
    let next = scene.stand_in();
    setbacks.note(&next, Fault::Node, scene.start, 0.5);
    assert_eq!(setbacks.0.len(), 3, "of stand-ins the last");
    setbacks.note(&one, Fault::Node, scene.start, 0.5);
    assert!(setbacks.of(&stand_in).is_none());
}

#[test]
fn s2_a_client_that_the_leader_never_took_goes_where_hold_then_says() {
    let mut scene = Scene::new();
    let leader = scene.lead(0);
    let address = ([127, 0, 0, 1], 2).into();
    let instead = scene.writer.stand_in(NodeId(1), "m".into(), address, scene.start);
    let mut setbacks = Setbacks::default();
    let mut fails = |scene: &Scene, tenure: &Tenure, after: Duration| {
        setbacks.note(tenure, Fault::Node, scene.start + after, 0.5);
        setbacks.0.clone()
    };
    let choose = |scene: &Scene, setbacks: Vec<Setback>, after: Duration| {
        let no_readers = |_: &[_]| panic!("there are several nodes");
        choose(&scene.reader.load(), &Setbacks(setbacks), scene.start + after, PATIENCE, no_readers)
    };
    let failed = fails(&scene, &leader, Duration::ZERO);
    assert_eq!(gives_up(&choose(&scene, failed.clone(), PATIENCE)), Some(Outcome::NodeError));
    scene.writer.set_instead(&leader, Some(Arc::clone(&instead)));
    assert!(
        !matches!(choose(&scene, failed.clone(), NEARLY), Choice::GiveUp(_)),
        "not before its hold is over"
    );
    let Choice::Dial(tenure) = choose(&scene, failed, PATIENCE) else { panic!("it is given up") };
    assert!(Arc::ptr_eq(&tenure, &instead) && leads_to(&scene.reader.load(), &instead));
    // What takes nobody either is no reason to begin with the leader again.
    let failed = fails(&scene, &instead, PATIENCE);
    let retried = choose(&scene, failed.clone(), PATIENCE + 300 * MS);
    assert!(matches!(&retried, Choice::Dial(tenure) if Arc::ptr_eq(tenure, &instead)), "{retried:?}");
    assert_eq!(gives_up(&choose(&scene, failed, PATIENCE * 2)), Some(Outcome::NodeError));
    scene.writer.set_instead(&leader, None);
    assert!(!leads_to(&scene.reader.load(), &instead));
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
    match judge_age(tenure, ready, now, Some(max_age), None, PATIENCE) {
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
    let judge = |now| judge_age(&tenure, ready, now, Some(Duration::ZERO), None, PATIENCE);
    assert!(matches!(judge(end.checked_sub(MS).unwrap()), Age::Old(_)));
    assert!(matches!(judge(end), Age::InVain));
}

#[test]
fn l7_after_a_standstill_a_client_waits_for_a_later_statement() {
    let mut scene = Scene::new();
    let tenure = scene.lead(0);
    tenure.confirm(scene.start + 100 * MS);
    let judge = |resumed: u32, now: u32, max_age| {
        let (now, resumed) = (scene.start + now * MS, scene.start + resumed * MS);
        judge_age(&tenure, now, now, max_age, Some(resumed), PATIENCE)
    };
    let after = |age: Age| match age {
        Age::Old(word) => Some(word.after),
        Age::Young => None,
        Age::InVain => panic!("in vain"),
    };
    assert_eq!(after(judge(99, 150, None)), None);
    assert_eq!(after(judge(100, 150, None)), Some(scene.start + 100 * MS));
    // The stricter of the two counts.
    assert_eq!(after(judge(120, 150, Some(40 * MS))), Some(scene.start + 120 * MS));
    assert_eq!(after(judge(99, 150, Some(40 * MS))), Some(scene.start + 110 * MS));
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
    assert_eq!([1, 2, 3, 4, 1000].map(range), [(50, 100), (100, 200), (125, 250), (125, 250), (125, 250)]);
}

#[test]
fn s2_a_patience_beyond_what_a_clock_can_say_outlasts_any_client() {
    let (now, decades) = (Instant::now(), Duration::from_hours(20 * 365 * 24));
    assert!(later(now, Duration::MAX) > now + decades);
    assert_eq!(later(now, decades), now + decades);
}

#[test]
fn s3_a_dial_ends_with_its_tenure() {
    let mut scene = Scene::new();
    let tenure = scene.lead(0);
    assert!(leads_to(&scene.reader.load(), &tenure));
    let next = scene.lead(1);
    assert!(!leads_to(&scene.reader.load(), &tenure) && leads_to(&scene.reader.load(), &next));
    let (one, other) = (scene.reader(0), scene.reader(1));
    scene.writer.spread([Arc::clone(&one)]);
    assert!(leads_to(&scene.reader.load(), &one) && !leads_to(&scene.reader.load(), &other));
    let stand_in = scene.stand_in();
    assert!(!leads_to(&scene.reader.load(), &next) && leads_to(&scene.reader.load(), &stand_in));
    scene.writer.leaderless(scene.start, None);
    assert!(!leads_to(&scene.reader.load(), &stand_in));
}
