//! What is tried.

use crate::support::attack::Attack;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overload {
    /// More silent clients than there are descriptors for.
    Descriptors,
    /// Little memory, and clients that never read.
    Memory,
    /// Connects and resets from everywhere.
    Flood,
    /// `ClientHello`s byte by byte.
    SlowHello,
    /// PROXY headers byte by byte.
    SlowProxyHeader,
    /// Clients that never read.
    NeverReads,
}

impl Overload {
    /// All of them, in the order of the report.
    pub(super) const ALL: [Self; 6] = [
        Self::Flood,
        Self::SlowHello,
        Self::SlowProxyHeader,
        Self::NeverReads,
        Self::Memory,
        Self::Descriptors,
    ];

    /// What it is, in words.
    pub(super) fn story(self) -> &'static str {
        match self {
            Self::Descriptors => "500 silent clients where there are descriptors for 64 more",
            Self::Memory => "200 clients that never read, and 64 MiB of memory for the proxy",
            Self::Flood => "1000 connects a second, each reset at once, each from another address",
            Self::SlowHello => "1000 clients that send a ClientHello byte by byte, five a second",
            Self::SlowProxyHeader => "1000 clients that send a PROXY header byte by byte, five a second",
            Self::NeverReads => "200 clients that ask for all there is and never read",
        }
    }

    /// Who comes, and how many of them.
    pub(super) fn attackers(self) -> (Attack, u16) {
        match self {
            Self::Descriptors => (Attack::Silence, 500),
            Self::Memory | Self::NeverReads => (Attack::NeverReads, 200),
            Self::Flood => (Attack::Flood, 20),
            Self::SlowHello => (Attack::SlowHello, 1000),
            Self::SlowProxyHeader => (Attack::SlowProxyHeader, 1000),
        }
    }

    /// How many descriptors more than it has the target may get, if that is the point.
    pub(super) fn descriptors(self) -> Option<u32> {
        (self == Self::Descriptors).then_some(64)
    }

    /// How many bytes of memory the target may have, if that is the point.
    pub(super) fn memory(self) -> Option<u64> {
        (self == Self::Memory).then_some(64 << 20)
    }
}
