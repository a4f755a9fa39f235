//! Ends in waves (S5), by a clock that stands still in between.

mod census;

use std::pin::pin;

use super::super::tests::harness::bare_worker;
use super::waves::WAVE;
use super::*;
use crate::leader::NodeId;
use crate::tenure::{TenureWriter, channel};

const WAVES: usize = 8;

impl Sessions {
    /// While this is held, whoever looks at the table finds a defect, and panics.
    pub(in super::super) fn broken(&self) -> impl Sized + '_ {
        self.entries.borrow_mut()
    }
}

fn admit(sessions: &Rc<Sessions>, entrance: &Entrance) -> Slot {
    let trace = Rc::new(Trace::new(([192, 0, 2, 1], 7).into()));
    sessions.admit(entrance, &Rc::new(Meter::default()), &trace)
}

/// The one to which all its clients go.
fn cluster_of(entrance: &Entrance) -> Weak<Cluster> {
    Rc::downgrade(entrance.only_cluster().unwrap())
}

/// A table with so many sessions of one tenure that their cut takes [`WAVES`] waves.
fn crowd() -> (Rc<Sessions>, Rc<Entrance>, Vec<Slot>, TenureWriter, Arc<Tenure>) {
    let (worker, entrance) = bare_worker();
    let (mut writer, _) = channel(Instant::now(), Arc::default());
    let tenure = writer.lead(NodeId(0), "a".into(), ([127, 0, 0, 1], 1).into(), Instant::now());
    let sessions = Rc::clone(&worker.sessions);
    let slots: Vec<Slot> = (0..WAVES * WAVE).map(|_| admit(&sessions, &entrance)).collect();
    for slot in &slots {
        sessions.join(slot.key(), Arc::clone(&tenure));
    }
    (sessions, entrance, slots, writer, tenure)
}

fn ended_by(sessions: &Sessions, outcome: Outcome) -> usize {
    sessions.entries.borrow().iter().filter(|(_, entry)| entry.call == Some(Call::End(outcome))).count()
}

fn ended(sessions: &Sessions) -> usize {
    ended_by(sessions, Outcome::Cut)
}

/// Has a crowd ended, for this reason, by `ending`: in waves of no more than so many, with pauses that differ.
async fn assert_ends_in_waves(sessions: &Sessions, outcome: Outcome, ending: impl Future) {
    fastrand::seed(7);
    let mut ending = pin!(ending);
    let (began, mut before, mut waves) = (Instant::now(), 0, Vec::new());
    while before < WAVES * WAVE {
        let over = std::future::poll_fn(|cx| Poll::Ready(ending.as_mut().poll(cx).is_ready())).await;
        let now = ended_by(sessions, outcome);
        assert!(now - before <= WAVE, "{} sessions were ended at once", now - before);
        if now > before {
            waves.push(began.elapsed().as_millis());
            before = now;
        }
        assert!(!over || before == WAVES * WAVE, "only {before} were ended");
        if before > 0 {
            tokio::time::advance(Duration::from_millis(1)).await;
        }
    }
    assert_eq!(waves.len(), WAVES);
    let pauses: Vec<u128> = waves.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.iter().all(|pause| (1..=5).contains(pause)), "{pauses:?} ms");
    assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{pauses:?} ms: all gates would do it in step");
}

#[tokio::test(start_paused = true)]
async fn s5_cuts_come_in_waves_with_pauses_that_differ() {
    let (sessions, entrance, _slots, mut writer, tenure) = crowd();
    let cluster = cluster_of(&entrance);
    writer.set_fate(&tenure, Fate::Cut);
    assert_ends_in_waves(&sessions, Outcome::Cut, sessions.apply_fates(&cluster)).await;
}

/// The same with a drain of its tenure that is just over.
async fn drained_crowd() -> (Rc<Sessions>, Weak<Cluster>, Vec<Slot>, TenureWriter, Arc<Tenure>) {
    let (sessions, entrance, slots, mut writer, tenure) = crowd();
    let cluster = cluster_of(&entrance);
    writer.set_fate(&tenure, Fate::Drain);
    sessions.apply_fates(&cluster).await;
    tokio::time::advance(entrance.only_cluster().unwrap().timeouts().drain).await;
    (sessions, cluster, slots, writer, tenure)
}

#[tokio::test(start_paused = true)]
async fn s5_drains_that_are_over_end_in_waves_too() {
    let (sessions, ..) = &drained_crowd().await;
    assert_ends_in_waves(sessions, Outcome::Drained, Rc::clone(sessions).sweep()).await;
}

#[tokio::test(start_paused = true)]
async fn s5_election_again_spares_those_whose_wave_has_not_come() {
    let (sessions, cluster, _slots, mut writer, tenure) = drained_crowd().await;
    let mut sweeping = pin!(Rc::clone(&sessions).sweep());
    while ended_by(&sessions, Outcome::Drained) == 0 {
        assert!(std::future::poll_fn(|cx| Poll::Ready(sweeping.as_mut().poll(cx).is_pending())).await);
    }
    writer.set_fate(&tenure, Fate::Keep);
    sessions.apply_fates(&cluster).await;
    tokio::time::timeout(SWEEP * 2, sweeping).await.expect_err("it has no end");
    assert_eq!(ended_by(&sessions, Outcome::Drained), WAVE);
}

#[tokio::test(start_paused = true)]
async fn s5_whoever_takes_the_place_of_a_session_that_was_to_be_cut_is_not() {
    let (sessions, entrance, mut slots, mut writer, tenure) = crowd();
    let cluster = cluster_of(&entrance);
    writer.set_fate(&tenure, Fate::Cut);
    let newer = writer.lead(NodeId(1), "b".into(), ([127, 0, 0, 1], 2).into(), Instant::now());
    let mut cutting = pin!(sessions.apply_fates(&cluster));
    while ended(&sessions) == 0 {
        let over = std::future::poll_fn(|cx| Poll::Ready(cutting.as_mut().poll(cx).is_ready())).await;
        assert!(!over, "nobody was cut");
    }
    // The last one's turn has not come.
    let place = slots.pop().unwrap();
    let number = place.key().0;
    drop(place);
    let heir = admit(&sessions, &entrance);
    assert_eq!(heir.key().0, number);
    sessions.join(heir.key(), newer);
    cutting.await;
    assert_eq!(ended(&sessions), WAVES * WAVE - 1);
    assert!(sessions.entries.borrow()[number].call.is_none());
}

#[tokio::test(start_paused = true)]
async fn d7_a_session_that_lasts_settles_in_once() {
    let (worker, entrance) = bare_worker();
    let (mut writer, _) = channel(Instant::now(), Arc::default());
    let tenure = writer.lead(NodeId(0), "a".into(), ([127, 0, 0, 1], 1).into(), Instant::now());
    let sessions = Rc::clone(&worker.sessions);
    let [joined, arriving] = [(); 2].map(|()| admit(&sessions, &entrance));
    sessions.join(joined.key(), Arc::clone(&tenure));
    let call = |slot: &Slot| slot.poll_call(&Context::from_waker(Waker::noop()));
    let mut sweeping = pin!(Rc::clone(&sessions).sweep());
    let mut called = Vec::new();
    for _ in 0..6 {
        tokio::time::advance(SWEEP).await;
        for _ in 0..3 {
            assert!(std::future::poll_fn(|cx| Poll::Ready(sweeping.as_mut().poll(cx).is_pending())).await);
            tokio::task::yield_now().await;
        }
        called.push(call(&joined));
        assert_eq!(call(&arriving), Poll::Pending);
    }
    assert_eq!(called[0], Poll::Pending, "it has only just begun");
    assert_eq!(called.iter().filter(|call| **call == Poll::Ready(Call::SettleIn)).count(), 1);
    // It does not stand in the way of an end.
    sessions.end_all(Outcome::Shutdown);
    assert_eq!(call(&joined), Poll::Ready(Call::End(Outcome::Shutdown)));
}

#[tokio::test(start_paused = true)]
async fn s7_a_lull_has_a_session_recheck_once() {
    let (worker, entrance) = bare_worker();
    let (mut writer, _) = channel(Instant::now(), Arc::default());
    let tenure = writer.lead(NodeId(0), "a".into(), ([127, 0, 0, 1], 1).into(), Instant::now());
    let (sessions, meter) = (Rc::clone(&worker.sessions), Rc::new(Meter::default()));
    let slot = sessions.admit(&entrance, &meter, &Rc::new(Trace::new(tenure.address)));
    sessions.join(slot.key(), tenure);
    let mut sweeping = pin!(Rc::clone(&sessions).sweep());
    let mut rechecks_of_six_sweeps = async |moves: bool| {
        let mut rechecks = 0;
        for _ in 0..6 {
            if moves {
                meter.to_node.set(meter.to_node.get() + 1);
            }
            tokio::time::advance(SWEEP).await;
            for _ in 0..3 {
                assert!(
                    std::future::poll_fn(|cx| Poll::Ready(sweeping.as_mut().poll(cx).is_pending())).await
                );
                tokio::task::yield_now().await;
            }
            let call = slot.poll_call(&Context::from_waker(Waker::noop()));
            rechecks += usize::from(call == Poll::Ready(Call::Recheck));
        }
        rechecks
    };
    assert_eq!(rechecks_of_six_sweeps(true).await, 0, "it was never quiet");
    assert_eq!(rechecks_of_six_sweeps(false).await, 1);
    assert_eq!(rechecks_of_six_sweeps(true).await, 0);
    assert_eq!(rechecks_of_six_sweeps(false).await, 1);
}
