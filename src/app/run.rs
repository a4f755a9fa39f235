//! A gate in a process: its log, its signals, its end.

use std::io;

use thiserror::Error;
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use super::control::{ControlError, Memory};
use super::gate::{Gate, Heritage, StartError};
use super::inherited::Inherited;
use super::life::Life;
use super::logs::{self, Log};
use super::signals::Signals;
use super::upgrade::{Arrival, Predecessor, Program};
use crate::config::{Loaded, Sources};

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
/// again; `loaded` is what they have said first. SIGUSR2 has it hand over to a new process (O3), as what has arrived with
/// this one may have been handed over: then it ends with its last session.
///
/// # Errors
/// If the gate cannot start, or fails; see [`RunError`].
pub fn run(sources: &Sources, loaded: &Loaded, arrival: Arrival) -> Result<(), RunError> {
    // Found now: later its file may be another, or gone.
    let program = Program::own();
    let (inherited, mut predecessor) = arrival.open();
    let log = logs::start(&loaded.config.log);
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    let ended = start_and_live(sources, loaded, &log, program, inherited, &mut predecessor);
    ended.inspect_err(|error| predecessor.give_up(&error.to_string()))
}

fn start_and_live(
    sources: &Sources,
    loaded: &Loaded,
    log: &Log,
    program: Program,
    inherited: Inherited,
    predecessor: &mut Predecessor,
) -> Result<(), RunError> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(RunError::Signals)?;
    // Listen before serving: a signal that comes early must not end the process the hard way.
    let signals = runtime.block_on(async { Signals::new() }).map_err(RunError::Signals)?;
    let (asking, requests) = mpsc::channel(1);
    let heritage = Heritage { inherited, memory: recall(predecessor) };
    let gate = Gate::inherit(&loaded.config, log.dropped_lines(), asking, heritage)?;
    info!(version = env!("CARGO_PKG_VERSION"), workers = loaded.config.workers, "raftgate runs");
    let guardian = runtime.block_on(async { predecessor.relieve() });
    let guardian = guardian.unwrap_or_else(|error| {
        warn!(%error, "upgrade: the process before has gone already");
        None
    });
    let life = Life { sources, log, program, signals, requests, guardian, gate, supervision: None };
    let ended = runtime.block_on(life.live());
    match &ended {
        Ok(()) => info!("raftgate ends"),
        Err(error) => error!(%error, "raftgate ends"),
    }
    ended
}

/// What the process before remembers, if there was one and it can be understood.
fn recall(predecessor: &mut Predecessor) -> Memory {
    match predecessor.ask() {
        Some(Ok((asked, letter))) => letter.into_memory(asked),
        Some(Err(why)) => {
            warn!(%why, "upgrade: nothing is known of what the process before knew: every node is asked first");
            Memory::default()
        }
        None => Memory::default(),
    }
}
