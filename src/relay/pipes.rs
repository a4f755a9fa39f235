//! One worker's pipes: which are idle, which are lent, and which hold bytes that a sink does not take.
//!
//! A pipe that waits for its sink is parked here. If another session needs one and there is none, the pipe that has been parked
//! longest is emptied into memory: slow readers do not keep pipes from those who keep up (D3). No pipe outlasts its use by
//! much, because all processes of a user share one bound on them (`fs.pipe-user-pages-soft`).

use std::io;

use slab::Slab;

use super::splice::{CAPACITIES, Pipe};

#[cfg(all(test, target_os = "linux", not(portable)))]
mod tests;

/// One worker's pipes.
#[derive(Debug)]
pub(super) struct Pipes {
    idle: Vec<Pipe>,
    /// The fewest that were idle at a time since the last tidying: so many were not needed.
    unneeded: usize,
    parked: Slab<Place>,
    /// How many have been parked so far.
    parkings: u64,
    /// How many may exist.
    limit: usize,
    /// How many are not idle: in use by a session at this moment, or parked.
    lent: usize,
    /// Whether the kernel has refused a pipe since the last tidying. Until the next one it is not asked again.
    is_refused: bool,
    refusals: u64,
}

/// A parked pipe.
#[derive(Debug)]
struct Place {
    contents: Contents,
    /// Its number among all parkings.
    number: u64,
    /// Whether a tidying has found it here before.
    is_old: bool,
}

/// What a session gets back for a pipe that it has parked.
#[derive(Debug)]
pub(super) enum Contents {
    /// The pipe.
    Pipe(Pipe),
    /// What was in it: the pipe was needed elsewhere. Or why that could not be read.
    Bytes(io::Result<Vec<u8>>),
}

impl Pipes {
    pub(super) fn new(limit: usize) -> Self {
        Pipes {
            idle: Vec::new(),
            unneeded: 0,
            parked: Slab::new(),
            parkings: 0,
            limit,
            lent: 0,
            is_refused: false,
            refusals: 0,
        }
    }

    /// An empty pipe, unless as many as there may be are in use, or the kernel grants none that is worth it.
    pub(super) fn take(&mut self) -> Option<Pipe> {
        if self.limit == 0 {
            return None;
        }
        let idle = self.idle.pop();
        self.unneeded = self.unneeded.min(self.idle.len());
        let pipe = idle.or_else(|| self.create()).or_else(|| self.empty_oldest())?;
        self.lent += 1;
        Some(pipe)
    }

    pub(super) fn give_back(&mut self, pipe: Pipe) {
        self.lent = self.lent.saturating_sub(1);
        if pipe.holds() == 0 && self.lent + self.idle.len() < self.limit {
            self.idle.push(pipe);
        }
    }

    /// Keeps a pipe with bytes in it, until its sink takes some or the pipe is needed elsewhere; returns its place.
    pub(super) fn park(&mut self, pipe: Pipe) -> usize {
        self.parkings += 1;
        self.parked.insert(Place { contents: Contents::Pipe(pipe), number: self.parkings, is_old: false })
    }

    /// The contents of this place, which is free then. A pipe among them is lent again.
    pub(super) fn unpark(&mut self, place: usize) -> Contents {
        self.parked.remove(place).contents
    }

    /// Closes idle pipes that nobody has needed since the last time, and empties those that have been parked since then.
    /// Called once a second. Returns how often the kernel has refused a pipe meanwhile.
    pub(super) fn tidy(&mut self) -> u64 {
        self.idle.drain(..self.unneeded.min(self.idle.len()));
        let old: Vec<usize> =
            self.parked.iter().filter(|(_, place)| place.is_old).map(|(place, _)| place).collect();
        for place in old {
            drop(self.empty(place));
        }
        for (_, place) in &mut self.parked {
            place.is_old = true;
        }
        self.unneeded = self.idle.len();
        self.is_refused = false;
        std::mem::take(&mut self.refusals)
    }

    /// Closes every pipe that no session is using at this moment: another process is to have them.
    pub(super) fn close_all(&mut self) {
        self.idle.clear();
        let all: Vec<usize> = self.parked.iter().map(|(place, _)| place).collect();
        for place in all {
            drop(self.empty(place));
        }
    }

    pub(super) fn renounce(&mut self) {
        self.limit = 0;
        self.idle.clear();
    }

    #[cfg(test)]
    pub(super) fn in_use(&self) -> usize {
        self.lent
    }

    #[cfg(test)]
    pub(super) fn idle(&self) -> usize {
        self.idle.len()
    }

    fn create(&mut self) -> Option<Pipe> {
        if self.lent >= self.limit || self.is_refused {
            return None;
        }
        let pipe = Pipe::new(&CAPACITIES);
        if pipe.is_none() {
            // An unprivileged user's pipes are small once there are many, and descriptors may be short.
            self.is_refused = true;
            self.refusals += 1;
        }
        pipe
    }

    /// Empties the pipe that has been parked longest.
    fn empty_oldest(&mut self) -> Option<Pipe> {
        let pipes = self.parked.iter().filter(|(_, place)| matches!(place.contents, Contents::Pipe(_)));
        let (oldest, _) = pipes.min_by_key(|(_, place)| place.number)?;
        self.empty(oldest)
    }

    /// Has a place hold the bytes of its pipe in memory, and returns the pipe, which is not lent any more.
    fn empty(&mut self, place: usize) -> Option<Pipe> {
        let contents = &mut self.parked.get_mut(place)?.contents;
        let Contents::Pipe(pipe) = contents else { return None };
        let bytes = pipe.take_out();
        let is_empty = bytes.is_ok();
        let contents = std::mem::replace(contents, Contents::Bytes(bytes));
        self.lent = self.lent.saturating_sub(1);
        match contents {
            Contents::Pipe(pipe) if is_empty => Some(pipe),
            _ => None,
        }
    }
}
