//! Raftgate: a TCP proxy that always knows which raft node leads, and hands every client's
//! untouched TLS stream to it.
//!
//! # The map of this house
//!
//! Imports run downward only; the roles never import one another (`tests/blackbox/house.rs`
//! checks it).
//!
//! ```text
//! fuzzing/  what parsers hold for any bytes; in tests, and under a fuzzer
//! cli/      one file a command
//! demo/     an embedded raft cluster with TLS, and a gate before it put to the test (feature `demo`)
//! app/      wires the roles and owns their threads: start, reload, upgrade, stop
//! config/   what users write (raw) -> what the program needs (model); errors with file and line
//! -- roles --
//! admin/    the page, its events, metrics, health and status over HTTP; control by a Unix socket
//! follow/   drives the tracker: verdicts and signals in, tenures out
//! probe/    asks each node whether it leads
//! proxy/    one client's life: accept, hold, dial, relay
//! -- mechanism --
//! relay/    moves bytes            wire/     pure parsers of what is said first on a connection
//! sockets/  binds and tunes sockets   names/    looks nodes' names up, again and again
//! usual     how long something takes, and when it is late
//! nearest   which word a misspelled one was meant to be
//! style     how words stand out on a terminal
//! supervise has roles begin anew that have panicked or hang
//! -- contract between the roles --
//! tenure/   who is the route, where readers go, and what becomes of a past one's sessions
//! intent    what the roles ask of one another
//! board     what is published for people to read
//! census    who asks the data plane for its sessions, and has them cut
//! memory    what one process remembers for the next
//! metrics   the registry, and numbers by labels
//! -- ground --
//! leader/   which node leads, as a pure state machine: no socket, no clock, no tokio
//! ```
//!
//! Rules are cited by their number (`L3`, `S4`, ...): README.md, "The rules", lists them.

pub mod admin;
pub mod app;
pub mod board;
pub mod census;
pub mod cli;
pub mod config;
#[cfg(feature = "demo")]
pub mod demo;
pub mod follow;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod intent;
pub mod leader;
pub mod memory;
pub mod metrics;
pub mod names;
pub mod nearest;
pub mod probe;
pub mod proxy;
pub mod relay;
pub mod sockets;
pub mod style;
pub mod supervise;
pub mod tenure;
pub mod usual;
pub mod wire;
