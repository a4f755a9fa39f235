//! What has been seen so far: sessions by their verdicts, faults, and everything that must not be.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::support::clock::Stamp;

use super::judge::{Fault, Finding, Session, Strike, Verdict, under_way};
use super::kinds::Kind;

/// So many findings are kept in words.
const TOLD: usize = 30;

/// The books of a run; shared by all who write in them.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Book>);

/// What is in them.
#[derive(Clone, Default)]
pub(crate) struct Book {
    /// The faults so far.
    pub(crate) strikes: Vec<Strike>,
    /// Sessions by kind.
    pub(crate) sessions: BTreeMap<Kind, u64>,
    /// Sessions that went down with their node, by the fault under way at their end.
    pub(crate) cut_off: BTreeMap<Option<Fault>, u64>,
    /// What must not be, by the fault under way.
    pub(crate) findings: BTreeMap<(Finding, Option<Fault>), u64>,
    /// The first findings in words.
    pub(crate) words: Vec<String>,
    /// What has gone wrong beside sessions: the gate's own books, its log, its end.
    pub(crate) defects: BTreeMap<String, u64>,
    /// Bytes that were compared, both ways.
    pub(crate) bytes: u64,
    /// How many sessions there are now, and how many there were at most.
    pub(crate) open: [u64; 2],
    /// Sessions that may still be excused by a fault that is not in the books yet.
    pending: Vec<Session>,
}

impl Ledger {
    /// A session has begun.
    pub(crate) fn began(&self) {
        let mut book = self.book();
        book.open[0] += 1;
        book.open[1] = book.open[1].max(book.open[0]);
    }

    /// A session is over.
    pub(crate) fn ended(&self, session: Session) {
        let mut book = self.book();
        book.open[0] -= 1;
        book.bytes += session.bytes;
        *book.sessions.entry(session.kind).or_default() += 1;
        if session.verdict(&[]) == Verdict::Fine {
            return;
        }
        book.pending.push(session);
    }

    /// A fault strikes from this moment on; its number, for [`over`](Self::over).
    pub(crate) fn strike(&self, fault: Fault, node: Option<String>, from: Stamp) -> usize {
        let mut book = self.book();
        book.strikes.push(Strike { fault, node, from, until: None });
        book.strikes.len() - 1
    }

    /// New clients are served as they should be.
    pub(crate) fn over(&self, strike: usize, until: Stamp) {
        self.book().strikes[strike].until = Some(until);
        self.settle();
    }

    /// Judges the sessions that waited for a fault to get into the books.
    pub(crate) fn settle(&self) {
        let mut book = self.book();
        for session in std::mem::take(&mut book.pending) {
            let fault = under_way(&book.strikes, session.ended);
            match session.verdict(&book.strikes) {
                Verdict::Fine => {}
                Verdict::CutOff => *book.cut_off.entry(fault).or_default() += 1,
                Verdict::Found(finding) => book.find(finding, fault, session.to_string()),
            }
        }
    }

    /// A node has told that something was wrong with a conversation of its own.
    pub(crate) fn told_by_node(&self, node: &str, fault: &str) {
        let mut book = self.book();
        let kind = fault.split(' ').nth(1).unwrap_or_default();
        let under_way = under_way(&book.strikes, Stamp::now());
        book.find(Finding::told_by_node(kind), under_way, format!("{node} tells of seed {fault}"));
    }

    /// Something else that must not be.
    pub(crate) fn defect(&self, what: &str, words: String) {
        println!("FOUND {what}: {words}");
        let mut book = self.book();
        *book.defects.entry(what.to_owned()).or_default() += 1;
        book.tell(words);
    }

    /// All of it at this moment.
    pub(crate) fn read(&self) -> Book {
        self.book().clone()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// How often a finding was made, whatever was under way.
    pub(crate) fn count(&self, finding: Finding) -> u64 {
        self.findings.iter().filter(|((found, _), _)| *found == finding).map(|(_, count)| count).sum()
    }

    /// How often a fault has struck.
    pub(crate) fn struck(&self, fault: Fault) -> usize {
        self.strikes.iter().filter(|strike| strike.fault == fault).count()
    }

    /// How many sessions there were.
    pub(crate) fn all_sessions(&self) -> u64 {
        self.sessions.values().sum()
    }

    fn find(&mut self, finding: Finding, fault: Option<Fault>, words: String) {
        println!("FOUND {}: {words}", finding.name());
        *self.findings.entry((finding, fault)).or_default() += 1;
        self.tell(words);
    }

    fn tell(&mut self, words: String) {
        if self.words.len() < TOLD {
            self.words.push(words);
        }
    }
}
