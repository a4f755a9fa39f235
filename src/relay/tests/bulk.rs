//! Much at a time, over real sockets: exact, whether it is spliced or copied (S7).

use std::time::Duration;

use fastrand::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{LocalSet, yield_now};
use tokio::time::timeout;

use super::*;

pub(super) const PATIENCE: Duration = Duration::from_mins(1);
pub(super) const BUFFER: usize = 256 * 1024;
/// Enough for each socket buffer on the way to be full several times.
pub(super) const BULK: usize = 24 << 20;

/// Two ends of a connection; with `tiny`, of sockets that take a few KiB at a time.
async fn connection(tiny: bool) -> (TcpStream, TcpStream) {
    let listener = TcpSocket::new_v4().unwrap();
    let dialling = TcpSocket::new_v4().unwrap();
    if tiny {
        for socket in [&listener, &dialling] {
            socket.set_send_buffer_size(4096).unwrap();
            socket.set_recv_buffer_size(4096).unwrap();
        }
    }
    listener.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener: TcpListener = listener.listen(8).unwrap();
    let there = dialling.connect(listener.local_addr().unwrap()).await.unwrap();
    (there, listener.accept().await.unwrap().0)
}

pub(super) struct Session {
    pub(super) client: TcpStream,
    pub(super) node: TcpStream,
    pub(super) relay: Relay<TcpStream, TcpStream>,
    pub(super) meter: Rc<Meter>,
}

pub(super) async fn session(gear: &Gear, tiny: bool) -> Session {
    let (client, gate_client) = connection(tiny).await;
    let (node, gate_node) = connection(tiny).await;
    let meter = Rc::new(Meter::default());
    let relay = Relay::new(gate_client, gate_node, gear.clone(), Rc::clone(&meter));
    Session { client, node, relay, meter }
}

/// The byte at each place of a stream: no two stretches of it are alike.
pub(super) fn pattern(from: usize, len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 8);
    let mut word = from / 8;
    while bytes.len() < len + 8 {
        let mixed = (word as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bytes.extend_from_slice(&(mixed ^ (mixed >> 29)).to_le_bytes());
        word += 1;
    }
    bytes[from % 8..from % 8 + len].to_vec()
}

/// Says `total` bytes in chunks of up to `most`, then closes its half.
async fn speak(stream: &mut (impl AsyncWriteExt + Unpin), total: usize, most: usize, seed: u64) {
    let mut random = Rng::with_seed(seed);
    let mut said = 0;
    while said < total {
        let chunk = random.usize(1..=most).min(total - said);
        stream.write_all(&pattern(said, chunk, seed)).await.unwrap();
        said += chunk;
        if random.u8(..8) == 0 {
            yield_now().await;
        }
    }
    stream.shutdown().await.unwrap();
}

/// Hears exactly that, up to the end of file, in reads of up to `most`.
async fn listen(stream: &mut (impl AsyncReadExt + Unpin), total: usize, most: usize, seed: u64) {
    let mut random = Rng::with_seed(!seed);
    let mut chunk = vec![0; most];
    let mut heard = 0;
    loop {
        let wanted = random.usize(1..=most);
        let count = stream.read(&mut chunk[..wanted]).await.unwrap();
        if count == 0 {
            break;
        }
        assert!(chunk[..count] == pattern(heard, count, seed), "changed after {heard} bytes");
        heard += count;
        if random.u8(..8) == 0 {
            yield_now().await;
        }
    }
    assert_eq!(heard, total, "seed {seed}");
}

/// Whether the direction to the client splices now; asked between two polls.
pub(super) fn splices_to_client(relay: &Relay<TcpStream, TcpStream>) -> bool {
    relay.to_client.splices()
}

/// Drives the relay until its end; tells whether it ever spliced to the client.
pub(super) async fn watch(mut relay: Relay<TcpStream, TcpStream>) -> (End, bool) {
    let mut spliced = false;
    let end = std::future::poll_fn(|cx| {
        let polled = Pin::new(&mut relay).poll(cx);
        spliced |= splices_to_client(&relay);
        polled
    });
    (end.await, spliced)
}

/// Both sides talk at once, each in its own way; every byte must arrive.
pub(super) async fn converse(session: Session, sizes: [usize; 4], bytes: [usize; 2], seed: u64) -> bool {
    let Session { mut client, mut node, relay, meter } = session;
    let [client_says, node_hears, node_says, client_hears] = sizes;
    let [to_node, to_client] = bytes;
    let script = async {
        let (mut client_read, mut client_write) = client.split();
        let (mut node_read, mut node_write) = node.split();
        tokio::join!(
            speak(&mut client_write, to_node, client_says, seed),
            listen(&mut node_read, to_node, node_hears, seed),
            speak(&mut node_write, to_client, node_says, !seed),
            listen(&mut client_read, to_client, client_hears, !seed),
        )
    };
    let ((end, spliced), _) = timeout(PATIENCE, async { tokio::join!(watch(relay), script) }).await.unwrap();
    assert!(matches!(end, End::Closed { .. }), "{end:?}");
    assert_eq!((meter.to_node.get(), meter.to_client.get()), (to_node as u64, to_client as u64));
    spliced
}

pub(super) const LARGE: usize = 1 << 20;

#[tokio::test]
async fn s7_bulk_among_small_talk_is_exact() {
    let gear = Gear::new(BUFFER, 4);
    for (seed, sizes) in [[200, 300, LARGE, LARGE], [LARGE, 5000, 100_000, LARGE], [LARGE, LARGE, 50, 64]]
        .into_iter()
        .enumerate()
    {
        let bytes = if sizes[3] == 64 { [BULK, 30_000] } else { [300_000, BULK] };
        converse(session(&gear, false).await, sizes, bytes, seed as u64).await;
        assert_eq!(gear.pipes_in_use(), 0);
    }
}

#[tokio::test]
async fn d3_without_pipes_bulk_is_copied() {
    let gear = Gear::new(BUFFER, 0);
    converse(session(&gear, false).await, [LARGE; 4], [BULK, BULK], 2).await;
    assert_eq!((gear.pipes_in_use(), gear.idle_pipes()), (0, 0));
}

#[tokio::test]
async fn s7_pipes_that_run_out_half_way_change_no_byte() {
    let gear = Gear::new(BUFFER, 2);
    let sessions = LocalSet::new();
    for seed in 0..6 {
        let gear = gear.clone();
        sessions.spawn_local(async move {
            converse(session(&gear, false).await, [LARGE; 4], [BULK / 2, BULK / 2], seed).await
        });
    }
    // A panic inside ends the set with it, so nothing can fail unseen.
    sessions.await;
    assert_eq!(gear.pipes_in_use(), 0);
    assert!(gear.idle_pipes() <= 2);
}

#[tokio::test]
async fn s7_tiny_socket_buffers_change_no_byte() {
    let gear = Gear::new(BUFFER, 4);
    converse(session(&gear, true).await, [LARGE; 4], [2 << 20, 2 << 20], 3).await;
}
