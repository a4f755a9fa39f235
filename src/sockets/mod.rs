//! Binds and tunes sockets.
