//! Why a connection ended; the names are label values of the metrics and words of the log.

/// Why a connection ended that had been taken on: a reason of `raftgate_connections_closed_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The client closed first.
    Client,
    /// The node closed first.
    Node,
    /// Nothing moved for `timeouts.idle` (S6).
    Idle,
    /// One direction was closed and nothing moved in the other for `timeouts.half_closed` (S6).
    HalfClosed,
    /// The client did not complete its opening within `connect.first_byte_timeout` (S8).
    FirstByteTimeout,
    /// Its tenure's sessions were cut (S5).
    Cut,
    /// Its tenure's sessions were drained and it outlived `sessions.drain` (S5).
    Drained,
    /// The client's connection failed, by a reset for instance.
    ClientError,
    /// The node's connection failed, or none could be had in time (S3).
    NodeError,
    /// It was held in vain until `hold.timeout` (S2).
    Leaderless,
    /// The gate itself ended it (O4).
    Shutdown,
}

impl Outcome {
    /// Every outcome, in the order of their discriminants.
    pub const ALL: [Outcome; 11] = [
        Outcome::Client,
        Outcome::Node,
        Outcome::Idle,
        Outcome::HalfClosed,
        Outcome::FirstByteTimeout,
        Outcome::Cut,
        Outcome::Drained,
        Outcome::ClientError,
        Outcome::NodeError,
        Outcome::Leaderless,
        Outcome::Shutdown,
    ];

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Client => "client",
            Outcome::Node => "node",
            Outcome::Idle => "idle",
            Outcome::HalfClosed => "half_closed",
            Outcome::FirstByteTimeout => "first_byte_timeout",
            Outcome::Cut => "cut",
            Outcome::Drained => "drained",
            Outcome::ClientError => "client_error",
            Outcome::NodeError => "node_error",
            Outcome::Leaderless => "leaderless",
            Outcome::Shutdown => "shutdown",
        }
    }

    /// Whether peers are reset, rather than closed, so that nobody takes what they got for all there was (S6).
    pub(super) fn is_abrupt(self) -> bool {
        match self {
            Outcome::Client | Outcome::Node | Outcome::Idle | Outcome::HalfClosed => false,
            Outcome::FirstByteTimeout
            | Outcome::Cut
            | Outcome::Drained
            | Outcome::ClientError
            | Outcome::NodeError
            | Outcome::Leaderless
            | Outcome::Shutdown => true,
        }
    }
}

/// Why a connection was turned away: a reason of `raftgate_connections_refused_total` (S8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its address is none that the listener's `allow` and `deny` let in.
    Denied,
    /// There were `max_connections` already, in all or at the listener.
    Limit,
    /// Its source had `max_connections_per_source` already.
    SourceLimit,
    /// `hold.limit` clients were held already.
    HoldLimit,
    /// No route of its listener takes it, or one that rejects.
    RejectedName,
    /// A PROXY header was missing or malformed where it has to be, or was there where it must not be.
    ProxyHeader,
}

impl Refusal {
    /// Every refusal, in the order of their discriminants.
    pub const ALL: [Refusal; 6] = [
        Refusal::Denied,
        Refusal::Limit,
        Refusal::SourceLimit,
        Refusal::HoldLimit,
        Refusal::RejectedName,
        Refusal::ProxyHeader,
    ];

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::Denied => "denied",
            Refusal::Limit => "limit",
            Refusal::SourceLimit => "source_limit",
            Refusal::HoldLimit => "hold_limit",
            Refusal::RejectedName => "rejected_name",
            Refusal::ProxyHeader => "proxy_header",
        }
    }
}

/// The end of one connection, either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Turned away.
    Refused(Refusal),
    /// Taken on, and over.
    Closed(Outcome),
}

impl Ending {
    /// The word used in logs.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Ending::Refused(refusal) => refusal.as_str(),
            Ending::Closed(outcome) => outcome.as_str(),
        }
    }
}

impl From<Outcome> for Ending {
    fn from(outcome: Outcome) -> Self {
        Ending::Closed(outcome)
    }
}

impl From<Refusal> for Ending {
    fn from(refusal: Refusal) -> Self {
        Ending::Refused(refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_may_index_by_discriminant() {
        for (place, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(place, outcome as usize);
        }
        for (place, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(place, refusal as usize);
        }
    }
}
