//! The network between the probers and the nodes: connections in memory that take time, stall, are refused and end.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use fastrand::Rng;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::sync::Notify;
use tokio::time::{Instant, advance, sleep, sleep_until};

use super::cluster::{Cluster, Port};
use super::plan::Manner;
use super::rates::Rates;
use crate::leader::tests::raft::{MS, Micros};
use crate::probe::{Dial, Dialling, Stream};

/// The first node's port; the others' follow.
pub(super) const PORT: u16 = 1000;
/// How long a packet takes when nothing is wrong, in milliseconds.
const CALM_LATENCY: std::ops::Range<u64> = 1..4;
/// The longest that connecting and asking takes when nothing is wrong: four ways, and the clock's roundness.
pub(super) const ROUND_TRIPS: Micros = 4 * (CALM_LATENCY.end - 1) * MS + 2 * MS;

/// The cluster and the ways to it, shared by all who take part.
#[derive(Debug)]
pub(super) struct World {
    began: Instant,
    manner: Manner,
    shared: Mutex<Shared>,
    /// Tells those who wait for something to change, in the order in which they came (a `watch` draws lots).
    changes: Notify,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) cluster: Cluster,
    /// What nodes see of the gate.
    pub(super) rates: Rates,
    /// The gate's ends of connections, by number: whose they are, and whether a request waits for its answer.
    wires: BTreeMap<u64, (usize, bool)>,
    /// Whose connections are being made, by number.
    dials: BTreeMap<u64, usize>,
    connections: u64,
    rng: Rng,
}

impl World {
    pub(super) fn new(cluster: Cluster, manner: Manner, rates: Rates, rng: Rng) -> Arc<Self> {
        let (wires, dials) = (BTreeMap::new(), BTreeMap::new());
        let shared = Shared { cluster, rates, wires, dials, connections: 0, rng };
        Arc::new(World { began: Instant::now(), manner, shared: Mutex::new(shared), changes: Notify::new() })
    }

    /// Since the schedule began.
    pub(super) fn now(&self) -> Micros {
        self.since_begin(Instant::now())
    }

    pub(super) fn since_begin(&self, at: Instant) -> Micros {
        Micros::try_from((at - self.began).as_micros()).expect("a short schedule")
    }

    pub(super) fn at(&self, time: Micros) -> Instant {
        self.began + Duration::from_micros(time)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the cluster, and tells those whom it concerns.
    pub(super) fn change(&self, change: impl FnOnce(&mut Cluster, Micros)) {
        let now = self.now();
        let cluster = &mut self.lock().cluster;
        change(cluster, now);
        cluster.take_letters(now);
        cluster.news = false;
        self.changes.notify_waiters();
    }

    /// Lets time pass for the cluster; it does so while the gate stands still, too.
    pub(super) async fn live(self: Arc<Self>) {
        loop {
            let due = self.lock().cluster.due();
            tokio::select! {
                biased;
                // What has changed may be due earlier.
                () = self.changes.notified() => continue,
                () = sleep_until(self.at(due)) => {}
            }
            let now = self.now();
            let pause = {
                let mut shared = self.lock();
                shared.cluster.live_until(now);
                if std::mem::take(&mut shared.cluster.news) {
                    self.changes.notify_waiters();
                }
                let pause = shared.cluster.gate_pause.take();
                if let Some(pause) = pause {
                    shared.cluster.gate_goes_on = now + pause;
                }
                pause
            };
            if let Some(pause) = pause {
                advance(Duration::from_micros(pause)).await;
            }
        }
    }

    /// Waits until something can be had of the cluster.
    async fn until<T>(&self, get: impl Fn(&Cluster) -> Option<T>) -> T {
        loop {
            // Nothing comes between: all of a schedule runs on one thread.
            if let Some(got) = get(&self.lock().cluster) {
                return got;
            }
            self.changes.notified().await;
        }
    }

    /// One packet's way to a node, or back. What is lost is sent again, late.
    async fn travel(&self, node: usize, rng: &mut Rng) {
        let stormy = self.lock().cluster.stormy;
        let calm = rng.u64(CALM_LATENCY);
        let millis = match rng.u8(0..40) {
            0 if stormy => rng.u64(200..3000),
            1..4 if stormy => rng.u64(5..400),
            _ => calm,
        };
        sleep(Duration::from_millis(millis)).await;
        self.until(|cluster| (!cluster.paths[node].cut_off).then_some(())).await;
    }

    async fn accept(self: Arc<Self>, node: usize) -> io::Result<Box<dyn Stream>> {
        let dial = Dialled::begin(&self, node);
        let (id, mut rng) = (dial.id, self.lock().rng.fork());
        self.travel(node, &mut rng).await;
        self.note_hedge(id, node);
        self.until(|cluster| (cluster.paths[node].port != Port::Dead).then_some(())).await;
        let accepted = self.lock().cluster.accept(node);
        self.travel(node, &mut rng).await;
        let Some(incarnation) = accepted else {
            return Err(io::ErrorKind::ConnectionRefused.into());
        };
        let (ours, theirs) = duplex(1024);
        {
            let mut shared = self.lock();
            shared.wires.insert(id, (node, false));
            let open = shared.wires.values().filter(|(of, _)| *of == node).count();
            shared.rates.connected(node, open);
        }
        tokio::spawn(Arc::clone(&self).serve(Line { id, node, incarnation, rng }, theirs));
        Ok(Box::new(Wire { id, stream: ours, world: self }))
    }

    /// A node's end of a connection, until either of them ends it.
    async fn serve(self: Arc<Self>, mut line: Line, mut stream: DuplexStream) {
        let (node, incarnation) = (line.node, line.incarnation);
        tokio::select! {
            biased;
            () = self.until(|cluster| (cluster.paths[node].incarnation != incarnation).then_some(())) => {}
            () = self.converse(&mut line, &mut stream) => {}
        }
        let now = self.now();
        let mut shared = self.lock();
        let waited = shared.wires.get_mut(&line.id).is_some_and(|(_, waits)| std::mem::take(waits));
        if waited {
            shared.rates.closed(now, node);
        }
    }

    async fn converse(&self, line: &mut Line, stream: &mut DuplexStream) {
        let node = line.node;
        while has_asked(stream).await {
            self.travel(node, &mut line.rng).await;
            let id = line.id;
            let status = self
                .until(|cluster| cluster.answer(node).filter(|_| cluster.paths[node].forgotten < id))
                .await;
            if self.lock().cluster.stormy && line.rng.u8(0..40) == 0 {
                return; // closed without an answer
            }
            self.travel(node, &mut line.rng).await;
            let close = if self.manner == Manner::AnnouncesClose { "Connection: close\r\n" } else { "" };
            let answer = format!("HTTP/1.1 {status} S\r\nContent-Length: 0\r\n{close}\r\n");
            if let Some((_, waits)) = self.lock().wires.get_mut(&line.id) {
                *waits = false;
            }
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
            if self.manner != Manner::Keeps {
                sleep(Duration::from_millis(line.rng.u64(0..20))).await;
                return;
            }
        }
    }

    /// Looks whether a node is being asked on another connection, too, some time after a dial: one that was given up
    /// for this one is gone by then.
    fn note_hedge(&self, id: u64, node: usize) {
        let now = self.now();
        let mut shared = self.lock();
        let is_asked = shared.wires.values().any(|wire| *wire == (node, true));
        let is_dialled = shared.dials.iter().any(|(other, of)| *other < id && *of == node);
        if is_asked || is_dialled {
            shared.cluster.trace.note(now, format_args!("n{node} is asked twice"));
            shared.rates.hedged(node);
        }
    }

    /// Has everything on the way forget a node's connections.
    pub(super) fn forget_connections(&self, node: usize) {
        let mut shared = self.lock();
        shared.cluster.paths[node].forgotten = shared.connections;
    }

    /// How many connections the gate has not closed.
    pub(super) fn open(&self) -> usize {
        self.lock().wires.len()
    }

    fn note_request(&self, id: u64) {
        let now = self.now();
        let mut shared = self.lock();
        let Some((node, waits)) = shared.wires.get_mut(&id) else { return };
        if !std::mem::replace(waits, true) {
            let node = *node;
            let waiting = shared.wires.values().filter(|wire| **wire == (node, true)).count();
            shared.rates.asked(now, node, waiting);
        }
    }
}

/// A connection that is being made, until it is made or given up.
struct Dialled {
    id: u64,
    world: Arc<World>,
}

impl Dialled {
    fn begin(world: &Arc<World>, node: usize) -> Self {
        let mut shared = world.lock();
        shared.connections += 1;
        let id = shared.connections;
        shared.dials.insert(id, node);
        Dialled { id, world: Arc::clone(world) }
    }
}

impl Drop for Dialled {
    fn drop(&mut self) {
        self.world.lock().dials.remove(&self.id);
    }
}

/// A connection, as its node sees it.
struct Line {
    id: u64,
    node: usize,
    incarnation: u64,
    rng: Rng,
}

/// Reads a request; whether there was one.
async fn has_asked(stream: &mut DuplexStream) -> bool {
    let (mut head, mut buffer) = (Vec::new(), [0; 512]);
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return false,
            Ok(count) => head.extend_from_slice(&buffer[..count]),
        }
        if head.ends_with(b"\r\n\r\n") {
            return true;
        }
    }
}

/// What probers dial by.
#[derive(Clone, Debug)]
pub(super) struct Network(pub(super) Arc<World>);

impl Dial for Network {
    fn dial(&self, address: SocketAddr) -> Dialling<'_> {
        Box::pin(Arc::clone(&self.0).accept(usize::from(address.port() - PORT)))
    }
}

/// The gate's end of a connection.
struct Wire {
    id: u64,
    stream: DuplexStream,
    world: Arc<World>,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.world.note_request(self.id);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.world.lock().wires.remove(&self.id);
    }
}
