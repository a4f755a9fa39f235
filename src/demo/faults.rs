//! What is done to the leaders, in turn, and when a failover is over.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::clients::Books;
use super::cluster::{Cluster, ClusterError, PATIENCE};
use super::gate::Gate;
use super::screen::Screen;
use super::standing::{NAMES, Standing, agreed_leader, leader};
use super::summary::Fault;

/// How long everything is at rest before a fault, and how long a fault lasts after the first client was served: so
/// that people can watch, and so that a woken node meets a gate that has settled elsewhere.
const CALM: Duration = Duration::from_millis(1500);
const LASTING: Duration = Duration::from_secs(1);
/// How often the gate's published status is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// Strikes the leaders.
pub(super) struct Director<'a> {
    /// The nodes.
    pub(super) cluster: &'a mut Cluster,
    /// The gate in front of them.
    pub(super) gate: &'a Gate,
    /// What becomes of the clients.
    pub(super) books: Books,
    /// Who watches.
    pub(super) screen: &'a Screen,
}

impl Director<'_> {
    /// Brings about so many failovers, or failovers without end.
    pub(super) async fn run(&mut self, failovers: Option<u32>) -> Result<(), ClusterError> {
        let count = failovers.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
        for fault in Fault::TURN.into_iter().cycle().take(count) {
            self.fail_over(fault).await?;
        }
        Ok(())
    }

    async fn fail_over(&mut self, fault: Fault) -> Result<(), ClusterError> {
        let old = self.at_rest().await?;
        self.screen.say(&format!("{} leads, all nodes are well", NAMES[old]));
        sleep(CALM).await;

        self.books.ledger().begin_trial(fault, old, Instant::now());
        self.strike(fault, old).await?;
        let (new, claimed, first) = self.first_client_of_a_successor(old).await?;
        self.screen.say(&format!("{} leads, and its first client has been served", NAMES[new]));

        sleep(LASTING).await;
        self.mend(fault, old)?;
        self.at_rest().await?;
        let done = self.books.until(|ledger| ledger.all_done_since(first).then_some(()));
        timeout(PATIENCE, done).await.map_err(|_| self.cluster.stuck("the clients to come to an end"))?;
        self.books.ledger().end_trial(new, claimed);
        if let Some(line) = self.books.ledger().last_failover() {
            self.screen.record(&line);
        }
        Ok(())
    }

    async fn strike(&mut self, fault: Fault, old: usize) -> Result<(), ClusterError> {
        let name = NAMES[old];
        match fault {
            Fault::Kill => {
                self.screen.say(&format!("killing {name}: its sockets close at once"));
                self.books.ledger().strike_begins(old, Instant::now());
                self.cluster.kill(old).await;
                self.books.ledger().strike_done(Instant::now());
                Ok(())
            }
            Fault::Freeze => {
                self.screen.say(&format!("freezing {name}: its sockets stay open, it says nothing"));
                self.books.ledger().strike_begins(old, Instant::now());
                self.cluster.freeze(old).await?;
                self.books.ledger().strike_done(Instant::now());
                Ok(())
            }
            Fault::HandOver => {
                let successor = (old + 1) % NAMES.len();
                self.screen.say(&format!("{name} hands over to {}", NAMES[successor]));
                self.cluster.hand_over(old, successor).await
            }
        }
    }

    fn mend(&mut self, fault: Fault, old: usize) -> Result<(), ClusterError> {
        let name = NAMES[old];
        match fault {
            Fault::Kill => {
                self.screen.say(&format!("starting {name} again: same ports, same log"));
                self.cluster.restart(old)
            }
            Fault::Freeze => {
                self.screen.say(&format!("waking {name}: it still believes that it leads"));
                self.cluster.wake(old);
                Ok(())
            }
            Fault::HandOver => Ok(()),
        }
    }

    /// Waits for another leader, and for a client served by it; says which, since when it claims, and when the client
    /// was served. A successor may lose its office before that: then the next one counts.
    async fn first_client_of_a_successor(
        &self,
        old: usize,
    ) -> Result<(usize, Instant, Instant), ClusterError> {
        let successor = |all: &[Standing]| {
            let place = leader(all).filter(|place| *place != old)?;
            Some((place, all[place].claimed?))
        };
        loop {
            let (new, claimed) = self.cluster.until("a successor to be elected", successor).await?;
            let served = self.books.until(|ledger| ledger.first_reached(new, claimed));
            let replaced = self.cluster.until("a client of the successor", |all| {
                successor(all).is_some_and(|newest| newest != (new, claimed)).then_some(())
            });
            tokio::select! {
                first = served => return Ok((new, claimed, first)),
                replaced = replaced => replaced?,
            }
        }
    }

    /// Waits until all nodes agree on a leader, and the gate sees them all and routes to it.
    async fn at_rest(&self) -> Result<usize, ClusterError> {
        let standings = self.cluster.standings();
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(leader) = agreed_leader(&standings.borrow())
                && self.gate_agrees(leader)
            {
                return Ok(leader);
            }
            sleep(LOOK).await;
        }
        Err(self.cluster.stuck("the gate to agree with all nodes on the leader"))
    }

    fn gate_agrees(&self, leader: usize) -> bool {
        let status = self.gate.status();
        let says = |name: &str| if name == NAMES[leader] { "leader" } else { "follower" };
        status.leader.as_deref() == Some(NAMES[leader])
            && status.nodes.iter().all(|node| node.state == says(&node.name))
    }
}
