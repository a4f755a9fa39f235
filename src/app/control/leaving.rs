//! Clusters that are configured no more but still have sessions: they are followed until the last of those has ended (O2),
//! so that fates reach them (S5).

use std::collections::BTreeMap;
use std::sync::{self, Arc, Mutex, MutexGuard, PoisonError};

use tracing::info;

use super::Metrics;
use super::followed::{Followed, View};
use super::hands::{Hands, Task};
use crate::board::{Board, ClusterBoard};
use crate::intent::{Inbox, Inboxes, Interest};

/// All that are followed by name: shown on the board, and to be reached by the inboxes.
pub(super) struct Leaving {
    board: Arc<Board>,
    inboxes: Inboxes,
    metrics: Metrics,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    configured: Vec<(Arc<str>, Inbox)>,
    /// With who waits for their last session to end.
    leaving: BTreeMap<Arc<str>, (Followed, Task)>,
}

impl Leaving {
    pub(super) fn new(board: Arc<Board>, inboxes: Inboxes, metrics: Metrics) -> Self {
        Leaving { board, inboxes, metrics, known: Mutex::default() }
    }

    /// From now on these are configured, and of those that were the rest leaves: each is followed until its last session
    /// has ended. Returns those that were about to leave and are configured again.
    pub(super) fn turn_over(
        self: &Arc<Self>,
        configured: Vec<(Arc<str>, Inbox)>,
        leaving: Vec<Followed>,
        hands: &Hands,
    ) -> Vec<Followed> {
        let mut known = self.known();
        let returned = configured.iter().filter_map(|(name, _)| known.leaving.remove(name));
        let returned = returned.map(|(cluster, _)| cluster).collect();
        known.configured = configured;
        for cluster in leaving {
            let name = Arc::clone(cluster.name());
            info!(cluster = %name, "cluster removed: it is followed until its last session has ended");
            let end = hands.spawn_once(Arc::clone(self).wait_for_end(&cluster));
            known.leaving.insert(name, (cluster, end));
        }
        self.show_all(&known);
        returned
    }

    fn wait_for_end(self: Arc<Self>, cluster: &Followed) -> impl Future<Output = ()> + use<> {
        let (name, interests) = (Arc::clone(cluster.name()), cluster.view.interests.clone());
        async move {
            interests.gone().await;
            self.forget(&name);
        }
    }

    /// Where a cluster is shown.
    pub(super) fn board_of(&self, cluster: &str) -> Arc<ClusterBoard> {
        self.board.cluster(cluster).unwrap_or_default()
    }

    /// What is known of one that leaves, with an interest in it. If its last session ends in this moment, it has gone
    /// when this returns: what follows it by the same name must not be forgotten in its place.
    pub(super) fn view(self: &Arc<Self>, cluster: &Arc<str>, hands: &Hands) -> Option<(View, Interest)> {
        let view = self.known().leaving.get(cluster).map(|(followed, _)| followed.view.clone())?;
        let interest = view.interests.another();
        if interest.is_none() {
            let (gone, seen) = sync::mpsc::channel();
            let (leaving, name) = (Arc::clone(self), Arc::clone(cluster));
            hands.run(move || {
                leaving.forget(&name);
                // Whoever waits does so below.
                let _ = gone.send(());
            });
            // An error means that the thread has ended, and all clusters with it.
            let _ = seen.recv();
        }
        Some((view, interest?))
    }

    /// On the thread of the probes, so that none of them is under way and shows something again.
    fn forget(&self, name: &Arc<str>) {
        // Locked to the end: of a cluster that follows by this name, nothing is shown before.
        let mut known = self.known();
        let Some((cluster, _)) = known.leaving.remove(name) else { return };
        self.show_all(&known);
        for node in &cluster.view.nodes {
            self.metrics.probe.forget(name, &node.name);
        }
        drop(cluster);
        self.metrics.follow.forget(name);
        self.metrics.proxy.forget_cluster(name);
        info!(cluster = %name, "the last session of a removed cluster has ended");
    }

    fn show_all(&self, known: &Known) {
        let leaving = known.leaving.iter().map(|(name, (cluster, _))| (name, &cluster.view.inbox));
        let all = known.configured.iter().map(|(name, inbox)| (name, inbox)).chain(leaving);
        let all: Vec<(Arc<str>, Inbox)> =
            all.map(|(name, inbox)| (Arc::clone(name), inbox.clone())).collect();
        self.board.set_clusters(all.iter().map(|(name, _)| Arc::clone(name)));
        for (name, board) in self.board.clusters() {
            let leaving = known.leaving.contains_key(&name);
            board.set_leaving(leaving);
            self.metrics.follow.set_leaving(&name, leaving);
        }
        self.inboxes.set(all);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
