//! Binds, takes over, connects and tunes sockets.

mod advice;
mod bind;
mod connect;
#[cfg(any(not(target_os = "linux"), portable))]
mod elsewhere;
#[cfg(all(target_os = "linux", not(portable)))]
mod linux;
mod local;
mod passed;
mod quiesce;
mod reach;
#[cfg(test)]
pub mod starved;
#[cfg(test)]
mod tests;
mod tune;

#[cfg(any(not(target_os = "linux"), portable))]
use elsewhere as system;
#[cfg(all(target_os = "linux", not(portable)))]
use linux as system;

pub use advice::SHOW_ADDRESSES;
pub use bind::{BindError, bind, bind_beside, has_ipv6, interface_index};
pub use connect::{FirstWord, connect, is_source_exhausted, tell_way};
pub use local::{LocalSocketError, SocketFile, bind_local};
pub use passed::{Adopted, FIRST_PASSED, MOST_PASSED, Passed, who_is_lost};
pub use quiesce::{end_quiescence, quiesce};
pub use reach::{covers, overlap};
pub use tune::{
    AcceptError, classify_accept_error, is_local_exhaustion, keep_alive, reset_on_close, try_descriptors,
    tune,
};
