//! Urgent data (`MSG_OOB`) among the other bytes of a stream.

use std::io;
use std::os::fd::AsFd;

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// The same connection once more, for single bytes that are sent as urgent data.
pub(crate) struct Urgent(TcpStream);

impl Urgent {
    /// Beside this handle of a connection. Both must be dropped before it closes.
    pub(crate) fn beside(stream: &TcpStream) -> io::Result<Self> {
        let twin = std::net::TcpStream::from(stream.as_fd().try_clone_to_owned()?);
        Ok(Urgent(TcpStream::from_std(twin)?))
    }

    /// Sends one byte.
    pub(crate) async fn send(&self, byte: u8) -> io::Result<()> {
        let send = || SockRef::from(&self.0).send_out_of_band(&[byte]);
        while self.0.async_io(Interest::WRITABLE, send).await? == 0 {}
        Ok(())
    }
}
