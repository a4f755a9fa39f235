//! The gear with which all sessions of one worker move bytes: the buffer that they copy through, and the pipes that
//! they splice through.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use super::pipes::{Contents, Pipes};
use super::splice::Pipe;

/// One worker's gear (D2, D3). Cheap to clone. No await, no callback while a part of it is borrowed.
#[derive(Clone)]
pub struct Gear(Rc<Parts>);

struct Parts {
    buffer: RefCell<Box<[u8]>>,
    pipes: RefCell<Pipes>,
}

impl Gear {
    /// A buffer of `buffer` bytes (at least one: an empty read means the end of file), and as many as `pipes` pipes,
    /// which are only made when a session has use for them; 0 where sessions are never to splice.
    pub fn new(buffer: usize, pipes: usize) -> Self {
        Gear(Rc::new(Parts {
            buffer: RefCell::new(vec![0; buffer.max(1)].into_boxed_slice()),
            pipes: RefCell::new(Pipes::new(pipes)),
        }))
    }

    /// Does something with the buffer.
    pub(super) fn with_buffer<T>(&self, work: impl FnOnce(&mut [u8]) -> T) -> T {
        work(&mut self.0.buffer.borrow_mut())
    }

    /// An empty pipe, unless all are in use or the kernel grants none.
    pub(super) fn borrow_pipe(&self) -> Option<Lent> {
        let pipe = self.0.pipes.borrow_mut().take()?;
        Some(Lent { pipe: Some(pipe), gear: self.clone() })
    }

    /// Closes pipes that are not needed, and has slow sinks give theirs back. To be called once a second. Returns how often the
    /// kernel has refused a pipe meanwhile: it is asked for no more than one between two calls.
    pub fn tidy_pipes(&self) -> u64 {
        self.0.pipes.borrow_mut().tidy()
    }

    /// Closes all pipes: another process of the same user is about to need them, and the kernel grants a user only so many.
    /// Sessions that go on get others.
    pub fn close_pipes(&self) {
        self.0.pipes.borrow_mut().close_all();
    }

    /// Makes a pipe, as a session would, that is idle then.
    #[cfg(test)]
    pub fn make_pipe(&self) {
        drop(self.borrow_pipe());
    }

    /// How many pipes are in use.
    #[cfg(test)]
    pub(super) fn pipes_in_use(&self) -> usize {
        self.0.pipes.borrow().in_use()
    }

    /// How many pipes wait to be used.
    #[cfg(test)]
    pub fn idle_pipes(&self) -> usize {
        self.0.pipes.borrow().idle()
    }

    /// Has no session splice any more: the kernel does not know how to.
    pub(super) fn renounce_pipes(&self) {
        self.0.pipes.borrow_mut().renounce();
    }
}

/// A pipe in use. Dropped, it is given back if it is empty, and closed if not: what is in it belongs to somebody.
#[derive(Debug)]
pub(super) struct Lent {
    pipe: Option<Pipe>,
    gear: Gear,
}

/// A pipe that waits for its sink, or what was in it. Dropped, it is closed, and the bytes are lost.
#[derive(Debug)]
pub(super) struct Parked {
    place: Option<usize>,
    holds: usize,
    gear: Gear,
}

/// The rest of a parked pipe that is to be delivered.
pub(super) enum Rest {
    /// The pipe.
    Piped(Lent),
    /// The bytes that were in it: the pipe was needed elsewhere.
    Copied(Vec<u8>),
}

impl Parked {
    /// How many bytes wait.
    pub(super) fn holds(&self) -> usize {
        self.holds
    }

    /// The rest that is to be delivered.
    pub(super) fn retrieve(mut self) -> io::Result<Rest> {
        let place = self.place.take().expect(NEVER_RETRIEVED);
        let contents = self.gear.0.pipes.borrow_mut().unpark(place);
        Ok(match contents {
            Contents::Pipe(pipe) => Rest::Piped(Lent { pipe: Some(pipe), gear: self.gear.clone() }),
            Contents::Bytes(bytes) => Rest::Copied(bytes?),
        })
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else { return };
        let mut pipes = self.gear.0.pipes.borrow_mut();
        if let Contents::Pipe(pipe) = pipes.unpark(place) {
            pipes.give_back(pipe);
        }
    }
}

impl Lent {
    /// Leaves the pipe with the gear until its sink takes more.
    #[cfg_attr(
        any(not(target_os = "linux"), portable),
        allow(unreachable_code, unused_variables, reason = "no pipe is ever granted there")
    )]
    pub(super) fn park(mut self) -> Parked {
        let pipe = self.pipe.take().expect(NEVER_TAKEN);
        let holds = pipe.holds();
        let place = self.gear.0.pipes.borrow_mut().park(pipe);
        Parked { place: Some(place), holds, gear: self.gear.clone() }
    }

    /// What is in it, to be delivered in another way; no session of the worker splices after that.
    pub(super) fn take_out(mut self) -> io::Result<Vec<u8>> {
        self.gear.renounce_pipes();
        self.pipe.as_mut().expect(NEVER_TAKEN).take_out()
    }
}

impl Deref for Lent {
    type Target = Pipe;

    fn deref(&self) -> &Pipe {
        self.pipe.as_ref().expect(NEVER_TAKEN)
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut Pipe {
        self.pipe.as_mut().expect(NEVER_TAKEN)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(pipe) = self.pipe.take() {
            self.gear.0.pipes.borrow_mut().give_back(pipe);
        }
    }
}

const NEVER_TAKEN: &str = "only parking and its drop take the pipe";
const NEVER_RETRIEVED: &str = "only retrieving and its drop give up the place";

impl fmt::Debug for Gear {
    /// Leaves the bytes out: they belong to clients.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gear").field("pipes", &self.0.pipes).finish_non_exhaustive()
    }
}
