//! A cluster followed on paused time: reports and signals in, tenures, orders and fates out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, advance};

use super::*;
use crate::board::ClusterBoard;
use crate::intent::{
    Command, Inbox, NodeId, Pace, ProbeId, ProbeIds, ProbeOrder, ProbeReport, Suspicion, inbox,
};
use crate::leader::{Observation, Policy, ProbeFailure, Verdict};
use crate::memory::ClusterMemory;
use crate::names::{Address, Directory};
use crate::tenure::{self, Fate, OfReaders, Route, Tenure, TenureReader, To};

mod addresses;
mod fates;
mod history;
mod memory;
mod overrides;
mod readers;
mod reshape;
mod service;

const UNFIT: Verdict = Verdict::Unfit { status: 503 };
const SILENCE: Verdict = Verdict::Unreachable { failure: ProbeFailure::Timeout };

/// A followed cluster of three nodes, and its ends.
struct Followed {
    inbox: Inbox,
    reader: TenureReader,
    readers: OfReaders<TenureReader>,
    orders: Vec<watch::Receiver<ProbeOrder>>,
    shape: mpsc::UnboundedSender<Box<Shape>>,
    board: Arc<ClusterBoard>,
    registry: Registry,
    ids: ProbeIds,
    /// Where its nodes are at first.
    addresses: Vec<Address>,
}

impl Followed {
    fn start(hold_then: HoldThen, on_demotion: OnDemotion) -> Self {
        let addresses = (1000..1003).map(|port| address(port).into()).collect();
        Self::start_at(hold_then, on_demotion, Directory::default(), addresses, None)
    }

    fn start_at(
        hold_then: HoldThen,
        on_demotion: OnDemotion,
        directory: Directory,
        addresses: Vec<Address>,
        memory: Option<&ClusterMemory>,
    ) -> Self {
        let nodes = addresses.into_iter().map(|address| (address.clone(), address)).collect();
        Self::start_apart(hold_then, on_demotion, directory, nodes, memory)
    }

    /// The same; each node has an address for clients, and one for probes.
    fn start_apart(
        hold_then: HoldThen,
        on_demotion: OnDemotion,
        directory: Directory,
        nodes: Vec<(Address, Address)>,
        memory: Option<&ClusterMemory>,
    ) -> Self {
        let addresses: Vec<Address> = nodes.iter().map(|(address, _)| address.clone()).collect();
        let of_node = |(id, (address, probe_address)): (usize, (Address, Address))| NodeSettings {
            probe_address,
            ..node_settings((id, address))
        };
        let now = Instant::now();
        let channel = || tenure::channel(now, Arc::default());
        let (writer, reader) = channel();
        let (writers, readers) = OfReaders::new(&To::READERS, |_| channel()).unzip();
        let (sender, receiver) = inbox();
        let (shape, shapes) = mpsc::unbounded_channel();
        let (orders, ordered) = (0..3).map(|_| watch::channel(ProbeOrder::default())).unzip();
        let (board, registry) = (Arc::<ClusterBoard>::default(), Registry::new());
        let settings = Settings {
            cluster: "ctrl".into(),
            nodes: nodes.into_iter().enumerate().map(of_node).collect(),
            policy: Policy::default(),
            hold_then,
            fates: FateSettings {
                on_demotion,
                on_unreachable: OnUnreachable::Cut,
                unreachable_after: Duration::from_secs(10),
            },
        };
        let links = Links {
            writer,
            readers: writers,
            inbox: receiver,
            orders,
            directory,
            shapes,
            board: Arc::clone(&board),
        };
        let metrics = Metrics::register(&registry).unwrap();
        let mut follow = Follow::recalling(settings, links, &metrics, now, memory);
        tokio::spawn(async move { follow.run().await });
        Followed {
            inbox: sender,
            reader,
            readers,
            orders: ordered,
            shape,
            board,
            registry,
            ids: ProbeIds::default(),
            addresses,
        }
    }

    /// Every node is probed and says this; returns once all of it was taken in.
    async fn round(&self, verdicts: [Verdict; 3]) {
        for (id, verdict) in verdicts.into_iter().enumerate() {
            self.says(id, verdict).await;
        }
    }

    async fn says(&self, id: usize, verdict: Verdict) {
        self.reports(id, self.ids.next(), Instant::now(), verdict).await;
    }

    /// A node says this, and was asked at this address.
    async fn says_at(&self, id: usize, at: SocketAddr, verdict: Verdict) {
        self.reports_of(id, self.ids.next(), Instant::now(), verdict, Some(at)).await;
    }

    /// What came of a probe that had begun then.
    async fn reports(&self, id: usize, probe: ProbeId, began: Instant, verdict: Verdict) {
        self.reports_of(id, probe, began, verdict, None).await;
    }

    async fn reports_of(
        &self,
        id: usize,
        probe: ProbeId,
        began: Instant,
        verdict: Verdict,
        at: Option<SocketAddr>,
    ) {
        let observation = Observation { node: NodeId(id), probe, began: began.into_std(), verdict };
        let report = ProbeReport {
            observation,
            latency: Duration::from_millis(1),
            healthy: matches!(verdict, Verdict::Leader | Verdict::Follower),
            detail: "scripted".into(),
            at,
            certificate: None,
        };
        advance(report.latency).await;
        self.inbox.report(report).await;
        // Tasks of a paused, current-thread runtime run in turn: the follower's is now.
        tokio::task::yield_now().await;
    }

    fn leader(&self) -> Option<usize> {
        self.reader.leader().map(|tenure| tenure.node.0)
    }

    fn tenure(&self) -> Arc<Tenure> {
        self.reader.leader().expect("a leader")
    }

    fn stand_in(&self) -> Option<Arc<Tenure>> {
        match self.reader.load() {
            Route::Led(_) | Route::Spread(_) => None,
            Route::Leaderless { stand_in, .. } => stand_in,
        }
    }

    /// The value of a metric with its labels, as scraped.
    fn metric(&self, name: &str) -> f64 {
        let text = String::from_utf8(crate::metrics::render(&self.registry).unwrap()).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        value.unwrap_or_else(|| panic!("no {name} in\n{text}")).trim().parse().unwrap()
    }
}

fn node_settings((id, address): (usize, Address)) -> NodeSettings {
    NodeSettings { name: format!("n{id}").into(), probe_address: address.clone(), address, priority: 0 }
}

fn address(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn is(value: f64, expected: f64) -> bool {
    (value - expected).abs() < f64::EPSILON
}

/// Time passes in steps, so that a task that waits for one of them sees it when it is due.
async fn pass(time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        advance(Duration::from_millis(10)).await;
        tokio::task::yield_now().await;
    }
}

use Verdict::{Follower, Leader};

#[tokio::test(start_paused = true)]
async fn a_statement_becomes_the_route_and_is_published() {
    let followed = Followed::start(HoldThen::Refuse, OnDemotion::Keep);
    assert_eq!(followed.leader(), None, "L1: unknown is not leader");
    followed.round([Follower, Leader, Follower]).await;
    assert_eq!(followed.leader(), Some(1));
    let status = followed.board.status();
    assert_eq!((status.leader.as_deref(), status.first_round_done), (Some("n1"), true));
    assert!(is(followed.metric("raftgate_leader{cluster=\"ctrl\",node=\"n1\"}"), 1.0));
    assert!(is(followed.metric("raftgate_leader{cluster=\"ctrl\",node=\"n0\"}"), 0.0));
    assert!(is(followed.metric("raftgate_node_state{cluster=\"ctrl\",node=\"n0\",state=\"follower\"}"), 1.0));
}

#[tokio::test(start_paused = true)]
async fn o4_a_node_that_this_machine_cannot_ask_is_not_waited_for() {
    let followed = Followed::start(HoldThen::Refuse, OnDemotion::Keep);
    followed.inbox.unasked(NodeId(2), "no descriptor");
    tokio::task::yield_now().await;
    let status = followed.board.status();
    assert_eq!(&*status.nodes[2].detail, "cannot be asked: no descriptor");
    assert!(!status.first_round_done, "of no node anything is known");
    followed.says(0, Follower).await;
    assert!(!followed.board.status().first_round_done);
    followed.says(1, Follower).await;
    assert!(followed.board.status().first_round_done);
    followed.says(2, Follower).await;
    assert_eq!(&*followed.board.status().nodes[2].detail, "scripted");
}

#[tokio::test(start_paused = true)]
async fn the_newest_report_says_whether_a_node_is_well() {
    let followed = Followed::start(HoldThen::Refuse, OnDemotion::Keep);
    let healthy = || followed.metric("raftgate_node_healthy{cluster=\"ctrl\",node=\"n0\"}");
    assert!(is(healthy(), 0.0), "not before it has said so");
    followed.says(0, Follower).await;
    assert!(is(healthy(), 1.0));
    followed.says(0, SILENCE).await;
    assert!(is(healthy(), 0.0));
}

#[tokio::test(start_paused = true)]
async fn l5_the_probers_are_paced_and_called_by_a_signal() {
    let followed = Followed::start(HoldThen::Refuse, OnDemotion::Keep);
    assert_eq!(followed.orders[2].borrow().pace, Pace::Fast, "no route");
    followed.round([Leader, Follower, Follower]).await;
    for _ in 0..8 {
        pass(Duration::from_millis(250)).await;
        followed.round([Leader, Follower, Follower]).await;
    }
    assert_eq!(followed.orders[2].borrow().pace, Pace::Steady, "all is calm");
    let before = followed.orders[2].borrow().round;
    followed.inbox.signal(NodeId(0), Suspicion::ConnectRefused);
    tokio::task::yield_now().await;
    assert_eq!(*followed.orders[2].borrow(), ProbeOrder { pace: Pace::Fast, round: before + 1, after: None });
}

#[tokio::test(start_paused = true)]
async fn s3_each_leader_statement_confirms_the_tenure() {
    let followed = Followed::start(HoldThen::Refuse, OnDemotion::Keep);
    followed.round([Leader, Follower, Follower]).await;
    let before = followed.tenure().confirmed_at();
    pass(Duration::from_millis(250)).await;
    let asked = Instant::now();
    followed.says(0, Leader).await;
    assert!(before < asked && followed.tenure().confirmed_at() == asked, "dated from when the probe began");
}

#[tokio::test(start_paused = true)]
async fn who_wants_a_newer_statement_has_the_leader_asked_once_and_nobody_else() {
    let followed = Followed::start(HoldThen::Refuse, OnDemotion::Keep);
    followed.round([Leader, Follower, Follower]).await;
    pass(Duration::from_millis(20)).await;
    let orders = || followed.orders.iter().map(|order| *order.borrow()).collect::<Vec<_>>();
    let (before, wanted) = (orders(), Instant::now());
    for earlier in [1, 0, 1] {
        followed.reader.want_confirmation(wanted - Duration::from_millis(earlier));
        tokio::task::yield_now().await;
    }
    let mut expected = before.clone();
    expected[0].after = Some(wanted);
    assert_eq!(orders(), expected, "neither a round nor another pace: it is no suspicion");
    // Enough is known already of a leader that has spoken since.
    pass(Duration::from_millis(20)).await;
    followed.says(0, Leader).await;
    followed.reader.want_confirmation(wanted + Duration::from_millis(1));
    tokio::task::yield_now().await;
    assert_eq!(orders()[0].after, Some(wanted));
}

#[tokio::test(start_paused = true)]
async fn what_is_wanted_is_wanted_of_the_next_leader_too() {
    let followed = Followed::start(HoldThen::Refuse, OnDemotion::Keep);
    followed.round([Leader, Follower, Follower]).await;
    // Begun before somebody wants a newer one, though it ends after.
    let began = Instant::now();
    pass(Duration::from_millis(20)).await;
    let wanted = Instant::now();
    followed.reader.want_confirmation(wanted);
    followed.says(0, Follower).await;
    let probe = followed.ids.next();
    let observation = Observation { node: NodeId(1), probe, began: began.into_std(), verdict: Leader };
    followed
        .inbox
        .report(ProbeReport {
            observation,
            latency: Duration::from_millis(20),
            healthy: true,
            detail: "scripted".into(),
            at: None,
            certificate: None,
        })
        .await;
    tokio::task::yield_now().await;
    assert_eq!(followed.leader(), Some(1));
    assert_eq!(followed.orders[1].borrow().after, Some(wanted));
}

#[tokio::test(start_paused = true)]
async fn l7_a_route_that_nobody_confirms_is_lost_by_itself() {
    let followed = Followed::start(HoldThen::Refuse, OnDemotion::Keep);
    followed.round([Leader, Follower, Follower]).await;
    let old = followed.tenure();
    pass(Policy::default().lease() + Duration::from_millis(20) + Policy::default().timeout).await;
    assert_eq!(followed.leader(), None);
    assert_eq!(old.fate(), Fate::Keep, "losing the lease never cuts by itself");
}

#[tokio::test(start_paused = true)]
async fn s2_a_stand_in_is_no_route_and_drains_when_a_leader_appears() {
    let followed = Followed::start(HoldThen::AnyReachable, OnDemotion::Keep);
    followed.round([SILENCE, Follower, Follower]).await;
    let stand_in = followed.stand_in().expect("a node that answers");
    assert_eq!((stand_in.node, stand_in.epoch), (NodeId(1), 0));
    assert!(is(followed.metric("raftgate_leader{cluster=\"ctrl\",node=\"n1\"}"), 0.0));
    followed.round([SILENCE, Follower, Leader]).await;
    assert_eq!((followed.leader(), stand_in.fate()), (Some(2), Fate::Drain));
}

#[tokio::test(start_paused = true)]
async fn s2_the_last_leader_stands_in_even_when_it_is_silent() {
    let followed = Followed::start(HoldThen::LastLeader, OnDemotion::Keep);
    assert!(followed.stand_in().is_none());
    followed.round([Leader, Follower, Follower]).await;
    followed.round([Follower, Follower, Follower]).await;
    assert_eq!(followed.stand_in().map(|tenure| tenure.node), Some(NodeId(0)));
}

#[tokio::test(start_paused = true)]
async fn leaderless_time_is_counted() {
    let followed = Followed::start(HoldThen::Refuse, OnDemotion::Keep);
    pass(Duration::from_secs(2)).await;
    followed.round([Leader, Follower, Follower]).await;
    pass(Duration::from_secs(1)).await;
    followed.round([Leader, Follower, Follower]).await;
    let counted = followed.metric("raftgate_leaderless_seconds_total{cluster=\"ctrl\"}");
    assert!((2.0..2.1).contains(&counted), "the second with a leader is not counted: {counted}");
    assert!(is(followed.metric("raftgate_leader_changes_total{cluster=\"ctrl\"}"), 1.0));
}

#[tokio::test(start_paused = true)]
async fn l4_a_late_verdict_is_not_shown_as_the_newest() {
    const METRIC: &str = "raftgate_node_last_verdict_timestamp_seconds{cluster=\"ctrl\",node=\"n0\"}";
    let followed = Followed::start(HoldThen::Refuse, OnDemotion::Keep);
    let early = followed.ids.next();
    let asked = Instant::now();
    followed.round([Leader, Follower, Follower]).await;
    let verdict_arrived = followed.board.status().nodes[0].last_verdict;
    let shown = followed.metric(METRIC);
    assert!(shown > 0.0, "the age of the last verdict cannot be told");
    let observation =
        Observation { node: NodeId(0), probe: early, began: asked.into_std(), verdict: Follower };
    let latency = Duration::from_millis(5);
    followed
        .inbox
        .report(ProbeReport {
            observation,
            latency,
            healthy: false,
            detail: "late".into(),
            at: None,
            certificate: None,
        })
        .await;
    tokio::task::yield_now().await;
    let status = followed.board.status();
    assert_eq!((status.leader.as_deref(), &*status.nodes[0].detail), (Some("n0"), "scripted"));
    assert_eq!(status.nodes[0].last_verdict, verdict_arrived);
    assert!(is(followed.metric(METRIC), shown));
    assert!(is(followed.metric("raftgate_node_healthy{cluster=\"ctrl\",node=\"n0\"}"), 1.0));
}

#[tokio::test(start_paused = true)]
async fn o5_after_a_panic_all_nodes_are_asked_anew_and_sessions_stay() {
    let mut followed = Followed::start(HoldThen::Refuse, OnDemotion::Drain);
    followed.round([Verdict::Leader, Verdict::Follower, Verdict::Follower]).await;
    let tenure = followed.tenure();
    followed.inbox.command(Command::Drain { node: NodeId(2), force: false }).await.unwrap();
    let rounds: Vec<u64> =
        followed.orders.iter_mut().map(|orders| orders.borrow_and_update().round).collect();
    // A shape with a node and no order for its prober: a contract that is broken is a defect, and a panic.
    let at = |id: usize| followed.addresses.get(id).cloned().unwrap_or_else(|| address(1000).into());
    let nodes = (0..5).map(|id| Some(node_settings((id, at(id)))));
    let broken = Shape {
        nodes: nodes.collect(),
        orders: Vec::new(),
        readers: OfReaders::default(),
        policy: Policy::default(),
        hold_then: HoldThen::Refuse,
        fates: FateSettings {
            on_demotion: OnDemotion::Drain,
            on_unreachable: OnUnreachable::Cut,
            unreachable_after: Duration::from_secs(10),
        },
    };
    followed.shape.send(Box::new(broken)).unwrap();
    tokio::task::yield_now().await;
    followed.inbox.command(Command::Drain { node: NodeId(4), force: false }).await.unwrap();
    assert_eq!(followed.leader(), Some(0));
    let undrained = followed.inbox.command(Command::Undrain(NodeId(4))).await;
    assert!(undrained.is_err(), "it is to be asked, and there is no way to");
    assert_eq!((followed.leader(), tenure.fate()), (None, Fate::Keep));
    let asked: Vec<u64> = followed.orders.iter_mut().map(|orders| orders.borrow_and_update().round).collect();
    assert!(asked.iter().zip(&rounds).all(|(now, before)| now > before), "{rounds:?}, {asked:?}");
    followed.round([Verdict::Leader, Verdict::Follower, Verdict::Follower]).await;
    // Two nodes have not answered: each has its deadline for that (L3).
    advance(Policy::default().answer_time()).await;
    tokio::task::yield_now().await;
    assert_eq!(followed.leader(), Some(0));
    assert!(followed.tenure().epoch > tenure.epoch);
    let history = followed.board.history();
    let ends = history.tenures.iter().map(|tenure| tenure.ended).collect::<Vec<_>>();
    assert_eq!(ends, [Some("following restarted"), None]);
    drop(history);
    let status = followed.board.status();
    let overridden: Vec<_> = status.nodes.iter().filter(|node| node.overridden.is_some()).collect();
    assert_eq!(
        overridden.iter().map(|node| &*node.name).collect::<Vec<_>>(),
        ["n2"],
        "an operator's word holds on"
    );
}
