//! Follows one cluster's leader: verdicts and signals in, tenures out.

mod settings;

pub use settings::{FateSettings, HoldThen, NodeSettings, OnDemotion, OnUnreachable, Settings};
