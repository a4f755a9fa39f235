//! A gate in this process, nodes that do as the test says, and clients.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::super::access::Access;
use super::super::generation::{Entrance, Plan};
use super::super::journey::Journey;
use super::super::limits::Limits;
use super::super::routes::Routes;
use super::super::routing::Newcomer;
use super::super::sessions::Slot;
use super::super::trace::Trace;
use super::super::unjoined::Unjoined;
use super::super::worker::{Beginning, Order, Worker};
use super::super::{
    ClusterHandle, ClusterSettings, ListenerSettings, LogConnections, Metrics, Proxies, Proxy, Settings,
    Sockets, start,
};
use crate::intent::{Input, Signal, inbox, interest};
use crate::leader::NodeId;
use crate::sockets;
use crate::tenure::{OfReaders, Route, Tenure, TenureReader, TenureWriter, To, channel};

/// Far beyond what anything here takes, even on a machine that is busy otherwise.
const DEADLINE: Duration = Duration::from_secs(20);

/// An opening that a server forgets: the shortest `ClientHello`.
pub(super) fn hello() -> Vec<u8> {
    let mut hello = vec![22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 3];
    hello.extend((0..32).map(|n| n * 7));
    hello.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
    hello
}

/// A gate with one listener, one cluster of the nodes `a` and `b` unless it is told otherwise, and two workers.
pub(super) struct Gate {
    pub(super) proxy: Proxy,
    pub(super) writer: TenureWriter,
    /// Of the clusters after the first.
    pub(super) other_writers: Vec<TenureWriter>,
    pub(super) route: TenureReader,
    /// Says where its readers go, who come in where `settings` have them do so.
    pub(super) followers: TenureWriter,
    pub(super) address: SocketAddr,
    signals: mpsc::Receiver<Input>,
    registry: Registry,
}

impl Gate {
    pub(super) fn start(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = settings();
        change(&mut settings);
        let sockets = sockets::bind(SocketAddr::from(([127, 0, 0, 1], 0)), 2).unwrap();
        let address = sockets[0].local_addr().unwrap();
        let (writer, route) = channel(Instant::now(), Arc::default());
        let (own_inbox, signals) = inbox();
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        let (followers, readers) = channel(Instant::now(), Arc::default());
        let mut handles = vec![ClusterHandle {
            route: route.clone(),
            readers: OfReaders::new(&[To::Followers], |_| readers.clone()),
            inbox: own_inbox,
            interest: interest().0,
        }];
        let mut other_writers = Vec::new();
        for _ in &settings.clusters[1..] {
            let (writer, route) = channel(Instant::now(), Arc::default());
            other_writers.push(writer);
            handles.push(ClusterHandle {
                route,
                readers: OfReaders::default(),
                inbox: inbox().0,
                interest: interest().0,
            });
        }
        let proxy = start(
            settings,
            vec![vec![Sockets::New { sockets, shared: false }]],
            handles,
            metrics,
            tokio::sync::watch::channel(None).0,
        )
        .unwrap();
        Gate { proxy, writer, other_writers, route, followers, address, signals, registry }
    }

    /// With the usual settings of the cluster changed.
    pub(super) fn with(change: impl FnOnce(&mut ClusterSettings)) -> Self {
        Gate::start(|settings| change(&mut settings.clusters[0]))
    }

    /// With readers, who want followers, in place of the leader's clients.
    pub(super) fn for_readers() -> Self {
        Gate::start(|settings| settings.listeners[0].to = To::Followers)
    }

    pub(super) async fn client(&self) -> TcpStream {
        within("a client connects", TcpStream::connect(self.address)).await.unwrap()
    }

    /// A client that has said this already.
    pub(super) async fn client_saying(&self, bytes: &[u8]) -> TcpStream {
        let mut client = self.client().await;
        client.write_all(bytes).await.unwrap();
        client
    }

    /// A client comes and is reset at once: by the time its `connect` returns, or soon after.
    pub(super) async fn turns_away(&self) {
        let coming = async {
            let mut client = TcpStream::connect(self.address).await?;
            client.read_u8().await
        };
        let error = within("a client is turned away", coming).await.expect_err("a reset was expected");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }

    /// Makes the node lead from this moment.
    pub(super) fn lead(&mut self, node: usize, address: SocketAddr) -> Arc<Tenure> {
        self.writer.lead(NodeId(node), NAMES[node].into(), address, Instant::now())
    }

    /// The same in the cluster that stands in this place behind the first.
    pub(super) fn lead_other(&mut self, other: usize, node: usize, address: SocketAddr) -> Arc<Tenure> {
        self.other_writers[other].lead(NodeId(node), NAMES[node].into(), address, Instant::now())
    }

    /// Sends readers to these nodes from this moment.
    pub(super) fn spread(&mut self, nodes: &[(usize, SocketAddr)]) -> Vec<Arc<Tenure>> {
        let now = Instant::now();
        let tenure = |(node, address): &(usize, _)| {
            self.followers.reader(NodeId(*node), NAMES[*node].into(), *address, now)
        };
        let tenures: Vec<_> = nodes.iter().map(tenure).collect();
        self.followers.spread(tenures.iter().cloned());
        tenures
    }

    /// Ends the route, as if it had ended that long ago.
    pub(super) fn leaderless(&mut self, ago: Duration, stand_in: Option<Arc<Tenure>>) {
        self.writer.leaderless(Instant::now().checked_sub(ago).unwrap(), stand_in);
    }

    pub(super) fn stand_in(&self, node: usize, address: SocketAddr) -> Arc<Tenure> {
        self.writer.stand_in(NodeId(node), NAMES[node].into(), address, Instant::now())
    }

    /// Has the leader confirm itself by a probe begun now.
    pub(super) fn confirm(&self) {
        let Route::Led(tenure) = self.route.load() else { panic!("nobody leads") };
        tenure.confirm(Instant::now());
    }

    pub(super) async fn signal(&mut self) -> Signal {
        match within("a signal", self.signals.recv()).await {
            Some(Input::Signal(signal)) => signal,
            other => panic!("no signal but {other:?}"),
        }
    }

    pub(super) fn has_signal(&mut self) -> bool {
        self.signals.try_recv().is_ok()
    }

    /// The sum over all series of a metric that have these label values.
    pub(super) fn metric(&self, name: &str, labels: &[&str]) -> u64 {
        let families = self.registry.gather();
        let metrics = families.iter().filter(|family| family.name() == format!("raftgate_{name}"));
        metrics
            .flat_map(prometheus::proto::MetricFamily::get_metric)
            .filter(|metric| {
                labels.iter().all(|value| metric.get_label().iter().any(|l| l.value() == *value))
            })
            .map(|metric| {
                let value = metric.get_counter().get_value() + metric.get_gauge().get_value();
                whole(value) + metric.get_histogram().get_sample_count()
            })
            .sum()
    }

    /// Waits until a metric has a value.
    pub(in super::super) async fn until(&self, name: &str, labels: &[&str], value: u64) {
        until(&format!("{name} {labels:?} is {value}"), || self.metric(name, labels) == value).await;
    }

    /// Waits until exactly one connection ended, and for this reason; then ends the gate.
    pub(super) async fn ends_with(self, reason: &str) {
        self.until("connections_closed_total", &[reason], 1).await;
        assert_eq!(self.metric("connections_closed_total", &[]), 1);
        self.end().await;
    }

    /// Ends the gate and sees that nothing leaked.
    pub(super) async fn end(self) {
        self.proxy.cut();
        within("the gate ends", self.proxy.drained()).await;
        for gauge in ["connections_active", "held_connections", "sessions_active"] {
            self.until(gauge, &[], 0).await;
        }
        let count = |name| self.metric(name, &[]);
        assert_eq!(
            count("connections_total"),
            count("connections_refused_total") + count("connections_closed_total"),
            "accepted = refused + closed + active"
        );
        assert_eq!(self.proxy.active(), 0);
        tokio::task::spawn_blocking(|| self.proxy.join()).await.unwrap();
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is counted here is small, whole and never negative"
)]
fn whole(value: f64) -> u64 {
    assert!(value >= 0.0 && value.fract() == 0.0, "{value} is no count");
    value as u64
}

/// What one worker's connections share, without a thread, a route or a socket.
pub(in super::super) fn bare_worker() -> (Rc<Worker>, Rc<Entrance>) {
    bare_worker_with(|_| {})
}

/// The same with its listener changed.
fn bare_worker_with(change: impl FnOnce(&mut ListenerSettings)) -> (Rc<Worker>, Rc<Entrance>) {
    let mut settings = settings();
    change(&mut settings.listeners[0]);
    bare_worker_of(settings, channel(Instant::now(), Arc::default()).1)
}

/// The same with these settings, and this route to its cluster.
pub(in super::super) fn bare_worker_of(
    settings: Settings,
    route: TenureReader,
) -> (Rc<Worker>, Rc<Entrance>) {
    let (orders, received) = tokio::sync::watch::channel(Order::Serve);
    // Without who gives orders it would end.
    std::mem::forget(orders);
    bare_worker_under(received, settings, route)
}

/// The same, under these orders.
pub(in super::super) fn bare_worker_under(
    orders: tokio::sync::watch::Receiver<Order>,
    settings: Settings,
    route: TenureReader,
) -> (Rc<Worker>, Rc<Entrance>) {
    let metrics = Metrics::register(&Registry::new()).unwrap();
    let handle =
        ClusterHandle { route, readers: OfReaders::default(), inbox: inbox().0, interest: interest().0 };
    let mut limits = Limits::new();
    limits.adapt(&settings);
    let worker = Worker::new(Beginning {
        places: Arc::clone(&limits.in_all),
        plan: Plan::new(settings, &limits, vec![handle], metrics),
        orders,
        failing: tokio::sync::watch::channel(None).0,
    });
    let entrance = worker.entrance(0);
    (worker, entrance)
}

/// A client that has just been let in, on its way to the nodes of a cluster that this writer leads.
pub(in super::super) struct Bare {
    pub(in super::super) journey: Journey,
    pub(in super::super) writer: TenureWriter,
    /// Keeps its place in the table of sessions.
    pub(in super::super) slot: Slot,
}

/// One by itself, at a listener with these proxies.
pub(in super::super) fn bare_journey(client: TcpStream, proxies: &[&str]) -> Bare {
    let (newcomer, slot) = bare_newcomer(client, |listener| listener.proxies = networks(proxies));
    let (writer, route) = channel(Instant::now(), Arc::default());
    let cluster = Rc::clone(newcomer.entrance.cluster_at(0));
    let mut journey = newcomer.bound_for(&cluster);
    journey.route = route;
    Bare { journey, writer, slot }
}

/// A client that belongs to no cluster yet, and what keeps its place.
pub(in super::super) fn bare_newcomer(
    client: TcpStream,
    change: impl FnOnce(&mut ListenerSettings),
) -> (Newcomer, Slot) {
    let (worker, entrance) = bare_worker_with(change);
    let meter = Rc::default();
    let trace = Rc::new(Trace::new(client.peer_addr().unwrap()));
    let slot = worker.sessions.admit(&entrance, &meter, &trace);
    let newcomer = Newcomer {
        entrance,
        trace,
        client: Unjoined::new(client),
        key: slot.key(),
        meter,
        worker,
        of_source: None,
    };
    (newcomer, slot)
}

/// The two ends of a connection, the first one for the gate.
pub(in super::super) async fn pair() -> (TcpStream, TcpStream) {
    let port = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let theirs = TcpStream::connect(port.local_addr().unwrap()).await.unwrap();
    theirs.set_nodelay(true).unwrap();
    (port.accept().await.unwrap().0, theirs)
}

/// Proxies in these networks.
pub(in super::super) fn networks(texts: &[&str]) -> Proxies {
    Proxies(texts.iter().map(|text| text.parse().unwrap()).collect())
}

const NAMES: [&str; 2] = ["a", "b"];

pub(in super::super) fn settings() -> Settings {
    Settings {
        workers: 2,
        pipes: 4,
        max_connections: 1000,
        log_connections: LogConnections::None,
        listeners: vec![ListenerSettings {
            name: "edge".into(),
            bind: Vec::new(),
            cluster: Some(0),
            routes: Routes::none(),
            proxies: Proxies::default(),
            to: To::Leader,
            access: Access::default(),
            max_connections: None,
            max_connections_per_source: None,
        }],
        clusters: vec![ClusterSettings {
            name: "raft".into(),
            nodes: NAMES.map(|name| Some(name.into())).to_vec(),
            hold_timeout: DEADLINE,
            max_age: None,
            hold_limit: 1000,
            connect_timeout: DEADLINE,
            on_first_byte: false,
            first_byte_timeout: None,
            send_proxy: None,
            source: Arc::new([]),
            idle: None,
            half_closed: None,
            drain: DEADLINE,
        }],
    }
}

/// A node that does as the test says.
pub(super) struct Node {
    listener: TcpListener,
    pub(super) address: SocketAddr,
}

impl Node {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        Node { address: listener.local_addr().unwrap(), listener }
    }

    pub(super) async fn accept(&self) -> TcpStream {
        within("the node is dialled", self.listener.accept()).await.unwrap().0
    }

    /// Takes a connection whose client is known to have said this.
    pub(super) async fn accept_hearing(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = self.accept().await;
        assert_eq!(hear(&mut stream, bytes.len()).await, bytes);
        stream
    }

    /// Whether somebody has dialled it whom nobody has accepted.
    pub(super) async fn is_dialled(&self) -> bool {
        tokio::time::timeout(Duration::ZERO, self.listener.accept()).await.is_ok()
    }
}

/// A port on which nobody listens yet; whoever connects is refused.
pub(super) struct DeadPort(TcpSocket);

impl DeadPort {
    pub(super) fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        DeadPort(socket)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub(super) fn listen(self) -> Node {
        let address = self.address();
        Node { listener: self.0.listen(16).unwrap(), address }
    }
}

pub(in super::super) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("in vain: {what}"))
}

pub(in super::super) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    within(what, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

pub(super) async fn hear(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    within("bytes arrive", stream.read_exact(&mut bytes)).await.unwrap();
    bytes
}

pub(super) async fn say(stream: &mut TcpStream, bytes: &[u8]) {
    within("bytes leave", stream.write_all(bytes)).await.unwrap();
}

/// Both ways, once.
pub(super) async fn assert_joined(client: &mut TcpStream, node: &mut TcpStream) {
    say(node, b"from the node").await;
    assert_eq!(hear(client, 13).await, b"from the node");
    say(client, b"from the client").await;
    assert_eq!(hear(node, 15).await, b"from the client");
}

pub(super) async fn assert_closed(stream: &mut TcpStream) {
    let read = within("the end of file", stream.read(&mut [0])).await;
    assert_eq!(read.unwrap(), 0, "a byte where the end of file was expected");
}

pub(in super::super) async fn assert_reset(stream: &mut TcpStream) {
    let error = within("a reset", stream.read(&mut [0])).await.expect_err("a reset was expected");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

/// Closes it so that the peer sees a reset.
pub(super) fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
    drop(stream);
}
