//! Over real sockets, at random: how much each side says, in what pieces, how fast the other takes it, who closes first,
//! and who resets when; with pipes, without, and with fewer than are wanted. Each follows from its number.

use fastrand::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::bulk::{BUFFER, PATIENCE, Session, pattern, session, watch};
use super::*;

/// How one side talks.
#[derive(Clone, Copy, Debug)]
struct Manner {
    says: usize,
    /// The most at once.
    piece: usize,
    hears: usize,
    /// How often, of 255 times, it lets others go first.
    idles: u8,
    /// It closes its half only when the other has closed.
    waits: bool,
    seed: u64,
}

impl Manner {
    fn new(random: &mut Rng) -> Self {
        const TOTALS: [usize; 6] = [0, 1, 3000, 150_000, 1 << 20, 4 << 20];
        let says = TOTALS[random.usize(..TOTALS.len())];
        // Large amounts in tiny pieces would only take long.
        let least = says / 2000 + 1;
        let mut size = || least + [0, 50, 20_000, 300_000, 1 << 20][random.usize(..5)];
        let (piece, hears) = (size(), size() + 1000);
        Manner { says, piece, hears, idles: random.u8(..), waits: false, seed: random.u64(..) }
    }
}

/// What one side has made of it.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    /// So much, then the end.
    End(usize),
    /// So much, then an error.
    Error(usize),
}

async fn idle(random: &mut Rng, manner: Manner) {
    while random.u8(..) < manner.idles / 2 {
        yield_now().await;
    }
}

/// Says its part of the bytes, as far as it is let.
async fn speak(stream: &mut (impl AsyncWriteExt + Unpin), manner: Manner, most: usize) -> usize {
    let mut random = Rng::with_seed(manner.seed);
    let (mut said, total) = (0, manner.says.min(most));
    while said < total {
        let piece = random.usize(1..=manner.piece).min(total - said);
        if stream.write_all(&pattern(said, piece, manner.seed)).await.is_err() {
            break;
        }
        said += piece;
        idle(&mut random, manner).await;
    }
    said
}

/// Hears what is said in `manner`, in reads as `own` has them; fails if it is anything else.
async fn listen(stream: &mut (impl AsyncReadExt + Unpin), own: Manner, other: Manner) -> Heard {
    let mut random = Rng::with_seed(!own.seed);
    let mut bytes = vec![0; own.hears];
    let mut heard = 0;
    loop {
        let most = random.usize(1..=bytes.len());
        match stream.read(&mut bytes[..most]).await {
            Ok(0) => return Heard::End(heard),
            Err(_) => return Heard::Error(heard),
            Ok(count) => {
                assert!(bytes[..count] == pattern(heard, count, other.seed), "changed after {heard} bytes");
                heard += count;
            }
        }
        idle(&mut random, own).await;
    }
}

/// One side's whole conversation.
async fn talk(stream: &mut TcpStream, own: Manner, other: Manner) -> Heard {
    let (mut reader, mut writer) = stream.split();
    let (said, heard) = tokio::sync::oneshot::channel();
    let speaking = async {
        speak(&mut writer, own, usize::MAX).await;
        if own.waits {
            // Both wait for it, or the listener is gone with an error.
            let _ = heard.await;
        }
        let _ = writer.shutdown().await;
    };
    let listening = async {
        let heard = listen(&mut reader, own, other).await;
        let _ = said.send(());
        heard
    };
    tokio::join!(speaking, listening).1
}

fn gear(random: &mut Rng) -> Gear {
    Gear::new(BUFFER, [0, 1, 4][random.usize(..3)])
}

#[tokio::test]
async fn s7_conversations_of_every_manner_are_exact() {
    let mut spliced = 0;
    for number in 0..40 {
        let mut random = Rng::with_seed(number);
        let gear = gear(&mut random);
        let (mut of_client, mut of_node) = (Manner::new(&mut random), Manner::new(&mut random));
        match random.u8(..3) {
            0 => of_client.waits = true,
            1 => of_node.waits = true,
            _ => {}
        }
        let Session { mut client, mut node, relay, meter } = session(&gear, random.u8(..4) == 0).await;
        let told = format!("conversation {number}: {of_client:?}, {of_node:?}");
        let talking = async {
            tokio::join!(
                talk(&mut client, of_client, of_node),
                talk(&mut node, of_node, of_client),
                watch(relay)
            )
        };
        let Ok((by_client, by_node, (end, has_spliced))) = timeout(PATIENCE, talking).await else {
            panic!("{told}: no end")
        };
        assert_eq!((by_client, by_node), (Heard::End(of_node.says), Heard::End(of_client.says)), "{told}");
        let End::Closed { first } = end else { panic!("{told}: {end:?}") };
        assert!(!of_client.waits || first == Side::Node, "{told}");
        assert!(!of_node.waits || first == Side::Client, "{told}");
        assert_eq!(meter.to_node.get(), of_client.says as u64, "{told}");
        assert_eq!(meter.to_client.get(), of_node.says as u64, "{told}");
        assert_eq!(gear.pipes_in_use(), 0, "{told}");
        spliced += u32::from(has_spliced);
    }
    assert!(spliced > 3 || !CAN_SPLICE, "only {spliced} spliced");
}

#[tokio::test]
async fn s6_a_reset_amid_a_conversation_is_no_end() {
    for number in 1000..1040 {
        let mut random = Rng::with_seed(number);
        let gear = gear(&mut random);
        let (of_reset, of_other) = (Manner::new(&mut random), Manner::new(&mut random));
        let most = random.usize(..=of_reset.says);
        let Session { client, node, relay, .. } = session(&gear, random.u8(..4) == 0).await;
        let side = if random.bool() { Side::Client } else { Side::Node };
        let (mut resetting, mut other) = if side == Side::Client { (client, node) } else { (node, client) };
        let told =
            format!("conversation {number}: {side:?} resets after {most} bytes; {of_reset:?}, {of_other:?}");
        let breaking = async {
            speak(&mut resetting, of_reset, most).await;
            crate::sockets::reset_on_close(&resetting).unwrap();
            drop(resetting);
        };
        let bearing = async {
            let (mut reader, mut writer) = other.split();
            // It never closes: whatever ends the conversation is the reset.
            tokio::join!(speak(&mut writer, of_other, usize::MAX), listen(&mut reader, of_other, of_reset))
        };
        let mut relay = relay;
        let relaying = async {
            let end = (&mut relay).await;
            // As whoever drives it does after a failure.
            let (gate_client, gate_node) = relay.into_streams();
            for stream in [&gate_client, &gate_node] {
                crate::sockets::reset_on_close(stream).unwrap();
            }
            end
        };
        let all = async { tokio::join!(relaying, bearing, breaking) };
        let Ok((end, (said, heard), ())) = timeout(PATIENCE, all).await else { panic!("{told}: no end") };
        assert!(matches!(end, End::Failed { side: failed, .. } if failed == side), "{told}: {end:?}");
        // The kernel tells of a reset once: after a write that failed for it, a read finds nothing but an end.
        let (heard, is_error) = match heard {
            Heard::Error(heard) => (heard, true),
            Heard::End(heard) => (heard, said < of_other.says),
        };
        assert!(is_error && heard <= most, "{told}: an end after {heard} bytes");
        assert_eq!(gear.pipes_in_use(), 0, "{told}");
    }
}
