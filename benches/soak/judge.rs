//! Whether a session ended as the rules have it, given what was broken meanwhile (pure; `tests/blackbox/soak_bench.rs`
//! tests it).
//!
//! What a fault allows is little: who has had a byte of a node that is killed or frozen goes down with it (promise 1
//! knows no remedy), and who has said to it, plainly, what is said only once (S4). Nobody else may notice anything.

use std::fmt;

use crate::support::clock::Stamp;
use crate::support::conversation::End;

use super::kinds::Kind;

/// What happens to the cluster or to the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Fault {
    /// The leader steps down, another one claims at once.
    HandOver,
    /// The leader is killed; another one claims about a second later.
    Kill,
    /// The leader is stopped where it stands, and goes on some time after the election.
    Freeze,
    /// Another node claims while the first goes on claiming.
    TwoLeaders,
    /// The gate reads its file again, which is as it was.
    Reload,
    /// The same with another file: a listener more or less, other times.
    ReloadChanged,
    /// The same with a file that is refused.
    ReloadRefused,
    /// Another process of the gate takes the place of this one, whose sessions go on.
    Upgrade,
    /// A burst of sessions that are reset in the middle of a transfer.
    ResetStorm,
}

impl Fault {
    /// All of them, in the order in which they strike.
    pub(crate) const ALL: [Self; 9] = [
        Self::HandOver,
        Self::Upgrade,
        Self::Reload,
        Self::ResetStorm,
        Self::Kill,
        Self::ReloadChanged,
        Self::TwoLeaders,
        Self::ReloadRefused,
        Self::Freeze,
    ];

    /// Whether it is only for the time in which a run warms up: a fresh process has grown by nothing yet, and what grows
    /// shows only where none is.
    pub(crate) fn is_early(self) -> bool {
        self == Self::Upgrade
    }

    /// Its name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::HandOver => "hand-over",
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::TwoLeaders => "two leaders",
            Self::Reload => "reload",
            Self::ReloadChanged => "changed reload",
            Self::ReloadRefused => "refused reload",
            Self::Upgrade => "upgrade",
            Self::ResetStorm => "reset storm",
        }
    }
}

/// One fault of a run.
#[derive(Clone, Debug)]
pub(crate) struct Strike {
    /// What.
    pub(crate) fault: Fault,
    /// The node that was killed or frozen.
    pub(crate) node: Option<String>,
    /// When.
    pub(crate) from: Stamp,
    /// When new clients were served as they should be; nothing as long as they are not.
    pub(crate) until: Option<Stamp>,
}

/// What became of one session.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// Its kind.
    pub(crate) kind: Kind,
    /// What its bytes follow from; by it a node's word is found to be about its client.
    pub(crate) seed: u64,
    /// Before its client connected.
    pub(crate) started: Stamp,
    /// When it was over.
    pub(crate) ended: Stamp,
    /// The node that it had, if it knows.
    pub(crate) node: Option<String>,
    /// Whether any byte of a node has arrived.
    pub(crate) answered: bool,
    /// Bytes that were compared by its client.
    pub(crate) bytes: u64,
    /// How it ended.
    pub(crate) end: End,
}

/// What no session may live through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Finding {
    /// A client that was turned away or lost before any byte of a node.
    FailedClient,
    /// A byte that was not sent so, or not there.
    WrongBytes,
    /// A stream that ended in good order before its end.
    LooksComplete,
    /// Any other end than the one agreed upon, without a reason among the faults.
    AgainstTheRules,
    /// A standstill.
    Stuck,
}

impl Finding {
    /// All of them, in the order of the report.
    pub(crate) const ALL: [Self; 5] =
        [Self::FailedClient, Self::WrongBytes, Self::LooksComplete, Self::AgainstTheRules, Self::Stuck];

    /// Its name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::FailedClient => "failed clients",
            Self::WrongBytes => "wrong bytes",
            Self::LooksComplete => "looked complete, was not",
            Self::AgainstTheRules => "ended against the rules",
            Self::Stuck => "stuck",
        }
    }

    /// What a node has told of a conversation of its own: its kind by name.
    pub(crate) fn told_by_node(kind: &str) -> Self {
        match kind {
            "Wrong" => Self::WrongBytes,
            "LooksComplete" => Self::LooksComplete,
            "Stuck" => Self::Stuck,
            _ => Self::AgainstTheRules,
        }
    }
}

/// A session's verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As agreed.
    Fine,
    /// Its node was struck, and it with it.
    CutOff,
    /// A fault of the gate's.
    Found(Finding),
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, seed {}, from {} to {}, at {}, after {} bytes: {:?}",
            self.kind.name(),
            self.seed,
            self.started,
            self.ended,
            self.node.as_deref().unwrap_or("no node"),
            self.bytes,
            self.end,
        )
    }
}

impl Session {
    /// What to think of it.
    pub(crate) fn verdict(&self, strikes: &[Strike]) -> Verdict {
        let found = match &self.end {
            End::AsAgreed => return Verdict::Fine,
            // No fault excuses these.
            End::Wrong(_) => return Verdict::Found(Finding::WrongBytes),
            End::Stuck(_) => return Verdict::Found(Finding::Stuck),
            _ if !self.answered => Finding::FailedClient,
            End::LooksComplete(_) => Finding::LooksComplete,
            End::Reset(_) | End::Failed(_) => Finding::AgainstTheRules,
        };
        if strikes.iter().any(|strike| self.goes_down_with(strike)) {
            return Verdict::CutOff;
        }
        Verdict::Found(found)
    }

    /// Whether a fault is reason enough for its end.
    fn goes_down_with(&self, strike: &Strike) -> bool {
        if !matches!(strike.fault, Fault::Kill | Fault::Freeze) || strike.from > self.ended {
            return false;
        }
        // The kernel of a node that is killed may end its connections in good order; nobody else's may.
        if matches!(self.end, End::LooksComplete(_)) && strike.fault != Fault::Kill {
            return false;
        }
        match &self.node {
            Some(node) => strike.node.as_ref() == Some(node) && self.started <= strike.from,
            // Within its handshake a client cannot say by whom it was interrupted.
            None if self.answered => self.started <= strike.from,
            // A ClientHello is said again to the next node; what is plain was said to this one (S4).
            None => !self.kind.does_tls() && strike.until.is_none_or(|until| self.started <= until),
        }
    }
}

/// What was under way at a moment: the youngest fault of those that were not over yet.
pub(crate) fn under_way(strikes: &[Strike], moment: Stamp) -> Option<Fault> {
    let mut strikes = strikes.iter().rev();
    strikes.find(|s| s.from <= moment && s.until.is_none_or(|until| until >= moment)).map(|s| s.fault)
}
