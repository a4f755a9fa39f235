//! The last bytes before an end of file: they go in one packet with it, so that whoever gets them wakes up once (D7).

use std::io;
use std::task::{Context, Poll};

use tokio::io::Interest;
use tokio::net::TcpStream;

/// Whether nothing can follow what has been read of `source` with a read that did not fill its buffer: the end of file, or
/// a reset, is there already.
pub(super) fn is_ending(source: &TcpStream) -> bool {
    // Such a read has cleared the readiness for anything else, so this asks for the closed state alone.
    source.try_io(Interest::READABLE, || Ok(())).is_ok()
}

/// Writes bytes of which the caller knows that an end of file follows, and holds them back for that; tells how much was
/// taken. If it is not all, the caller has to come again.
pub(super) fn write_last(cx: &mut Context<'_>, sink: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match sink.poll_write_ready(cx) {
            Poll::Ready(ready) => ready?,
            Poll::Pending => return Ok(0),
        }
        match sink.try_io(Interest::WRITABLE, || send(sink, bytes)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            sent => return sent,
        }
    }
}

#[cfg(all(target_os = "linux", not(portable)))]
fn send(sink: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    use rustix::net::SendFlags;
    Ok(rustix::net::send(sink, bytes, SendFlags::MORE | SendFlags::NOSIGNAL)?)
}

#[cfg(any(not(target_os = "linux"), portable))]
fn send(sink: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    use std::io::Write;
    (&*socket2::SockRef::from(sink)).write(bytes)
}
