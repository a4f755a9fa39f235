//! Tells the service manager, again and again, how it goes: a line for people, and a sign of life that only a gate gives
//! whose thread for probes and whose workers all still answer. A worker that has ended, as those do that have no session
//! when a gate stops, is not waited for.

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
/// How many signs of life fit into the time within which one is wanted: one that does not come is not the end yet.
const SIGNS: u32 = 3;
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
        if let Some(limit) = notify::watchdog_interval() {
            tasks.spawn(prove_life(pulse, limit, notify::watchdog));
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

/// Gives signs of life, each only if everybody answers in time; one is wanted within each `limit`.
async fn prove_life(pulse: Pulse, limit: Duration, sign: impl Fn()) {
    let period = limit / SIGNS;
    let mut tick = interval(period);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if timeout(period, pulse.is_felt()).await == Ok(true) {
            sign();
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
        for (name, inbox) in self.inboxes.all() {
            // Of a removed cluster the last session may have ended since: then it is followed no more.
            if inbox.remember().await.is_none() && self.inboxes.of(&name).is_some() {
                return false;
            }
        }
        self.census.works().await;
        true
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
    use tokio::sync::mpsc;
    use tokio::time::{Instant, sleep};

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

    async fn felt(pulse: &Pulse) -> bool {
        timeout(Duration::from_secs(1), pulse.is_felt()).await == Ok(true)
    }

    /// Does what a worker does that works, but stands still for a while when it is asked for the second time.
    async fn work(mut questions: mpsc::Receiver<Question>, standstill: Duration) {
        let mut asked = 0;
        while let Some(question) = questions.recv().await {
            let Question::Works(reply) = question else { panic!("{question:?}") };
            asked += 1;
            if asked == 2 {
                sleep(standstill).await;
            }
            let _ = reply.send(());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_gate_is_alive_only_if_probes_thread_and_all_workers_are() {
        let ((inbox, mut inputs), (census, mut questions)) = (inbox(), census(2));
        let inboxes = Inboxes::default();
        inboxes.set(vec![("c".into(), inbox)]);
        let pulse = Pulse { inboxes, census };
        let control = tokio::spawn(async move {
            while let Some(input) = inputs.recv().await {
                let Input::Remember(reply) = input else { panic!("{input:?}") };
                let _ = reply.send(ClusterMemory::default());
            }
        });
        let second = questions.pop().unwrap();
        let first = tokio::spawn(work(questions.pop().unwrap(), Duration::ZERO));
        assert!(!felt(&pulse).await, "a worker that stands still is not missed");
        let second = tokio::spawn(work(second, Duration::ZERO));
        assert!(felt(&pulse).await);
        second.abort();
        assert!(felt(&pulse).await, "O4: a gate that stops needs no worker that has no session");
        first.abort();
        assert!(felt(&pulse).await);
        control.abort();
        assert!(!felt(&pulse).await, "a thread for probes that is gone is not missed");
    }

    #[tokio::test(start_paused = true)]
    async fn o2_a_cluster_that_ends_while_it_is_asked_is_no_sign_of_death() {
        for (stays, alive) in [(true, false), (false, true)] {
            let (inbox, mut inputs) = inbox();
            let inboxes = Inboxes::default();
            inboxes.set(vec![("c".into(), inbox)]);
            let pulse = Pulse { inboxes: inboxes.clone(), census: Census::default() };
            tokio::spawn(async move {
                let _unanswered = inputs.recv().await;
                if !stays {
                    inboxes.set(Vec::new());
                }
            });
            assert_eq!(felt(&pulse).await, alive);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_standstill_of_more_than_half_the_time_is_not_the_end() {
        let limit = Duration::from_secs(30);
        let (census, mut questions) = census(1);
        // It costs one sign, and delays the next.
        tokio::spawn(work(questions.pop().unwrap(), limit / 2 + Duration::from_secs(1)));
        let (told, mut signs) = mpsc::unbounded_channel();
        let sign = move || told.send(Instant::now()).unwrap();
        let pulse = Pulse { inboxes: Inboxes::default(), census };
        let _proving = JoinSet::from_iter([prove_life(pulse, limit, sign)]);
        let mut last = signs.recv().await.unwrap();
        for _ in 0..5 {
            let next = signs.recv().await.unwrap();
            assert!(next - last < limit, "{:?} without a sign", next - last);
            last = next;
        }
    }
}
