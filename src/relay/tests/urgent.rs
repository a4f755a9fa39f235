//! Urgent data (`MSG_OOB`): each byte of it arrives in its place among the others, and none behind it is lost or late (S7).

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::time::timeout;

use super::bulk::{BUFFER, BULK, LARGE, PATIENCE, Session, pattern, session, watch};
use super::*;

/// A session over sockets that are set up as a gate's.
async fn tuned_session(gear: &Gear) -> Session {
    let session = session(gear, false).await;
    crate::sockets::tune(&session.relay.client).unwrap();
    crate::sockets::tune(&session.relay.node).unwrap();
    session
}

async fn say_urgently(stream: &TcpStream, byte: u8) {
    let send = || SockRef::from(stream).send_out_of_band(&[byte]);
    while stream.async_io(Interest::WRITABLE, send).await.unwrap() == 0 {}
}

/// Says a byte of urgent data between others.
async fn say_with_urgent_byte(stream: &mut TcpStream) {
    stream.write_all(b"abc").await.unwrap();
    say_urgently(stream, b'!').await;
    stream.write_all(b"def").await.unwrap();
}

/// Drives the relay until so many bytes have come out of it.
async fn hear(relay: &mut Relay<TcpStream, TcpStream>, from: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut heard = vec![0; count];
    let hearing = async {
        tokio::select! {
            end = relay => panic!("{end:?}"),
            count = from.read_exact(&mut heard) => count.unwrap(),
        }
    };
    timeout(PATIENCE, hearing).await.unwrap();
    heard
}

#[tokio::test]
async fn s7_copied_urgent_data_is_found_by_a_recheck() {
    for speaker in [Side::Client, Side::Node] {
        let Session { mut client, mut node, mut relay, .. } = tuned_session(&Gear::new(BUFFER, 0)).await;
        let (speaks, hears) =
            if speaker == Side::Client { (&mut client, &mut node) } else { (&mut node, &mut client) };
        // The runtime assumes a new socket to be ready. After some small talk it goes by what it has heard.
        for _ in 0..3 {
            speaks.write_all(b"so").await.unwrap();
            assert_eq!(hear(&mut relay, hears, 2).await, b"so");
        }
        say_with_urgent_byte(speaks).await;
        assert_eq!(hear(&mut relay, hears, 3).await, b"abc");
        relay.recheck();
        assert_eq!(hear(&mut relay, hears, 4).await, b"!def");
        // From here on, the relay expects more of it.
        say_with_urgent_byte(speaks).await;
        assert_eq!(hear(&mut relay, hears, 7).await, b"abc!def");
    }
}

/// A session whose node has sent so much that the relay splices.
async fn splicing(gear: &Gear) -> Session {
    let mut session = tuned_session(gear).await;
    let bulk = pattern(0, BULK, 11);
    let mut heard = vec![0; BULK];
    let bulk_arrives =
        async { tokio::join!(session.node.write_all(&bulk), session.client.read_exact(&mut heard)) };
    tokio::select! {
        end = &mut session.relay => panic!("{end:?}"),
        (said, all) = bulk_arrives => {
            said.unwrap();
            all.unwrap();
        }
    }
    assert!(heard == bulk);
    session
}

#[tokio::test]
async fn s7_spliced_urgent_data_and_what_follows_arrive() {
    let gear = Gear::new(BUFFER, 4);
    let Session { mut client, mut node, mut relay, .. } = splicing(&gear).await;
    assert_eq!(relay.to_client.splices(), CAN_SPLICE);
    if !CAN_SPLICE {
        relay.recheck();
    }
    say_with_urgent_byte(&mut node).await;
    assert_eq!(hear(&mut relay, &mut client, 7).await, b"abc!def");
    assert_eq!(relay.to_client.splices(), CAN_SPLICE);
    // The end of file is there before the relay looks.
    say_with_urgent_byte(&mut node).await;
    node.shutdown().await.unwrap();
    let mut rest = Vec::new();
    tokio::select! {
        end = relay => panic!("{end:?}"),
        all = timeout(PATIENCE, client.read_to_end(&mut rest)) => all.unwrap().unwrap(),
    };
    assert_eq!(rest, b"abc!def");
}

/// Says `total` bytes, of which the last of each chunk is urgent, then closes its half.
async fn speak(stream: &mut TcpStream, total: usize, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut said = 0;
    while said < total {
        let chunk = random.usize(1..=LARGE).min(total - said);
        let bytes = pattern(said, chunk, seed);
        stream.write_all(&bytes[..chunk - 1]).await.unwrap();
        say_urgently(stream, bytes[chunk - 1]).await;
        said += chunk;
    }
    stream.shutdown().await.unwrap();
}

#[tokio::test]
async fn s7_bulk_with_urgent_data_in_it_is_exact() {
    for (seed, speaker) in [Side::Client, Side::Node].into_iter().enumerate() {
        let seed = seed as u64;
        let Session { mut client, mut node, relay, .. } = tuned_session(&Gear::new(BUFFER, 4)).await;
        let (speaks, hears) =
            if speaker == Side::Client { (&mut client, &mut node) } else { (&mut node, &mut client) };
        let script = async {
            let listen = async {
                let mut heard = Vec::new();
                hears.read_to_end(&mut heard).await.unwrap();
                hears.shutdown().await.unwrap();
                heard
            };
            let ((), heard) = tokio::join!(speak(speaks, BULK, seed), listen);
            assert!(heard == pattern(0, BULK, seed), "{} of {BULK} bytes", heard.len());
        };
        let ((end, _), ()) = timeout(PATIENCE, async { tokio::join!(watch(relay), script) }).await.unwrap();
        assert!(matches!(end, End::Closed { first } if first == speaker), "{end:?}");
    }
}
