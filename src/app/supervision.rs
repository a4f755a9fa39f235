//! Tells the service manager, again and again, how it goes: a line for people, and a sign of life that only a gate gives
//! whose thread for probes and whose workers all still answer.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::error;

use super::notify;
use crate::board::{Board, ClusterStatus};
use crate::census::Census;
use crate::intent::Inboxes;

/// How often people's line is looked at; it is told when it has changed.
const LOOK: Duration = Duration::from_secs(1);
/// How many clusters are told of one by one.
const MOST_CLUSTERS: usize = 4;

/// Where a gate's pulse is felt.
#[derive(Clone, Debug)]
pub(super) struct Pulse {
    /// Each cluster's; they are all in the thread for probes.
    pub(super) inboxes: Inboxes,
    /// All workers.
    pub(super) census: Census,
}

/// Tells how it goes until it is dropped.
#[derive(Debug)]
pub(super) struct Supervision(#[expect(dead_code, reason = "dropped, it ends its tasks")] JoinSet<()>);

/// Begins to tell; must be called on a runtime.
pub(super) fn supervise(board: &Arc<Board>, pulse: Pulse) -> Supervision {
    let mut tasks = JoinSet::new();
    if std::env::var_os("NOTIFY_SOCKET").is_some() {
        tasks.spawn(tell_status(Arc::clone(board)));
        if let Some(interval) = notify::watchdog_interval() {
            tasks.spawn(prove_life(pulse, interval / 2));
        }
    }
    Supervision(tasks)
}

async fn tell_status(board: Arc<Board>) {
    let mut told = String::new();
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let status = in_words(&board);
        if status != told {
            notify::status(&status);
            told = status;
        }
    }
}

/// Once every `period`, and only if everybody answers within it.
async fn prove_life(pulse: Pulse, period: Duration) {
    let mut tick = interval(period);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if timeout(period, pulse.is_felt()).await == Ok(true) {
            notify::watchdog();
        } else {
            error!(
                ?period,
                "a thread does not answer: the service manager is not told that the gate is alive"
            );
        }
    }
}

impl Pulse {
    async fn is_felt(&self) -> bool {
        for (_, inbox) in self.inboxes.all() {
            if inbox.remember().await.is_none() {
                return false;
            }
        }
        self.census.works().await
    }
}

/// Who leads, and how many sessions there are.
fn in_words(board: &Board) -> String {
    let clusters: Vec<_> = board.clusters().map(|(name, cluster)| (name, cluster.status())).collect();
    let sessions = board.traffic().map_or(0, |traffic| traffic.sessions.sum());
    let mut text = String::new();
    for (name, status) in clusters.iter().take(MOST_CLUSTERS) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{name}: {}; ", leader(status));
    }
    if let Some(more @ 1..) = clusters.len().checked_sub(MOST_CLUSTERS) {
        let leaderless = clusters.iter().filter(|(_, status)| status.leader.is_none()).count();
        let _ = write!(text, "{more} clusters more; {leaderless} of all without a leader; ");
    }
    let _ = write!(text, "{sessions} {}", if sessions == 1 { "session" } else { "sessions" });
    text
}

fn leader(status: &ClusterStatus) -> String {
    match &status.leader {
        Some(node) => format!("{node} leads"),
        None => "no leader".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::census::{Question, census};
    use crate::intent::{Input, inbox};
    use crate::memory::ClusterMemory;

    #[test]
    fn the_line_says_who_leads_and_how_many_there_are() {
        let board = Board::new((0..6).map(|number| format!("c{number}").into()));
        let cluster = board.clusters().next().unwrap().1;
        cluster.publish(ClusterStatus { leader: Some("n1".into()), ..ClusterStatus::default() });
        let expected = "c0: n1 leads; c1: no leader; c2: no leader; c3: no leader; 2 clusters more; 5 of all without a \
                        leader; 0 sessions";
        assert_eq!(in_words(&board), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_gate_is_alive_only_if_probes_thread_and_all_workers_are() {
        let ((inbox, mut inputs), (census, mut questions)) = (inbox(), census(2));
        let inboxes = Inboxes::default();
        inboxes.set(vec![("c".into(), inbox)]);
        let pulse = Pulse { inboxes, census };
        let felt = async |pulse: &Pulse| timeout(Duration::from_secs(1), pulse.is_felt()).await == Ok(true);
        let control = tokio::spawn(async move {
            while let Some(input) = inputs.recv().await {
                let Input::Remember(reply) = input else { panic!("{input:?}") };
                let _ = reply.send(ClusterMemory::default());
            }
        });
        let mut second = questions.pop().unwrap();
        let mut first = questions.pop().unwrap();
        tokio::spawn(async move {
            while let Some(question) = first.recv().await {
                let Question::Works(reply) = question else { panic!("{question:?}") };
                let _ = reply.send(());
            }
        });
        assert!(!felt(&pulse).await, "a worker that stands still is not missed");
        tokio::spawn(async move {
            while let Some(question) = second.recv().await {
                let Question::Works(reply) = question else { panic!("{question:?}") };
                let _ = reply.send(());
            }
        });
        assert!(felt(&pulse).await);
        control.abort();
        assert!(!felt(&pulse).await, "a thread for probes that is gone is not missed");
    }
}
