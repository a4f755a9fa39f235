//! The control plane against raft itself: real probers, tracker and fates on paused time, before nodes in memory
//! that freeze, die, hand over, stall, refuse and close. What `judge` says must hold after every step.
//!
//! `cluster` is the truth, and what happens to it; `network` leads the probers to it; `gate` is what is judged;
//! `schedule` plays one schedule, which follows from its seed; `runs` plays many.
//! A failure names its seed: `RAFTGATE_SEED=... cargo test --lib app::simulation` shows what led to it.

mod cluster;
mod epilogue;
mod gate;
mod judge;
mod network;
mod plan;
mod rates;
mod runs;
mod schedule;
mod sessions;
mod trace;
