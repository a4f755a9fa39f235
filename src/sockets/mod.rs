//! Binds, connects and tunes sockets.

mod bind;
mod connect;
mod local;
mod quiesce;
#[cfg(test)]
mod tests;
mod tune;

pub use bind::{BindError, bind, bind_beside};
pub use connect::{FirstWord, connect, is_source_exhausted};
pub use local::{LocalSocketError, SocketFile, bind_local};
pub use quiesce::quiesce;
pub use tune::{
    AcceptError, classify_accept_error, is_local_exhaustion, keep_alive, reset_on_close, try_descriptors,
    tune,
};
