//! An embedded raft cluster with TLS, and a gate in front of it that is put to the test.
//!
//! Everything here is real but the machines: three raft nodes, each on a thread that can be killed and frozen; the
//! gate that `run` runs; clients that verify whom they reach. Nothing listens beyond loopback.
//!
//! ```text
//! stage        the play: faults, clients and picture at once
//! cluster      the nodes: node (a thread), raft (its types), store (its log), network (its peers), https (its answers)
//! standing     who says that it leads                   certs        one root, one leaf a node
//! gate         what is put to the test                  config_text  its configuration, as it is shown
//! faults       what is done to the leaders              clients      who comes: client (one of them)
//! ledger       what became of everybody                 summary      what is said of it in the end
//! screen       where all that is watched                table        what it looks like
//! ```

mod certs;
mod client;
mod clients;
mod cluster;
mod config_text;
mod faults;
mod gate;
mod https;
mod ledger;
mod network;
mod node;
mod raft;
mod screen;
mod stage;
mod standing;
mod store;
mod summary;
mod table;

use std::io;

use tokio::runtime::Builder;

pub use summary::{Failover, Fault, Loss, Summary, Totals};

use certs::Authority;
use client::Client;
use cluster::Cluster;
use config_text::RootFile;
use gate::Gate;
use screen::write_out;

/// What to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// End after so many failovers; without it, Ctrl-C ends the demo.
    pub failovers: Option<u32>,
}

/// Why a demo could not be shown, or not to its end. It says nothing about the gate's promises: [`Summary`] does.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The machine did not give what is needed: a port, a thread, a temporary file.
    #[error("the demo cannot run here: {0}")]
    Io(#[from] io::Error),
    /// The cluster did not start, or did not do what was done to it.
    #[error("the demo's cluster: {0}")]
    Cluster(String),
    /// The gate did not start, or could not go on.
    #[error("the demo's gate: {0}")]
    Gate(String),
}

/// Shows the demo on standard output, to its end, and returns the summary that it has printed.
///
/// Call it outside of any runtime: it brings its own.
///
/// # Errors
///
/// The demo itself could not go on; see [`DemoError`]. Clients that failed are no error but in the [`Summary`].
pub fn run(options: Options) -> Result<Summary, DemoError> {
    let authority = Authority::generate().map_err(|error| DemoError::Cluster(error.to_string()))?;
    let root = RootFile::create(&authority.pem())?;
    let tls = authority.client_config().map_err(|error| DemoError::Cluster(error.to_string()))?;
    let cluster = Cluster::start(&authority).map_err(|error| DemoError::Cluster(error.to_string()))?;
    let text = config_text::write(&cluster, root.path());
    write_out(&format!("# The gate's configuration:\n\n{text}\n"));
    let gate = Gate::start(&text)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let summary = runtime.block_on(stage::play(options, cluster, gate, Client::new(tls)))?;
    write_out(&format!("\n{summary}"));
    Ok(summary)
}
