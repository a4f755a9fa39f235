//! Over in-memory pipes of a few bytes, which cut every message to pieces.

use fastrand::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::task::{LocalSet, yield_now};

use super::*;

struct Session {
    client: DuplexStream,
    node: DuplexStream,
    relay: Relay<DuplexStream, DuplexStream>,
    meter: Rc<Meter>,
}

fn session(pipe: usize, gear: &Gear) -> Session {
    let (client, gate_client) = duplex(pipe);
    let (node, gate_node) = duplex(pipe);
    let meter = Rc::new(Meter::default());
    let relay = Relay::new(gate_client, gate_node, gear.clone(), Rc::clone(&meter));
    Session { client, node, relay, meter }
}

fn random_bytes(random: &mut Rng, most: usize) -> Vec<u8> {
    let len = random.usize(..=most);
    std::iter::repeat_with(|| random.u8(..)).take(len).collect()
}

/// Says `said` in chunks, closes its half, and tells what it heard until the other half closed.
async fn talk(stream: DuplexStream, said: Vec<u8>, mut random: Rng) -> Vec<u8> {
    let (mut reader, mut writer) = split(stream);
    let mut reader_random = random.fork();
    let speak = async {
        let mut rest = &said[..];
        while !rest.is_empty() {
            let (chunk, behind) = rest.split_at(random.usize(1..=rest.len().min(50)));
            writer.write_all(chunk).await.unwrap();
            rest = behind;
            pause(&mut random).await;
        }
        writer.shutdown().await.unwrap();
    };
    let listen = async {
        let mut heard = Vec::new();
        let mut chunk = [0; 40];
        loop {
            let most = reader_random.usize(1..=chunk.len());
            match reader.read(&mut chunk[..most]).await.unwrap() {
                0 => break heard,
                count => heard.extend_from_slice(&chunk[..count]),
            }
            pause(&mut reader_random).await;
        }
    };
    tokio::join!(speak, listen).1
}

async fn pause(random: &mut Rng) {
    for _ in 0..random.u8(..3) {
        yield_now().await;
    }
}

/// A session whose two sides talk at random; fails unless each hears exactly what the other said.
async fn converse(seed: u64, gear: &Gear) {
    let mut random = Rng::with_seed(seed);
    let Session { client, node, relay, meter } = session(random.usize(1..64), gear);
    let (request, answer) = (random_bytes(&mut random, 3000), random_bytes(&mut random, 3000));
    let close = async {
        // The relay is dropped at its end: that closes what it has not closed itself.
        assert!(matches!(relay.await, End::Closed { .. }));
    };
    let (heard_by_client, heard_by_node, ()) = tokio::join!(
        talk(client, request.clone(), random.fork()),
        talk(node, answer.clone(), random.fork()),
        close
    );
    assert!(heard_by_node == request, "seed {seed}: the request was changed");
    assert!(heard_by_client == answer, "seed {seed}: the answer was changed");
    assert_eq!((meter.to_node.get(), meter.to_client.get()), (request.len() as u64, answer.len() as u64));
}

#[tokio::test]
async fn s7_every_byte_arrives_in_order_however_it_is_cut() {
    for seed in 0..60 {
        let gear = Gear::new(1 + usize::try_from(seed).unwrap() * 7 % 100, 0);
        converse(seed, &gear).await;
    }
}

#[tokio::test]
async fn d2_sessions_that_share_a_buffer_do_not_mix() {
    let gear = Gear::new(64, 0);
    let sessions = LocalSet::new();
    for seed in 100..120 {
        let gear = gear.clone();
        sessions.spawn_local(async move { converse(seed, &gear).await });
    }
    // A panic inside ends the set with it, so nothing can fail unseen.
    sessions.await;
}

#[tokio::test]
async fn s6_either_side_may_close_first_and_still_hear_the_other() {
    for first in [Side::Client, Side::Node] {
        let Session { client, node, relay, meter } = session(4, &Gear::new(16, 0));
        let (mut early, mut late) = if first == Side::Client { (client, node) } else { (node, client) };
        let conversation = async {
            early.write_all(b"I am done").await.unwrap();
            early.shutdown().await.unwrap();
            let mut heard = Vec::new();
            late.read_to_end(&mut heard).await.unwrap();
            assert_eq!(heard, b"I am done");
            while !meter.half_closed.get() {
                yield_now().await;
            }
            late.write_all(b"but I am not").await.unwrap();
            late.shutdown().await.unwrap();
            early.read_to_end(&mut heard).await.unwrap();
            assert_eq!(heard, b"I am donebut I am not");
        };
        let (end, ()) = tokio::join!(relay, conversation);
        assert!(matches!(end, End::Closed { first: side } if side == first), "{end:?}");
    }
}
