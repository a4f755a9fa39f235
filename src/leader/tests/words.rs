//! The words of metrics, of the status and of the log: whoever reads one knows which it is.

use std::collections::BTreeSet;

use crate::leader::{Alarm, LossCause, NodeId, NodeState, Override, ProbeFailure, Refusal, Suspicion};

/// Each of these says something, and something else than the others.
fn tells_apart<T, W: AsRef<str>>(all: &[T], word: impl Fn(&T) -> W) {
    let words: BTreeSet<String> = all.iter().map(|one| word(one).as_ref().to_owned()).collect();
    assert!(words.len() == all.len() && !words.contains(""), "{words:?}");
}

#[test]
fn no_two_of_a_kind_go_by_the_same_word() {
    use LossCause::{Drained, LeaseExpired, Readdressed, Removed, Silent, SteppedDown, Unpinned};
    use Suspicion::{
        ClosedEarly, ConnectLate, ConnectRefused, ConnectTimeout, ProbeConnectionClosed, ProbeLate,
    };
    tells_apart(&NodeState::ALL, |state| state.as_str());
    tells_apart(&NodeState::ALL, NodeState::to_string);
    tells_apart(&Override::ALL, |overridden| overridden.as_str());
    tells_apart(&Alarm::ALL, |alarm| alarm.as_str());
    tells_apart(&Alarm::ALL, |alarm| alarm.explanation());
    let causes = [SteppedDown, Silent, LeaseExpired, Drained, Unpinned, Removed, Readdressed];
    tells_apart(&causes, |cause| cause.as_str());
    let suspicions =
        [ConnectRefused, ConnectLate, ConnectTimeout, ClosedEarly, ProbeConnectionClosed, ProbeLate];
    tells_apart(&suspicions, |suspicion| suspicion.as_str());
    let refusals = [Refusal::UnknownNode, Refusal::Leads, Refusal::Pinned, Refusal::Drained];
    tells_apart(&refusals.map(|refusal| refusal(NodeId(0))), Refusal::to_string);
}

#[test]
fn why_a_probe_failed_goes_by_the_word_that_its_metric_has() {
    use ProbeFailure::{Certificate, Closed, Dns, Protocol, Refused, Timeout, Tls};
    let failures = [Refused, Timeout, Tls, Certificate, Protocol, Closed, Dns];
    tells_apart(&failures, |failure| failure.as_str());
    assert!(failures.iter().all(|failure| failure.to_string() == failure.as_str()));
}
