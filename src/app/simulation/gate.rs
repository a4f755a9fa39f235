//! The gate's control plane as it is, but for the network, and a place between probers and `follow` where the judge
//! listens.

use std::net::SocketAddr;
use std::sync::Arc;

use fastrand::Rng;
use prometheus::Registry;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet, yield_now};
use tokio::time::{Duration, Instant, sleep};

use super::cluster::{FOLLOWER_STATUS, LEADER_STATUS};
use super::network::{Network, PORT, World};
use super::plan::Plan;
use crate::board::ClusterBoard;
use crate::follow::{self, Follow, Links, NodeSettings};
use crate::intent::{Inbox, Input, ProbeIds, ProbeOrder, Suspicion, inbox};
use crate::leader::NodeId;
use crate::names::Directory;
use crate::probe::judge::{Condition, Rules};
use crate::probe::{self, Prober};
use crate::tenure::{self, OfReaders, TenureReader};

/// A gate's control plane under way.
pub(super) struct Gate {
    /// What probers and clients tell.
    pub(super) told: mpsc::Receiver<Input>,
    /// What `follow` is told.
    telling: mpsc::Sender<Input>,
    pub(super) reader: TenureReader,
    pub(super) orders: Vec<watch::Receiver<ProbeOrder>>,
    pub(super) board: Arc<ClusterBoard>,
    tasks: JoinSet<()>,
    clients: Option<AbortHandle>,
}

impl Gate {
    pub(super) fn start(world: &Arc<World>, plan: &Plan, rng: Rng) -> Self {
        let now = Instant::now();
        let (writer, reader) = tenure::channel(now, Arc::default());
        let (sender, told) = inbox();
        let (telling, receiver) = mpsc::channel(1);
        let registry = Registry::new();
        let families = probe::MetricFamilies::register(&registry).expect("a new registry");
        let (ids, mut tasks) = (Arc::<ProbeIds>::default(), JoinSet::new());
        let (mut orders, mut ordered) = (Vec::new(), Vec::new());
        for id in 0..plan.size {
            let (order, orders_of_node) = watch::channel(ProbeOrder::default());
            orders.push(order);
            ordered.push(orders_of_node.clone());
            let network = Arc::new(Network(Arc::clone(world)));
            let metrics = families.node("c", &name(id));
            let (settings, ids) = (Arc::new(probe_settings(plan, id)), Arc::clone(&ids));
            let prober = Prober::over(network, settings, None, orders_of_node, sender.clone(), ids, metrics);
            let mut prober = prober.expect("sound settings");
            tasks.spawn(async move { prober.run().await });
        }
        let board = Arc::<ClusterBoard>::default();
        let directory = Directory::default();
        let links = Links {
            writer,
            readers: OfReaders::default(),
            inbox: receiver,
            orders,
            directory,
            shapes: mpsc::unbounded_channel().1,
            board: Arc::clone(&board),
        };
        let metrics = follow::Metrics::register(&registry).expect("a new registry");
        let mut follow = Follow::new(follow_settings(plan), links, &metrics, now);
        tasks.spawn(async move { follow.run().await });
        let clients = plan
            .clients
            .then(|| tokio::spawn(come(Arc::clone(world), reader.clone(), sender, rng)).abort_handle());
        Gate { told, telling, reader, orders: ordered, board, tasks, clients }
    }

    /// Tells `follow`, and returns once it has drawn its conclusions.
    pub(super) async fn tell(&self, input: Input) {
        assert!(self.telling.send(input).await.is_ok(), "follow is gone");
        while self.telling.capacity() == 0 {
            yield_now().await;
        }
    }

    /// Dismisses everybody; panics if somebody had panicked.
    pub(super) async fn stop(self) {
        let Gate { told, telling, mut tasks, clients, .. } = self;
        clients.inspect(AbortHandle::abort);
        drop((told, telling));
        while let Some(ended) = tasks.join_next().await {
            ended.expect("a task panicked");
        }
    }
}

/// Clients come to the route; that its node does not take them is a signal, and in a storm anything may look so.
async fn come(world: Arc<World>, reader: TenureReader, inbox: Inbox, mut rng: Rng) {
    loop {
        sleep(Duration::from_millis(rng.u64(20..200))).await;
        let Some(route) = reader.leader() else { continue };
        let (serves, stormy) = {
            let cluster = &world.lock().cluster;
            (cluster.serves(route.node.0), cluster.stormy)
        };
        if !serves || stormy && rng.u8(0..20) == 0 {
            inbox.signal(route.node, Suspicion::ConnectRefused);
        }
    }
}

fn name(id: usize) -> Arc<str> {
    format!("n{id}").into()
}

fn address(id: usize) -> SocketAddr {
    ([127, 0, 0, 1], PORT + u16::try_from(id).expect("few nodes")).into()
}

fn probe_settings(plan: &Plan, id: usize) -> probe::Settings {
    let status = |status| vec![Condition { status: vec![status], json: Vec::new() }];
    probe::Settings {
        cluster: "c".into(),
        node: name(id),
        id: NodeId(id),
        address: address(id).into(),
        send_proxy: None,
        tls: None,
        request: probe::Request {
            method: "GET".into(),
            path: "/".into(),
            host: "n".into(),
            headers: Vec::new(),
        },
        rules: Arc::new(Rules {
            leader: status(LEADER_STATUS..=999),
            follower: status(FOLLOWER_STATUS..=FOLLOWER_STATUS),
            health: None,
        }),
        interval: plan.policy.interval,
        fast_interval: plan.policy.fast_interval,
        timeout: plan.policy.timeout,
        renew: plan.renew,
    }
}

fn follow_settings(plan: &Plan) -> follow::Settings {
    let node = |id| {
        let address = crate::names::Address::from(address(id));
        NodeSettings { name: name(id), probe_address: address.clone(), address, priority: 0 }
    };
    follow::Settings {
        cluster: "c".into(),
        nodes: (0..plan.size).map(node).collect(),
        policy: plan.policy,
        hold_then: plan.hold_then,
        fates: plan.fates,
    }
}
