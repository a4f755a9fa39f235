//! The data plane: one client's life from accept to its last byte.

mod settings;

pub use settings::{ClusterSettings, ListenerSettings, Settings};
