//! The tracker's rules, each as a script; `simulation` judges it against raft itself.

mod alarms;
mod claims;
mod doubts;
mod edges;
pub(crate) mod judge;
mod lease;
mod memory;
mod overrides;
pub(crate) mod raft;
mod script;
mod simulation;
mod statements;
mod words;
mod world;
