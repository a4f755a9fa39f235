//! Binds, takes over, connects and tunes sockets.

mod bind;
mod connect;
mod local;
mod passed;
mod quiesce;
#[cfg(test)]
mod tests;
mod tune;

pub use bind::{BindError, bind, bind_beside};
pub use connect::{FirstWord, connect, is_source_exhausted};
pub use local::{LocalSocketError, SocketFile, bind_local};
pub use passed::{Adopted, FIRST_PASSED, Passed};
pub use quiesce::{end_quiescence, quiesce};
pub use tune::{
    AcceptError, classify_accept_error, is_local_exhaustion, keep_alive, reset_on_close, try_descriptors,
    tune,
};
