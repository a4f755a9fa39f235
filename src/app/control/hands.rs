//! Spawns the control plane's tasks on its thread, and sees whether they live.

use std::future::Future;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::Metrics;
use super::watch::{Watch, Watched};
use crate::intent::ProbeIds;
use crate::memory::orders::OrderBook;
use crate::supervise::{Alarm, Failing, supervised, watched};
use crate::tenure::Epochs;

/// What all clusters' tasks are made with.
pub(super) struct Hands {
    runtime: Handle,
    pub(super) metrics: Metrics,
    /// Of the whole process (S1).
    pub(super) epochs: Arc<Epochs>,
    /// What operators have ordered (L10).
    pub(super) orders: OrderBook,
    /// Of the whole process (L4).
    pub(super) ids: Arc<ProbeIds>,
    /// Over all probers.
    pub(super) watch: Arc<Watch>,
    failing: Failing,
}

/// A task under way. Dropped, it ends where it waits.
pub(super) struct Task(AbortHandle);

impl Hands {
    pub(super) fn new(runtime: Handle, metrics: Metrics, failing: Failing) -> Self {
        let watch = Arc::new(Watch::new(metrics.hangs.clone()));
        let (epochs, orders, ids) = (Arc::default(), OrderBook::default(), Arc::default());
        Hands { runtime, metrics, epochs, orders, ids, watch, failing }
    }

    /// Has the watch kept until it is dropped.
    #[must_use]
    pub(super) fn begin_watch(&self) -> Task {
        let watch = Arc::clone(&self.watch);
        self.spawn("watch over the probers".to_owned(), move || Arc::clone(&watch).keep())
    }

    /// Runs a role until it is dropped; whenever it panics it is begun anew.
    #[must_use]
    pub(super) fn spawn<F: Future<Output = ()> + Send + 'static>(
        &self,
        role: String,
        begin: impl FnMut() -> F + Send + 'static,
    ) -> Task {
        Task(self.runtime.spawn(supervised(role, begin)).abort_handle())
    }

    /// The same, and it is begun anew, too, whenever the watch finds that it hangs.
    #[must_use]
    pub(super) fn spawn_watched<F: Future<Output = ()> + Send + 'static>(
        &self,
        role: String,
        begin: impl FnMut() -> F + Send + 'static,
        it: Arc<Watched>,
    ) -> Task {
        let hung = move || Arc::clone(&it).hung();
        Task(self.runtime.spawn(watched(role, begin, hung)).abort_handle())
    }

    /// Runs what cannot be begun anew until it is dropped. If it panics, the gate is told that it has failed.
    #[must_use]
    pub(super) fn spawn_once(&self, task: impl Future<Output = ()> + Send + 'static) -> Task {
        let alarm = Alarm::new("a task of the control plane", self.failing.clone());
        let task = self.runtime.spawn(async move {
            let _alarm = alarm;
            task.await;
        });
        Task(task.abort_handle())
    }

    /// Runs something short, between the other tasks.
    pub(super) fn run(&self, work: impl FnOnce() + Send + 'static) {
        self.runtime.spawn(async move { work() });
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use prometheus::{IntCounter, Registry};
    use tokio::sync::watch;
    use tokio::time::{Duration, sleep};

    use super::*;
    use crate::{follow, probe, proxy};

    fn hands() -> (Hands, watch::Receiver<Option<String>>) {
        let registry = Registry::new();
        let metrics = Metrics {
            follow: follow::Metrics::register(&registry).unwrap(),
            probe: probe::MetricFamilies::register(&registry).unwrap(),
            proxy: proxy::Metrics::register(&registry).unwrap(),
            hangs: IntCounter::new("hangs", "They").unwrap(),
        };
        let (failing, failed) = watch::channel(None);
        (Hands::new(Handle::current(), metrics, failing), failed)
    }

    #[tokio::test(start_paused = true)]
    async fn o5_a_role_that_panics_begins_anew_until_it_is_dropped() {
        let (hands, failed) = hands();
        let begun = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&begun);
        let task = hands.spawn("a prober".to_owned(), move || {
            let times = count.fetch_add(1, Ordering::Relaxed) + 1;
            async move { assert!(times == 3, "the {times}th time") }
        });
        sleep(Duration::from_secs(1)).await;
        assert_eq!(begun.load(Ordering::Relaxed), 3);
        drop(task);
        assert_eq!(*failed.borrow(), None, "that is no failure of the gate");

        let _task = hands.spawn_once(async { panic!("as a test") });
        sleep(Duration::from_secs(1)).await;
        assert!(failed.borrow().is_some(), "nobody does its work now");
    }
}
