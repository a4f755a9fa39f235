//! How long a probe lasts, and its descriptor lives, whatever the node does (L6): both no longer than the one deadline, but
//! for a goodbye that has an end, too.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use rustls::ServerConfig;
use tokio::io::AsyncWrite;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::probe::dial::Dialling;
use crate::probe::link::Link;
use crate::probe::testing::{Authority, LEADER};

/// What each step takes of a node that does not stand still in it.
const STEP: Duration = Duration::from_secs(1);
/// The deadline. All steps together take less.
const TEN: Duration = Duration::from_secs(10);
const NEVER: Duration = Duration::from_hours(1);

/// What a probe waits for, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Connect,
    Handshake,
    Head,
    Body,
}

/// Stands for a descriptor: who holds the first one knows whether another is open still.
type Descriptor = Arc<()>;

/// Dials a node that answers at once on its first connection, once, and then closes it; on others it stands still in one
/// step.
#[derive(Debug)]
struct Stalling {
    still: Step,
    server: Arc<ServerConfig>,
    dialled: AtomicUsize,
    descriptor: Descriptor,
}

impl Dial for Stalling {
    fn dial(&self, _: SocketAddr) -> Dialling<'_> {
        let (ours, theirs) = duplex(64 * 1024);
        let stream = Held { stream: ours, _descriptor: Arc::clone(&self.descriptor) };
        let (still, acceptor) = (self.still, TlsAcceptor::from(Arc::clone(&self.server)));
        let is_first = self.dialled.fetch_add(1, Ordering::Relaxed) == 0;
        Box::pin(async move {
            if is_first {
                tokio::spawn(answer_once(theirs, acceptor));
            } else {
                tokio::spawn(stall(theirs, acceptor, still));
                pass(Step::Connect, still).await;
            }
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

async fn answer_once(stream: DuplexStream, acceptor: TlsAcceptor) {
    let mut stream = acceptor.accept(stream).await.unwrap();
    hear(&mut stream).await;
    stream.write_all(LEADER.as_bytes()).await.unwrap();
    hear(&mut stream).await;
    tokio::time::sleep(STEP).await;
}

async fn stall(stream: DuplexStream, acceptor: TlsAcceptor, still: Step) {
    pass(Step::Handshake, still).await;
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    hear(&mut stream).await;
    pass(Step::Head, still).await;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").await.unwrap();
    pass(Step::Body, still).await;
}

async fn pass(step: Step, still: Step) {
    if step == still {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(STEP).await;
}

/// A request, whole.
async fn hear(stream: &mut (impl AsyncRead + Unpin)) {
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n\r\n") {
        heard.push(stream.read_u8().await.unwrap());
    }
}

/// A stream that never lets anybody say goodbye.
struct Held {
    stream: DuplexStream,
    _descriptor: Descriptor,
}

impl AsyncRead for Held {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Held {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

/// The failure of a probe that finds its kept connection closed and whose new one stands still in this step.
async fn stalled(still: Step, descriptor: &Descriptor) -> Failure {
    let server = Authority::new("root").identity("n1").server();
    let (dialled, descriptor) = (AtomicUsize::default(), Arc::clone(descriptor));
    let peer = Peer { name: "n1".try_into().unwrap(), spiffe_id: None };
    let request = Request::builder().uri("/").header("host", "n1").body(Empty::new()).unwrap();
    let address = SocketAddr::from(([192, 0, 2, 1], 443));
    let endpoint =
        Endpoint::new(address.into(), Some((Connector::onlooker(), peer)), request, rules_on_bodies());
    let mut link = Link::new(endpoint.over(Arc::new(Stalling { still, server, dialled, descriptor })), NEVER);
    let first = link.exchange(Deadline::after(Instant::now(), TEN), || ()).await;
    assert_eq!(first.result.unwrap().status, 200);
    let began = Instant::now();
    let exchange = link.exchange(Deadline::after(began, TEN), || ()).await;
    assert_eq!(began.elapsed(), TEN, "{still:?}");
    exchange.result.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn l6_one_deadline_covers_all_steps_and_no_step_rearms_it() {
    for (still, words) in [
        (Step::Connect, "connect"),
        (Step::Handshake, "TLS handshake"),
        (Step::Head, "it was asked"),
        (Step::Body, "body was not complete"),
    ] {
        let failure = stalled(still, &Descriptor::default()).await;
        assert_eq!(failure.kind, ProbeFailure::Timeout);
        assert!(failure.detail.contains(words), "{words} in: {}", failure.detail);
    }
}

#[tokio::test(start_paused = true)]
async fn l6_no_descriptor_outlives_its_probe_but_for_a_goodbye_that_has_an_end() {
    let open = |descriptor: &Descriptor| Arc::strong_count(descriptor) - 1;
    for still in [Step::Connect, Step::Handshake, Step::Head, Step::Body] {
        let descriptor = Descriptor::default();
        stalled(still, &descriptor).await;
        let is_made = matches!(still, Step::Head | Step::Body);
        assert_eq!(open(&descriptor), usize::from(is_made), "{still:?}: dropped whole, unless it was made");
        tokio::time::sleep(CLOSE_GRACE).await;
        tokio::task::yield_now().await;
        assert_eq!(open(&descriptor), 0, "{still:?}: the node takes no goodbye");
    }
}
