//! Wires the roles and owns their threads: start, reload, upgrade and stop.
//!
//! A [`Gate`] is everything that serves: workers (data plane), one thread for probes and trackers,
//! one for admin (D5, O6). [`run`] is a gate in a process: its log, its signals, its end.
//! [`survey`] asks every node once, without a gate.
//!
//! ```text
//! run         a process from its start ...             life        ... and from when it serves until its end
//! gate        everything that serves                   reload      over to another configuration (O1, O2)
//! upgrade     another process takes its place (O3)     estate      what a gate does then, or after
//! control     the thread of probes and trackers (D5)   admin       the thread of the two admin doors (O6)
//! inherited   sockets that were passed, or bound       listening   those of the listeners, at a reload too
//! notify      what the service manager is told         supervision what it is told again and again
//! signals     what the process hears                   logs        what it says (O5)
//! panics      counts each, with its place              survey      asks every node once
//! resolve     the names of a cluster's nodes           tls         what probes share
//! ```

mod admin;
mod control;
mod estate;
mod gate;
mod inherited;
mod life;
mod listening;
mod logs;
mod notify;
mod panics;
mod reload;
mod resolve;
mod run;
mod signals;
#[cfg(test)]
mod simulation;
mod supervision;
mod survey;
mod tls;
mod upgrade;

pub use control::ControlError;
pub use gate::{Gate, StartError};
pub use reload::Reloaded;
pub use resolve::resolve;
pub use run::{Launch, RunError, run};
pub use survey::{ClusterSurvey, NodeSurvey, PublicName, Survey, SurveyError, survey};
#[cfg(any(test, fuzzing))]
pub use upgrade::fuzz;
