//! Bounds over all workers (S8), as guards: whatever ends a connection gives its place back.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::outcome::Refusal;
use super::refusals::RefusalWarnings;
use super::settings::{ListenerSettings, Settings};
use super::sources::{SourcePlace, Sources};

/// So many places and no more.
#[derive(Debug)]
pub(super) struct Places {
    taken: AtomicUsize,
    limit: AtomicUsize,
    /// Rung whenever the last place is given back.
    emptied: Notify,
}

/// One of [`Places`], until dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Places>);

impl Places {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Places {
            taken: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
            emptied: Notify::new(),
        })
    }

    /// A place, unless all are taken.
    pub(super) fn take(self: &Arc<Self>) -> Option<Place> {
        // Counted first and taken back if it was one too many: cheaper than a compare-and-swap loop, and
        // the bound holds all the same.
        if self.taken.fetch_add(1, Ordering::AcqRel) < self.limit.load(Ordering::Relaxed) {
            return Some(Place(Arc::clone(self)));
        }
        self.give_back();
        None
    }

    /// From now on there are so many. Whoever has a place keeps it, even beyond that.
    pub(super) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }

    /// Waits until none is taken.
    pub(super) async fn emptied(&self) {
        loop {
            let rung = self.emptied.notified();
            if self.taken() == 0 {
                return;
            }
            rung.await;
        }
    }

    fn give_back(&self) {
        if self.taken.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.emptied.notify_waiters();
        }
    }
}

/// One listener's own bounds, over all workers.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    places: Arc<Places>,
    /// Counted only where there is a bound: it takes a lock.
    sources: Option<Arc<Sources>>,
    /// What the log says of clients that are refused.
    pub(super) warnings: Arc<RefusalWarnings>,
}

/// All bounds, as the newest settings want them.
#[derive(Debug)]
pub(super) struct Limits {
    /// Connections.
    pub(super) in_all: Arc<Places>,
    listeners: BTreeMap<Arc<str>, Bounds>,
    held: BTreeMap<Arc<str>, Arc<Places>>,
}

impl Limits {
    pub(super) fn new() -> Self {
        Limits { in_all: Places::new(0), listeners: BTreeMap::new(), held: BTreeMap::new() }
    }

    /// Adopts the limits of these settings: from now on for whoever comes, and whoever was let in before still counts.
    pub(super) fn adapt(&mut self, settings: &Settings) {
        self.in_all.set_limit(settings.max_connections);
        let listeners = settings.listeners.iter().map(|listener| {
            let known = self.listeners.get(&listener.name);
            let bounds = known.map_or_else(|| Bounds::new(listener), |bounds| bounds.adapt(listener));
            (Arc::clone(&listener.name), bounds)
        });
        // Who came before its listener or cluster was removed still counts if that is back before he has gone.
        let listeners: BTreeMap<_, _> = listeners.collect();
        self.listeners.retain(|_, bounds| bounds.places.taken() > 0);
        self.listeners.extend(listeners);
        let held = settings.clusters.iter().map(|cluster| {
            let known = self.held.get(&cluster.name).cloned();
            let places = known.unwrap_or_else(|| Places::new(0));
            places.set_limit(cluster.hold_limit);
            (Arc::clone(&cluster.name), places)
        });
        let held: BTreeMap<_, _> = held.collect();
        self.held.retain(|_, places| places.taken() > 0);
        self.held.extend(held);
    }

    /// Those of the listeners, in the settings' order.
    pub(super) fn of_listeners(&self, settings: &Settings) -> Vec<Bounds> {
        settings.listeners.iter().filter_map(|listener| self.listeners.get(&listener.name).cloned()).collect()
    }

    /// How many clients of each cluster may be held, in the settings' order.
    pub(super) fn of_held(&self, settings: &Settings) -> Vec<Arc<Places>> {
        settings.clusters.iter().filter_map(|cluster| self.held.get(&cluster.name).cloned()).collect()
    }
}

/// What a connection has of all the bounds, until dropped.
#[derive(Debug)]
pub(super) struct Admission {
    _in_all: Place,
    _at_listener: Place,
    /// Boxed, for where there is a bound it costs a little more, and elsewhere next to nothing (D4).
    _of_source: Option<Box<SourcePlace>>,
}

impl Bounds {
    pub(super) fn new(settings: &ListenerSettings) -> Self {
        Bounds {
            places: Places::new(settings.max_connections.unwrap_or(usize::MAX)),
            sources: settings.max_connections_per_source.map(Sources::new),
            warnings: Arc::default(),
        }
    }

    /// The bounds of the same listener under other settings. Whoever was let in still counts, but for its source where
    /// sources were not counted before.
    pub(super) fn adapt(&self, settings: &ListenerSettings) -> Self {
        self.places.set_limit(settings.max_connections.unwrap_or(usize::MAX));
        let sources = match (&self.sources, settings.max_connections_per_source) {
            (Some(sources), Some(limit)) => {
                sources.set_limit(limit);
                Some(Arc::clone(sources))
            }
            (_, limit) => limit.map(Sources::new),
        };
        let warnings = Arc::clone(&self.warnings);
        Bounds { places: Arc::clone(&self.places), sources, warnings }
    }

    /// Lets a client in that has its place among all; a proxy's without an address, which is not known yet.
    ///
    /// # Errors
    /// Which bound it is beyond.
    pub(super) fn admit(&self, client: Option<IpAddr>, in_all: Place) -> Result<Admission, Refusal> {
        let of_source = client.map_or(Ok(None), |client| self.admit_by_source(client))?;
        let at_listener = self.places.take().ok_or(Refusal::Limit)?;
        Ok(Admission { _in_all: in_all, _at_listener: at_listener, _of_source: of_source })
    }

    /// A place for a client by its address alone, where its source has a bound.
    ///
    /// # Errors
    /// The source is at its bound.
    pub(super) fn admit_by_source(&self, client: IpAddr) -> Result<Option<Box<SourcePlace>>, Refusal> {
        let Some(sources) = &self.sources else { return Ok(None) };
        Ok(Some(Box::new(sources.take(client).ok_or(Refusal::SourceLimit)?)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::harness::settings;
    use super::*;

    #[test]
    fn s8_a_bound_holds_and_places_come_back() {
        let places = Places::new(2);
        let first = places.take().unwrap();
        let second = places.take().unwrap();
        assert!(places.take().is_none());
        drop(first);
        assert_eq!(places.taken(), 1);
        let third = places.take().unwrap();
        assert!(places.take().is_none());
        drop((second, third));
        assert_eq!(places.taken(), 0);
    }

    #[test]
    fn s8_who_came_before_a_listener_or_cluster_was_removed_counts_when_it_is_back() {
        let settings = settings();
        let without = || Settings { listeners: Vec::new(), clusters: Vec::new(), ..settings.clone() };
        let mut limits = Limits::new();
        limits.adapt(&settings);
        let taken = (limits.of_listeners(&settings)[0].places.take(), limits.of_held(&settings)[0].take());
        limits.adapt(&without());
        limits.adapt(&settings);
        let count = (limits.of_listeners(&settings)[0].places.taken(), limits.of_held(&settings)[0].taken());
        assert_eq!(count, (1, 1));
        drop(taken);
        limits.adapt(&without());
        assert_eq!((limits.listeners.len(), limits.held.len()), (0, 0), "nobody is left to be counted");
    }

    #[test]
    fn s8_a_limit_that_changes_holds_for_who_comes_next() {
        let mut settings = settings();
        settings.listeners[0].max_connections = Some(1);
        settings.listeners[0].max_connections_per_source = Some(1);
        let mut limits = Limits::new();
        let admit = |limits: &Limits, settings: &Settings| {
            let client = Some([10, 0, 0, 1].into());
            limits.of_listeners(settings)[0].admit(client, limits.in_all.take().unwrap())
        };
        limits.adapt(&settings);
        let first = admit(&limits, &settings).unwrap();
        assert_eq!(admit(&limits, &settings).unwrap_err(), Refusal::SourceLimit);
        settings.listeners[0].max_connections_per_source = Some(2);
        limits.adapt(&settings);
        assert_eq!(admit(&limits, &settings).unwrap_err(), Refusal::Limit, "the first still counts");
        settings.listeners[0].max_connections = Some(3);
        limits.adapt(&settings);
        let second = admit(&limits, &settings).unwrap();
        assert_eq!(admit(&limits, &settings).unwrap_err(), Refusal::SourceLimit, "by its source, too");
        settings.max_connections = 1;
        limits.adapt(&settings);
        drop(first);
        assert!(limits.in_all.take().is_none(), "as many are there as may be");
        drop(second);
        assert!(limits.in_all.take().is_some());
    }

    #[tokio::test]
    async fn waiting_for_the_last_place_misses_nothing() {
        let places = Places::new(1);
        places.emptied().await;
        let place = places.take().unwrap();
        let waiting = tokio::spawn({
            let places = Arc::clone(&places);
            async move { places.emptied().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(place);
        waiting.await.unwrap();
    }
}
