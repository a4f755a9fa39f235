//! Probers at work, with real nodes: pace, orders, signals and reports.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use prometheus::Registry;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::super::dial::Dialling;
use super::super::judge::{Condition, Rules};
use super::super::settings::Request;
use super::super::testing::{Authority, Happened, LEADER, Node, PATIENCE, Step, patiently};
use super::super::tls::Connector;
use super::super::{MetricFamilies, Roots};
use super::*;
use crate::intent::{Input, Pace, inbox};
use crate::leader::{NodeId, ProbeFailure, ProbeId, Signal};

mod certificates;

const NEVER: Duration = Duration::from_hours(1);
const CLOSED: Suspicion = Suspicion::ProbeConnectionClosed;

/// A prober under way, and what it tells.
struct Probed {
    orders: watch::Sender<ProbeOrder>,
    inputs: mpsc::Receiver<Input>,
    registry: Registry,
    ids: Arc<ProbeIds>,
    task: JoinHandle<()>,
}

/// A prober that by itself probes only once: everything else has a reason.
fn settings(address: SocketAddr) -> Settings {
    let status = |status| vec![Condition { status: vec![status..=status], json: Vec::new() }];
    Settings {
        cluster: "c".into(),
        node: "n1".into(),
        id: NodeId(7),
        address: address.into(),
        send_proxy: None,
        tls: None,
        request: Request { method: "GET".into(), path: "/".into(), host: "n1".into(), headers: Vec::new() },
        rules: Arc::new(Rules { leader: status(200), follower: status(429), health: None }),
        interval: NEVER,
        fast_interval: NEVER,
        timeout: NEVER,
        renew: NEVER,
    }
}

impl Probed {
    fn start(settings: Settings) -> Self {
        Self::over(Arc::new(Tcp), settings)
    }

    /// The same with its connections made by `dial`.
    fn over(dial: Arc<dyn Dial>, settings: Settings) -> Self {
        let (orders, ordered) = watch::channel(ProbeOrder { pace: Pace::Steady, round: 5, after: None });
        let (inbox, inputs) = inbox();
        let ids = Arc::<ProbeIds>::default();
        let registry = Registry::new();
        let metrics = MetricFamilies::register(&registry).unwrap().node("c", "n1");
        let connector = settings.tls.as_ref().map(|tls| Connector::new(tls).unwrap());
        let settings = Arc::new(settings);
        let prober = Prober::over(dial, settings, connector, ordered, inbox, Arc::clone(&ids), metrics);
        let mut prober = prober.unwrap();
        Probed { orders, inputs, registry, ids, task: tokio::spawn(async move { prober.run().await }) }
    }

    async fn next(&mut self) -> Input {
        patiently("a report or a signal", self.inputs.recv()).await.unwrap()
    }

    async fn report(&mut self) -> ProbeReport {
        loop {
            match self.next().await {
                Input::Report(report) => return *report,
                Input::Unasked(..) => {}
                other => panic!("{other:?} instead of a report"),
            }
        }
    }

    async fn verdict(&mut self) -> Verdict {
        self.report().await.observation.verdict
    }

    async fn assert_signal(&mut self, suspicion: Suspicion) {
        match self.next().await {
            Input::Signal(signal) => assert_eq!(signal, Signal { node: NodeId(7), suspicion }),
            other => panic!("{other:?} instead of a signal"),
        }
    }

    fn order_round(&self, round: u64) {
        self.orders.send_modify(|order| order.round = round);
    }

    async fn assert_ends_when_dismissed(self) {
        drop(self.orders);
        patiently("the prober's end", self.task).await.unwrap();
    }
}

/// A node without TLS that acts on each connection by the script of that number, or by the last one.
async fn scripted(scripts: Vec<Vec<Step>>) -> Node {
    Node::start(move |number| (None, scripts[number.min(scripts.len() - 1)].clone())).await
}

#[test]
fn a_prober_that_waits_is_small() {
    let (_orders, ordered) = watch::channel(ProbeOrder::default());
    let metrics = MetricFamilies::register(&Registry::new()).unwrap().node("c", "n1");
    let settings = Arc::new(settings(([127, 0, 0, 1], 1).into()));
    let mut prober = Prober::new(settings, None, ordered, inbox().0, Arc::default(), metrics).unwrap();
    let size = size_of_val(&prober) + size_of_val(&prober.run());
    assert!(size <= 1500, "{size} bytes for each node");
}

#[tokio::test]
async fn l1_a_prober_asks_at_once_and_then_waits_for_its_interval() {
    let node = scripted(vec![vec![Step::AnswerAll(LEADER)]]).await;
    let mut probed = Probed::start(settings(node.address));
    assert_eq!(probed.verdict().await, Verdict::Leader);
    probed.assert_ends_when_dismissed().await;
    node.until(Happened::Farewell(0)).await;
    assert_eq!(node.asked(), 1);
}

/// Has no descriptor for so many connections, and then has.
#[derive(Debug)]
struct Starved(AtomicUsize);

impl Dial for Starved {
    fn dial(&self, address: SocketAddr) -> Dialling<'_> {
        const EMFILE: i32 = 24;
        let lacks = self.0.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
        if lacks { Box::pin(async { Err(io::Error::from_raw_os_error(EMFILE)) }) } else { Tcp.dial(address) }
    }
}

#[tokio::test]
async fn l5_what_this_host_lacks_is_neither_a_verdict_on_the_node_nor_a_signal() {
    let node = scripted(vec![vec![Step::AnswerAll(LEADER)]]).await;
    let starved = Arc::new(Starved(AtomicUsize::new(3)));
    let often = Settings { interval: Duration::from_millis(1), ..settings(node.address) };
    let mut probed = Probed::over(starved, often);
    let told = probed.next().await;
    assert!(matches!(&told, Input::Unasked(_, why) if why.contains("LimitNOFILE")), "{told:?}");
    let first = probed.report().await.observation;
    assert_eq!((first.verdict, first.probe), (Verdict::Leader, ProbeId(4)));
}

#[tokio::test]
async fn l5_a_new_round_is_probed_once_and_at_once() {
    let node = scripted(vec![vec![Step::AnswerAll(LEADER)]]).await;
    let mut probed = Probed::start(settings(node.address));
    probed.verdict().await;
    for round in [6, 8, 9] {
        probed.order_round(round);
        probed.verdict().await;
    }
    // Neither a change of nothing nor a step back is a new round.
    for round in [9, 2] {
        probed.order_round(round);
        // On a test's one thread this lets the prober see each order.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(probed.ids.next(), ProbeId(5), "another probe has begun");
    probed.assert_ends_when_dismissed().await;
    node.until(Happened::Farewell(0)).await;
    assert_eq!(node.asked(), 4);
}

#[tokio::test]
async fn a_newer_statement_is_asked_for_once_and_only_if_there_is_none_yet() {
    let node = scripted(vec![vec![Step::AnswerAll(LEADER)]]).await;
    let mut probed = Probed::start(settings(node.address));
    let began = Instant::from_std(probed.report().await.observation.began);
    for (after, asked) in [(began - Duration::from_millis(1), 1), (began, 2), (began, 2)] {
        probed.orders.send_modify(|order| order.after = Some(after));
        if asked > node.asked() {
            assert!(Instant::from_std(probed.report().await.observation.began) > began);
        }
        // On a test's one thread this lets the prober see each order.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert_eq!(node.asked(), asked);
    }
    probed.assert_ends_when_dismissed().await;
}

#[tokio::test]
async fn l4_a_round_ordered_during_an_exchange_is_probed_right_after_it() {
    let gate = Arc::new(Semaphore::new(0));
    let script = vec![Step::Read, Step::Await(Arc::clone(&gate)), Step::Say(LEADER), Step::AnswerAll(LEADER)];
    let node = scripted(vec![script]).await;
    let mut probed = Probed::start(settings(node.address));
    node.until(Happened::Asked(0)).await;
    probed.order_round(6);
    probed.order_round(7);
    assert_eq!(node.asked(), 1, "one exchange at a time");
    gate.add_permits(1);
    probed.verdict().await;
    probed.verdict().await;
    probed.assert_ends_when_dismissed().await;
    node.until(Happened::Farewell(0)).await;
    assert_eq!(node.asked(), 2);
}

#[tokio::test]
async fn l5_a_faster_pace_shortens_the_wait_under_way() {
    let node = scripted(vec![vec![Step::AnswerAll(LEADER)]]).await;
    let mut probed =
        Probed::start(Settings { fast_interval: Duration::from_millis(1), ..settings(node.address) });
    probed.verdict().await;
    probed.orders.send_modify(|order| order.pace = Pace::Fast);
    for _ in 0..3 {
        while !matches!(probed.next().await, Input::Report(_)) {}
    }
}

#[tokio::test]
async fn a_prober_ends_with_its_orders_even_during_an_exchange() {
    let node = scripted(vec![vec![Step::Read, Step::Listen]]).await;
    let probed = Probed::start(settings(node.address));
    node.until(Happened::Asked(0)).await;
    probed.assert_ends_when_dismissed().await;
    node.until(Happened::Farewell(0)).await;
}

#[tokio::test]
async fn l5_a_connection_closed_unannounced_between_probes_is_a_signal() {
    let node = scripted(vec![vec![Step::Read, Step::Say(LEADER)]]).await;
    let mut probed = Probed::start(settings(node.address));
    probed.verdict().await;
    probed.assert_signal(CLOSED).await;
    probed.order_round(6);
    probed.verdict().await;
    probed.assert_signal(CLOSED).await;
}

#[tokio::test]
async fn l5_an_announced_close_is_no_signal() {
    for closing in [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
    ] {
        let node = scripted(vec![vec![Step::Read, Step::Say(closing)]]).await;
        let mut probed = Probed::start(settings(node.address));
        for round in 6..10 {
            assert_eq!(probed.verdict().await, Verdict::Leader);
            probed.order_round(round);
        }
        assert_eq!(probed.verdict().await, Verdict::Leader);
    }
}

#[tokio::test]
async fn l5_a_connection_found_closed_while_asking_is_a_signal_and_not_yet_a_failure() {
    let once = vec![Step::Read, Step::Say(LEADER), Step::Read];
    let node = scripted(vec![once, vec![Step::AnswerAll(LEADER)]]).await;
    let mut probed = Probed::start(settings(node.address));
    probed.verdict().await;
    probed.order_round(6);
    probed.assert_signal(CLOSED).await;
    assert_eq!(probed.verdict().await, Verdict::Leader);
}

#[tokio::test]
async fn l5_a_late_answer_is_one_signal_while_it_is_awaited() {
    let gate = Arc::new(Semaphore::new(0));
    let script =
        vec![Step::Read, Step::Say(LEADER), Step::Read, Step::Await(Arc::clone(&gate)), Step::Say(LEADER)];
    let node = scripted(vec![[script, vec![Step::AnswerAll(LEADER)]].concat(), vec![Step::Listen]]).await;
    let mut probed =
        Probed::start(Settings { fast_interval: Duration::from_millis(1), ..settings(node.address) });
    probed.verdict().await;
    probed.order_round(6);
    probed.assert_signal(Suspicion::ProbeLate).await;
    node.until(Happened::Asked(1)).await;
    gate.add_permits(1);
    assert_eq!(probed.verdict().await, Verdict::Leader);
}

#[tokio::test]
async fn l4_a_hedge_is_part_of_its_probe_and_is_told() {
    let deaf = vec![Step::Read, Step::Say(LEADER), Step::Listen];
    let node = scripted(vec![deaf, vec![Step::AnswerAll(LEADER)]]).await;
    let mut probed =
        Probed::start(Settings { fast_interval: Duration::from_millis(1), ..settings(node.address) });
    probed.verdict().await;
    probed.order_round(6);
    probed.assert_signal(Suspicion::ProbeLate).await;
    let report = probed.report().await;
    assert_eq!((report.observation.verdict, report.observation.probe), (Verdict::Leader, ProbeId(2)));
    let told = ", on a second connection: the first did not answer in time";
    assert!(report.detail.ends_with(told), "{}", report.detail);
    probed.order_round(7);
    assert_eq!(probed.report().await.observation.probe, ProbeId(3));
}

#[tokio::test]
async fn l5_a_probe_that_fails_by_its_deadline_was_late_first() {
    let deaf = vec![Step::Read, Step::Say(LEADER), Step::Listen];
    let node = scripted(vec![deaf, vec![Step::Listen]]).await;
    let timeout = PATIENCE / 2;
    let mut probed =
        Probed::start(Settings { fast_interval: timeout / 10, timeout, ..settings(node.address) });
    probed.verdict().await;
    // From here on time jumps ahead whenever everybody waits.
    tokio::time::pause();
    probed.order_round(6);
    probed.assert_signal(Suspicion::ProbeLate).await;
    let report = probed.report().await;
    assert_eq!(report.observation.verdict, Verdict::Unreachable { failure: ProbeFailure::Timeout });
    assert_eq!(report.latency.as_secs(), timeout.as_secs());
}

#[tokio::test]
async fn l2_a_deadline_missed_in_a_standstill_is_no_verdict() {
    let node = scripted(vec![vec![Step::Listen], vec![Step::AnswerAll(LEADER)]]).await;
    let timeout = PATIENCE / 2;
    let settings =
        Settings { fast_interval: timeout / 10, interval: timeout / 10, timeout, ..settings(node.address) };
    let mut probed = Probed::start(settings);
    node.until(Happened::Accepted(0)).await;
    // The gate stands still beyond the deadline of its probe.
    tokio::time::pause();
    tokio::time::advance(2 * timeout).await;
    tokio::time::resume();
    let report = probed.report().await;
    assert_eq!((report.observation.verdict, report.observation.probe), (Verdict::Leader, ProbeId(2)));
}

#[tokio::test]
async fn reports_tell_what_was_seen_and_when() {
    let authority = Authority::new("root");
    let server = authority.spiffe_identity("n1", "spiffe://d/controller/n1").server();
    let follower = "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n";
    let node = Node::start(move |_| (Some(Arc::clone(&server)), vec![Step::AnswerAll(follower)])).await;
    let before = Instant::now().into_std();
    let tls = Some(authority.trusted(Verify::Full, "n1"));
    let mut probed = Probed::start(Settings { tls, ..settings(node.address) });
    let first = probed.report().await;
    probed.order_round(6);
    let second = probed.report().await;

    let Observation { node: id, probe, began, verdict } = first.observation;
    assert_eq!((id, probe, verdict), (NodeId(7), ProbeId(1), Verdict::Follower));
    assert!(before <= began && began + first.latency <= second.observation.began);
    assert_eq!(&*first.detail, "says that it follows (429)");
    assert_eq!(second.observation.probe, ProbeId(2));
    for report in [first, second] {
        assert_eq!(report.certificate.unwrap().names[3], "spiffe://d/controller/n1");
    }
    let metrics = String::from_utf8(crate::metrics::render(&probed.registry).unwrap()).unwrap();
    for line in [
        "raftgate_probes_total{cluster=\"c\",node=\"n1\",result=\"follower\"} 2",
        "raftgate_probe_duration_seconds_count{cluster=\"c\",node=\"n1\"} 2",
        "raftgate_node_certificate_expiry_timestamp_seconds{cluster=\"c\",node=\"n1\"} 4102444800",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[test]
fn what_cannot_be_probed_is_known_at_start() {
    let tls = |server_name: &str| Some(TlsSettings::new(Verify::None, Roots::System, server_name));
    let plain = || settings(([127, 0, 0, 1], 1).into());
    let wrong_pointer = vec![Condition { status: vec![200..=200], json: vec![("raft".into(), true.into())] }];
    let cases = [
        (Settings { tls: tls("n1:1280"), ..plain() }, "server_name is \"n1:1280\""),
        (Settings { tls: tls(""), ..plain() }, "server_name is \"\""),
        (
            Settings {
                rules: Arc::new(Rules { leader: wrong_pointer, follower: Vec::new(), health: None }),
                ..plain()
            },
            "JSON pointer \"raft\"",
        ),
        (
            Settings { request: Request { path: "health".into(), ..plain().request }, ..plain() },
            "probe.path is \"health\"",
        ),
    ];
    for (settings, words) in cases {
        let connector = settings.tls.as_ref().map(|tls| Connector::new(tls).unwrap());
        let metrics = MetricFamilies::register(&Registry::new()).unwrap().node("c", "n1");
        let (_orders, ordered) = watch::channel(ProbeOrder::default());
        let error = Prober::new(Arc::new(settings), connector, ordered, inbox().0, Arc::default(), metrics)
            .unwrap_err();
        assert!(error.to_string().starts_with("cluster c, node n1: "), "{error}");
        assert!(error.to_string().contains(words), "{words} in: {error}");
    }
}
