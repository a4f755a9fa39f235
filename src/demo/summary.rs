//! What the demo has to say in the end.

use std::fmt;
use std::time::Duration;

use super::ledger::shown;

/// What is done to a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It dies at once, and its sockets with it.
    Kill,
    /// It stands still, its sockets stay open; later it wakes, still believing that it leads.
    Freeze,
    /// It gives way to a successor, and lives on.
    HandOver,
}

impl Fault {
    /// The faults, in the turn in which they come.
    pub const TURN: [Fault; 3] = [Fault::Kill, Fault::Freeze, Fault::HandOver];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Fault::Kill => "kill",
            Fault::Freeze => "freeze",
            Fault::HandOver => "hand over",
        }
    }
}

/// One failover, measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failover {
    /// What was done.
    pub fault: Fault,
    /// The leader to which it was done.
    pub from: &'static str,
    /// Its successor.
    pub to: &'static str,
    /// From the fault until the successor said that it leads, by its own clock: raft's part.
    pub election: Duration,
    /// From there until its first byte reached the first client: the gate's part.
    pub follow: Duration,
    /// The longest that any client waited for its answer.
    pub longest_wait: Duration,
    /// Clients whose node died after its first byte had reached them.
    pub interrupted: usize,
    /// Clients that failed without such an excuse.
    pub failed: usize,
}

/// How many clients, and what they got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Answered by the leader.
    pub served: u64,
    /// Answered by a node that did not lead (any more).
    pub served_elsewhere: u64,
    /// Their node died or froze after its first byte had reached them.
    pub interrupted: u64,
    /// Refused, reset, timed out, or sent to a former leader when the new one was known.
    pub failed: u64,
    /// Not started, because too many others were waiting.
    pub postponed: u64,
    /// Long echo sessions that are open.
    pub sessions_open: u64,
    /// Long sessions that ended because their node was killed or frozen.
    pub sessions_ended_with_node: u64,
    /// Long sessions that broke for any other reason.
    pub sessions_broken: u64,
}

/// A client that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// When it began to connect, since the first client.
    pub at: Duration,
    /// Why it has no answer.
    pub why: String,
}

/// The outcome of a demo.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The failovers, in their order.
    pub failovers: Vec<Failover>,
    /// All clients.
    pub totals: Totals,
    /// Clients that failed: the first of them, with reasons.
    pub losses: Vec<Loss>,
}

impl Summary {
    /// Whether the gate kept its promise: no client failed, no session broke while its node lived.
    pub fn kept_promise(&self) -> bool {
        self.totals.failed == 0 && self.totals.sessions_broken == 0
    }
}

/// The heading of the table of failovers.
pub(super) const HEADING: &str =
    "   # fault      from     to     election   leader->client   longest wait   lost";

impl Failover {
    /// Its line in the table; `number` counts from 1.
    pub(super) fn row(&self, number: usize) -> String {
        let Failover { from, to, .. } = self;
        format!(
            "{number:>4} {:<9}  {from:<6}   {to:<6} {:>8}   {:>14}   {:>12}   {}",
            self.fault.as_str(),
            shown(self.election),
            shown(self.follow),
            shown(self.longest_wait),
            self.lost(),
        )
    }

    /// The same in a sentence.
    pub(super) fn sentence(&self) -> String {
        format!(
            "{} {}, {} elected after {}, first client {} later, longest wait {}, lost: {}",
            self.fault.as_str(),
            self.from,
            self.to,
            shown(self.election),
            shown(self.follow),
            shown(self.longest_wait),
            self.lost(),
        )
    }

    fn lost(&self) -> String {
        match (self.failed, self.interrupted) {
            (0, 0) => "none".to_owned(),
            (0, cut) => format!("{cut} cut off"),
            (failed, 0) => format!("{failed} FAILED"),
            (failed, cut) => format!("{failed} FAILED, {cut} cut off"),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.failovers.is_empty() {
            writeln!(f, "No failover was completed.")?;
        } else {
            writeln!(f, "{HEADING}")?;
            for (index, failover) in self.failovers.iter().enumerate() {
                writeln!(f, "{}", failover.row(index + 1))?;
            }
            let (election, follow) = (self.spread(|x| x.election), self.spread(|x| x.follow));
            let wait = self.spread(|x| x.longest_wait);
            for (name, pick) in [("median", 0), ("worst", 1)] {
                let [election, follow, wait] = [&election, &follow, &wait].map(|pair| shown(pair[pick]));
                writeln!(f, "     {name:<25} {election:>9}   {follow:>14}   {wait:>12}")?;
            }
            writeln!(f)?;
            writeln!(f, "election: from the fault until the successor says that it leads (raft's part)")?;
            writeln!(
                f,
                "leader->client: from there until its first byte reaches the first client (the gate's part)"
            )?;
            writeln!(f, "longest wait: of any client, from its connect to its answer")?;
        }
        writeln!(f)?;
        self.write_clients(f)?;
        writeln!(f)?;
        writeln!(f, "{}", self.verdict())
    }
}

impl Summary {
    /// Median and worst.
    fn spread(&self, pick: impl Fn(&Failover) -> Duration) -> [Duration; 2] {
        let mut all: Vec<Duration> = self.failovers.iter().map(pick).collect();
        all.sort_unstable();
        let median = all.get((all.len().saturating_sub(1)) / 2).copied().unwrap_or_default();
        [median, all.last().copied().unwrap_or_default()]
    }

    fn verdict(&self) -> &'static str {
        if self.kept_promise() {
            "The gate kept its promise: nobody was refused, reset or misled while their node lived."
        } else {
            "The gate did NOT keep its promise: clients were lost while they need not have been."
        }
    }

    fn write_clients(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals { served, served_elsewhere, interrupted, failed, postponed, .. } = self.totals;
        let done = served + served_elsewhere + interrupted + failed;
        writeln!(f, "{done} clients: {served} served by the leader")?;
        writeln!(
            f,
            "{served_elsewhere:>8} served by a node that no longer led: it had them before the gate could know"
        )?;
        writeln!(
            f,
            "{interrupted:>8} cut off: their node died or froze after its first byte (no proxy can mend that)"
        )?;
        writeln!(f, "{failed:>8} failed")?;
        if postponed > 0 {
            writeln!(f, "{postponed:>8} not started, because too many were waiting already")?;
        }
        let Totals { sessions_open, sessions_ended_with_node, sessions_broken, .. } = self.totals;
        writeln!(
            f,
            "Long sessions: {sessions_open} open to the end, {sessions_ended_with_node} ended with their node, \
             {sessions_broken} broken"
        )?;
        if !self.losses.is_empty() {
            writeln!(f, "\nWhat went wrong:")?;
            for Loss { at, why } in &self.losses {
                writeln!(f, "  at {:.2} s: {why}", at.as_secs_f64())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
