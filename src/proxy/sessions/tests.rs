//! Cuts in waves (S5), by a clock that stands still in between.

mod census;

use std::pin::pin;

use super::super::tests::harness::bare_worker;
use super::*;
use crate::leader::NodeId;
use crate::tenure::{TenureWriter, channel};

const WAVES: usize = 8;

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

fn ended(sessions: &Sessions) -> usize {
    sessions.entries.borrow().iter().filter(|(_, entry)| entry.call == Some(Call::End(Outcome::Cut))).count()
}

/// At which millisecond each wave came; nothing else may have happened.
async fn cut_in_waves() -> Vec<u128> {
    let (sessions, entrance, _slots, mut writer, tenure) = crowd();
    let cluster = cluster_of(&entrance);
    writer.set_fate(&tenure, Fate::Cut);
    let mut cutting = pin!(sessions.apply_fates(&cluster));
    let (began, mut before, mut waves) = (Instant::now(), 0, Vec::new());
    loop {
        let over = std::future::poll_fn(|cx| Poll::Ready(cutting.as_mut().poll(cx).is_ready())).await;
        let now = ended(&sessions);
        assert!(now - before <= WAVE, "{} sessions were cut at once", now - before);
        if now > before {
            waves.push(began.elapsed().as_millis());
            before = now;
        }
        if over {
            assert_eq!(before, WAVES * WAVE);
            return waves;
        }
        if before > 0 {
            tokio::time::advance(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s5_cuts_come_in_waves_with_pauses_that_differ() {
    fastrand::seed(7);
    let waves = cut_in_waves().await;
    assert_eq!(waves.len(), WAVES);
    let pauses: Vec<u128> = waves.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.iter().all(|pause| (1..=5).contains(pause)), "{pauses:?} ms");
    assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{pauses:?} ms: all gates would cut in step");
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
