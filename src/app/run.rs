//! A gate in a process: its log, its signals, its end.

use std::io;

use thiserror::Error;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use super::control::ControlError;
use super::gate::{Gate, StartError};
use super::logs::{self, Log};
use crate::admin::Request;
use crate::config::{self, Loaded, Sources};

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

/// Runs a gate until a signal ends it: SIGTERM and SIGINT drain, a second one ends at once. SIGHUP has `sources` read
/// again; `loaded` is what they have said first.
///
/// # Errors
/// If the gate cannot start, or fails; see [`RunError`].
pub fn run(sources: &Sources, loaded: &Loaded) -> Result<(), RunError> {
    let log = logs::start(&loaded.config.log);
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    let runtime = Builder::new_current_thread().enable_all().build().map_err(RunError::Signals)?;
    // Listen before serving: a signal that comes early must not end the process the hard way.
    let mut signals = runtime.block_on(async { Signals::new() }).map_err(RunError::Signals)?;
    let (asking, requests) = mpsc::channel(1);
    let mut gate = Gate::start(&loaded.config, log.dropped_lines(), asking)?;
    info!(version = env!("CARGO_PKG_VERSION"), workers = loaded.config.workers, "raftgate runs");
    let ended = runtime.block_on(async {
        serve(&mut gate, &mut signals, requests, sources, &log).await?;
        tokio::select! {
            () = gate.stop() => Ok(()),
            () = signals.end() => Err(RunError::Impatient),
        }
    });
    match &ended {
        Ok(()) => info!("raftgate ends"),
        Err(error) => error!(%error, "raftgate ends"),
    }
    ended
}

/// Does what signals and people ask for, until it is to stop.
async fn serve(
    gate: &mut Gate,
    signals: &mut Signals,
    mut requests: mpsc::Receiver<Request>,
    sources: &Sources,
    log: &Log,
) -> Result<(), RunError> {
    loop {
        tokio::select! {
            told = signals.recv() => match told {
                Told::Stop(signal) => { info!(signal, "signal received"); return Ok(()); }
                Told::Reload => { let _ = reload(gate, sources, log); }
            },
            Some(Request::Reload(reply)) = requests.recv() => {
                // Whoever has gone does not want to know.
                let _ = reply.send(reload(gate, sources, log));
            }
            why = gate.failed() => return Err(RunError::Failed(why)),
        }
    }
}

/// Reads the configuration again, and goes over to it if it is sound (O1); says what has changed, or why nothing has.
fn reload(gate: &mut Gate, sources: &Sources, log: &Log) -> Result<String, String> {
    let outcome = config::load(sources).map_err(|error| error.to_string()).and_then(|loaded| {
        let reloaded = gate.reload(&loaded.config).map_err(|error| error.to_string())?;
        for warning in &loaded.warnings {
            warn!("{warning}");
        }
        log.set_level(loaded.config.log.level);
        Ok(reloaded.to_string())
    });
    outcome.inspect_err(|why| {
        gate.note_refused();
        error!("reload refused, nothing has changed: {why}");
    })
}

/// What a signal tells.
enum Told {
    /// To stop, by this signal.
    Stop(&'static str),
    /// To read the configuration again.
    Reload,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn recv(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Told::Stop("SIGINT"),
            _ = self.hang_up.recv() => Told::Reload,
        }
    }

    /// Waits for a signal to stop; there is nothing to reload any more.
    async fn end(&mut self) {
        while let Told::Reload = self.recv().await {}
    }
}
