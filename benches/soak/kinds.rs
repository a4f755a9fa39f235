//! What clients do: one script for each kind of session.

use crate::support::conversation::{Ending, Flow, Pace, Script};

/// A kind of session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Some bytes to and fro over TLS, ended by the client.
    Short,
    /// The same, plainly.
    ShortPlain,
    /// The client half-closes long before the node has said all.
    ClientEndsFirst,
    /// The node half-closes long before the client has said all.
    NodeEndsFirst,
    /// Small messages for a minute or so, over TLS.
    Long,
    /// The same, plainly.
    LongPlain,
    /// The client reads much more slowly than the node writes.
    SlowReader,
    /// The client writes a few bytes at a time.
    SlowWriter,
    /// The node reads much more slowly than the client writes.
    SlowNode,
    /// Megabytes to the client, as fast as it goes: what is spliced.
    BulkDown,
    /// Megabytes to the node.
    BulkUp,
    /// Both ends send urgent data among the other bytes: little, or so much that it is spliced.
    Urgent,
    /// The client resets in the middle of a transfer.
    ClientResets,
    /// The node does.
    NodeResets,
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

impl Kind {
    /// All of them, in the order of the report.
    pub(crate) const ALL: [Self; 14] = [
        Self::Short,
        Self::ShortPlain,
        Self::ClientEndsFirst,
        Self::NodeEndsFirst,
        Self::Long,
        Self::LongPlain,
        Self::SlowReader,
        Self::SlowWriter,
        Self::SlowNode,
        Self::BulkDown,
        Self::BulkUp,
        Self::Urgent,
        Self::ClientResets,
        Self::NodeResets,
    ];

    /// Its name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Short => "short, TLS",
            Self::ShortPlain => "short",
            Self::ClientEndsFirst => "client half-closes",
            Self::NodeEndsFirst => "node half-closes",
            Self::Long => "long, TLS",
            Self::LongPlain => "long",
            Self::SlowReader => "slow reader",
            Self::SlowWriter => "slow writer",
            Self::SlowNode => "slow node",
            Self::BulkDown => "bulk down",
            Self::BulkUp => "bulk up",
            Self::Urgent => "urgent data",
            Self::ClientResets => "reset by client",
            Self::NodeResets => "reset by node",
        }
    }

    /// Whether its client does TLS; bytes are compared in any case.
    pub(crate) fn does_tls(self) -> bool {
        matches!(self, Self::Short | Self::Long)
    }

    /// What both ends do in a session of this kind that is to take about `seconds` if it has no pace of its own.
    pub(crate) fn script(self, seed: u64, seconds: u32) -> Script {
        let fast = |bytes: u64| Flow { bytes, written: Pace::FAST, read: Pace::FAST };
        let by = |piece: u32, pause: u32, pieces: u32| Flow {
            bytes: u64::from(piece) * u64::from(pieces),
            written: Pace { piece, pause },
            read: Pace::FAST,
        };
        let varied = |most: u64| 1 + fastrand::u64(0..most);
        let (up, down, ending) = match self {
            Self::Short | Self::ShortPlain => {
                let ending = if seed.is_multiple_of(2) { Ending::ClientFirst } else { Ending::NodeFirst };
                (fast(varied(4 * KIB)), fast(varied(32 * KIB)), ending)
            }
            Self::ClientEndsFirst => (fast(varied(KIB)), by(16 * 1024, 40, 8), Ending::ClientFirst),
            Self::NodeEndsFirst => (by(8 * 1024, 40, 8), fast(varied(KIB)), Ending::NodeFirst),
            Self::Long | Self::LongPlain => {
                (by(200, 1000, seconds), by(900, 1000, seconds), Ending::ClientFirst)
            }
            Self::SlowReader => {
                let read = Pace { piece: 64 * 1024, pause: 60 };
                (fast(KIB), Flow { read, ..fast(6 * MIB) }, Ending::ClientFirst)
            }
            Self::SlowWriter => (by(100, 20, 50 * seconds.min(10)), fast(KIB), Ending::NodeFirst),
            Self::SlowNode => {
                let read = Pace { piece: 64 * 1024, pause: 60 };
                (Flow { read, ..fast(6 * MIB) }, fast(KIB), Ending::ClientFirst)
            }
            Self::BulkDown => (fast(KIB), fast(32 * MIB), Ending::ClientFirst),
            Self::BulkUp => (fast(32 * MIB), fast(KIB), Ending::ClientFirst),
            Self::Urgent => {
                let flow = if seed.is_multiple_of(2) { fast(8 * MIB) } else { by(2000, 20, 50) };
                let ending = if seed.is_multiple_of(3) { Ending::NodeFirst } else { Ending::ClientFirst };
                (flow, flow, ending)
            }
            Self::ClientResets => (fast(varied(64 * KIB)), fast(varied(MIB)), Ending::ClientResets),
            Self::NodeResets => (fast(varied(64 * KIB)), fast(varied(MIB)), Ending::NodeResets),
        };
        Script { seed, up, down, ending, is_urgent: self == Self::Urgent }
    }
}
