//! Probers that hang, and such as only look so, on paused time before nodes in memory (O5).

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use prometheus::{IntCounter, Registry};
use rustix::io::Errno;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, advance, sleep};

use super::super::Metrics;
use super::*;
use crate::follow;
use crate::intent::{Input, ProbeIds, inbox};
use crate::leader::NodeId;
use crate::probe::judge::{Condition, Rules};
use crate::probe::{Dial, Dialling, MetricFamilies, Request, Stream};
use crate::proxy;
use crate::supervise::Failing;

/// How long the watch takes to find one that hangs with the settings below: four turns of 1.5 s in ticks of a second, and
/// less than two ticks more, for the first sees its last sign of life and none comes at once.
const FOUND: std::ops::Range<Duration> = Duration::from_secs(6)..Duration::from_secs(8);
const DAY: Duration = Duration::from_hours(24);

/// The default settings.
fn settings() -> Settings {
    let status = |status| vec![Condition { status: vec![status..=status], json: Vec::new() }];
    Settings {
        cluster: "controllers".into(),
        node: "ctrl1".into(),
        id: NodeId(0),
        address: SocketAddr::from(([127, 0, 0, 1], 1)).into(),
        send_proxy: None,
        tls: None,
        request: Request { method: "GET".into(), path: "/".into(), host: "n".into(), headers: Vec::new() },
        rules: Arc::new(Rules { leader: status(200), follower: status(429), health: None }),
        interval: Duration::from_millis(250),
        fast_interval: Duration::from_millis(50),
        timeout: Duration::from_millis(1500),
        renew: Duration::from_secs(30),
    }
}

/// A defect that shows only once.
fn hangs_at_first(times: usize, flawed: &mut Settings) {
    if times == 0 {
        flawed.timeout = 9 * DAY;
    }
}

/// A node, by what it does on its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Answers,
    /// It answers on all connections but the first, on which it says nothing.
    AnswersLater,
    IsSilent,
    /// Nobody gets as far as that: this host has no descriptor left.
    CannotBeDialled,
}

#[derive(Debug)]
struct Node {
    manner: Manner,
    made: AtomicUsize,
    ended: Arc<AtomicUsize>,
}

impl Node {
    fn new(manner: Manner) -> Arc<Self> {
        Arc::new(Node { manner, made: AtomicUsize::new(0), ended: Arc::default() })
    }

    /// How many connections were made to it.
    fn made(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }

    /// How many of them the gate has closed.
    fn ended(&self) -> usize {
        self.ended.load(Ordering::Relaxed)
    }
}

impl Dial for Node {
    fn dial(&self, _: SocketAddr) -> Dialling<'_> {
        Box::pin(async move {
            if self.manner == Manner::CannotBeDialled {
                return Err(Errno::MFILE.into());
            }
            let number = self.made.fetch_add(1, Ordering::Relaxed);
            let answers = self.manner == Manner::Answers || self.manner == Manner::AnswersLater && number > 0;
            let (ours, theirs) = duplex(1024);
            let ended = Arc::clone(&self.ended);
            tokio::spawn(async move {
                let _ = serve(theirs, answers).await;
                ended.fetch_add(1, Ordering::Relaxed);
            });
            Ok(Box::new(ours) as Box<dyn Stream>)
        })
    }
}

/// Until the gate closes the connection.
async fn serve(mut stream: DuplexStream, answers: bool) -> io::Result<()> {
    let mut buffer = [0; 512];
    // A request is small, and comes at once.
    while stream.read(&mut buffer).await? > 0 {
        if answers {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await?;
        }
    }
    Ok(())
}

/// A control plane's thread, and what its probers tell.
struct Plane {
    hands: Hands,
    hangs: IntCounter,
    inbox: Inbox,
    inputs: mpsc::Receiver<Input>,
    _watch: Task,
    _failing: Failing,
}

impl Plane {
    fn new() -> Self {
        let registry = Registry::new();
        let hangs = IntCounter::new("hangs", "They").unwrap();
        let metrics = Metrics {
            follow: follow::Metrics::register(&registry).unwrap(),
            probe: MetricFamilies::register(&registry).unwrap(),
            proxy: proxy::Metrics::register(&registry).unwrap(),
            hangs: hangs.clone(),
        };
        let failing = watch::channel(None).0;
        let hands = Hands::new(Handle::current(), metrics, failing.clone());
        let watch = hands.begin_watch();
        let (inbox, inputs) = inbox();
        Plane { hands, hangs, inbox, inputs, _watch: watch, _failing: failing }
    }

    /// Begins a prober of this node. It should have these settings, but each time that it begins, counted from 0, it has
    /// those that `flaw` makes of them: as if what waits by them had a defect. Its ids are returned, too.
    fn begin(
        &self,
        node: &Arc<Node>,
        settings: &Settings,
        flaw: impl Fn(usize, &mut Settings) + Send + 'static,
    ) -> (Task, watch::Sender<ProbeOrder>, Arc<ProbeIds>) {
        let (orders, ordered) = watch::channel(ProbeOrder::default());
        let ids = Arc::new(self.hands.ids.another());
        let watched = Watched::new(Arc::new(settings.clone()), Arc::clone(&ids), self.inbox.clone());
        let metrics = self.hands.metrics.probe.node(&settings.cluster, &settings.node);
        let (inbox, taken, times) = (self.inbox.clone(), Arc::clone(&ids), AtomicUsize::new(0));
        let (node, settings) = (Arc::clone(node), settings.clone());
        let begin = Box::new(move || {
            let mut settings = settings.clone();
            flaw(times.fetch_add(1, Ordering::Relaxed), &mut settings);
            let (dial, settings, ordered) = (Arc::clone(&node), Arc::new(settings), ordered.clone());
            Prober::over(dial, settings, None, ordered, inbox.clone(), Arc::clone(&taken), metrics.clone())
                .map(Box::new)
        });
        let first = begin().unwrap();
        (NewProber { watched, begin, first }.spawn(&self.hands), orders, ids)
    }

    /// Takes in what is told for so long; returns how many reports it was.
    async fn hear_for(&mut self, time: Duration) -> usize {
        let end = sleep(time);
        tokio::pin!(end);
        let mut reports = 0;
        loop {
            tokio::select! {
                biased;
                () = &mut end => return reports,
                input = self.inputs.recv() => reports += usize::from(matches!(input, Some(Input::Report(_)))),
            }
        }
    }

    /// Waits for the next report, for a day at most.
    async fn next_report(&mut self) {
        let report = async { while !matches!(self.inputs.recv().await, Some(Input::Report(_))) {} };
        tokio::time::timeout(DAY, report).await.expect("nobody has begun anew");
    }

    fn hangs(&self) -> u64 {
        self.hangs.get()
    }
}

/// A log in memory, as long as it is kept.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn begin(&self) -> tracing::subscriber::DefaultGuard {
        let writer = self.clone();
        let log = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::set_default(log)
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn o5_a_prober_that_hangs_in_a_question_is_told_of_counted_and_begun_anew() {
    let log = Log::default();
    let _kept = log.begin();
    let mut plane = Plane::new();
    let node = Node::new(Manner::AnswersLater);
    let _prober = plane.begin(&node, &settings(), hangs_at_first);
    let began = Instant::now();
    plane.next_report().await;
    assert!(FOUND.contains(&began.elapsed()), "after {:?}", began.elapsed());
    assert_eq!(plane.hangs(), 1);
    assert_eq!((node.made(), node.ended()), (2, 1), "connections made, and closed: the hung one's");
    let log = log.text();
    for words in ["ERROR", "prober hangs", "cluster=controllers", "node=ctrl1", "patience=6s", "report it"] {
        assert!(log.contains(words), "{words} in {log}");
    }
    assert!(plane.hear_for(Duration::from_mins(1)).await > 1000, "it goes on");
    assert_eq!(plane.hangs(), 1, "and is found once");
}

#[tokio::test(start_paused = true)]
async fn o5_a_prober_that_hangs_between_two_questions_gives_its_connection_back() {
    let mut plane = Plane::new();
    let node = Node::new(Manner::Answers);
    let (_prober, orders, _) = plane.begin(&node, &settings(), |times, flawed| {
        if times == 0 {
            (flawed.interval, flawed.fast_interval) = (DAY, DAY);
        }
    });
    plane.next_report().await;
    let before = Instant::now();
    // What it does not hear of either.
    orders.send_modify(|order| order.pace = crate::intent::Pace::Steady);
    plane.next_report().await;
    assert!(FOUND.contains(&before.elapsed()), "after {:?}", before.elapsed());
    assert_eq!((plane.hangs(), node.made(), node.ended()), (1, 2, 1));
}

#[tokio::test(start_paused = true)]
async fn o5_one_that_hangs_again_and_again_is_found_each_time_and_the_others_are_left_alone() {
    let mut plane = Plane::new();
    let sound = Node::new(Manner::Answers);
    let _sound = plane.begin(&sound, &settings(), |_, _| {});
    let node = Node::new(Manner::IsSilent);
    let (prober, _orders, _) = plane.begin(&node, &settings(), |_, flawed| flawed.timeout = DAY);
    plane.hear_for(Duration::from_mins(1)).await;
    let hangs = plane.hangs();
    assert!((60 / 8..=60 / 6).contains(&hangs), "{hangs} in a minute");
    let connections = usize::try_from(hangs).unwrap();
    assert_eq!((node.made(), node.ended()), (connections + 1, connections), "one is open");
    // Another configuration has no place for it, or another one in its place.
    drop(prober);
    plane.hear_for(Duration::from_mins(1)).await;
    assert_eq!((plane.hangs(), node.ended()), (hangs, connections + 1));
    assert_eq!(sound.made() - sound.ended(), 1);
    assert!(sound.made() < 8, "it was renewed, {} times, and nothing else", sound.made());
}

#[tokio::test(start_paused = true)]
async fn o5_probers_that_take_their_time_as_they_are_told_do_not_hang() {
    let long = Duration::from_mins(3);
    for (manner, settings) in [
        (Manner::Answers, Settings { interval: long, fast_interval: long, ..settings() }),
        (Manner::IsSilent, Settings { timeout: long, ..settings() }),
        (Manner::IsSilent, settings()),
        (Manner::Answers, settings()),
    ] {
        let mut plane = Plane::new();
        let node = Node::new(manner);
        let _prober = plane.begin(&node, &settings, |_, _| {});
        let reports = plane.hear_for(if settings == self::settings() { long / 9 } else { long * 24 }).await;
        assert!(reports > 10, "{reports} reports: {manner:?}, {settings:?}");
        assert_eq!(plane.hangs(), 0, "{manner:?}, {settings:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn o5_want_of_descriptors_brings_no_verdict_but_is_no_hang() {
    let mut plane = Plane::new();
    let (_prober, _orders, ids) = plane.begin(&Node::new(Manner::CannotBeDialled), &settings(), |_, _| {});
    assert_eq!(plane.hear_for(Duration::from_mins(1)).await, 0);
    assert!(ids.newest() > 1000, "it tries");
    assert_eq!(plane.hangs(), 0);
}

#[tokio::test(start_paused = true)]
async fn o5_who_waits_for_a_follower_that_stands_still_does_not_hang() {
    let mut plane = Plane::new();
    let (_prober, _orders, ids) = plane.begin(&Node::new(Manner::Answers), &settings(), |_, _| {});
    sleep(Duration::from_mins(2)).await;
    assert!(plane.inbox.is_full());
    let newest = ids.newest();
    assert_eq!(plane.hangs(), 0);
    assert!(plane.hear_for(Duration::from_secs(10)).await > 1024, "all that waited, and more");
    assert!(ids.newest() > newest && plane.hangs() == 0);
}

#[tokio::test(start_paused = true)]
async fn o5_time_in_which_the_gate_stood_still_is_nobodys_hang() {
    let mut plane = Plane::new();
    let node = Node::new(Manner::Answers);
    let _prober = plane.begin(&node, &settings(), |_, _| {});
    for (stands, goes) in [(3600, 1000), (10, 1), (7, 30), (3, 900)] {
        for _ in 0..100 {
            advance(Duration::from_secs(stands)).await;
            plane.hear_for(Duration::from_millis(goes)).await;
        }
        assert_eq!(plane.hangs(), 0, "{stands} s of standstill, and {goes} ms in between");
    }
    // Nor does it count for one that hangs: it has the same time after it.
    let _hung = plane.begin(&Node::new(Manner::AnswersLater), &settings(), hangs_at_first);
    plane.hear_for(Duration::from_secs(2)).await;
    advance(DAY).await;
    plane.hear_for(Duration::from_secs(2)).await;
    assert_eq!(plane.hangs(), 0);
    plane.hear_for(Duration::from_secs(4)).await;
    assert_eq!(plane.hangs(), 1);
}

/// A role in a prober's place that panics after so long, the first time or whenever it begins; how often it has begun.
fn begin_to_panic(plane: &Plane, after: Duration, always: bool) -> (Task, Arc<AtomicUsize>) {
    let ids = Arc::new(plane.hands.ids.another());
    let watched = plane.hands.watch.over(Watched::new(Arc::new(settings()), ids, plane.inbox.clone()));
    let begun = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&begun);
    let begin = move || {
        let panics = counter.fetch_add(1, Ordering::Relaxed) == 0 || always;
        async move {
            sleep(if panics { after } else { DAY }).await;
            // As a panic does, but that it says nothing.
            std::panic::resume_unwind(Box::new("as a test"));
        }
    };
    (plane.hands.spawn_watched("a test".to_owned(), begin, watched), begun)
}

#[tokio::test(start_paused = true)]
async fn o5_one_that_panics_whenever_it_begins_does_not_hang() {
    let mut plane = Plane::new();
    let (_task, begun) = begin_to_panic(&plane, Duration::ZERO, true);
    plane.hear_for(Duration::from_secs(30)).await;
    assert!(begun.load(Ordering::Relaxed) > 200 && plane.hangs() == 0);
}

#[tokio::test(start_paused = true)]
async fn o5_one_that_ends_by_itself_as_it_is_found_begins_anew_only_once() {
    let mut plane = Plane::new();
    let (_task, begun) = begin_to_panic(&plane, Duration::from_millis(6950), false);
    plane.hear_for(Duration::from_secs(8)).await;
    assert_eq!(plane.hangs(), 1, "it was found while it rested");
    assert_eq!(begun.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn o5_nodes_that_come_and_go_leave_nothing_with_the_watch() {
    let mut plane = Plane::new();
    let node = Node::new(Manner::IsSilent);
    for round in 0..50 {
        // Every prober hangs from the first, and is gone before anybody could be sure of it.
        let probers: Vec<_> = (0..3).map(|_| plane.begin(&node, &settings(), hangs_at_first)).collect();
        plane.hear_for(Duration::from_secs(4)).await;
        assert_eq!(plane.hands.watch.len(), 3, "round {round}");
        drop(probers);
        plane.hear_for(Duration::from_secs(2)).await;
        assert_eq!(plane.hands.watch.len(), 0, "round {round}");
    }
    assert_eq!((plane.hangs(), node.made(), node.ended()), (0, 150, 150));
    // The orders' end is a prober's own.
    let (_prober, orders, _) = plane.begin(&node, &settings(), |_, _| {});
    drop(orders);
    plane.hear_for(Duration::from_secs(30)).await;
    assert_eq!((plane.hands.watch.len(), plane.hangs()), (0, 0));
}
