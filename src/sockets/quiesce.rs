//! Stops new connections at a listener without losing those already begun (O4).

use std::io;
use std::os::fd::AsFd;

/// From now on the kernel ignores whoever asks `listener` for a new connection (it asks again after a
/// second, and then finds the port closed or somebody else there), while handshakes under way may complete.
/// Accept until there is nothing more, then close: no client is reset. There is no way back.
///
/// Connections inherit the filter, which never concerns them. Elsewhere than on Linux this does nothing.
///
/// # Errors
/// Those of `setsockopt`; the listener then goes on as before.
#[cfg(target_os = "linux")]
pub fn quiesce(listener: &impl AsFd) -> io::Result<()> {
    socket2::SockRef::from(listener).attach_filter(&linux::DROP_NEW_CONNECTIONS)
}

/// Does nothing: this platform has no socket filters.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub fn quiesce(_: &impl AsFd) -> io::Result<()> {
    Ok(())
}

/// Takes back what [`quiesce`] did, if it did something.
#[cfg(target_os = "linux")]
pub fn end_quiescence(listener: &impl AsFd) {
    // It fails where there is no filter.
    let _ = socket2::SockRef::from(listener).detach_filter();
}

/// Does nothing: this platform has no socket filters.
#[cfg(not(target_os = "linux"))]
pub fn end_quiescence(_: &impl AsFd) {}

#[cfg(target_os = "linux")]
mod linux {
    use socket2::SockFilter;

    /// Where a TCP header, at which the filter of a TCP socket begins to read, has its flags.
    const FLAGS_OFFSET: u32 = 13;
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    const DROP: u32 = 0;
    const KEEP: u32 = u32::MAX;

    // Instructions of the classic packet filter, as in <linux/bpf_common.h>.
    const LOAD_BYTE: u16 = 0x30;
    const AND: u16 = 0x54;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;

    /// Drops a SYN without ACK: the first packet of a connection, and no other.
    pub(super) const DROP_NEW_CONNECTIONS: [SockFilter; 5] = [
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS_OFFSET),
        SockFilter::new(AND, 0, 0, SYN | ACK),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, DROP),
        SockFilter::new(RETURN, 0, 0, KEEP),
    ];
}
