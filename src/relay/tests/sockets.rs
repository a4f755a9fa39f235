//! Over real sockets on loopback: what only a kernel does.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::super::closing::is_ending;
use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (there, listener.accept().await.unwrap().0)
}

/// A client, a node and the relay between them.
async fn session() -> (TcpStream, TcpStream, Relay<TcpStream, TcpStream>) {
    let (client, gate_client) = connection().await;
    let (node, gate_node) = connection().await;
    let relay = Relay::new(gate_client, gate_node, Gear::new(256 * 1024, 4), Rc::default());
    (client, node, relay)
}

fn reset(stream: TcpStream) {
    crate::sockets::reset_on_close(&stream).unwrap();
    drop(stream);
}

#[tokio::test]
async fn s6_a_reset_tells_whose_it_was() {
    for resetting in [Side::Client, Side::Node] {
        let (client, node, relay) = session().await;
        let survivor = match resetting {
            Side::Client => {
                reset(client);
                node
            }
            Side::Node => {
                reset(node);
                client
            }
        };
        let end = timeout(PATIENCE, relay).await.unwrap();
        let End::Failed { side, error } = end else { panic!("{end:?}") };
        assert_eq!((side, error.kind()), (resetting, io::ErrorKind::ConnectionReset));
        drop(survivor);
    }
}

#[tokio::test]
async fn s6_a_reset_comes_through_while_the_other_way_is_half_closed() {
    let (mut client, node, relay) = session().await;
    client.shutdown().await.unwrap();
    let script = async {
        let (mut hears, says) = node.into_split();
        assert_eq!(hears.read(&mut [0; 8]).await.unwrap(), 0);
        reset(says.reunite(hears).unwrap());
    };
    let (end, ()) = timeout(PATIENCE, async { tokio::join!(relay, script) }).await.unwrap();
    assert!(matches!(end, End::Failed { side: Side::Node, .. }), "{end:?}");
}

#[tokio::test]
async fn s7_a_bulk_transfer_through_full_sockets_is_exact() {
    const BYTES: usize = 12 << 20;
    let (mut client, mut node, relay) = session().await;
    let pattern = |from: usize, len: usize| -> Vec<u8> {
        (from..from + len).map(|at| (at.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect()
    };
    let send = async {
        for from in (0..BYTES).step_by(1 << 20) {
            node.write_all(&pattern(from, 1 << 20)).await.unwrap();
        }
        node.shutdown().await.unwrap();
        assert_eq!(node.read(&mut [0; 8]).await.unwrap(), 0);
    };
    let receive = async {
        let mut chunk = vec![0; 1 << 20];
        for from in (0..BYTES).step_by(1 << 20) {
            client.read_exact(&mut chunk).await.unwrap();
            assert!(chunk == pattern(from, 1 << 20), "changed after {from} bytes");
        }
        assert_eq!(client.read(&mut chunk).await.unwrap(), 0);
        client.shutdown().await.unwrap();
    };
    let (end, (), ()) = timeout(PATIENCE, async { tokio::join!(relay, send, receive) }).await.unwrap();
    assert!(matches!(end, End::Closed { first: Side::Node }), "{end:?}");
}

/// A server that answers too early and closes on an upload resets it; its answer still gets through.
#[tokio::test]
async fn s7_an_answer_given_before_a_reset_is_delivered() {
    let (mut client, mut node, relay) = session().await;
    let upload = vec![7; 1 << 20];
    let script = async {
        // Fill every buffer on the way, so that the relay is stuck writing when the reset arrives.
        let mut written = 0;
        while let Ok(Ok(count)) = timeout(Duration::from_millis(50), client.write(&upload)).await {
            written += count;
        }
        assert!(written > 0);
        node.write_all(b"too large").await.unwrap();
        drop(node);
        let mut answer = [0; 9];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"too large");
    };
    let (end, ()) = timeout(PATIENCE, async { tokio::join!(relay, script) }).await.unwrap();
    assert!(matches!(end, End::Failed { side: Side::Node, .. }), "{end:?}");
}

/// The same where all of it comes at once: the relay's next write fails before the runtime has heard of any answer.
#[tokio::test]
async fn s7_last_words_of_which_the_runtime_has_not_heard_are_delivered() {
    let (mut client, node, mut relay) = session().await;
    // Until here the runtime has heard of everything; from here on it hears of nothing.
    assert!(std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut relay).poll(cx))).await.is_pending());
    tokio::task::yield_now().await;
    let mut node = node.into_std().unwrap();
    std::io::Write::write_all(&mut node, b"too large").unwrap();
    crate::sockets::reset_on_close(&node).unwrap();
    drop(node);
    let mut relay = relay.with_pending_to_node(b"upload".to_vec());
    let polled = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut relay).poll(cx))).await;
    assert!(matches!(polled, Poll::Ready(End::Failed { side: Side::Node, .. })), "{polled:?}");
    let mut answer = [0; 9];
    timeout(PATIENCE, client.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"too large");
}

/// Waits until the runtime has heard that this side's peer has closed, one way or the other, and reads nothing.
async fn heard_of_the_end(stream: &TcpStream) {
    while !stream.ready(tokio::io::Interest::READABLE).await.unwrap().is_read_closed() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn d7_the_last_bytes_and_the_end_of_file_arrive() {
    let (mut client, mut node, relay) = session().await;
    node.write_all(b"all of it").await.unwrap();
    drop(node);
    heard_of_the_end(relay.node()).await;
    let script = async {
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"all of it");
        drop(client);
    };
    let (end, ()) = timeout(PATIENCE, async { tokio::join!(relay, script) }).await.unwrap();
    assert!(matches!(end, End::Closed { first: Side::Node }), "{end:?}");
}

/// What the hint goes by is not written down anywhere: the runtime clears its readiness after a short read, but for an end.
#[tokio::test]
async fn d7_bytes_are_the_last_only_where_the_end_is_there() {
    let (there, here) = connection().await;
    for (mut speaker, mut listener) in [connection().await, (here, there)] {
        for _ in 0..3 {
            speaker.write_all(b"some").await.unwrap();
            assert_eq!(listener.read(&mut [0; 64]).await.unwrap(), 4);
            // The first read of a new socket may come before the runtime has heard of anything.
            tokio::task::yield_now().await;
            speaker.write_all(b"more").await.unwrap();
            listener.readable().await.unwrap();
            assert_eq!(listener.read(&mut [0; 64]).await.unwrap(), 4);
            assert!(!is_ending(&listener), "small messages would wait for an end");
        }
        speaker.write_all(b"last").await.unwrap();
        speaker.shutdown().await.unwrap();
        heard_of_the_end(&listener).await;
        assert_eq!(listener.read(&mut [0; 64]).await.unwrap(), 4);
        assert!(is_ending(&listener));
    }
}

/// They look like the last bytes before an end of file, and are held back for it; but it is a reset that comes.
#[tokio::test]
async fn s7_last_words_before_a_reset_are_not_held_back() {
    let (mut client, mut node, mut relay) = session().await;
    node.write_all(b"too large").await.unwrap();
    reset(node);
    heard_of_the_end(relay.node()).await;
    let end = timeout(PATIENCE, &mut relay).await.unwrap();
    assert!(matches!(end, End::Failed { side: Side::Node, .. }), "{end:?}");
    // As whoever drives it does after a failure.
    let (gate_client, _) = relay.into_streams();
    reset(gate_client);
    let mut answer = [0; 9];
    timeout(PATIENCE, client.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"too large");
}
