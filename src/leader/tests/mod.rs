//! The tracker's rules, each as a script; `simulation` judges it against raft itself.

mod alarms;
mod claims;
mod doubts;
mod judge;
mod overrides;
mod raft;
mod script;
mod simulation;
mod statements;
mod world;
