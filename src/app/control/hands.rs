//! Spawns the control plane's tasks on its thread, and sees whether they live.

use std::future::Future;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::Metrics;
use crate::intent::ProbeIds;
use crate::supervise::{Alarm, Failing, supervised};
use crate::tenure::Epochs;

/// What all clusters' tasks are made with.
pub(super) struct Hands {
    runtime: Handle,
    pub(super) metrics: Metrics,
    /// Of the whole process (S1).
    pub(super) epochs: Arc<Epochs>,
    /// Of the whole process (L4).
    pub(super) ids: Arc<ProbeIds>,
    failing: Failing,
}

/// A task under way. Dropped, it ends where it waits.
pub(super) struct Task(AbortHandle);

impl Hands {
    pub(super) fn new(runtime: Handle, metrics: Metrics, failing: Failing) -> Self {
        Hands { runtime, metrics, epochs: Arc::default(), ids: Arc::default(), failing }
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
