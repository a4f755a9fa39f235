//! What the roles ask of one another: how `follow` paces the probers, what they report back, how anybody raises a
//! signal, and how an operator's commands arrive.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use crate::leader::Observation;
pub use crate::leader::{Command, NodeId, Pace, ProbeId, Refusal, Signal, Suspicion};
use crate::memory::ClusterMemory;

/// What `follow` wants of one node's prober; sent through a `watch` channel, so only the newest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeOrder {
    /// How fast to probe by itself.
    pub pace: Pace,
    /// Whenever this grows, probe at once (or right after the exchange that is under way).
    pub round: u64,
    /// Some client waits for a statement of a probe begun later than this (`max_age`): unless the newest was, probe
    /// at once (or right after the exchange that is under way). It does not hurry the probes that follow.
    pub after: Option<Instant>,
}

impl ProbeOrder {
    /// Whether this order asks for another probe at once after one that was begun at `began` when `round` was ordered.
    pub fn wants_more(&self, began: Instant, round: u64) -> bool {
        self.round > round || self.after.is_some_and(|after| began <= after)
    }
}

impl Default for ProbeOrder {
    fn default() -> Self {
        ProbeOrder { pace: Pace::Fast, round: 0, after: None }
    }
}

/// Hands out the ids that order the probes of a process (L4).
#[derive(Debug, Default)]
pub struct ProbeIds {
    /// The last that anybody was given.
    last: Arc<AtomicU64>,
    /// The newest that was given here.
    newest: AtomicU64,
}

impl ProbeIds {
    /// The next id; take it when the probe begins.
    pub fn next(&self) -> ProbeId {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        self.newest.store(id, Ordering::Relaxed);
        ProbeId(id)
    }

    /// Another one to take ids of the same order from.
    #[must_use]
    pub fn another(&self) -> Self {
        ProbeIds { last: Arc::clone(&self.last), newest: AtomicU64::default() }
    }

    /// The newest id that was taken from this one, and none that was taken from another: whoever takes them is alive. 0
    /// before the first.
    pub fn newest(&self) -> u64 {
        self.newest.load(Ordering::Relaxed)
    }
}

/// One finished probe, with what people want to know of it.
#[derive(Clone, Debug)]
pub struct ProbeReport {
    /// What the tracker needs.
    pub observation: Observation,
    /// How long the exchange took.
    pub latency: Duration,
    /// Whether the node is well, as far as it says: it has made a statement, and has not said that it is ill.
    pub healthy: bool,
    /// What was seen, in words: the status, or the failure with its cause and hint.
    pub detail: Arc<str>,
    /// Where it was asked, if there was a connection.
    pub at: Option<SocketAddr>,
    /// The certificate that the node presented on the connection in use, if it spoke TLS.
    pub certificate: Option<Arc<Certificate>>,
}

/// What is shown of a node's leaf certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Certificate {
    /// Names it is valid for: DNS names, IP addresses, URIs.
    pub names: Vec<String>,
    /// End of its validity, in seconds since the Unix epoch.
    pub not_after: i64,
    /// Whether the node has proved that it is its own, and it was accepted.
    pub is_accepted: bool,
    /// The other certificates that the connection depends on. Empty if it was not accepted.
    pub related: Vec<RelatedCertificate>,
}

/// A certificate that a node's connection depends on, beside the node's own.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RelatedCertificate {
    /// Which one it is.
    pub kind: CertificateKind,
    /// Whose it is: the common name, else the whole name of its subject.
    pub name: String,
    /// End of its validity, in seconds since the Unix epoch.
    pub not_after: i64,
}

/// The part that a certificate plays in a connection to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CertificateKind {
    /// The node's own.
    Leaf,
    /// Between the node's own and a trusted one.
    Intermediate,
    /// Trusted by itself.
    Root,
    /// The gate's own client certificate, or one that is sent along with it.
    Client,
}

impl CertificateKind {
    /// As metrics and messages call it.
    pub fn as_str(self) -> &'static str {
        match self {
            CertificateKind::Leaf => "leaf",
            CertificateKind::Intermediate => "intermediate",
            CertificateKind::Root => "root",
            CertificateKind::Client => "client",
        }
    }
}

impl Certificate {
    /// Which of all these certificates expires first, and when, in seconds since the Unix epoch.
    pub fn first_expiry(&self) -> (CertificateKind, i64) {
        let expiries = self.expiries().into_iter();
        expiries.min_by_key(|(_, not_after)| *not_after).unwrap_or((CertificateKind::Leaf, self.not_after))
    }

    /// When the first certificate of each kind expires, in seconds since the Unix epoch: the node's own, and those that
    /// the connection depends on besides.
    pub fn expiries(&self) -> Vec<(CertificateKind, i64)> {
        let mut expiries = vec![(CertificateKind::Leaf, self.not_after)];
        for other in &self.related {
            match expiries.iter_mut().find(|(kind, _)| *kind == other.kind) {
                Some((_, first)) => *first = other.not_after.min(*first),
                None => expiries.push((other.kind, other.not_after)),
            }
        }
        expiries
    }
}

/// What reaches a cluster's `follow`.
#[derive(Debug)]
pub enum Input {
    /// A finished probe; in a box, since an inbox has room for many inputs at any time.
    Report(Box<ProbeReport>),
    /// A node could not be asked, for a reason of this machine, in words: no verdict on it (L5).
    Unasked(NodeId, Arc<str>),
    /// A reason to doubt the route.
    Signal(Signal),
    /// An operator's command (L10), and where to say what came of it.
    Command(Command, oneshot::Sender<Result<(), CommandError>>),
    /// The nodes are to be ordered about as the order book says now, and where to say that they are.
    RestoreOrders(oneshot::Sender<()>),
    /// Somebody wants to know all that another process would have to know to go on from here (O3).
    Remember(oneshot::Sender<ClusterMemory>),
}

/// Why an operator's command was not carried out; nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// It must not be.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is nowhere to send clients.
    #[error("the node's name has no address yet")]
    NoAddress,
    /// Another process takes over, and would not know of it (O3).
    #[error("an upgrade is under way: wait for its end")]
    HandsOver,
    /// Nobody follows the cluster any more.
    #[error("the gate is about to stop")]
    Stopping,
}

/// Who still has clients or sessions of a cluster: it is followed until the last of these is dropped.
#[derive(Clone, Debug)]
pub struct Interest(#[expect(dead_code, reason = "what counts is that it lives")] Arc<Concern>);

/// Tells when nobody has an interest in a cluster any more.
#[derive(Clone, Debug)]
pub struct Interests {
    alive: Weak<Concern>,
    gone: Arc<Notify>,
}

/// What all interests in one cluster share.
#[derive(Debug)]
struct Concern(Arc<Notify>);

/// The first interest in a cluster, to be cloned by whoever has one, too.
pub fn interest() -> (Interest, Interests) {
    let gone = Arc::<Notify>::default();
    let concern = Arc::new(Concern(Arc::clone(&gone)));
    let alive = Arc::downgrade(&concern);
    (Interest(concern), Interests { alive, gone })
}

impl Interests {
    /// Another interest, as long as there is one.
    pub fn another(&self) -> Option<Interest> {
        self.alive.upgrade().map(Interest)
    }

    /// Waits until the last [`Interest`] is dropped.
    pub async fn gone(&self) {
        loop {
            let rung = self.gone.notified();
            if self.alive.strong_count() == 0 {
                return;
            }
            rung.await;
        }
    }
}

impl Drop for Concern {
    fn drop(&mut self) {
        self.0.notify_waiters();
    }
}

/// The sending half of a cluster's inbox; cheap to clone.
#[derive(Clone, Debug)]
pub struct Inbox(mpsc::Sender<Input>);

/// How many inputs may wait. Probes are few; signals beyond this would say nothing new.
const INBOX_CAPACITY: usize = 1024;

/// A cluster's inbox and the end from which `follow` reads it.
pub fn inbox() -> (Inbox, mpsc::Receiver<Input>) {
    let (sender, receiver) = mpsc::channel(INBOX_CAPACITY);
    (Inbox(sender), receiver)
}

/// The inboxes of all clusters, by their names; clones share them, and see them change.
#[derive(Clone, Debug, Default)]
pub struct Inboxes(Arc<ArcSwap<Vec<Named>>>);

/// One of them.
type Named = (Arc<str>, Inbox);

impl Inboxes {
    /// That of one cluster, if it is followed.
    pub fn of(&self, cluster: &str) -> Option<Inbox> {
        self.0.load().iter().find_map(|(name, inbox)| (**name == *cluster).then(|| inbox.clone()))
    }

    /// All of them.
    pub fn all(&self) -> Vec<(Arc<str>, Inbox)> {
        self.0.load().to_vec()
    }

    /// From now on there are these.
    pub fn set(&self, inboxes: Vec<(Arc<str>, Inbox)>) {
        self.0.store(Arc::new(inboxes));
    }
}

impl Inbox {
    /// Delivers a finished probe; waits while the inbox is full. Does nothing once `follow` is gone.
    pub async fn report(&self, report: ProbeReport) {
        let _ = self.0.send(Input::Report(Box::new(report))).await;
    }

    /// Whether a report would have to wait for `follow` to read others first.
    pub fn is_full(&self) -> bool {
        self.0.capacity() == 0
    }

    /// Tells that a node could not be asked, for a reason of this machine, without ever waiting: what fills the inbox is
    /// worth more.
    pub fn unasked(&self, node: NodeId, why: &str) {
        let _ = self.0.try_send(Input::Unasked(node, why.into()));
    }

    /// Raises a signal without ever waiting: one that finds the inbox full is dropped, since
    /// what fills it makes `follow` probe anyway.
    pub fn signal(&self, node: NodeId, suspicion: Suspicion) {
        let _ = self.0.try_send(Input::Signal(Signal { node, suspicion }));
    }

    /// All that another process has to know to follow this cluster from here on (O3); `None` once `follow` is gone. An
    /// answer also says that it is alive.
    pub async fn remember(&self) -> Option<ClusterMemory> {
        let (reply, replied) = oneshot::channel();
        self.0.send(Input::Remember(reply)).await.ok()?;
        replied.await.ok()
    }

    /// Has the orders of the order book carried out, which another process has taken (O3); they are in force when this
    /// returns.
    pub async fn restore_orders(&self) {
        let (reply, replied) = oneshot::channel();
        if self.0.send(Input::RestoreOrders(reply)).await.is_ok() {
            let _ = replied.await;
        }
    }

    /// Has an operator's command carried out (L10); it is in force when this returns.
    ///
    /// # Errors
    /// Why it was not.
    pub async fn command(&self, command: Command) -> Result<(), CommandError> {
        let (reply, replied) = oneshot::channel();
        self.0.send(Input::Command(command, reply)).await.map_err(|_| CommandError::Stopping)?;
        replied.await.map_err(|_| CommandError::Stopping)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l4_whoever_takes_ids_they_grow_over_all_and_each_knows_its_own_newest() {
        let ids = ProbeIds::default();
        let another = ids.another();
        assert_eq!((ids.newest(), another.newest()), (0, 0));
        assert_eq!([ids.next(), another.next(), another.next(), ids.next()], [1, 2, 3, 4].map(ProbeId));
        assert_eq!((ids.newest(), another.newest(), another.another().next()), (4, 3, ProbeId(5)));
    }
}
