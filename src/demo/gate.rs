//! The gate that is put to the test: the very same that `run` runs.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::DemoError;
use super::config_text::CLUSTER;
use crate::app;
use crate::board::{ClusterBoard, ClusterStatus};
use crate::config;

/// The running gate.
pub(super) struct Gate {
    inner: app::Gate,
    address: SocketAddr,
    cluster: Arc<ClusterBoard>,
}

impl Gate {
    /// Starts one from the text of a configuration, as `run` would from a file.
    pub(super) fn start(text: &str) -> Result<Self, DemoError> {
        let loaded = config::load_text("demo", text).map_err(|error| DemoError::Gate(error.to_string()))?;
        // The demo keeps no log that could drop lines: the screen is its own.
        // Nobody reloads it: it has no file.
        let (requests, _) = mpsc::channel(1);
        let gate = app::Gate::start(&loaded.config, || 0, requests)
            .map_err(|error| DemoError::Gate(error.to_string()))?;
        let missing = |what| DemoError::Gate(format!("the configuration has no {what}"));
        let (_, address) = gate.listeners().into_iter().next().ok_or_else(|| missing("listener"))?;
        let cluster = gate.board().cluster(CLUSTER).ok_or_else(|| missing("cluster"))?;
        Ok(Gate { inner: gate, address, cluster })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it publishes.
    pub(super) fn status(&self) -> Arc<ClusterStatus> {
        self.cluster.status()
    }

    /// Stops it as a signal would.
    pub(super) async fn stop(self) {
        self.inner.stop().await;
    }

    /// Waits until it can no longer do its work; says why.
    pub(super) async fn failed(&self) -> String {
        self.inner.failed().await
    }
}
