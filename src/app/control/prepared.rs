//! What is to become of one cluster: all that can fail has been done, and nothing has begun.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::followed::{Followed, Member, NodeTasks, Present, View};
use super::hands::Hands;
use super::new_prober::NewProber;
use super::{ControlError, Plan};
use crate::app::resolve;
use crate::board::ClusterBoard;
use crate::follow::{self, Follow, Links, Shape};
use crate::intent::{Inbox, Input, Interest, NodeId, ProbeOrder, inbox, interest};
use crate::memory::ClusterMemory;
use crate::names::{self, Directory, Host};
use crate::proxy::ClusterHandle;
use crate::tenure::{self, OfReaders, TenureWriter, To};

/// One cluster as it is to be followed.
pub(in crate::app) struct Prepared {
    view: View,
    /// As long as this is there, the cluster is not taken for one that concerns nobody any more.
    interest: Interest,
    how: How,
    /// The files of certificates that hold others than before.
    renewed: Vec<String>,
}

/// How that is reached from how it is.
enum How {
    /// It is so already.
    Stays,
    /// It is followed already, and is to have another shape.
    Changes { nodes: Vec<Change>, shape: Box<Shape> },
    /// It is new.
    Begins { nodes: Vec<Change>, settings: Box<follow::Settings>, ends: Box<Ends> },
}

/// The tasks that one node is to have from now on, where they are not those that it has.
#[derive(Default)]
struct Change {
    prober: Option<NewProber>,
    look_ups: Option<Vec<Host>>,
}

/// What belongs to `follow` alone of a cluster's channels.
struct Ends {
    writer: TenureWriter,
    readers: OfReaders<TenureWriter>,
    inbox: mpsc::Receiver<Input>,
    orders: Vec<watch::Sender<ProbeOrder>>,
    shapes: mpsc::UnboundedReceiver<Box<Shape>>,
}

impl Prepared {
    /// `before` is the cluster of that name, if it is followed already, with an interest that keeps it so.
    pub(super) fn new(
        plan: Plan,
        before: Option<(View, Interest)>,
        hands: &Hands,
    ) -> Result<Self, ControlError> {
        match before {
            Some((view, interest)) if view.is_as(&plan) => {
                Ok(Prepared { view, interest, how: How::Stays, renewed: Vec::new() })
            }
            Some((view, interest)) => Self::changed(plan, &view, interest, hands),
            None => Self::fresh(plan, hands),
        }
    }

    fn fresh(plan: Plan, hands: &Hands) -> Result<Self, ControlError> {
        let channel = || tenure::channel(Instant::now(), Arc::clone(&hands.epochs));
        let (writer, route) = channel();
        let (writers, readers) = OfReaders::new(&plan.readers, |_| channel()).unzip();
        let (sender, receiver) = inbox();
        let (shape, shapes) = mpsc::unbounded_channel();
        let (interest, interests) = interest();
        let directory = Directory::default();
        let nodes = members(&plan, &[], &directory);
        let (changes, orders) = changes(&plan, &nodes, None, &sender, hands)?;
        let orders = orders.into_iter().map(|(_, order)| order).collect();
        let ends = Box::new(Ends { writer, readers: writers, inbox: receiver, orders, shapes });
        let addresses: Vec<_> =
            nodes.iter().filter_map(|node| Some(node.present.as_ref()?.addresses.clone())).collect();
        let settings = Box::new(plan.config.follow_settings(&addresses));
        let how = How::Begins { nodes: changes, settings, ends };
        let Plan { config, tls, .. } = plan;
        let view =
            View { config, tls, nodes, directory, route, readers, inbox: sender, interests, shapes: shape };
        Ok(Prepared { view, interest, how, renewed: Vec::new() })
    }

    fn changed(plan: Plan, before: &View, interest: Interest, hands: &Hands) -> Result<Self, ControlError> {
        let new: Vec<To> =
            plan.readers.iter().copied().filter(|kind| before.readers.get(*kind).is_none()).collect();
        let channel = || tenure::channel(Instant::now(), Arc::clone(&hands.epochs));
        let (writers, more) = OfReaders::new(&new, |_| channel()).unzip();
        let nodes = members(&plan, &before.nodes, &before.directory);
        let (changes, orders) = changes(&plan, &nodes, Some(before), &before.inbox, hands)?;
        let settings = |node: &Member| {
            node.present.as_ref().map(|present| present.config.follow_settings(&present.addresses))
        };
        let shape = Box::new(Shape {
            nodes: nodes.iter().map(settings).collect(),
            orders,
            readers: writers,
            policy: plan.config.probe.policy,
            hold_then: plan.config.hold.then,
            fates: plan.config.fates,
        });
        let Plan { config, tls, .. } = plan;
        let renewed = match (&before.tls, &tls) {
            (Some(before), Some(now)) => now.changed_files(before),
            _ => Vec::new(),
        };
        let mut view = View { config, tls, nodes, ..before.clone() };
        view.readers.extend(more);
        Ok(Prepared { view, interest, how: How::Changes { nodes: changes, shape }, renewed })
    }

    pub(in crate::app) fn name(&self) -> &Arc<str> {
        &self.view.config.name
    }

    /// The files of certificates that hold others than before, for a cluster that is followed already.
    pub(in crate::app) fn renewed(&self) -> &[String] {
        &self.renewed
    }

    pub(super) fn inbox(&self) -> Inbox {
        self.view.inbox.clone()
    }

    /// The data plane's strings to it.
    pub(in crate::app) fn handle(&self) -> ClusterHandle {
        self.view.handle(self.interest.clone())
    }

    /// The names of its nodes by their ids, of which there is one for every node that it has ever had.
    pub(in crate::app) fn nodes(&self) -> Vec<Option<Arc<str>>> {
        let name = |node: &Member| node.present.is_some().then(|| Arc::clone(&node.name));
        self.view.nodes.iter().map(name).collect()
    }

    /// Has it so. `known` is the cluster as it was, if it is followed already; else `remembered` is what another process
    /// knew of it, and when that was asked.
    pub(super) fn begin(
        self,
        known: Option<Followed>,
        board: Arc<ClusterBoard>,
        remembered: Option<&(Instant, ClusterMemory)>,
        hands: &Hands,
    ) -> Followed {
        let still = "a cluster is followed as long as somebody has an interest in it, as this has";
        let refresh = self.view.config.dns_refresh;
        let (mut followed, changes) = match self.how {
            How::Stays => return known.expect(still),
            How::Changes { nodes, shape } => {
                // Before all else: no report shall come of a node that nobody has told of.
                let _ = self.view.shapes.send(shape);
                let mut followed = known.expect(still);
                followed.view = self.view;
                (followed, nodes)
            }
            How::Begins { nodes, settings, ends } => {
                let Ends { writer, readers, inbox, orders, shapes } = *ends;
                let directory = self.view.directory.clone();
                let links = Links { writer, readers, inbox, orders, directory, shapes, board };
                let (now, memory) = match remembered {
                    Some((asked, memory)) => (*asked, Some(memory)),
                    None => (Instant::now(), None),
                };
                let follow = Follow::recalling(*settings, links, &hands.metrics.follow, now, memory);
                let follow = follow.with_orders(hands.orders.clone(), now);
                // In a box, for it is handed on, and each hand that it goes through keeps its room.
                let mut follow = Box::new(follow);
                let follow = hands.spawn_once(async move { follow.run().await });
                (Followed { view: self.view, tasks: Vec::new(), _follow: follow }, nodes)
            }
        };
        followed.tasks.resize_with(changes.len(), NodeTasks::default);
        for (tasks, change) in followed.tasks.iter_mut().zip(changes) {
            if let Some(hosts) = change.look_ups {
                let look_up = |host: Host| {
                    let role = format!("look-up of {}", host.name());
                    hands.spawn(role, move || names::keep(host.clone(), refresh, names::system))
                };
                tasks.look_ups = hosts.into_iter().map(look_up).collect();
            }
            if let Some(prober) = change.prober {
                tasks.prober = Some(prober.spawn(hands));
            }
        }
        followed.end_absent(hands);
        followed
    }
}

impl View {
    fn is_as(&self, plan: &Plan) -> bool {
        self.config == plan.config
            && plan.readers.iter().all(|kind| self.readers.get(*kind).is_some())
            && self.trusts_as(plan)
    }

    /// Whether the files that TLS is made from hold what they held.
    fn trusts_as(&self, plan: &Plan) -> bool {
        match (&self.tls, &plan.tls) {
            (Some(before), Some(now)) => before.has_read_the_same(now),
            (None, None) => true,
            _ => false,
        }
    }
}

/// All nodes by their ids: those there were, and then those that are new.
fn members(plan: &Plan, before: &[Member], directory: &Directory) -> Vec<Member> {
    let gone = |node: &Member| Member { name: Arc::clone(&node.name), present: None };
    let mut members = Vec::with_capacity(before.len().max(plan.config.nodes.len()));
    members.extend(before.iter().map(gone));
    for node in &plan.config.nodes {
        let known = members.iter().position(|member| member.name == node.name);
        let id = known.unwrap_or_else(|| {
            members.push(Member { name: Arc::clone(&node.name), present: None });
            members.len() - 1
        });
        let was = before.get(id).and_then(|member| member.present.as_ref());
        let same_place = |was: &&Present| {
            was.config.address == node.address && was.config.probe_address == node.probe_address
        };
        let (addresses, hosts) = match was.filter(same_place) {
            Some(was) => (was.addresses.clone(), was.hosts.clone()),
            None => resolve::enter_node(directory, node),
        };
        let probe = Arc::new(plan.config.prober(NodeId(id), node, &addresses));
        members[id].present = Some(Present { config: node.clone(), addresses, hosts, probe });
    }
    members
}

type Orders = Vec<(NodeId, watch::Sender<ProbeOrder>)>;

/// What each node needs of new tasks, and the orders of new probers.
fn changes(
    plan: &Plan,
    nodes: &[Member],
    before: Option<&View>,
    inbox: &Inbox,
    hands: &Hands,
) -> Result<(Vec<Change>, Orders), ControlError> {
    let (mut changes, mut orders) = (Vec::new(), Vec::new());
    let refresh_stays = before.is_some_and(|view| view.config.dns_refresh == plan.config.dns_refresh);
    for (id, node) in nodes.iter().enumerate() {
        let mut change = Change::default();
        if let Some(present) = &node.present {
            let was = before.and_then(|view| view.nodes.get(id)?.present.as_ref());
            let asks_alike = before.zip(was).is_some_and(|(view, was)| {
                was.probe == present.probe && (present.probe.tls.is_none() || view.trusts_as(plan))
            });
            if !asks_alike {
                let (order, ordered) = watch::channel(ProbeOrder::default());
                orders.push((NodeId(id), order));
                let tls = plan.tls.clone();
                change.prober = Some(NewProber::new(Arc::clone(&present.probe), tls, ordered, inbox, hands)?);
            }
            let looked_up_alike = refresh_stays && was.is_some_and(|was| was.addresses == present.addresses);
            change.look_ups = (!looked_up_alike).then(|| present.hosts.clone());
        }
        changes.push(change);
    }
    Ok((changes, orders))
}
