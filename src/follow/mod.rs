//! Follows one cluster's leader, and those who take its readers: verdicts and signals in, tenures out.
//!
//! [`Follow`] owns the pure [`Tracker`](crate::leader::Tracker) and gives it what it lacks: a clock,
//! an inbox, and hands. What it decides leaves through the `TenureWriter`, the probers' orders, the
//! board, the log and the metrics.
//!
//! ```text
//! drive       the loop, and what it carries out (drive/)   nodes       what was last heard of each
//! fates       what becomes of past tenures' sessions (S5)  readers     which nodes they may go to
//! stand_in    where a client goes whose hold is over (S2)  shape       another configuration under way (O2)
//! settings    what it has to know; made by `config`        metrics     what is counted
//! log_limit   how many verdicts a node may log             service     whether the leader takes clients (L8)
//! ```

mod drive;
mod fates;
mod log_limit;
mod metrics;
mod nodes;
mod readers;
mod service;
mod settings;
mod shape;
mod stand_in;
#[cfg(test)]
mod tests;

pub use drive::{Follow, Links};
pub use metrics::Metrics;
pub use settings::{FateSettings, HoldThen, NodeSettings, OnDemotion, OnUnreachable, Settings};
pub use shape::Shape;
