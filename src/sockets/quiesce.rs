//! Stops new connections at a listener without losing those already begun (O4).

use std::io;
use std::os::fd::AsFd;

use super::system;

/// From now on the kernel ignores whoever asks `listener` for a new connection (it asks again after a
/// second, and then finds the port closed or somebody else there), while handshakes under way may complete.
/// Accept until there is nothing more, then close: no client is reset. There is no way back but [`end_quiescence`].
///
/// Connections inherit the filter, which never concerns them.
///
/// # Errors
/// Those of `setsockopt`, and on systems other than Linux always one; the listener then goes on as before.
pub fn quiesce(listener: &impl AsFd) -> io::Result<()> {
    system::ignore_newcomers(listener)
}

/// Takes back what [`quiesce`] did, if it did something.
pub fn end_quiescence(listener: &impl AsFd) {
    system::heed_newcomers(listener);
}
