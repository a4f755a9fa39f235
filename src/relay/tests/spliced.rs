//! Across the switch from copying to splicing and back, over real sockets (D3, D9, S7).

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::bulk::{BUFFER, BULK, LARGE, PATIENCE, Session, converse, pattern, session, splices_to_client};
use super::*;

#[tokio::test]
async fn s7_bulk_in_both_directions_is_exact_and_spliced() {
    let gear = Gear::new(BUFFER, 4);
    assert!(converse(session(&gear, false).await, [LARGE; 4], [BULK, BULK], 1).await);
    assert_eq!(gear.pipes_in_use(), 0);
    assert!(gear.idle_pipes() > 0, "they are kept for the next one");
}

/// Bulk that the client does not read, until the relay is stuck with a pipe that is not empty.
pub(super) async fn stuck(gear: &Gear) -> (Session, usize) {
    let mut session = session(gear, false).await;
    let bytes = pattern(0, LARGE, 7);
    let mut said = 0;
    let deadline = Instant::now() + PATIENCE;
    while !session.relay.to_client.is_parked() {
        if let Ok(Ok(count)) =
            timeout(Duration::from_millis(1), session.node.write(&bytes[said % LARGE..])).await
        {
            said += count;
        }
        assert!(Instant::now() < deadline, "it never spliced");
        let driven = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut session.relay).poll(cx)));
        assert!(driven.await.is_pending());
    }
    (session, said)
}

/// Hears what the node of a stuck session has said up to the end of file, and how much that is.
pub(super) async fn hear_all_of_stuck(client: &mut TcpStream) -> usize {
    let period = pattern(0, LARGE, 7);
    let mut heard = 0;
    let mut chunk = vec![0; LARGE];
    loop {
        let count = client.read(&mut chunk).await.unwrap();
        if count == 0 {
            return heard;
        }
        let (first, rest) = chunk[..count].split_at(count.min(LARGE - heard % LARGE));
        let expected = &period[heard % LARGE..];
        assert!(
            *first == expected[..first.len()] && *rest == period[..rest.len()],
            "changed after {heard} bytes"
        );
        heard += count;
    }
}

#[tokio::test]
async fn s6_what_is_in_a_pipe_is_delivered_before_the_end_of_file() {
    let gear = Gear::new(BUFFER, 4);
    let (Session { mut client, mut node, relay, .. }, said) = stuck(&gear).await;
    node.shutdown().await.unwrap();
    let script = async {
        assert_eq!(hear_all_of_stuck(&mut client).await, said);
        // The other half still works.
        client.write_all(b"and I").await.unwrap();
        let mut answer = [0; 5];
        node.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"and I");
        client.shutdown().await.unwrap();
    };
    let (end, ()) = timeout(PATIENCE, async { tokio::join!(relay, script) }).await.unwrap();
    assert!(matches!(end, End::Closed { first: Side::Node }), "{end:?}");
    assert_eq!(gear.pipes_in_use(), 0);
}

#[tokio::test]
async fn s7_a_pipe_with_bytes_in_it_is_never_used_again() {
    let gear = Gear::new(BUFFER, 4);
    let (Session { client, relay, .. }, _) = stuck(&gear).await;
    let idle = gear.idle_pipes();
    crate::sockets::reset_on_close(&client).unwrap();
    drop(client);
    let end = timeout(PATIENCE, relay).await.unwrap();
    assert!(matches!(end, End::Failed { side: Side::Client, .. }), "{end:?}");
    assert_eq!((gear.pipes_in_use(), gear.idle_pipes()), (0, idle));
}

#[tokio::test]
async fn s6_a_reset_amid_spliced_bulk_arrives_after_what_was_said_before() {
    let gear = Gear::new(BUFFER, 4);
    let (Session { mut client, node, relay, .. }, said) = stuck(&gear).await;
    crate::sockets::reset_on_close(&node).unwrap();
    drop(node);
    let script = async {
        let mut heard = 0;
        let mut chunk = vec![0; LARGE];
        while let Ok(count @ 1..) = client.read(&mut chunk).await {
            heard += count;
        }
        heard
    };
    let (end, heard) = timeout(PATIENCE, async {
        let joined = async {
            let end = relay.await;
            // Whoever drives it drops the sockets at its end.
            end
        };
        tokio::join!(joined, script)
    })
    .await
    .unwrap();
    assert!(matches!(end, End::Failed { side: Side::Node, .. }), "{end:?}");
    assert!(heard <= said && heard > 0);
}

#[tokio::test]
async fn d3_an_idle_session_owns_no_pipe_and_small_talk_is_copied_again() {
    let gear = Gear::new(BUFFER, 4);
    let Session { mut client, mut node, mut relay, .. } = session(&gear, false).await;
    let script = async {
        let bulk = pattern(0, BULK, 5);
        let mut heard = vec![0; BULK];
        let (said, all) = tokio::join!(node.write_all(&bulk), client.read_exact(&mut heard));
        said.unwrap();
        all.unwrap();
        assert!(heard == bulk);
        assert_eq!(gear.pipes_in_use(), 0);
        for _ in 0..64 {
            node.write_all(b"small").await.unwrap();
            client.read_exact(&mut heard[..5]).await.unwrap();
        }
    };
    timeout(PATIENCE, async {
        tokio::select! {
            end = &mut relay => panic!("{end:?}"),
            () = script => {}
        }
    })
    .await
    .unwrap();
    assert!(!splices_to_client(&relay));
    assert_eq!(gear.pipes_in_use(), 0);
}
