//! Which node leads, as a pure state machine.
//!
//! This folder knows no socket, no clock and no async runtime: time is an argument (L9), events
//! are polled. [`Tracker`]'s documentation says in which order to call it.
//!
//! ```text
//! tracker      takes in what is said, and decides       statement    what nodes say: verdicts, signals
//! node         one node, and what it counts as (L2)     claim        its "I lead", and its order (L3)
//! arbitration  which claim is to be the route (L3)      incumbent    the route, and doubts about it (L5, L7)
//! preference   by priority, then by name (L3)
//! alarms       which are in force (L8)                  overrides    what an operator orders (L10)
//! event        what was decided                         policy       the numbers by which it is
//! memory       what is handed to an heir (O3)
//! ```

mod alarms;
mod arbitration;
mod claim;
mod event;
mod incumbent;
mod memory;
mod node;
mod overrides;
mod policy;
mod preference;
mod statement;
mod tracker;

pub use event::{Alarm, Event, LossCause};
pub use memory::{ClaimMemory, Memory, NodeMemory, Standing};
pub use overrides::{Command, Override, Refusal};
pub use policy::{JITTER, Pace, Policy};
pub use preference::Preference;
pub use statement::{NodeId, NodeState, Observation, ProbeFailure, ProbeId, Signal, Suspicion, Verdict};
pub use tracker::Tracker;

#[cfg(test)]
pub(crate) mod tests;
