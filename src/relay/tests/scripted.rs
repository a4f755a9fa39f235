//! Poll by poll, against streams that do what a script says and count what is asked of them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use tokio::io::ReadBuf;

use super::*;

/// What a stream answers to one read; with nothing left to answer, it is pending.
enum Answer {
    Bytes(&'static [u8]),
    /// As many bytes as are asked for, so many times.
    Full(usize),
    EndOfFile,
    Error(io::ErrorKind),
}

/// One side's connection, as the test sees and steers it.
#[derive(Default)]
struct State {
    answers: VecDeque<Answer>,
    /// How many bytes it still takes.
    room: usize,
    write_error: Option<io::ErrorKind>,
    takes_nothing: bool,
    written: Vec<u8>,
    reads: usize,
    shutdowns: usize,
}

#[derive(Clone, Default)]
struct Scripted(Rc<RefCell<State>>);

impl super::super::Stream for Scripted {}

impl Scripted {
    fn answering(answers: impl IntoIterator<Item = Answer>) -> Self {
        let stream = Scripted::default();
        stream.0.borrow_mut().answers.extend(answers);
        stream.give_room(usize::MAX);
        stream
    }

    fn give_room(&self, room: usize) {
        self.0.borrow_mut().room = room;
    }

    fn written(&self) -> Vec<u8> {
        self.0.borrow().written.clone()
    }
}

impl AsyncRead for Scripted {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.borrow_mut();
        state.reads += 1;
        match state.answers.pop_front() {
            None => return Poll::Pending,
            Some(Answer::Bytes(bytes)) => into.put_slice(bytes),
            Some(Answer::Full(times)) => {
                into.initialize_unfilled();
                into.advance(into.remaining());
                if times > 1 {
                    state.answers.push_front(Answer::Full(times - 1));
                }
            }
            Some(Answer::EndOfFile) => {}
            Some(Answer::Error(kind)) => return Poll::Ready(Err(kind.into())),
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.0.borrow_mut();
        if let Some(kind) = state.write_error {
            return Poll::Ready(Err(kind.into()));
        }
        if state.takes_nothing {
            return Poll::Ready(Ok(0));
        }
        let count = bytes.len().min(state.room);
        if count == 0 {
            return Poll::Pending;
        }
        state.room -= count;
        state.written.extend_from_slice(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().shutdowns += 1;
        Poll::Ready(Ok(()))
    }
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn relay_of(client: &Scripted, node: &Scripted, buffer: usize) -> Relay<Scripted, Scripted> {
    Relay::new(client.clone(), node.clone(), Gear::new(buffer, 0), Rc::default())
}

fn poll(relay: &mut Relay<Scripted, Scripted>) -> Poll<End> {
    Pin::new(relay).poll(&mut Context::from_waker(Waker::noop()))
}

#[track_caller]
fn assert_failed(outcome: Poll<End>, expected_side: Side, expected: io::ErrorKind) {
    match outcome {
        Poll::Ready(End::Failed { side, error }) => {
            assert_eq!((side, error.kind()), (expected_side, expected));
        }
        other => panic!("{other:?} instead of a failure"),
    }
}

#[test]
fn d2_nothing_more_is_read_until_a_slow_reader_has_what_was_read() {
    let client = Scripted::answering([Answer::Bytes(b"first"), Answer::Bytes(b"second")]);
    let node = Scripted::answering([]);
    node.give_room(2);
    let mut relay = relay_of(&client, &node, 64);

    assert!(poll(&mut relay).is_pending());
    assert!(poll(&mut relay).is_pending());
    assert_eq!((node.written(), client.0.borrow().reads), (b"fi".to_vec(), 1));
    assert_eq!(relay.to_node.owned(), 3);

    node.give_room(5);
    assert!(poll(&mut relay).is_pending());
    assert_eq!((node.written(), client.0.borrow().reads), (b"firstse".to_vec(), 2));
    assert_eq!(relay.meter.to_node.get(), 7, "only what was taken counts");
}

#[test]
fn d2_a_session_owns_no_bytes_once_all_is_delivered() {
    let client = Scripted::answering([Answer::Bytes(b"request")]);
    let node = Scripted::answering([]);
    node.give_room(2);
    let mut relay = relay_of(&client, &node, 64);
    assert!(poll(&mut relay).is_pending());
    assert_eq!(relay.to_node.owned(), 5);
    node.give_room(100);
    assert!(poll(&mut relay).is_pending());
    assert_eq!((relay.to_node.owned(), relay.to_client.owned()), (0, 0));
    assert_eq!(node.written(), b"request");
}

#[test]
fn s8_a_slow_reader_costs_one_buffer_at_most() {
    let (client, node) =
        (Scripted::answering([Answer::Full(usize::MAX)]), Scripted::answering([Answer::Full(usize::MAX)]));
    client.give_room(0);
    let mut relay = relay_of(&client, &node, 64);
    for room in [0, 1, 63, 64, 65, 1000] {
        node.give_room(room);
        assert!(poll(&mut relay).is_pending());
        assert!(relay.to_node.owned() <= 64 && relay.to_client.owned() <= 64);
    }
}

#[test]
fn d9_one_poll_moves_a_bounded_number_of_bytes_each_way() {
    const BUFFER: usize = 256 * 1024;
    let (client, node) =
        (Scripted::answering([Answer::Full(usize::MAX)]), Scripted::answering([Answer::Full(usize::MAX)]));
    let mut relay = relay_of(&client, &node, BUFFER);
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    assert!(Pin::new(&mut relay).poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(wakes.0.load(Ordering::Relaxed) > 0, "it asks for another turn");
    for moved in [client.written().len(), node.written().len()] {
        assert!((BUFFER..2 * 1024 * 1024).contains(&moved), "{moved} bytes in one direction");
    }
}

#[test]
fn s6_a_failed_read_or_write_tells_whose_connection_it_was() {
    let reset = || Scripted::answering([Answer::Error(io::ErrorKind::ConnectionReset)]);
    let silent = || Scripted::answering([]);
    let talking = || Scripted::answering([Answer::Bytes(b"bytes")]);
    let closed_pipe = || {
        let stream = silent();
        stream.0.borrow_mut().write_error = Some(io::ErrorKind::BrokenPipe);
        stream
    };
    let takes_nothing = || {
        let stream = silent();
        stream.0.borrow_mut().takes_nothing = true;
        stream
    };
    let end_of = |client: Scripted, node: Scripted| poll(&mut relay_of(&client, &node, 64));
    assert_failed(end_of(reset(), silent()), Side::Client, io::ErrorKind::ConnectionReset);
    assert_failed(end_of(silent(), reset()), Side::Node, io::ErrorKind::ConnectionReset);
    assert_failed(end_of(closed_pipe(), talking()), Side::Client, io::ErrorKind::BrokenPipe);
    assert_failed(end_of(talking(), closed_pipe()), Side::Node, io::ErrorKind::BrokenPipe);
    assert_failed(end_of(takes_nothing(), talking()), Side::Client, io::ErrorKind::WriteZero);
    assert_failed(end_of(talking(), takes_nothing()), Side::Node, io::ErrorKind::WriteZero);
}

#[test]
fn s7_last_words_of_the_side_that_failed_are_delivered_but_no_end_of_file() {
    // Each side in turn says why it gives up, then takes no more: the write is what fails first.
    let last_words = [Answer::Bytes(b"too "), Answer::Bytes(b"large"), Answer::EndOfFile];
    let node = Scripted::answering(last_words);
    node.0.borrow_mut().write_error = Some(io::ErrorKind::ConnectionReset);
    let client = Scripted::answering([Answer::Bytes(b"upload")]);
    assert_failed(poll(&mut relay_of(&client, &node, 64)), Side::Node, io::ErrorKind::ConnectionReset);
    assert_eq!((client.written(), client.0.borrow().shutdowns), (b"too large".to_vec(), 0));

    // More than the client's turn allows: it had said all this before it failed.
    let client = Scripted::answering([Answer::Full(100)]);
    client.0.borrow_mut().write_error = Some(io::ErrorKind::BrokenPipe);
    let node = Scripted::answering([Answer::Bytes(b"download")]);
    assert_failed(poll(&mut relay_of(&client, &node, 64 * 1024)), Side::Client, io::ErrorKind::BrokenPipe);
    assert_eq!((node.written().len(), node.0.borrow().shutdowns), (100 * 64 * 1024, 0));
}

#[test]
fn s7_what_was_kept_of_the_side_that_fails_is_tried_once_more() {
    let client = Scripted::answering([]);
    client.give_room(3);
    let node = Scripted::answering([Answer::Bytes(b"answer"), Answer::Bytes(b", whole")]);
    let mut relay = relay_of(&client, &node, 64);
    assert!(poll(&mut relay).is_pending());
    client.give_room(100);
    client.0.borrow_mut().answers.push_back(Answer::Bytes(b"more"));
    node.0.borrow_mut().write_error = Some(io::ErrorKind::BrokenPipe);
    assert_failed(poll(&mut relay), Side::Node, io::ErrorKind::BrokenPipe);
    assert_eq!(client.written(), b"answer, whole");
}

#[test]
fn s7_the_end_of_file_comes_after_the_last_byte() {
    let client = Scripted::answering([Answer::Bytes(b"all"), Answer::EndOfFile]);
    let node = Scripted::answering([]);
    node.give_room(2);
    let mut relay = relay_of(&client, &node, 64);
    assert!(poll(&mut relay).is_pending());
    assert_eq!((node.0.borrow().shutdowns, relay.meter.half_closed.get()), (0, false));
    node.give_room(1);
    assert!(poll(&mut relay).is_pending());
    assert_eq!((node.written(), node.0.borrow().shutdowns), (b"all".to_vec(), 1));
    assert!(relay.meter.half_closed.get());
}

#[test]
fn d7_the_last_end_of_file_is_left_to_the_close() {
    for (first, second) in [(Side::Client, Side::Node), (Side::Node, Side::Client)] {
        let (client, node) = (Scripted::answering([]), Scripted::answering([]));
        let stream = |side| if side == Side::Client { &client } else { &node };
        let mut relay = relay_of(&client, &node, 64);
        stream(first).0.borrow_mut().answers.push_back(Answer::EndOfFile);
        assert!(poll(&mut relay).is_pending());
        stream(second).0.borrow_mut().answers.extend([Answer::Bytes(b"late"), Answer::EndOfFile]);
        let outcome = poll(&mut relay);
        assert!(matches!(outcome, Poll::Ready(End::Closed { first: side }) if side == first), "{outcome:?}");
        assert_eq!(stream(first).written(), b"late");
        assert_eq!((stream(second).0.borrow().shutdowns, stream(first).0.borrow().shutdowns), (1, 0));
        assert!(!relay.meter.half_closed.get());
    }
}

#[test]
fn s4_what_was_read_before_the_relay_goes_first() {
    let client = Scripted::answering([Answer::Bytes(b" world")]);
    let node = Scripted::answering([Answer::Bytes(b" moon")]);
    node.give_room(3);
    let mut relay = relay_of(&client, &node, 64)
        .with_pending_to_node(b"hello".to_vec())
        .with_pending_to_client(b"bye".to_vec());
    assert!(poll(&mut relay).is_pending());
    assert_eq!((node.written(), client.written()), (b"hel".to_vec(), b"bye moon".to_vec()));
    node.give_room(100);
    assert!(poll(&mut relay).is_pending());
    assert_eq!(node.written(), b"hello world");
    assert_eq!((relay.meter.to_node.get(), relay.meter.to_client.get()), (11, 8));
}

#[test]
fn s4_a_client_that_had_closed_before_is_not_read_again() {
    let client = Scripted::answering([Answer::Bytes(b"never")]);
    let node = Scripted::answering([]);
    node.give_room(2);
    let mut relay = relay_of(&client, &node, 64).with_pending_to_node(b"all".to_vec()).with_client_closed();
    assert!(poll(&mut relay).is_pending());
    assert_eq!(node.0.borrow().shutdowns, 0);
    node.give_room(100);
    assert!(poll(&mut relay).is_pending());
    assert_eq!((node.written(), node.0.borrow().shutdowns), (b"all".to_vec(), 1));
    node.0.borrow_mut().answers.extend([Answer::Bytes(b"answer"), Answer::EndOfFile]);
    assert!(matches!(poll(&mut relay), Poll::Ready(End::Closed { first: Side::Client })));
    assert_eq!((client.written(), client.0.borrow().reads), (b"answer".to_vec(), 0));
}
