//! Metrics, health and status over HTTP/1.1. The listener only reads; what changes something is asked for on the
//! control socket (O6). Both run apart from the probes' thread, so that a large scrape never looks like slow nodes.

mod control;
mod loads;
mod metrics;
mod pages;
mod reserve;
mod server;

pub use control::{Controls, serve_control};
pub use metrics::Metrics;
pub use server::{State, serve};
