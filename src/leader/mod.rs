//! Which node leads, as a pure state machine.
//!
//! This folder knows no socket, no clock and no async runtime: time is an argument (L9), events
//! are polled. [`Tracker`]'s documentation says in which order to call it.

mod alarms;
mod arbitration;
mod claim;
mod event;
mod incumbent;
mod memory;
mod node;
mod overrides;
mod policy;
mod statement;
mod tracker;

pub use event::{Alarm, Event, LossCause};
pub use memory::{ClaimMemory, Memory, NodeMemory, Standing};
pub use overrides::{Command, Override, Refusal};
pub use policy::{Pace, Policy};
pub use statement::{NodeId, NodeState, Observation, ProbeFailure, ProbeId, Signal, Suspicion, Verdict};
pub use tracker::Tracker;

#[cfg(test)]
pub(crate) mod tests;
