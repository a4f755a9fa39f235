//! Whole lives of clients, over real sockets on loopback, with the route driven by hand.

mod ages;
mod crowds;
mod ends;
pub(super) mod harness;
mod holds;
mod introductions;
mod moves;
mod openings;
mod origins;
mod readers;
mod routed;
mod serves;
