//! A gate in a process: its log, its signals, its end.

use std::io;

use thiserror::Error;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use super::control::{ControlError, Memory};
use super::gate::{Gate, Heritage, StartError};
use super::inherited::Inherited;
use super::life::Life;
use super::logs::{self, Log};
use super::signals::EarlySignals;
use super::upgrade::{Arrival, Predecessor, Program};
use crate::config::{self, Config, DescriptorBudget, DescriptorLimit, Loaded, Sources};

/// Why `run` failed.
#[derive(Debug, Error)]
pub enum RunError {
    /// The gate could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Signals cannot be received.
    #[error("cannot listen for signals: {0}; check the limit of descriptors (ulimit -n)")]
    Signals(io::Error),
    /// It cannot be read what operators have ordered of the process before.
    #[error(
        "what the process before remembers is of no use: {0}; upgrade to another version, or undrain and unpin all nodes \
         and restart instead"
    )]
    Orders(String),
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

/// What a process does before anything else, and what it was given when it was started.
#[derive(Debug)]
pub struct Launch {
    arrival: Arrival,
    limit: DescriptorLimit,
    signals: EarlySignals,
}

impl Launch {
    /// Takes what was passed to the process, raises its limit of descriptors, and handles signals. To be called once,
    /// before there is any other thread and before the configuration is loaded.
    ///
    /// # Errors
    /// Signals cannot be received.
    pub fn begin() -> Result<Self, RunError> {
        let arrival = Arrival::from_environment();
        let limit = config::raise_descriptor_limit();
        match EarlySignals::new() {
            Ok(signals) => Ok(Launch { arrival, limit, signals }),
            Err(error) => {
                let error = RunError::Signals(error);
                arrival.give_up(&error.to_string());
                Err(error)
            }
        }
    }

    /// This process will not serve, for this reason: the process that it should have replaced is told.
    pub fn give_up(self, why: &str) {
        self.arrival.give_up(why);
    }
}

/// Runs a gate until a signal ends it: SIGTERM and SIGINT drain, a second one ends at once. SIGUSR1 drains for as long as
/// sessions last. SIGHUP has `sources` read again; `loaded` is what they have said first. SIGUSR2 has it hand over to a
/// new process (O3), as what has arrived with this one may have been handed over: then it ends with its last session.
///
/// # Errors
/// If the gate cannot start, or fails; see [`RunError`].
pub fn run(sources: &Sources, loaded: &Loaded, launch: Launch) -> Result<(), RunError> {
    // Found now: later its file may be another, or gone.
    let program = Program::own();
    let Launch { arrival, limit, signals } = launch;
    let (inherited, mut predecessor) = arrival.open();
    let start = Start { inherited, limit, signals };
    let log = logs::start(&loaded.config.log);
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    let ended = start_and_live(sources, loaded, &log, program, start, &mut predecessor);
    ended.inspect_err(|error| predecessor.give_up(&error.to_string()))
}

/// Says how many connections there may be, and what bounds them (S8).
fn log_bound(config: &Config, limit: DescriptorLimit) {
    let DescriptorBudget { descriptors, kept_back, connections } = config.descriptor_budget();
    let max_connections = config.max_connections.min(connections);
    let raised_from = limit.before.filter(|before| *before != limit.now);
    info!(max_connections, descriptors, kept_back, raised_from, "connections are bounded");
}

/// What a process has before it has read its configuration.
struct Start {
    inherited: Inherited,
    limit: DescriptorLimit,
    signals: EarlySignals,
}

fn start_and_live(
    sources: &Sources,
    loaded: &Loaded,
    log: &Log,
    program: Program,
    Start { inherited, limit, signals }: Start,
    predecessor: &mut Predecessor,
) -> Result<(), RunError> {
    // Listen before serving: a signal that comes early must not end the process the hard way.
    let (runtime, signals) = signals.complete().map_err(RunError::Signals)?;
    let (asking, requests) = mpsc::channel(1);
    let heritage = Heritage { inherited, memory: recall(predecessor)? };
    let gate = Gate::inherit(&loaded.config, log.dropped_lines(), asking, heritage)?;
    log_bound(&loaded.config, limit);
    info!(version = env!("CARGO_PKG_VERSION"), workers = loaded.config.workers, "raftgate runs");
    let addresses = gate.listeners().into_iter().map(|(_, address)| address).collect();
    let socket = loaded.config.admin_socket.clone();
    let guardian = runtime.block_on(async { predecessor.relieve(addresses, socket) });
    let guardian = guardian.unwrap_or_else(|error| {
        warn!(%error, "upgrade: the process before has gone already");
        None
    });
    let changes = gate.control.orders().changes();
    let life = Life { sources, log, program, signals, requests, guardian, changes, gate, supervision: None };
    let ended = runtime.block_on(life.live());
    match &ended {
        Ok(()) => info!("raftgate ends"),
        Err(error) => error!(%error, "raftgate ends"),
    }
    ended
}

/// What the process before remembers, if there was one.
///
/// # Errors
/// It cannot be understood what operators have ordered there: clients would go to nodes that are drained.
fn recall(predecessor: &mut Predecessor) -> Result<Memory, RunError> {
    let memory = match predecessor.ask() {
        Some(Ok((asked, letter))) => letter.into_memory(asked),
        Some(Err(why)) => return Err(RunError::Orders(why)),
        None => Memory::default(),
    };
    for lost in predecessor.lost() {
        warn!(%lost, "upgrade: not all that the process before knew can be read: nodes are asked first");
    }
    Ok(memory)
}
