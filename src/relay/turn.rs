//! A turn: what a session moves before all others of its worker, and the poller, have theirs.

use std::future::Future;
use std::pin::pin;
use std::task::Context;

use tokio::task::yield_now;

/// How many bytes one direction moves in a turn; the last read or splice may pass this number once (D9: fairness counts
/// bytes, not polls).
pub(super) const BYTES_PER_TURN: usize = 256 * 1024;

/// Asks for another turn. The runtime grants it only after the poller was asked: a session with a single byte, a new client or
/// a timer waits for one turn of each busy session, not for hundreds.
///
/// A waker that is rung at once would put the task straight back into the queue, and the poller is asked only when that is
/// empty or after `event_interval` polls.
pub(super) fn end_turn(cx: &mut Context<'_>) {
    // The first poll hands the waker to the runtime; without a runtime it is rung at once.
    let _ = pin!(yield_now()).poll(cx);
}
