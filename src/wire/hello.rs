//! Recognises openings that a server forgets when the connection ends (S4): one TLS `ClientHello`
//! without early data, `PostgreSQL`'s `SSLRequest` or `GSSENCRequest`. Pure: bytes in, answer out.

/// What the client's bytes so far are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// A prefix of such an opening, or exactly one: the client may still be moved.
    Replayable,
    /// Anything else, or more: what was sent may have had an effect.
    Committed,
}

/// The most bytes that are kept of an opening.
pub const OPENING_LIMIT: usize = 16 * 1024;

/// Judges everything that a client has sent so far.
pub fn classify(bytes: &[u8]) -> Opening {
    let _ = bytes;
    Opening::Committed
}
