//! What was last heard of each node: the base of fates, of the board, and of the log's lines on change.

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::fates::NodeFacts;
use super::log_limit::LogLimit;
use super::readers::Candidate;
use super::settings::NodeSettings;
use crate::board::{NodeStatus, wall_clock};
use crate::intent::{Certificate, ProbeReport};
use crate::leader::{self, NodeId, NodeState, Observation, Override, ProbeFailure, ProbeId, Verdict};

/// For how long connects that fail do not count after an address was passed over.
const PASSED_OVER: Duration = Duration::from_secs(1);

/// One node, as last heard.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) settings: NodeSettings,
    /// Whether it is still one of the cluster's nodes (O2).
    member: bool,
    newest: Option<Heard>,
    /// Begin of the newest probe that brought a leader statement.
    pub(super) led_at: Option<Instant>,
    /// The same of a follower statement.
    followed_at: Option<Instant>,
    /// How often in a row its newest verdicts were one and the same statement.
    alike: u32,
    /// Silences in a row that count.
    silences: u32,
    /// When the last of so many silences was heard as it takes for them to act (L2).
    fell: Option<Instant>,
    /// Absences in a row: silences that say that the node is gone (S5).
    absences: u32,
    /// Begin of the first probe of these.
    absent_since: Option<Instant>,
    answered: Option<Instant>,
    /// Silence of probes begun earlier than this says nothing: the gate was cut off (S5).
    reconnected: Option<Instant>,
    /// Why this machine could not ask it, if that is the newest that is known.
    unasked: Option<Arc<str>>,
    /// Where it made its newest statement.
    spoke_at: Option<IpAddr>,
    /// When an address of it was last passed over, at which clients could not connect.
    passed_over: Option<Instant>,
    /// Since when it is where it is now, if it was elsewhere before, or not there at all (O2).
    here_since: Option<Instant>,
    pub(super) log_limit: LogLimit,
}

#[derive(Debug)]
struct Heard {
    probe: ProbeId,
    verdict: Verdict,
    detail: Arc<str>,
    latency_ms: f64,
    at: f64,
    certificate: Option<Arc<Certificate>>,
}

impl Node {
    pub(super) fn new(settings: NodeSettings) -> Self {
        Node {
            settings,
            member: true,
            newest: None,
            led_at: None,
            followed_at: None,
            alike: 0,
            silences: 0,
            fell: None,
            absences: 0,
            absent_since: None,
            answered: None,
            reconnected: None,
            unasked: None,
            spoke_at: None,
            passed_over: None,
            here_since: None,
            log_limit: LogLimit::default(),
        }
    }

    /// One that was known before, and is here since `now`: what its former prober may still report was said elsewhere.
    pub(super) fn moved(settings: NodeSettings, now: Instant) -> Self {
        Node { here_since: Some(now), ..Node::new(settings) }
    }

    /// Notes that it makes a statement at this address, in an answer to a probe begun at `began`. The address is the
    /// node's from now on. Returns whether its last statement was made at another one, perhaps by another machine: then
    /// all that it said is forgotten.
    pub(super) fn speak_at(&mut self, address: SocketAddr, began: Instant) -> bool {
        let has_moved = self.spoke_at.is_some_and(|before| before != address.ip());
        if has_moved {
            *self = Node::moved(self.settings.clone(), began);
        }
        self.spoke_at = Some(address.ip());
        self.settings.probe_address.note_reached(address);
        has_moved
    }

    /// Whether a probe begun at `began` has asked it where it is now.
    pub(super) fn was_asked_here(&self, began: Instant) -> bool {
        self.member && self.here_since <= Some(began)
    }

    /// It is not one of the cluster's nodes any more: what is known of it is forgotten.
    pub(super) fn leave(&mut self) {
        *self = Node { member: false, ..Node::new(self.settings.clone()) };
    }

    pub(super) fn is_member(&self) -> bool {
        self.member
    }

    /// Takes in what another process knew of it (O3), as far as clients may go there on its word.
    pub(super) fn recall(&mut self, now: Instant, memory: &leader::NodeMemory) {
        let moment = |age| now.checked_sub(age);
        let probed = self.is_served_where_probed().then(|| self.settings.address.reached());
        self.spoke_at = probed.flatten().map(|address| address.ip());
        self.led_at = memory.claim.and_then(|claim| moment(claim.last_good));
        self.followed_at = memory.followed.and_then(moment);
        self.alike = match memory.state {
            NodeState::Leader => memory.leader_statements,
            NodeState::Follower => u32::from(memory.silences == 0),
            NodeState::Unknown | NodeState::Unfit | NodeState::Unreachable => 0,
        };
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.settings.name
    }

    /// Where clients go; once there is an address, there is always one.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.settings.address.current()
    }

    /// Notes that a client could not connect to it. Where no probe goes to the host of its clients, the next one is sent to
    /// the next of that host's addresses. Connects that were in progress then fail a little later, and count no more.
    pub(super) fn pass_over_address(&mut self, now: Instant) {
        let is_recent = self.passed_over.is_some_and(|at| now < at + PASSED_OVER);
        if let Some(address) = self.address().filter(|_| !is_recent && !self.is_served_where_probed()) {
            self.settings.address.pass_over(address);
            self.passed_over = Some(now);
        }
    }

    /// Whether its clients go to the host that is probed, and so to where the probe has reached it.
    pub(super) fn is_served_where_probed(&self) -> bool {
        self.settings.address.shares_host(&self.settings.probe_address)
    }

    /// What a report is worth: a node to which no client can go is of no use, whatever it says of itself.
    pub(super) fn weigh(&self, mut report: ProbeReport) -> ProbeReport {
        let verdict = &mut report.observation.verdict;
        if !matches!(verdict, Verdict::Unreachable { .. }) && self.address().is_none() {
            *verdict = Verdict::Unreachable { failure: ProbeFailure::Dns };
            report.healthy = false;
            let cause = self.settings.address.trouble();
            let cause = cause.as_deref().unwrap_or("the name service has not answered yet");
            report.detail =
                format!("answers, but {} has no address for clients: {cause}", self.settings.address).into();
        }
        report
    }

    /// Takes in that this machine could not ask it.
    pub(super) fn note_unasked(&mut self, why: Arc<str>) {
        self.unasked = Some(why);
    }

    pub(super) fn is_unasked(&self) -> bool {
        self.unasked.is_some()
    }

    pub(super) fn is_known(&self) -> bool {
        self.newest.is_some()
    }

    pub(super) fn newest_verdict(&self) -> Option<Verdict> {
        self.newest.as_ref().map(|heard| heard.verdict)
    }

    /// Whether this is the newest that it was heard by: a late one is not (L4).
    pub(super) fn said_last(&self, observation: &Observation) -> bool {
        self.newest.as_ref().is_some_and(|heard| heard.probe == observation.probe)
    }

    /// Takes in a report unless a newer one was taken before (L4). Returns whether the verdict is
    /// another than the last. `fall` is how many silences in a row act (L2).
    pub(super) fn hear(&mut self, now: Instant, report: &ProbeReport, fall: u32) -> bool {
        let observation = &report.observation;
        if self.newest.as_ref().is_some_and(|heard| heard.probe >= observation.probe) {
            return false;
        }
        self.unasked = None;
        let began = Instant::from_std(observation.began);
        match observation.verdict {
            Verdict::Leader | Verdict::Follower => self.forget_silence(),
            Verdict::Unfit { .. } | Verdict::Unreachable { .. } if self.reconnected <= Some(began) => {
                self.silences = self.silences.saturating_add(1);
                self.count_absence(observation.verdict, began);
                if fall <= self.silences {
                    self.fell.get_or_insert(now);
                }
            }
            Verdict::Unfit { .. } | Verdict::Unreachable { .. } => {}
        }
        match observation.verdict {
            Verdict::Leader => self.led_at = Some(began),
            Verdict::Follower => self.followed_at = Some(began),
            Verdict::Unfit { .. } | Verdict::Unreachable { .. } => {}
        }
        if !matches!(observation.verdict, Verdict::Unreachable { .. }) {
            self.answered = Some(began);
        }
        let changed = self.newest.as_ref().is_none_or(|heard| heard.verdict != observation.verdict);
        self.alike = match observation.verdict {
            Verdict::Leader | Verdict::Follower if changed => 1,
            Verdict::Leader | Verdict::Follower => self.alike.saturating_add(1),
            Verdict::Unfit { .. } | Verdict::Unreachable { .. } => 0,
        };
        self.newest = Some(Heard {
            probe: observation.probe,
            verdict: observation.verdict,
            detail: Arc::clone(&report.detail),
            latency_ms: report.latency.as_secs_f64() * 1e3,
            at: wall_clock(),
            certificate: report.certificate.clone(),
        });
        changed
    }

    fn count_absence(&mut self, silence: Verdict, began: Instant) {
        if matches!(silence, Verdict::Unreachable { failure } if failure.is_absence()) {
            self.absent_since.get_or_insert(began);
            self.absences = self.absences.saturating_add(1);
        } else {
            (self.absent_since, self.absences) = (None, 0);
        }
    }

    /// Whether its newest probe brought no answer at all.
    pub(super) fn is_unreachable(&self) -> bool {
        self.newest.as_ref().is_some_and(|heard| matches!(heard.verdict, Verdict::Unreachable { .. }))
    }

    /// Takes in that the gate had been cut off until now: its silence before says nothing of the node.
    pub(super) fn excuse_silence(&mut self, now: Instant) {
        self.reconnected = Some(now);
        self.forget_silence();
    }

    fn forget_silence(&mut self) {
        (self.silences, self.fell) = (0, None);
        (self.absent_since, self.absences) = (None, 0);
    }

    /// `fall` is how many silences in a row act (L2).
    pub(super) fn facts(&self, state: NodeState, overridden: Option<Override>, fall: u32) -> NodeFacts {
        NodeFacts {
            state,
            fell: self.fell,
            absent_since: self.absent_since.filter(|_| fall <= self.absences),
            answered: self.answered,
            addresses: self.settings.address.all(),
            drained: overridden == Some(Override::Drain),
            removed: !self.member,
        }
    }

    pub(super) fn candidate(&self, state: NodeState, overridden: Option<Override>) -> Candidate {
        Candidate {
            state,
            alike: self.alike,
            silences: self.silences,
            led_at: self.led_at,
            followed_at: self.followed_at,
            address: self.address(),
            drained: !self.member || overridden == Some(Override::Drain),
        }
    }

    pub(super) fn status(&self, id: NodeId, state: NodeState, overridden: Option<Override>) -> NodeStatus {
        let heard = self.newest.as_ref();
        NodeStatus {
            id,
            name: Arc::clone(self.name()),
            address: self.settings.address.to_string().into(),
            state: state.as_str(),
            overridden: overridden.map(Override::as_str),
            detail: match (&self.unasked, heard) {
                (Some(why), _) => format!("cannot be asked: {why}").into(),
                (None, Some(heard)) => Arc::clone(&heard.detail),
                (None, None) => "not probed yet".into(),
            },
            latency_ms: heard.map(|heard| heard.latency_ms),
            last_verdict: heard.map(|heard| heard.at),
            certificate: heard.and_then(|heard| heard.certificate.clone()),
        }
    }
}

/// A verdict in the words of the log.
pub(super) struct InWords(pub(super) Verdict);

impl fmt::Display for InWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Verdict::Leader => f.write_str("leader"),
            Verdict::Follower => f.write_str("follower"),
            Verdict::Unfit { status } => write!(f, "unfit (status {status})"),
            Verdict::Unreachable { failure } => write!(f, "unreachable ({failure})"),
        }
    }
}
