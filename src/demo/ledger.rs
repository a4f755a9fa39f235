//! What became of every client, judged honestly, and what each failover cost.
//!
//! Pure: reports and moments in, counts and durations out.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Bytes;
use tokio::time::Instant;

use super::client::Report;
use super::https::WhoAmI;
use super::standing::NAMES;
use super::summary::{Failover, Fault, Loss, Summary, Totals};

/// How many losses are kept with their reasons; all are counted.
const LOSSES_KEPT: usize = 20;

/// What a client got.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// An answer from the node at this place.
    Served {
        /// The node.
        by: usize,
        /// Whether that node led, by its own word, in no older term than was led when the client came.
        leader: bool,
    },
    /// Its node died or froze after its first byte had reached the client: no proxy can mend that.
    Interrupted,
    /// Nothing, or nonsense, and no node's death to excuse it.
    Failed(String),
}

/// A node being killed or frozen.
#[derive(Clone, Copy, Debug)]
struct Strike {
    node: usize,
    began: Instant,
    /// When it was over, if it is: the node's last byte had been sent.
    done: Option<Instant>,
}

impl Strike {
    /// Whether it can have ended something that had begun by `began` and ended at `ended`.
    fn explains(&self, began: Instant, ended: Instant) -> bool {
        self.done.is_none_or(|done| began <= done) && ended >= self.began
    }
}

/// Judges one client. `term` is the newest term that was led when it began to connect.
fn judge(report: &Report, term: u64, strikes: &[Strike]) -> Verdict {
    match &report.answer {
        Ok((status, body)) => judge_answer(*status, body, term),
        Err(error) => {
            let struck = |first_byte| strikes.iter().any(|strike| strike.explains(first_byte, report.ended));
            if error.is_loss() && report.first_byte.is_some_and(struck) {
                return Verdict::Interrupted;
            }
            let reached =
                if report.first_byte.is_some() { "after the node's first byte" } else { "before any byte" };
            Verdict::Failed(format!("{error} ({reached}, {})", shown(report.ended - report.started)))
        }
    }
}

fn judge_answer(status: StatusCode, body: &Bytes, term: u64) -> Verdict {
    let answer = WhoAmI::parse(body).filter(|_| status == StatusCode::OK);
    match answer {
        Some((by, answer)) => Verdict::Served { by, leader: answer.leader && answer.term >= term },
        None => Verdict::Failed(format!("unexpected answer: {status}")),
    }
}

/// One client that is done.
#[derive(Clone, Debug)]
struct Done {
    started: Instant,
    first_byte: Option<Instant>,
    ended: Instant,
    verdict: Verdict,
}

/// A failover under way.
#[derive(Debug)]
struct Trial {
    fault: Fault,
    old: usize,
    strike: Instant,
    clients: Vec<Done>,
}

/// The books.
#[derive(Debug)]
pub(super) struct Ledger {
    began: Instant,
    totals: Totals,
    losses: Vec<Loss>,
    strikes: Vec<Strike>,
    under_way: BTreeMap<Ticket, Instant>,
    tickets: u64,
    trial: Option<Trial>,
    failovers: Vec<Failover>,
}

/// Stands for one client that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

impl Ledger {
    /// Empty books.
    pub(super) fn new(began: Instant) -> Self {
        Ledger {
            began,
            totals: Totals::default(),
            losses: Vec::new(),
            strikes: Vec::new(),
            under_way: BTreeMap::new(),
            tickets: 0,
            trial: None,
            failovers: Vec::new(),
        }
    }

    /// The counts so far.
    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    /// The failovers so far.
    pub(super) fn failovers(&self) -> &[Failover] {
        &self.failovers
    }

    /// The newest failover, in a sentence.
    pub(super) fn last_failover(&self) -> Option<String> {
        Some(format!("failover {}: {}", self.failovers.len(), self.failovers.last()?.sentence()))
    }

    /// All that there is to say.
    pub(super) fn summary(&self) -> Summary {
        Summary { failovers: self.failovers.clone(), totals: self.totals, losses: self.losses.clone() }
    }

    /// When the books were opened.
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// Notes a client that sets out now.
    pub(super) fn set_out(&mut self, now: Instant) -> Ticket {
        self.tickets += 1;
        self.under_way.insert(Ticket(self.tickets), now);
        Ticket(self.tickets)
    }

    /// How many clients are under way.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Whether every client that set out by then is done.
    pub(super) fn all_done_since(&self, then: Instant) -> bool {
        self.under_way.values().all(|set_out| *set_out > then)
    }

    /// Notes a client that is done.
    pub(super) fn record(&mut self, client: Ticket, report: &Report, term: u64) {
        self.under_way.remove(&client);
        let verdict = judge(report, term, &self.strikes);
        match &verdict {
            Verdict::Served { leader: true, .. } => self.totals.served += 1,
            Verdict::Served { leader: false, .. } => self.totals.served_elsewhere += 1,
            Verdict::Interrupted => self.totals.interrupted += 1,
            Verdict::Failed(why) => {
                self.totals.failed += 1;
                self.note_loss(report.started, why.clone());
            }
        }
        if let Some(trial) = &mut self.trial {
            let Report { started, first_byte, ended, .. } = *report;
            trial.clients.push(Done { started, first_byte, ended, verdict });
        }
    }

    /// Notes a client that was not started because too many were waiting.
    pub(super) fn record_postponed(&mut self) {
        self.totals.postponed += 1;
    }

    /// Begins to measure a failover away from `old`, whose fault comes now.
    pub(super) fn begin_trial(&mut self, fault: Fault, old: usize, now: Instant) {
        self.trial = Some(Trial { fault, old, strike: now, clients: Vec::new() });
    }

    /// Notes that a node is about to be killed or frozen.
    pub(super) fn strike_begins(&mut self, node: usize, now: Instant) {
        self.strikes.push(Strike { node, began: now, done: None });
    }

    /// Notes that it has been done.
    pub(super) fn strike_done(&mut self, now: Instant) {
        if let Some(strike) = self.strikes.last_mut() {
            strike.done.get_or_insert(now);
        }
    }

    /// When `new`, which began to say that it leads at `claimed`, reached the first of the clients that it served.
    pub(super) fn first_reached(&self, new: usize, claimed: Instant) -> Option<Instant> {
        let clients = &self.trial.as_ref()?.clients;
        let by_new = clients.iter().filter(|done| done.verdict == Verdict::Served { by: new, leader: true });
        by_new.filter_map(|done| done.first_byte).filter(|reached| *reached >= claimed).min()
    }

    /// Ends the measurement, once every client that came before the first one reached is done.
    pub(super) fn end_trial(&mut self, new: usize, claimed: Instant) {
        let Some(first) = self.first_reached(new, claimed) else { return };
        let Some(trial) = self.trial.take() else { return };
        let misled = self.charge_misled(&trial, first);
        let waited = trial.clients.iter().filter(|done| done.started <= first);
        let count =
            |lost: fn(&Verdict) -> bool| trial.clients.iter().filter(|done| lost(&done.verdict)).count();
        self.failovers.push(Failover {
            fault: trial.fault,
            from: NAMES[trial.old],
            to: NAMES[new],
            election: claimed - trial.strike,
            follow: first - claimed,
            longest_wait: waited.map(|done| done.ended - done.started).max().unwrap_or_default(),
            interrupted: count(|verdict| *verdict == Verdict::Interrupted),
            failed: misled + count(|verdict| matches!(verdict, Verdict::Failed(_))),
        });
    }

    /// A client of the old leader that came when the gate had already followed the new one has been misled: that is
    /// no better than a failure. Counts these, and moves them to where they belong.
    fn charge_misled(&mut self, trial: &Trial, followed: Instant) -> usize {
        let by_old = Verdict::Served { by: trial.old, leader: false };
        let misled = trial.clients.iter().filter(|done| done.verdict == by_old && done.started > followed);
        let mut count = 0;
        for client in misled {
            count += 1;
            self.totals.served_elsewhere -= 1;
            self.totals.failed += 1;
            let why = format!("sent to {}, which no longer led, after others had gone on", NAMES[trial.old]);
            self.note_loss(client.started, why);
        }
        count
    }

    fn note_loss(&mut self, started: Instant, why: String) {
        if self.losses.len() < LOSSES_KEPT {
            self.losses.push(Loss { at: started - self.began, why });
        }
    }

    /// Whether a session with `node`, opened at `opened`, can have ended at `ended` because of what was done to it.
    pub(super) fn excuses(&self, node: usize, opened: Instant, ended: Instant) -> bool {
        self.strikes.iter().any(|strike| strike.node == node && strike.explains(opened, ended))
    }

    /// Notes a session that was opened.
    pub(super) fn session_opened(&mut self) {
        self.totals.sessions_open += 1;
    }

    /// Notes a session that ended: because its node died or froze, or for `why`.
    pub(super) fn session_ended(&mut self, excused: bool, opened: Instant, why: &str) {
        self.totals.sessions_open = self.totals.sessions_open.saturating_sub(1);
        if excused {
            self.totals.sessions_ended_with_node += 1;
            return;
        }
        self.totals.sessions_broken += 1;
        self.note_loss(opened, format!("long session broken: {why}"));
    }
}

/// A duration as people read it: `38 ms`, `1.24 s`.
pub(super) fn shown(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{:.2} s", duration.as_secs_f64())
    }
}

#[cfg(test)]
mod tests;
