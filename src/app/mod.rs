//! Wires the roles and owns their threads: start and stop.
//!
//! A [`Gate`] is everything that serves: workers (data plane), one thread for probes and trackers,
//! one for admin (D5, O6). [`run`] is a gate in a process: its log, its signals, its end.
//! [`survey`] asks every node once, without a gate.

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
pub use run::{RunError, run};
pub use survey::{ClusterSurvey, NodeSurvey, PublicName, Survey, SurveyError, survey};
pub use upgrade::Arrival;
