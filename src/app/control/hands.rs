//! Spawns the control plane's tasks on its thread, and sees whether they live.

use std::future::Future;
use std::sync::Arc;
use std::thread;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::Metrics;
use crate::intent::ProbeIds;
use crate::tenure::Epochs;

/// What all clusters' tasks are made with.
pub(super) struct Hands {
    runtime: Handle,
    pub(super) metrics: Metrics,
    /// Of the whole process (S1).
    pub(super) epochs: Arc<Epochs>,
    /// Of the whole process (L4).
    pub(super) ids: Arc<ProbeIds>,
    failed: watch::Sender<Option<String>>,
}

/// A task under way. Dropped, it ends where it waits.
pub(super) struct Task(AbortHandle);

impl Hands {
    pub(super) fn new(runtime: Handle, metrics: Metrics, failed: watch::Sender<Option<String>>) -> Self {
        Hands { runtime, metrics, epochs: Arc::default(), ids: Arc::default(), failed }
    }

    /// Runs a task that ends only when it is dropped. If it panics, the gate is told that it has failed.
    #[must_use]
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Task {
        let alarm = Alarm(self.failed.clone());
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

/// Tells of a panic that passes by.
struct Alarm(watch::Sender<Option<String>>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if thread::panicking() {
            let why = "a task of the control plane panicked: what is left cannot be trusted to follow";
            self.0.send_replace(Some(why.to_owned()));
        }
    }
}
