//! Takes connections in, at the listener as at the control socket: bounded in number, and with descriptors kept back for
//! one who watches when there are no others left.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use super::places::{Place, Places};
use super::reserve::Reserve;

#[cfg(test)]
mod tests;

/// How long to wait after a failed accept: what fails then (no descriptors) does not mend at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// How long a client may take that is served with the last descriptors: the next one waits for them.
const LAST_PLACE_LIFETIME: Duration = Duration::from_secs(1);

/// Where clients come in.
pub(super) trait Door: AsFd {
    /// What a client is heard by.
    type Stream;

    /// The next client.
    async fn next(&self) -> io::Result<Self::Stream>;
}

impl Door for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

impl Door for UnixListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

impl<D: Door> Door for Arc<D> {
    type Stream = D::Stream;

    async fn next(&self) -> io::Result<D::Stream> {
        (**self).next().await
    }
}

/// Serves clients until it is dropped: as many at once as there are `places`, each with a place of its own. If all are
/// taken, the connection that has been idle for longest gives way. If there are no descriptors left, one client is
/// served without a place.
pub(super) async fn keep_open<D, S>(door: D, places: usize, serve: impl Fn(D::Stream, Option<Place>) -> S)
where
    D: Door,
    S: Future<Output = ()> + Send + 'static,
{
    let places = Places::new(places);
    let mut reserve = Reserve::default();
    loop {
        reserve.fill(&door);
        if let Ok(stream) = door.next().await {
            let place = places.take().await;
            tokio::spawn(serve(stream, Some(place)));
            // A client whose request is there already is answered before the next one comes in.
            yield_now().await;
        } else {
            // One client gets what is given up, and nobody else meanwhile. It is looked for once, without waiting: for
            // want of descriptors an accept fails whether anybody is there or not.
            reserve.give_up();
            if let Ok(Ok(stream)) = timeout(Duration::ZERO, door.next()).await {
                let _ = timeout(LAST_PLACE_LIFETIME, serve(stream, None)).await;
            }
            sleep(ACCEPT_PAUSE).await;
        }
    }
}
