//! Which connection gives way, on paused time.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{advance, timeout};

use super::*;

const STEP: Duration = ARRIVAL;

/// Whether a connection has to give way.
async fn has_to_go(place: &Place) -> bool {
    timeout(Duration::ZERO, place.evicted()).await.is_ok()
}

/// Three connections, of which each came a second after the one before.
async fn full() -> (Arc<Places>, [Place; 3]) {
    let places = Places::new(3);
    let mut taken = Vec::new();
    for _ in 0..3 {
        taken.push(places.take().await);
        advance(STEP).await;
    }
    (places, taken.try_into().unwrap())
}

#[tokio::test(start_paused = true)]
async fn o6_a_full_house_evicts_the_longest_silent() {
    let (places, [first, second, third]) = full().await;
    let fourth = places.take().await;
    assert!(has_to_go(&first).await);
    for stays in [&second, &third, &fourth] {
        assert!(!has_to_go(stays).await);
    }
    // A place that was taken over is not freed a second time by its former holder.
    drop(first);
    let _fifth = places.take().await;
    assert!(has_to_go(&second).await && !has_to_go(&third).await);
}

#[tokio::test(start_paused = true)]
async fn o6_a_request_makes_its_connection_the_last_to_go() {
    let (places, [first, second, _third]) = full().await;
    drop(first.begin_request());
    let _fourth = places.take().await;
    assert!(!has_to_go(&first).await && has_to_go(&second).await);
}

#[tokio::test(start_paused = true)]
async fn o6_a_request_in_progress_is_never_evicted() {
    let (places, [first, second, third]) = full().await;
    let busy = [first.begin_request(), second.begin_request(), third.begin_request()];
    let mut waiting = pin!(places.take());
    assert!(timeout(STEP, &mut waiting).await.is_err());
    let [answered, ..] = busy;
    drop(answered);
    let _fourth = waiting.await;
    assert!(has_to_go(&first).await && !has_to_go(&second).await && !has_to_go(&third).await);
}

#[tokio::test(start_paused = true)]
async fn o6_a_freed_place_evicts_no_connection() {
    let (places, [first, second, third]) = full().await;
    second.release();
    let fourth = places.take().await;
    drop(third);
    let fifth = places.take().await;
    for stays in [&first, &fourth, &fifth] {
        assert!(!has_to_go(stays).await);
    }
}

#[tokio::test(start_paused = true)]
async fn o6_an_arriving_client_gives_way_last() {
    let places = Places::new(3);
    let asked = places.take().await;
    let [first, second] = [places.take().await, places.take().await];
    advance(ARRIVAL / 2).await;
    drop(asked.begin_request());
    let third = places.take().await;
    assert!(has_to_go(&asked).await && !has_to_go(&first).await);
    // All are arriving: the first has to go, and the next client is let in a little later.
    let before = Instant::now();
    let _fourth = places.take().await;
    assert!(has_to_go(&first).await && !has_to_go(&second).await && !has_to_go(&third).await);
    assert!(before.elapsed() >= ARRIVAL_PAUSE);
}
