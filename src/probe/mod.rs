//! Asks each node, again and again, whether it leads.

pub mod judge;
mod settings;

pub use settings::{Request, Roots, Settings, TlsSettings, Verify};
