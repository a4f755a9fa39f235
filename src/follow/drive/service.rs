//! Tells people of a leader that takes no clients (L8), and has another node ready for those whose hold is over (S2).

use std::sync::Arc;

use tokio::time::Instant;
use tracing::info;

use super::super::service;
use super::Follow;
use crate::board::Happened;
use crate::leader::NodeId;
use crate::tenure::Tenure;

impl Follow {
    /// Looks at what clients have met at the leader.
    pub(super) fn watch_service(&mut self, now: Instant) {
        self.not_serving = self.route.as_ref().and_then(|route| {
            let confirmed = if route.rests_on_statements() { route.confirmed_at() } else { now };
            let failing = route.failing().filter(|failing| service::takes_none(*failing, confirmed, now))?;
            Some((Arc::clone(route), failing.cause))
        });
        let node = self.not_serving.as_ref().map(|(route, _)| route.node);
        self.tracker.handle_service(now.into_std(), node);
        self.metrics.not_serving.set(i64::from(node.is_some()));
    }

    /// Why the leader takes no clients, with its name and address, if it takes none.
    pub(super) fn service_trouble(&self) -> Option<Arc<str>> {
        let (route, cause) = self.not_serving.as_ref()?;
        Some(format!("{} takes no clients at {}: {cause}", route.name, route.address).into())
    }

    pub(super) fn note_not_serving(&self) {
        if let (Some((route, _)), Some(reason)) = (&self.not_serving, self.service_trouble()) {
            self.links.board.note(Happened::NotServing { node: Arc::clone(&route.name), reason });
        }
    }

    /// Has the node at hand to which clients go that the leader has not taken within `hold.timeout`.
    pub(super) fn choose_instead(&mut self, now: Instant, route: &Arc<Tenure>) {
        let chosen = self.not_serving.is_some().then(|| self.chosen_stand_in(Some(route.node))).flatten();
        let current = self.stand_in.as_ref().map(|tenure| (tenure.node, tenure.address));
        if chosen == current && chosen.is_some() == route.instead().is_some() {
            return;
        }
        let next = chosen.map(|(id, address)| self.stand_in_at(now, id, address));
        if let Some(name) = next.as_ref().map(|tenure| &tenure.name) {
            info!(cluster = %self.cluster, node = %name, "leader takes no clients: after hold.timeout they go to this node");
            self.links.board.note(Happened::StandIn { node: Arc::clone(name) });
        }
        self.links.writer.set_instead(route, next.clone());
        let previous = std::mem::replace(&mut self.stand_in, next);
        self.retire(previous);
    }

    pub(super) fn stand_in_at(&self, now: Instant, id: NodeId, address: std::net::SocketAddr) -> Arc<Tenure> {
        self.links.writer.stand_in(id, Arc::clone(self.nodes[id.0].name()), address, now)
    }
}
