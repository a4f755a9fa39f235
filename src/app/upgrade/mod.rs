//! Upgrade without loss (O3): the process starts the binary that lies where its own lay, passes it all listening sockets
//! and what it remembers, and leaves new clients to it once it serves.
//!
//! ```text
//! old                                     new
//! successor: starts `raftgate stage`  ->  (sets LISTEN_PID, becomes `raftgate run`)
//!                                     <-  predecessor: asks
//! letter: orders, epochs and claims   ->
//!                                     <-  serves; both accept for a moment
//! hand_over: accepts no more
//! after GUARD: settled                ->  everything is the new one's
//! watch: drains, keeps its sockets    <-  orders, addresses; leaves, if it ends on purpose or has handed over
//! if the new one dies: accepts again
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

pub(super) use hand_over::{Interruptions, Outcome, Watched, hand_over, watch};
pub(super) use letter::{Letter, Word};
pub(super) use predecessor::{Arrival, Guardian, GuardianNews, Predecessor};
pub(super) use program::Program;
