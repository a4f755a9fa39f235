//! Upgrade without loss (O3): the process starts the binary that lies where its own lay, passes it all listening sockets
//! and what it remembers, and leaves new clients to it once it serves.
//!
//! ```text
//! old                                     new
//! successor: starts `raftgate stage`  ->  (sets LISTEN_PID, becomes `raftgate run`)
//!                                     <-  predecessor: asks
//! letter: epochs and claims           ->
//!                                     <-  ready; both accept for a moment
//! hand_over: accepts no more
//! if it dies within GUARD: accepts again
//! else closes its sockets, drains     ->  the connection's end: everything is the new one's
//! ```
//!
//! program says which binary that is.

#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod hand_over;
mod letter;
mod predecessor;
mod program;
mod successor;

pub(super) use hand_over::{Interruptions, Outcome, drain, hand_over};
pub(super) use letter::Letter;
pub(super) use predecessor::{Arrival, Guardian, Predecessor};
pub(super) use program::Program;
