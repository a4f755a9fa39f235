//! Metrics, health and status over HTTP/1.1. It only reads (O6), and runs apart from the probes'
//! thread, so that a large scrape never looks like slow nodes.

mod metrics;
mod pages;
mod reserve;
mod server;

pub use metrics::Metrics;
pub use server::{State, serve};
