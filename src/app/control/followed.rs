//! One cluster under way: its tasks, and what they were made from.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::hands::{Hands, Task};
use crate::config::{self, NodeAddresses};
use crate::follow::Shape;
use crate::intent::{Inbox, Interest, Interests};
use crate::names::{Directory, Host};
use crate::probe;
use crate::probe::tls::Connector;
use crate::proxy::ClusterHandle;
use crate::tenure::{OfReaders, TenureReader};

/// A cluster that is followed. Dropped, its tasks end.
pub(super) struct Followed {
    pub(super) view: View,
    /// By the nodes' ids.
    pub(super) tasks: Vec<NodeTasks>,
    pub(super) _follow: Task,
}

/// One node's tasks; none if it is not there any more.
#[derive(Default)]
pub(super) struct NodeTasks {
    pub(super) prober: Option<Task>,
    pub(super) look_ups: Vec<Task>,
}

/// What is known of a cluster that is followed.
#[derive(Clone)]
pub(super) struct View {
    pub(super) config: Arc<config::Cluster>,
    pub(super) tls: Option<Connector>,
    /// By their ids, those that are not there any more, too.
    pub(super) nodes: Vec<Member>,
    pub(super) directory: Directory,
    pub(super) route: TenureReader,
    pub(super) readers: OfReaders<TenureReader>,
    pub(super) inbox: Inbox,
    pub(super) interests: Interests,
    /// In boxes, for a channel has room for many at any time.
    pub(super) shapes: mpsc::UnboundedSender<Box<Shape>>,
}

/// One node.
#[derive(Clone)]
pub(super) struct Member {
    pub(super) name: Arc<str>,
    /// As long as it is there.
    pub(super) present: Option<Present>,
}

/// A node that is there.
#[derive(Clone)]
pub(super) struct Present {
    pub(super) config: config::Node,
    pub(super) addresses: NodeAddresses,
    /// Those that have to be looked up.
    pub(super) hosts: Vec<Host>,
    pub(super) probe: Arc<probe::Settings>,
}

impl Followed {
    pub(super) fn name(&self) -> &Arc<str> {
        &self.view.config.name
    }

    /// Ends the tasks of nodes that are not there any more, and shows nothing more of their probes.
    pub(super) fn end_absent(&mut self, hands: &Hands) {
        let nodes = self.view.nodes.iter().zip(&mut self.tasks);
        for (node, tasks) in nodes.filter(|(node, _)| node.present.is_none()) {
            if tasks.prober.is_none() {
                continue;
            }
            *tasks = NodeTasks::default();
            let (metrics, cluster) = (hands.metrics.probe.clone(), Arc::clone(&self.view.config.name));
            let node = Arc::clone(&node.name);
            // Between other tasks: the prober's is over by then, and shows nothing again.
            hands.run(move || metrics.forget(&cluster, &node));
        }
    }
}

impl View {
    /// The data plane's strings to it.
    pub(super) fn handle(&self, interest: Interest) -> ClusterHandle {
        ClusterHandle {
            route: self.route.clone(),
            readers: self.readers.clone(),
            inbox: self.inbox.clone(),
            interest,
        }
    }
}
