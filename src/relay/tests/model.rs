//! Against a model, act by act: both sides say, take, close and fail at random, and the relay is polled when it has been
//! woken and at no other time, as a runtime would.
//!
//! What each side gets is a beginning of what the other said (S7), and all of it before an end of file (S6); a connection
//! that fails never ends in one; and as long as anything can be moved, somebody has been asked to wake the relay.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use proptest::prelude::*;
use tokio::io::ReadBuf;

use super::*;

/// What happens to one side's connection.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// It says so many bytes more.
    Say(usize),
    /// It takes so many bytes more.
    Take(usize),
    /// It closes its half.
    Close,
    /// It is reset: what it said before is still there, what it took is lost.
    Reset,
}

/// How far a connection has come to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Line {
    #[default]
    Open,
    Closed,
    Reset,
}

/// A connection as the kernel would have it.
#[derive(Default)]
struct Connection {
    /// What it has said, and how much of it was read.
    said: Vec<u8>,
    read: usize,
    line: Line,
    /// Its end of file was read.
    told_end: bool,
    room: usize,
    got: Vec<u8>,
    got_end: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Default)]
struct Modelled(Rc<RefCell<Connection>>);

impl super::super::Stream for Modelled {}

impl Modelled {
    fn act(&self, act: Act, next: &mut u8) {
        let mut it = self.0.borrow_mut();
        match act {
            Act::Say(len) if it.line == Line::Open => {
                it.said.extend((0..len).map(|_| {
                    *next = next.wrapping_mul(5).wrapping_add(1);
                    *next
                }));
            }
            Act::Take(len) => it.room += len,
            Act::Close if it.line == Line::Open => it.line = Line::Closed,
            Act::Reset => it.line = Line::Reset,
            Act::Say(_) | Act::Close => {}
        }
        let wakers: VecDeque<Waker> = it.reader.take().into_iter().chain(it.writer.take()).collect();
        drop(it);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl AsyncRead for Modelled {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut it = self.0.borrow_mut();
        let rest = it.said.len() - it.read;
        if rest > 0 {
            let len = rest.min(into.remaining());
            into.put_slice(&it.said[it.read..it.read + len]);
            it.read += len;
            return Poll::Ready(Ok(()));
        }
        match it.line {
            Line::Reset => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            Line::Closed => {
                it.told_end = true;
                Poll::Ready(Ok(()))
            }
            Line::Open => {
                it.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for Modelled {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut it = self.0.borrow_mut();
        assert!(!it.got_end, "S6: bytes behind the end of file");
        if it.line == Line::Reset {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let len = bytes.len().min(it.room);
        if len == 0 {
            it.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        it.room -= len;
        it.got.extend_from_slice(&bytes[..len]);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut it = self.0.borrow_mut();
        assert!(!it.got_end, "S6: two ends of file");
        it.got_end = true;
        Poll::Ready(Ok(()))
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A relay between two such connections, and what has come of it.
struct Scene {
    client: Modelled,
    node: Modelled,
    relay: Relay<Modelled, Modelled>,
    woken: Arc<Woken>,
    buffer: usize,
    end: Option<End>,
}

impl Scene {
    fn new(buffer: usize) -> Self {
        let (client, node) = (Modelled::default(), Modelled::default());
        let relay = Relay::new(client.clone(), node.clone(), Gear::new(buffer, 0), Rc::default());
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        Scene { client, node, relay, woken, buffer, end: None }
    }

    /// Polls as long as the relay has been woken.
    fn run(&mut self) {
        let waker = Waker::from(Arc::clone(&self.woken));
        while self.end.is_none() && self.woken.0.swap(false, Ordering::Relaxed) {
            if let Poll::Ready(end) = Pin::new(&mut self.relay).poll(&mut Context::from_waker(&waker)) {
                self.end = Some(end);
            }
            self.check();
        }
    }

    /// What always holds.
    fn check(&self) {
        let (client, node) = (self.client.0.borrow(), self.node.0.borrow());
        let meter = &self.relay.meter;
        let owned = [self.relay.to_node.owned(), self.relay.to_client.owned()];
        for (source, sink, delivered) in
            [(&client, &node, meter.to_node.get()), (&node, &client, meter.to_client.get())]
        {
            assert!(source.said.starts_with(&sink.got), "S7: something else was said");
            assert_eq!(delivered, sink.got.len() as u64);
            let is_all = sink.got == source.said && source.told_end;
            assert!(!sink.got_end || is_all, "S6: an end of file for what is not the end");
        }
        assert!(owned.iter().all(|owned| *owned <= self.buffer), "S8: {owned:?} bytes of {}", self.buffer);
        match &self.end {
            Some(End::Closed { first }) => {
                for (source, sink) in [(&client, &node), (&node, &client)] {
                    assert!(source.told_end, "it closed for a side that had not");
                    assert_eq!(sink.got, source.said, "S7: it closed before all was delivered");
                }
                let early = if *first == Side::Client { &node } else { &client };
                assert!(early.got_end, "S6: who closed first was not told on");
            }
            Some(End::Failed { side, .. }) => {
                let failed = if *side == Side::Client { &client } else { &node };
                assert_eq!(failed.line, Line::Reset, "{side:?} did not fail");
            }
            None => self.check_that_nothing_waits(&client, &node),
        }
    }

    /// Unless it is to be polled again anyway, whatever could be moved was.
    fn check_that_nothing_waits(&self, client: &Connection, node: &Connection) {
        if self.woken.0.load(Ordering::Relaxed) {
            return;
        }
        for (source, sink) in [(client, node), (node, client)] {
            let undelivered = source.said.len() - sink.got.len();
            assert!(undelivered == 0 || sink.room == 0, "{undelivered} bytes wait for nothing");
            let has_ended = source.line == Line::Closed && undelivered == 0;
            assert!(!has_ended || sink.got_end, "an end of file waits for nothing");
            assert!(
                source.told_end || undelivered > 0 || source.line != Line::Reset,
                "nobody hears of the reset"
            );
        }
    }
}

fn act() -> impl Strategy<Value = Act> {
    let len = prop_oneof![0..5_usize, 0..100_usize, 0..3000_usize];
    prop_oneof![
        6 => len.clone().prop_map(Act::Say),
        6 => len.prop_map(Act::Take),
        1 => Just(Act::Close),
    ]
}

/// Acts of both sides, and how many follow before the relay has its turn.
fn acts() -> impl Strategy<Value = Vec<(bool, Act, bool)>> {
    proptest::collection::vec((any::<bool>(), act(), any::<bool>()), 1..60)
}

/// The acts one after the other, then endless room and both ends of file.
fn play(buffer: usize, acts: &[(bool, Act, bool)], reset: Option<(usize, Side)>) -> Scene {
    let mut scene = Scene::new(buffer);
    let mut next = 1;
    for (place, (is_client, act, runs)) in acts.iter().enumerate() {
        let side = if *is_client { &scene.client } else { &scene.node };
        side.act(*act, &mut next);
        match reset {
            Some((at, Side::Client)) if at == place => scene.client.act(Act::Reset, &mut next),
            Some((at, Side::Node)) if at == place => scene.node.act(Act::Reset, &mut next),
            _ => {}
        }
        if *runs {
            scene.run();
        }
    }
    for side in [scene.client.clone(), scene.node.clone()] {
        side.act(Act::Take(usize::MAX / 2), &mut next);
        scene.run();
    }
    for side in [scene.client.clone(), scene.node.clone()] {
        side.act(Act::Close, &mut next);
        scene.run();
    }
    scene
}

proptest! {
    #[test]
    fn s7_whatever_is_said_and_taken_arrives_and_then_the_end(buffer in 1..200_usize, acts in acts()) {
        let scene = play(buffer, &acts, None);
        prop_assert!(matches!(scene.end, Some(End::Closed { .. })), "{:?}", scene.end);
    }

    #[test]
    fn s6_a_reset_at_any_moment_never_looks_like_an_end(
        buffer in 1..200_usize, acts in acts(), at in any::<prop::sample::Index>(), is_client in any::<bool>(),
    ) {
        let side = if is_client { Side::Client } else { Side::Node };
        let scene = play(buffer, &acts, Some((at.index(acts.len()), side)));
        // Unless it had said its last before, and all is taken: then nobody asks its connection any more.
        let End::Failed { side: failed, .. } = scene.end.expect("it has an end") else { return Ok(()) };
        prop_assert_eq!(failed, side);
    }
}
