//! Slow readers and the pipes that others need (D3).

use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::bulk::{BUFFER, BULK, LARGE, PATIENCE, Session, converse, session};
use super::spliced::{hear_all_of_stuck, stuck};
use super::*;

/// Lets a stuck session go on: its client hears exactly what its node has said.
async fn assert_arrives(stuck: (Session, usize)) {
    let (Session { mut client, mut node, relay, .. }, said) = stuck;
    node.shutdown().await.unwrap();
    let script = async {
        assert_eq!(hear_all_of_stuck(&mut client).await, said);
        client.shutdown().await.unwrap();
    };
    let (end, ()) = timeout(PATIENCE, async { tokio::join!(relay, script) }).await.unwrap();
    assert!(matches!(end, End::Closed { first: Side::Node }), "{end:?}");
}

#[tokio::test]
async fn d3_slow_readers_do_not_keep_pipes_from_others() {
    let gear = Gear::new(BUFFER, 2);
    let mut slow = Vec::new();
    for _ in 0..4 {
        slow.push(stuck(&gear).await);
    }
    assert_eq!(gear.pipes_in_use(), 2);
    assert!(converse(session(&gear, false).await, [LARGE; 4], [300_000, BULK], 1).await, "it was copied");
    for session in slow {
        assert_arrives(session).await;
    }
    assert_eq!(gear.pipes_in_use(), 0);
}

#[tokio::test]
async fn d3_a_reader_that_stands_still_gives_its_pipe_back() {
    let gear = Gear::new(BUFFER, 4);
    let session = stuck(&gear).await;
    gear.tidy_pipes();
    assert_eq!(gear.pipes_in_use(), 1, "it has had no time");
    gear.tidy_pipes();
    assert_eq!((gear.pipes_in_use(), gear.idle_pipes()), (0, 0));
    assert_arrives(session).await;
}

#[tokio::test]
async fn d3_at_a_hand_over_slow_readers_give_their_pipes_back() {
    let gear = Gear::new(BUFFER, 4);
    let sessions = [stuck(&gear).await, stuck(&gear).await];
    gear.close_pipes();
    assert_eq!((gear.pipes_in_use(), gear.idle_pipes()), (0, 0));
    for session in sessions {
        assert_arrives(session).await;
    }
}

#[tokio::test]
async fn s7_a_parked_pipe_of_a_session_that_ends_is_not_lent() {
    let gear = Gear::new(BUFFER, 1);
    let (gone, kept) = (stuck(&gear).await, stuck(&gear).await);
    drop(gone);
    assert_eq!(gear.pipes_in_use(), 1);
    drop(kept);
    assert_eq!((gear.pipes_in_use(), gear.idle_pipes()), (0, 0));
}
