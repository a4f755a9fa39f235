//! The clients: what runs inside the load's own process.
//!
//! It says `begin` when the load is under way and counting begins, and `end` with an [`Outcome`] when counting ends.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::crowd::Crowd;
use crate::service::{OPENING, Opening, SHORT};
use crate::support::clock::Stamp;

/// How long the load runs before it is counted.
const WARM_UP: Duration = Duration::from_millis(300);
/// How much is read at once.
const CHUNK: usize = 256 * 1024;
/// How long a timed message waits after the one before: so long that a late one does not keep many others from being counted.
const BETWEEN_PINGS: Duration = Duration::from_millis(1);
/// So many connect at a time where sessions are opened to be idle.
const OPENERS: u32 = 8;

/// What the clients do.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) enum Job {
    /// So many streams from the node, as fast as they go; bytes are counted.
    Bulk { streams: u32 },
    /// So many connections, on each of which a message goes to the node and back, again and again; messages are counted.
    PingPong { size: usize, connections: u32 },
    /// So many streams, and one connection beside them on which a message of this size goes to the node and back every now and
    /// then; messages are counted and timed.
    PingBesideBulk { size: usize, streams: u32 },
    /// So many clients, each of which connects, asks, is answered and closes, again and again; connections are counted.
    Connections { parallel: u32 },
    /// So many sessions that exchange one message and are idle then; sessions are counted.
    Idle { sessions: u32 },
}

/// What to do, where and for how long.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Order {
    /// What to do.
    pub(crate) job: Job,
    /// Where to connect.
    pub(crate) target: SocketAddr,
    /// How long is counted.
    pub(crate) window: Duration,
}

/// What came of it.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Outcome {
    /// How much was counted.
    pub(crate) amount: u64,
    /// In how many seconds.
    pub(crate) seconds: f64,
    /// How long messages took, where they are timed.
    pub(crate) delays: Option<Delays>,
    /// How many connections have failed, even before counting began.
    pub(crate) failed: u64,
    /// Why the first of them did.
    pub(crate) why: Option<String>,
}

/// How long messages took to the node and back, in milliseconds.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Delays {
    /// No more than this for half of them.
    pub(crate) half: f64,
    /// No more than this for 99 of 100.
    pub(crate) all_but_a_hundredth: f64,
    /// For the last one of all.
    pub(crate) longest: f64,
}

/// What all clients count into.
#[derive(Default)]
struct Tally {
    /// One for each thread, so that they do not wait for each other.
    amounts: Mutex<Vec<Arc<AtomicU64>>>,
    /// What each timed message took.
    delays: Mutex<Vec<Duration>>,
    failed: AtomicU64,
    why: Mutex<Option<String>>,
}

/// Does the job.
pub(crate) fn live(order: &Order) {
    let tally = Arc::new(Tally::default());
    let begun = if let Job::Idle { sessions } = order.job {
        println!("begin");
        let begun = Stamp::now();
        // They stay open until this process ends.
        std::mem::forget(open_idle(order.target, sessions, &tally));
        (begun, 0)
    } else {
        start(order, &tally);
        thread::sleep(WARM_UP);
        println!("begin");
        tally.delays().clear();
        let begun = (Stamp::now(), tally.amount());
        thread::sleep(order.window);
        begun
    };
    let (ended, amount) = (Stamp::now(), tally.amount());
    let outcome = Outcome {
        amount: amount - begun.1,
        seconds: ended.since(begun.0).as_secs_f64(),
        delays: Delays::of(std::mem::take(&mut *tally.delays())),
        failed: tally.failed.load(Ordering::Relaxed),
        why: tally.why.lock().unwrap_or_else(PoisonError::into_inner).take(),
    };
    println!("end {}", serde_json::to_string(&outcome).expect("it has no keys but names"));
}

impl Tally {
    fn counter(&self) -> Arc<AtomicU64> {
        let counter = Arc::new(AtomicU64::new(0));
        self.amounts.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&counter));
        counter
    }

    fn amount(&self) -> u64 {
        let amounts = self.amounts.lock().unwrap_or_else(PoisonError::into_inner);
        amounts.iter().map(|amount| amount.load(Ordering::Relaxed)).sum()
    }

    fn delays(&self) -> MutexGuard<'_, Vec<Duration>> {
        self.delays.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, error: &io::Error) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut why = self.why.lock().unwrap_or_else(PoisonError::into_inner);
        why.get_or_insert_with(|| error.to_string());
    }
}

impl Delays {
    /// Nothing if nothing was timed.
    fn of(mut all: Vec<Duration>) -> Option<Self> {
        all.sort_unstable();
        let milliseconds = |place: usize| Some(all.get(place)?.as_secs_f64() * 1e3);
        Some(Delays {
            half: milliseconds(all.len() / 2)?,
            all_but_a_hundredth: milliseconds(all.len() * 99 / 100)?,
            longest: milliseconds(all.len().checked_sub(1)?)?,
        })
    }
}

/// Starts the clients; they go on until this process ends.
fn start(order: &Order, tally: &Arc<Tally>) {
    let target = order.target;
    match order.job {
        Job::Bulk { streams } => each(streams, tally, move |counter| drain(target, counter)),
        Job::PingBesideBulk { size, streams } => {
            // What they move is not what counts.
            each(streams, tally, move |_| drain(target, &AtomicU64::new(0)));
            let timed = Arc::clone(tally);
            each(1, tally, move |counter| ping_now_and_then(target, size, counter, &timed));
        }
        Job::PingPong { size, connections: 1 } => each(1, tally, move |counter| ping(target, size, counter)),
        Job::PingPong { size, connections } => {
            let threads =
                thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1));
            let share = connections / threads;
            each(threads, tally, move |counter| ping_in_crowd(target, size, share, counter));
        }
        Job::Connections { parallel } => {
            let failures = Arc::clone(tally);
            each(parallel, tally, move |counter| {
                loop {
                    match ask(target) {
                        Ok(()) => _ = counter.fetch_add(1, Ordering::Relaxed),
                        Err(error) => {
                            failures.failed(&error);
                            thread::sleep(Duration::from_millis(1));
                        }
                    }
                }
            });
        }
        Job::Idle { .. } => (),
    }
}

/// Runs `work`, which only ends by failing, in so many threads.
fn each(
    threads: u32,
    tally: &Arc<Tally>,
    work: impl Fn(&AtomicU64) -> io::Result<()> + Clone + Send + 'static,
) {
    for _ in 0..threads {
        let (work, counter, tally) = (work.clone(), tally.counter(), Arc::clone(tally));
        thread::spawn(move || {
            if let Err(error) = work(&counter) {
                tally.failed(&error);
            }
        });
    }
}

fn open(target: SocketAddr, opening: Opening) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(target)?;
    stream.set_nodelay(true)?;
    stream.write_all(&opening.bytes())?;
    Ok(stream)
}

fn drain(target: SocketAddr, counter: &AtomicU64) -> io::Result<()> {
    let mut stream = open(target, Opening::Source)?;
    let mut chunk = vec![0; CHUNK];
    loop {
        let size = stream.read(&mut chunk)?;
        if size == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        counter.fetch_add(size as u64, Ordering::Relaxed);
    }
}

fn ping(target: SocketAddr, size: usize, counter: &AtomicU64) -> io::Result<()> {
    let mut stream = open(target, Opening::Echo)?;
    let mut message = vec![b'.'; size];
    loop {
        stream.write_all(&message)?;
        stream.read_exact(&mut message)?;
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

fn ping_now_and_then(target: SocketAddr, size: usize, counter: &AtomicU64, tally: &Tally) -> io::Result<()> {
    let mut stream = open(target, Opening::Echo)?;
    let mut message = vec![b'.'; size];
    loop {
        let begun = Stamp::now();
        stream.write_all(&message)?;
        stream.read_exact(&mut message)?;
        tally.delays().push(Stamp::now().since(begun));
        counter.fetch_add(1, Ordering::Relaxed);
        thread::sleep(BETWEEN_PINGS);
    }
}

fn ping_in_crowd(target: SocketAddr, size: usize, connections: u32, counter: &AtomicU64) -> io::Result<()> {
    let crowd = Crowd::new()?;
    let mut message = vec![b'.'; size];
    for _ in 0..connections {
        let mut stream = open(target, Opening::CrowdEcho)?;
        stream.write_all(&message)?;
        crowd.join(stream)?;
    }
    Err(crowd.attend(|mut stream| {
        // What has begun to arrive is small, and arrives at once.
        stream.read_exact(&mut message)?;
        counter.fetch_add(1, Ordering::Relaxed);
        stream.write_all(&message)?;
        Ok(true)
    }))
}

fn ask(target: SocketAddr) -> io::Result<()> {
    let mut question = [b'.'; SHORT];
    question[..OPENING].copy_from_slice(&Opening::Short.bytes());
    let mut stream = TcpStream::connect(target)?;
    stream.write_all(&question)?;
    let mut answer = [0; 2 * SHORT];
    let mut size = 0;
    loop {
        match stream.read(&mut answer[size..])? {
            0 if size == SHORT => return Ok(()),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => size += more,
        }
    }
}

fn open_idle(target: SocketAddr, sessions: u32, tally: &Arc<Tally>) -> Vec<TcpStream> {
    let opened = Arc::new(Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for opener in 0..OPENERS {
            let (opened, tally) = (Arc::clone(&opened), Arc::clone(tally));
            let share = sessions / OPENERS + u32::from(opener < sessions % OPENERS);
            let counter = tally.counter();
            scope.spawn(move || {
                for _ in 0..share {
                    let opening = open(target, Opening::CrowdEcho).and_then(|mut stream| {
                        stream.write_all(b".")?;
                        stream.read_exact(&mut [0])?;
                        Ok(stream)
                    });
                    match opening {
                        Ok(stream) => {
                            counter.fetch_add(1, Ordering::Relaxed);
                            opened.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
                        }
                        Err(error) => tally.failed(&error),
                    }
                }
            });
        }
    });
    std::mem::take(&mut *opened.lock().unwrap_or_else(PoisonError::into_inner))
}
