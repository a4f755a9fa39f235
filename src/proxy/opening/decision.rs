//! What to do with a client that has not seen a byte of its node yet (S4), decided without IO.

use std::slice;
use std::sync::Arc;

use super::super::choice::{Setback, leads_to};
use crate::tenure::{Fate, Route, Tenure};
use crate::wire::hello::{OPENING_LIMIT, Opening as Judgement, classify, is_whole};

/// What the route, as it is now, means for a client that waits for its node's first byte.
#[derive(Clone, Debug)]
pub(super) enum Standing {
    /// Nothing: its node leads, or serves readers, or none does and the old node is kept.
    Stay,
    /// The same node leads, or serves readers, under another tenure; the client belongs to that one from now on.
    Adopt(Arc<Tenure>),
    /// Another node is there, or this one is to be left: the client is to be moved.
    Leave,
}

/// Judges the route and the fate of the tenure that the client was dialled under.
pub(super) fn standing(tenure: &Tenure, route: &Route) -> Standing {
    let serving = match route {
        // The leader takes no clients, and this node serves in its place.
        Route::Led(_) if tenure.is_stand_in() && leads_to(route, tenure) => return Standing::Stay,
        Route::Led(leader) => slice::from_ref(leader),
        Route::Spread(readers) => readers,
        // Cut, and nobody has seen a byte: waiting for the next leader serves the client, a reset would not.
        Route::Leaderless { .. } if tenure.fate() == Fate::Cut => return Standing::Leave,
        // Without a successor the old node is kept: it may only be slow.
        Route::Leaderless { .. } => return Standing::Stay,
    };
    match serving.iter().find(|one| is_same_node(one, tenure)) {
        Some(own) if own.epoch == tenure.epoch => Standing::Stay,
        Some(newer) => Standing::Adopt(Arc::clone(newer)),
        None => Standing::Leave,
    }
}

fn is_same_node(one: &Tenure, other: &Tenure) -> bool {
    one.node == other.node && one.address == other.address
}

/// What a node's silent close comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterClose {
    /// The client is dialled again, once the node counts again or another one leads.
    Move,
    /// The client is told as the node said it.
    PassOn,
}

/// What one client has said before its node's first byte, across all the nodes that were tried.
#[derive(Debug, Default)]
pub(in super::super) struct Opening {
    /// Everything read from the client.
    kept: Vec<u8>,
    /// Whether its end of file has been read.
    finished: bool,
    /// Whether it may have an effect that sending it again would repeat.
    committed: bool,
}

impl Opening {
    /// Takes in what the client has sent, and judges the whole.
    pub(in super::super) fn add(&mut self, bytes: &[u8]) -> Judgement {
        self.kept.extend_from_slice(bytes);
        let judgement =
            if self.kept.len() > OPENING_LIMIT { Judgement::Committed } else { classify(&self.kept) };
        self.committed = judgement == Judgement::Committed;
        judgement
    }

    /// The client has sent its last byte.
    pub(in super::super) fn finish(&mut self) {
        self.finished = true;
    }

    /// Whether there is anything to say to a node at once.
    pub(in super::super) fn has_words(&self) -> bool {
        !self.kept.is_empty()
    }

    pub(in super::super) fn kept(&self) -> &[u8] {
        &self.kept
    }

    pub(in super::super) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Whether it must not be sent twice.
    pub(in super::super) fn is_committed(&self) -> bool {
        self.committed
    }

    /// Whether the server's turn has come: the opening is complete, or more than one.
    pub(in super::super) fn is_whole(&self) -> bool {
        self.committed || is_whole(&self.kept)
    }

    /// Whether the client has closed after bytes that mean nothing without an answer. No client of such a protocol ends
    /// its stream before it has heard of the server.
    pub(in super::super) fn is_abandoned(&self) -> bool {
        self.finished && self.has_words() && !self.committed
    }

    /// What is left of it once `sent` bytes have reached the node for good.
    pub(super) fn into_unsent(mut self, sent: usize) -> Vec<u8> {
        self.kept.split_off(sent.min(self.kept.len()))
    }

    /// What to do when the node closes (or resets, if not `orderly`) without a byte. `setback` is what the client
    /// went through before.
    pub(super) fn after_close(
        &self,
        orderly: bool,
        setback: Option<&Setback>,
        tenure: &Tenure,
        route: &Route,
    ) -> AfterClose {
        // A client that said nothing and closed got its answer: a balancer's check, not a failure.
        let answered = orderly && self.finished && self.kept.is_empty();
        // It was tried again after the leader had confirmed itself, and still leads: closing is what it wants.
        let again = setback.is_some_and(|setback| setback.concerns(tenure) && setback.closed_early() > 0);
        let insists = again && leads_to(route, tenure);
        if answered || insists { AfterClose::PassOn } else { AfterClose::Move }
    }
}
