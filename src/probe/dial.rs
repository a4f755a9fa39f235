//! How a probe's connection comes to be: over TCP, or over whatever a simulation puts in its place.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::sockets;

/// What a probe's bytes travel on.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection on its way.
pub type Dialling<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send + 'a>>;

/// Makes the connections that probes use.
pub trait Dial: fmt::Debug + Send + Sync {
    /// Connects to an address. It takes as long as it takes: the deadline is the caller's, who drops the future.
    fn dial(&self, address: SocketAddr) -> Dialling<'_>;
}

/// Over TCP.
#[derive(Clone, Copy, Debug)]
pub struct Tcp;

impl Dial for Tcp {
    fn dial(&self, address: SocketAddr) -> Dialling<'_> {
        Box::pin(async move {
            let stream =
                TcpStream::connect(address).await.map_err(|error| sockets::tell_way(address, error))?;
            // A request is one small write that nothing follows; failing to say so only costs latency.
            let _ = stream.set_nodelay(true);
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}
