//! A client and a node that belong together, and what the node's first byte to the client tells those who wait for it.

use tokio::net::TcpStream;
use tokio::time::Instant;

use super::metrics::Counted;
use super::outcome::Outcome;
use super::release::Released;
use super::sources::SourcePlace;
use crate::relay::Relay;
use crate::tenure::Trial;

/// A client and a node that belong together.
pub(super) struct Joined {
    pub(super) relay: Relay<TcpStream, TcpStream>,
    /// Until the client has its first byte. Boxed, for most come alone and to the leader.
    awaited: Option<Box<Awaited>>,
    _counted: Counted,
    /// Where it was not known who the client is before a proxy had told.
    _of_source: Option<Box<SourcePlace>>,
}

/// What the node's first byte is of use to.
struct Awaited {
    released: Option<Released>,
    trial: Option<Trial>,
}

impl Joined {
    /// Joins them; `released` and `trial` want to know of the node's first byte, the rest is held until the end.
    pub(super) fn new(
        relay: Relay<TcpStream, TcpStream>,
        released: Option<Released>,
        trial: Option<Trial>,
        counted: Counted,
        of_source: Option<Box<SourcePlace>>,
    ) -> Self {
        let is_awaited = released.is_some() || trial.is_some();
        let awaited = is_awaited.then(|| Box::new(Awaited { released, trial }));
        Joined { relay, awaited, _counted: counted, _of_source: of_source }
    }

    /// The node has said something to the client.
    pub(super) fn note_first_byte(&mut self) {
        let Some(awaited) = self.awaited.take() else { return };
        if let Some(released) = awaited.released {
            released.answered();
        }
        if let Some(trial) = awaited.trial {
            trial.answered();
        }
    }

    /// The relay is over, for this reason.
    pub(super) fn note_end(&mut self, outcome: Outcome) {
        fail(self.awaited.take().and_then(|awaited| awaited.trial), outcome);
    }
}

/// Notes against a reader's node that it had said nothing, if it was the node that ended the connection.
pub(super) fn fail(trial: Option<Trial>, outcome: Outcome) {
    if let Some(trial) = trial
        && matches!(outcome, Outcome::Node | Outcome::NodeError)
    {
        trial.failed(Instant::now());
    }
}
