//! Connects to a tenure's node, for as long as the tenure lasts (S3).

use std::io;
use std::rc::Rc;

use rustix::io::Errno;
use tokio::time::{Instant, sleep_until};

use super::choice::{Fault, later, leads_to};
use super::client_end::failed;
use super::hold::next_change;
use super::journey::Journey;
use super::outcome::{Ending, Outcome};
use super::unjoined::Unjoined;
use crate::intent::Suspicion;
use crate::sockets::{self, FirstWord};
use crate::tenure::{Tenure, Unserved};

/// Why a connect failed: a reason of `raftgate_connect_failures_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectFailure {
    /// The node's host refused or reset it.
    Refused,
    /// There is no way there.
    Unreachable,
    /// Nobody answered within `connect.timeout`.
    Timeout,
    /// This host had no descriptor, memory or port for it.
    Local,
}

impl ConnectFailure {
    /// Every failure, in the order of their discriminants.
    pub(super) const ALL: [ConnectFailure; 4] = [
        ConnectFailure::Refused,
        ConnectFailure::Unreachable,
        ConnectFailure::Timeout,
        ConnectFailure::Local,
    ];

    /// The label value.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            ConnectFailure::Refused => "refused",
            ConnectFailure::Unreachable => "unreachable",
            ConnectFailure::Timeout => "timeout",
            ConnectFailure::Local => "local",
        }
    }

    /// What the node is suspected of; nothing if the failure was ours (L5).
    fn suspicion(self) -> Option<Suspicion> {
        match self {
            ConnectFailure::Refused | ConnectFailure::Unreachable => Some(Suspicion::ConnectRefused),
            ConnectFailure::Timeout => Some(Suspicion::ConnectTimeout),
            ConnectFailure::Local => None,
        }
    }

    /// What it means for the client's next attempt.
    pub(super) fn fault(self) -> Fault {
        match self {
            ConnectFailure::Local => Fault::Local,
            _ => Fault::Node,
        }
    }
}

impl From<&io::Error> for ConnectFailure {
    fn from(error: &io::Error) -> Self {
        match error.kind() {
            _ if sockets::is_local_exhaustion(error) => ConnectFailure::Local,
            // What binding to a source address, or connecting from it, may come to.
            io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse | io::ErrorKind::InvalidInput => {
                ConnectFailure::Local
            }
            io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted => ConnectFailure::Refused,
            io::ErrorKind::TimedOut => ConnectFailure::Timeout,
            _ => ConnectFailure::Unreachable,
        }
    }
}

/// Why a connect failed, as people are told while no client is taken.
fn cause_of(error: &io::Error) -> Unserved {
    match (ConnectFailure::from(error), Errno::from_io_error(error)) {
        (ConnectFailure::Refused, _) => Unserved::Refused,
        (ConnectFailure::Unreachable, _) => Unserved::Unreachable,
        (ConnectFailure::Timeout, _) => Unserved::Timeout,
        (ConnectFailure::Local, Some(Errno::ADDRNOTAVAIL | Errno::ADDRINUSE)) => Unserved::NoPort,
        (ConnectFailure::Local, Some(Errno::MFILE | Errno::NFILE)) => Unserved::NoDescriptor,
        (ConnectFailure::Local, _) => Unserved::NoMeans,
    }
}

/// What came of a dial.
pub(super) enum Dialled {
    /// The node accepted.
    Connected(Unjoined),
    /// It did not.
    Failed {
        /// Why.
        failure: ConnectFailure,
        /// When; taken before anybody was told, so that the probe that answers the signal counts (S3).
        at: Instant,
    },
    /// The route went elsewhere meanwhile.
    Overtaken,
}

/// Connects to the tenure's node; if that fails or takes unusually long, tells `follow` (L5).
///
/// # Errors
/// The end of the connection, if the client goes away meanwhile.
pub(super) async fn dial(
    journey: &mut Journey,
    tenure: &Tenure,
    first_word: FirstWord,
) -> Result<Dialled, Ending> {
    let began = Instant::now();
    let deadline = later(began, journey.cluster.settings.connect_timeout);
    let under_way = journey.cluster.dials.begin(tenure.node, began);
    let cluster = Rc::clone(&journey.cluster);
    let connecting = cluster.source.connect(tenure.address, first_word);
    tokio::pin!(connecting);
    let connected = loop {
        tokio::select! {
            biased;
            connected = &mut connecting => break Some(connected),
            () = failed(&journey.client) => return Err(Outcome::ClientError.into()),
            () = next_change(&mut journey.route) => {
                if !leads_to(&journey.route.load(), tenure) {
                    return Ok(Dialled::Overtaken);
                }
            }
            () = sleep_until(deadline) => break None,
        }
    };
    let (failure, cause) = match connected {
        Some(Ok(stream)) => {
            let took = began.elapsed();
            under_way.made(took);
            journey.cluster.metrics.connect_duration.observe(took.as_secs_f64());
            tenure.note_accepted();
            journey.note_connected(tenure, &stream, took);
            return Ok(Dialled::Connected(Unjoined::new(stream)));
        }
        Some(Err(error)) => {
            tracing::debug!(node = %tenure.name, address = %tenure.address, %error, "connect failed");
            (ConnectFailure::from(&error), cause_of(&error))
        }
        None => (ConnectFailure::Timeout, Unserved::Timeout),
    };
    let at = Instant::now();
    tenure.note_unserved(at, cause);
    journey.cluster.metrics.connect_failures(tenure, failure).inc();
    if let Some(suspicion) = failure.suspicion() {
        journey.cluster.inbox.signal(tenure.node, suspicion);
    }
    Ok(Dialled::Failed { failure, at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l5_what_a_source_address_lacks_says_nothing_of_the_node() {
        let failure = |errno: Errno| ConnectFailure::from(&io::Error::from(errno));
        for errno in [Errno::INVAL, Errno::ADDRINUSE, Errno::ADDRNOTAVAIL] {
            assert_eq!((failure(errno), failure(errno).suspicion()), (ConnectFailure::Local, None));
        }
        assert_eq!(failure(Errno::HOSTUNREACH), ConnectFailure::Unreachable);
    }

    #[test]
    fn l8_a_fault_of_this_machine_is_not_told_as_the_nodes() {
        let cause = |errno: Errno| cause_of(&io::Error::from(errno));
        assert_eq!(cause(Errno::ADDRNOTAVAIL), Unserved::NoPort);
        assert_eq!(cause(Errno::MFILE), Unserved::NoDescriptor);
        assert_eq!(cause(Errno::NOBUFS), Unserved::NoMeans);
        for local in [Unserved::NoPort, Unserved::NoDescriptor, Unserved::NoMeans] {
            assert!(local.to_string().contains("the cause is here"), "{local}");
        }
        assert_eq!(cause(Errno::CONNREFUSED), Unserved::Refused);
        assert!(!Unserved::Refused.to_string().contains("the cause is here"));
    }
}
