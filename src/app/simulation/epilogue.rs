//! One failure in peace, of the kinds for which there is a promise: how soon the new leader is followed (L5), and
//! whose sessions are spared (S5).

use super::cluster::{Cluster, Election, Port};
use super::network::ROUND_TRIPS;
use super::plan::Manner;
use super::schedule::Schedule;
use crate::follow::OnUnreachable;
use crate::leader::tests::raft::{MS, Micros};

/// Longer than raft takes to elect somebody, even if votes are split again and again.
const ELECTED_BY: Micros = 5000 * MS;
/// How long a leader is stunned.
const STUN: Micros = 2000 * MS;

#[derive(Clone, Copy, Debug)]
enum Kind {
    Kill,
    Freeze,
    HandOver,
    Stun,
    Isolation,
    Forgetting,
}

impl Schedule {
    /// Plays one. Returns how long it took to follow a new leader after its election, or to hear of the old one if it
    /// stays, where there is a promise.
    pub(super) async fn play_epilogue(&mut self) -> Option<(&'static str, Micros)> {
        let leader = self.world.lock().cluster.calm_leader();
        // Raft may still be at odds with itself: then there was enough to see already.
        let leader = leader.filter(|leader| self.judge.route() == Some(*leader))?;
        let kinds = [Kind::Kill, Kind::Freeze, Kind::HandOver, Kind::Stun, Kind::Isolation, Kind::Forgetting];
        // Only a node that has not been hedged before is certain to be.
        let count = if self.plan.calm { kinds.len() } else { kinds.len() - 1 };
        let kind = kinds[self.rng.usize(0..count)];
        self.judge.is_epilogue = true;
        let now = self.world.now();
        self.world.lock().cluster.trace.note(now, format_args!("epilogue: {kind:?} of n{leader}"));
        match kind {
            Kind::Kill => Some(("kill", self.kill(leader).await)),
            Kind::Freeze => Some(("freeze", self.freeze(leader).await)),
            Kind::HandOver => Some(("hand-over", self.hand_over(leader).await)),
            Kind::Stun => {
                self.stun(leader).await;
                None
            }
            Kind::Isolation => {
                self.isolate(leader).await;
                None
            }
            Kind::Forgetting => Some(("forgetting", self.forget(leader).await)),
        }
    }

    /// The leader's end is seen at once by that of its kept connection, or else by the next probe, so that probing is
    /// mostly fast before there is a new one.
    async fn kill(&mut self, leader: usize) -> Micros {
        self.world.change(|cluster, _| cluster.crash(leader, false));
        let noticed = match self.plan.manner {
            Manner::Keeps => ROUND_TRIPS,
            Manner::AnnouncesClose | Manner::Closes => self.judge.steady(),
        };
        let took = self.follow(leader, noticed).await;
        let falls = self.fast_statements(self.plan.policy.fall + 1);
        self.watch_for(falls).await;
        if self.plan.fates.on_unreachable == OnUnreachable::Cut {
            assert!(self.judge.sessions.are_cut(leader), "S5: sessions of the dead n{leader} go on");
        }
        took
    }

    /// A frozen leader is noticed by its late answer. When it wakes up, it says what it believed before.
    async fn freeze(&mut self, leader: usize) -> Micros {
        self.world.change(|cluster, _| cluster.raft.pause(leader));
        let late = if self.plan.calm { self.judge.late() } else { self.judge.timeout() };
        let took = self.follow(leader, self.judge.steady() + late).await;
        self.world.change(|cluster, now| cluster.resume(now, leader));
        let patience = self.judge.patience();
        self.watch_for(patience).await;
        let was_elected_again = self.newest_election().is_some_and(|newest| newest.node == leader);
        assert!(
            was_elected_again || self.judge.route() != Some(leader),
            "n{leader} has woken up, and is followed"
        );
        took
    }

    async fn hand_over(&mut self, leader: usize) -> Micros {
        let successor = (leader + self.rng.usize(1..self.plan.size)) % self.plan.size;
        self.world.change(|cluster, now| cluster.raft.campaign(now, successor));
        self.follow(leader, Micros::MAX).await
    }

    /// A leader whose connection has been forgotten on the way, as by a firewall, is asked on another one before
    /// anybody takes it for silent (L4).
    async fn forget(&mut self, leader: usize) -> Micros {
        let began = self.world.now();
        self.judge.spares_since = Some(began);
        let epoch = self.judge.epoch();
        self.world.forget_connections(leader);
        let heard_by = began + self.judge.steady() + self.judge.late() + ROUND_TRIPS;
        while self.judge.last_good(leader) <= Some(began) {
            assert!(self.world.now() <= heard_by, "L4: nothing was heard of n{leader} since {began}");
            self.watch_for(MS).await;
        }
        let took = self.world.now() - began;
        let patience = self.judge.patience();
        self.watch_for(patience).await;
        let stayed = self.judge.epoch() == epoch || !self.judge.is_unchanged_since(began);
        assert!(stayed, "L4: n{leader} lost the route with a connection");
        took
    }

    /// Without an election, nobody is cut however long the leader does not answer.
    async fn stun(&mut self, leader: usize) {
        self.judge.spares_since = Some(self.world.now());
        self.world.change(|cluster, _| cluster.paths[leader].port = Port::Mute);
        self.watch_for(STUN).await;
        self.world.change(|cluster, _| cluster.paths[leader].port = Port::Serves);
        self.return_to(leader).await;
    }

    /// A gate that is cut off from all nodes cuts nobody.
    async fn isolate(&mut self, leader: usize) {
        self.judge.spares_since = Some(self.world.now());
        let cut_off = |cluster: &mut Cluster, is_cut_off| {
            cluster.paths.iter_mut().for_each(|path| path.cut_off = is_cut_off);
        };
        self.world.change(|cluster, _| cut_off(cluster, true));
        let time = self.rng.u64(500..5000) * MS;
        self.watch_for(time).await;
        self.world.change(|cluster, _| cut_off(cluster, false));
        self.return_to(leader).await;
    }

    async fn return_to(&mut self, leader: usize) {
        let patience = self.judge.patience();
        self.watch_for(patience).await;
        if self.judge.spares_since.is_some_and(|since| self.judge.is_unchanged_since(since)) {
            assert_eq!(self.judge.route(), Some(leader), "n{leader} has never ceased to lead");
        }
    }

    fn newest_election(&self) -> Option<Election> {
        self.world.lock().cluster.newest_election
    }

    /// So many statements of one node, at the fast pace.
    fn fast_statements(&self, count: u32) -> Micros {
        Micros::from(count) * self.judge.fast()
    }

    /// As many as it takes, beginning at the steady pace.
    fn steady_statement(&self) -> Micros {
        self.judge.steady() + self.fast_statements(self.plan.policy.rise - 1)
    }

    /// Waits for a successor's election, and then for it to be the route: after a statement at the steady pace, or at
    /// the fast one from when something has been `noticed` at the latest. Returns how long that took.
    async fn follow(&mut self, old: usize, noticed: Micros) -> Micros {
        let noticed = self.world.now().saturating_add(noticed);
        let (steady, fast) = (self.steady_statement(), self.fast_statements(self.plan.policy.rise));
        let before = self.newest_election().map(|election| election.at);
        let patience = self.world.now() + ELECTED_BY;
        loop {
            let now = self.world.now();
            let newest = self.newest_election().filter(|newest| before < Some(newest.at));
            if let Some(newest) = newest {
                if self.judge.route() == Some(newest.node) {
                    return now.saturating_sub(newest.at);
                }
                let end = (newest.at + steady).min(newest.at.max(noticed).saturating_add(fast));
                assert!(now <= end, "L5: n{} leads since {}, noticed by {noticed}", newest.node, newest.at);
            }
            assert!(now < patience, "nobody was elected after n{old}");
            self.watch_for(MS).await;
        }
    }
}
