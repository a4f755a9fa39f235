//! The page, metrics, health, status and events over HTTP/1.1. The listener only reads; what changes something is asked
//! for on the control socket (O6). Both run apart from the probes' thread, so that a large scrape never looks like slow
//! nodes.
//!
//! ```text
//! server     HTTP, bounded                              doors      takes connections in, for both
//! pages      what each path answers                     places     which connection gives way to a new one
//! status     one picture of everything published        reserve    descriptors kept back for new ones
//! page       that picture for people                    events     what changes of it
//! hosts      by which names it is asked             metrics    those of the process as such
//! control    the control socket: the same, and commands
//! ```

mod control;
mod doors;
mod events;
mod hosts;
mod metrics;
mod page;
mod pages;
mod places;
mod reserve;
mod server;
mod status;

/// What its parsers hold for any bytes.
#[cfg(any(test, fuzzing))]
pub mod fuzz {
    pub use super::control::fuzz::control_request;
    pub use super::events::fuzz::last_event_id;
}
pub use control::{Controls, Orders, Reply, Request, serve_control};
pub use metrics::Metrics;
pub use server::{State, serve, tell};
