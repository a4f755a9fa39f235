//! Answers who asks for this worker's sessions, and cuts those that an operator wants gone (O6).

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;

use super::super::outcome::Outcome;
use super::{Entry, Sessions, Stage};
use crate::census::{Filter, Listing, Question, Session, State};

impl Sessions {
    /// Answers questions one after the other, a batch of the table at a time, for as long as somebody may ask.
    pub(in super::super) async fn answer(self: Rc<Self>, questions: Rc<Mutex<mpsc::Receiver<Question>>>) {
        // Nobody else takes any: it is shared only so that whoever answers can be begun anew.
        let mut questions = questions.lock().await;
        while let Some(question) = questions.recv().await {
            // Whoever has gone does not want to know.
            match question {
                Question::List(filter, limit, reply) => drop(reply.send(self.list(&filter, limit).await)),
                Question::Works(reply) => drop(reply.send(())),
                Question::Cut(filter, reply) => drop(reply.send(self.cut_by_order(&filter).await)),
            }
        }
    }

    pub(super) async fn list(&self, filter: &Filter, limit: usize) -> Listing {
        let now = Instant::now();
        let mut listing = Listing::default();
        self.walk(|_, entry| {
            if entry.is_meant(filter) {
                listing.total += 1;
                if listing.sessions.len() < limit {
                    listing.sessions.push(entry.tell(now));
                }
            }
        })
        .await;
        listing
    }

    /// Whoever comes after the order is not meant, even in the place of one who was.
    pub(super) async fn cut_by_order(&self, filter: &Filter) -> usize {
        let ordered = Instant::now();
        let mut meant = Vec::new();
        self.walk(|key, entry| {
            if entry.is_joined_as(filter) {
                meant.push(key);
            }
        })
        .await;
        self.cut(&meant, Outcome::Cut, |entry| {
            entry.is_joined_as(filter) && entry.trace.accepted() <= ordered
        })
        .await
    }
}

impl Entry {
    fn is_meant(&self, filter: &Filter) -> bool {
        let node = match &self.stage {
            Stage::Joined { tenure, .. } => Some(&tenure.name),
            Stage::Arriving | Stage::Held => None,
        };
        filter.cluster.as_ref().is_none_or(|wanted| self.cluster_name() == Some(wanted))
            && filter.node.as_ref().is_none_or(|wanted| node == Some(wanted))
    }

    fn cluster_name(&self) -> Option<&Arc<str>> {
        self.cluster.as_ref().map(|cluster| &cluster.settings.name)
    }

    fn is_joined_as(&self, filter: &Filter) -> bool {
        matches!(self.stage, Stage::Joined { .. }) && self.is_meant(filter)
    }

    fn tell(&self, now: Instant) -> Session {
        let (tenure, state) = match &self.stage {
            Stage::Arriving => (None, State::Arriving),
            Stage::Held => (None, State::Held),
            Stage::Joined { tenure, drain_until: None } => (Some(tenure), State::Joined),
            Stage::Joined { tenure, drain_until: Some(_) } => (Some(tenure), State::Draining),
        };
        Session {
            listener: Arc::clone(&self.listener.name),
            client: self.trace.client(),
            cluster: self.cluster_name().cloned(),
            node: tenure.map(|tenure| Arc::clone(&tenure.name)),
            epoch: tenure.map(|tenure| tenure.epoch),
            age: now.saturating_duration_since(self.trace.accepted()),
            to_node: self.meter.to_node.get(),
            to_client: self.meter.to_client.get(),
            state,
        }
    }
}
