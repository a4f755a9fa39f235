//! Follows one cluster's leader, and those who take its readers: verdicts and signals in, tenures out.
//!
//! [`Follow`] owns the pure [`Tracker`](crate::leader::Tracker) and gives it what it lacks: a clock,
//! an inbox, and hands. What it decides leaves through the `TenureWriter`, the probers' orders, the
//! board, the log and the metrics.

mod drive;
mod fates;
mod metrics;
mod nodes;
mod readers;
mod settings;
mod shape;
mod stand_in;
#[cfg(test)]
mod tests;

pub use drive::{Follow, Links};
pub use metrics::Metrics;
pub use settings::{FateSettings, HoldThen, NodeSettings, OnDemotion, OnUnreachable, Settings};
pub use shape::Shape;
