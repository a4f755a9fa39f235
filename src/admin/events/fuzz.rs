//! What the reader of `Last-Event-ID` holds for any bytes.

use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::header::HeaderValue;
use tokio::runtime::Builder;
use tokio::task::yield_now;

use super::Events;
use crate::board::{Board, Happened};

/// How many events a board has, at most.
const MOST: u8 = 8;

/// Who comes again is told what it has missed: all of it, and nothing twice, and whoever says anything else is told of
/// what happens from now on.
///
/// The first byte is how many events there are; the rest is the header, in which `ERA` stands for what this process's ids
/// begin with.
pub fn last_event_id(bytes: &[u8]) {
    let Some((count, said)) = bytes.split_first() else { return };
    let count = u64::from(*count % (MOST + 1));
    let board = Arc::new(Board::new(["a".into(), "b".into()]));
    let events = Arc::new(Events::of(Arc::clone(&board)));
    let said = String::from_utf8_lossy(said).replace("ERA", &events.era());
    let Ok(header) = HeaderValue::from_bytes(said.as_bytes()) else { return };
    for number in 0..count {
        let cluster = board.cluster(["a", "b"][usize::from(number % 3 == 0)]).expect("it is there");
        cluster.note(Happened::AlarmRaised { alarm: "conflict" });
    }
    let last = header.to_str().ok();
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime without IO");
    let told = runtime.block_on(told(&events, last));
    let known = last.and_then(|last| known(last, &events.era())).map_or(count, |known| known.min(count));
    // The status is told first, with the id after which its reader would have to go on.
    assert_eq!(told, (known..=count).collect::<Vec<_>>(), "after {said:?} with {count} events");
}

/// The newest event that whoever says so knows already; nothing of what another process has told counts here.
fn known(said: &str, era: &str) -> Option<u64> {
    let dash = said.find('-')?;
    let number: u64 = said[dash + 1..].parse().ok()?;
    Some(number * u64::from(&said[..dash] == era))
}

/// The ids of all that is told at once.
async fn told(events: &Arc<Events>, last: Option<&str>) -> Vec<u64> {
    let (subscription, mut body) = events.subscribe(last).expect("there is a place");
    let feeding = tokio::spawn(subscription.feed());
    let mut ids = Vec::new();
    loop {
        tokio::select! {
            biased;
            frame = body.frame() => {
                let frame = frame.expect("the stream goes on").expect("an error").into_data().expect("data");
                ids.extend(id(str::from_utf8(&frame).expect("text"), &events.era()));
            }
            () = turns() => break,
        }
    }
    assert!(!feeding.is_finished(), "the stream has ended");
    feeding.abort();
    ids
}

/// As long as whoever writes may need to write the next piece: the tasks of one thread take turns.
async fn turns() {
    for _ in 0..4 {
        yield_now().await;
    }
}

/// The id of a piece of the stream, if it has one.
fn id(piece: &str, era: &str) -> Option<u64> {
    let id = piece.lines().find_map(|line| line.strip_prefix("id: "))?;
    let (of, number) = id.split_once('-').expect("an id has two parts");
    assert_eq!(of, era);
    Some(number.parse().expect("a number"))
}
