//! A gate in a process: its log, its signals, its end.

use std::io;

use thiserror::Error;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use super::control::ControlError;
use super::gate::{Gate, StartError};
use super::logs;
use crate::config::Loaded;

/// Why `run` failed.
#[derive(Debug, Error)]
pub enum RunError {
    /// The gate could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Signals cannot be received.
    #[error("cannot listen for signals: {0}; check the limit of descriptors (ulimit -n)")]
    Signals(io::Error),
    /// The gate can no longer do its work.
    #[error("{0}")]
    Failed(String),
    /// A second signal ended the process before its sessions had drained.
    #[error("ended at once by a second signal: sessions were cut")]
    Impatient,
}

impl RunError {
    /// Whether the configuration is to blame, rather than the machine or the moment.
    pub fn is_configuration(&self) -> bool {
        matches!(self, RunError::Start(StartError::Tls { .. } | StartError::Control(ControlError::Probe(_))))
    }
}

/// Runs a gate until a signal ends it: SIGTERM and SIGINT drain, a second one ends at once.
///
/// # Errors
/// If the gate cannot start, or fails; see [`RunError`].
pub fn run(loaded: &Loaded) -> Result<(), RunError> {
    let log = logs::start(&loaded.config.log);
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    let runtime = Builder::new_current_thread().enable_all().build().map_err(RunError::Signals)?;
    // Listen before serving: a signal that comes early must not end the process the hard way.
    let mut signals = runtime.block_on(async { Signals::new() }).map_err(RunError::Signals)?;
    let gate = Gate::start(&loaded.config, log.dropped_lines())?;
    info!(version = env!("CARGO_PKG_VERSION"), workers = loaded.config.workers, "raftgate runs");
    let ended = runtime.block_on(async {
        tokio::select! {
            name = signals.recv() => info!(signal = name, "signal received"),
            why = gate.failed() => return Err(RunError::Failed(why)),
        }
        tokio::select! {
            () = gate.stop() => Ok(()),
            _ = signals.recv() => Err(RunError::Impatient),
        }
    });
    match &ended {
        Ok(()) => info!("raftgate ends"),
        Err(error) => error!(%error, "raftgate ends"),
    }
    ended
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn recv(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
