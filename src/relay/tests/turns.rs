//! How long others wait for sessions that move bulk (D9), counted in bytes.

use std::io::Write;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::{spawn_local, yield_now};
use tokio::time::timeout;

use super::super::turn::BYTES_PER_TURN;
use super::bulk::{BUFFER, BULK, Session, session};
use super::*;

/// So many bytes are moved before the one byte comes for which others wait.
const BEFORE: usize = 64 * BYTES_PER_TURN;

/// A side that always has bytes and takes all, and what all such sides have moved.
struct Endless(Rc<Cell<usize>>);

impl Stream for Endless {}

impl AsyncRead for Endless {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.set(self.0.get() + into.remaining());
        into.initialize_unfilled();
        into.advance(into.remaining());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Endless {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn d9_a_byte_beside_bulk_waits_for_two_turns_at_most() {
    const SESSIONS: usize = 3;
    // As a worker's, but for a poller that would hardly ever be asked for the sake of the number of polls.
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_all().event_interval(10_000).build_local(LocalOptions::default()).unwrap();
    let waited = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut near, _) = listener.accept().await.unwrap();
        let (moved, sent_at) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(None)));
        let gear = Gear::new(BUFFER, 0);
        for _ in 0..SESSIONS {
            let [client, node] = [(); 2].map(|()| Endless(Rc::clone(&moved)));
            let mut relay = Relay::new(client, node, gear.clone(), Rc::default());
            let (moved, sent_at) = (Rc::clone(&moved), Rc::clone(&sent_at));
            let mut far = far.try_clone().unwrap();
            spawn_local(std::future::poll_fn(move |cx| {
                if sent_at.get().is_none() && moved.get() >= BEFORE {
                    Write::write_all(&mut far, b"!").unwrap();
                    sent_at.set(Some(moved.get()));
                }
                Pin::new(&mut relay).poll(cx)
            }));
        }
        let waiting = spawn_local(async move {
            near.read_u8().await.unwrap();
            moved.get() - sent_at.get().unwrap()
        });
        waiting.await.unwrap()
    });
    let most = 2 * SESSIONS * 2 * BYTES_PER_TURN;
    assert!(waited <= most, "{waited} bytes were moved meanwhile, {most} are two turns of each session");
}

#[tokio::test]
async fn d9_a_turn_is_bounded_for_bulk_that_is_spliced_too() {
    let gear = Gear::new(BUFFER, 4);
    let Session { mut client, mut node, mut relay, meter } = session(&gear, false).await;
    // The kernel's buffers grow while much is moved.
    let bulk = vec![7; BULK];
    let mut heard = vec![0; BULK];
    tokio::select! {
        end = &mut relay => panic!("{end:?}"),
        _ = async { tokio::join!(node.write_all(&bulk), client.read_exact(&mut heard)) } => {}
    }
    assert_eq!(relay.to_client.splices(), CAN_SPLICE);
    while let Ok(written) = timeout(Duration::from_millis(20), node.write(&bulk)).await {
        written.unwrap();
    }
    for _ in 0..8 {
        yield_now().await;
        let before = meter.to_client.get();
        let polled = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut relay).poll(cx)));
        assert!(polled.await.is_pending());
        let moved = meter.to_client.get() - before;
        // One splice may begin just before the turn's end.
        assert!(moved <= 2 * BYTES_PER_TURN as u64, "{moved} bytes in a turn");
    }
}
