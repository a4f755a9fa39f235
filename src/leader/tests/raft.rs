//! A small raft: terms, votes, heartbeats, a leader's check of its quorum. No log: who leads is all that matters.
//!
//! This is the truth that the tracker is judged by. Messages that reach a paused or crashed node are lost, as
//! those are whose sender has long stopped waiting for an answer.

use fastrand::Rng;

/// Microseconds since the simulation began.
pub(crate) type Micros = u64;

pub(crate) const MS: Micros = 1000;

const HEARTBEAT: Micros = 50 * MS;

/// What one peer tells another.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Message {
    AskForVote {
        term: u64,
    },
    Vote {
        term: u64,
    },
    Heartbeat {
        term: u64,
    },
    Ack {
        term: u64,
    },
    /// The receiver's message was of an older term than this.
    Outdated {
        term: u64,
    },
}

/// A message under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Letter {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) message: Message,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Role {
    Follower,
    Candidate {
        votes: usize,
    },
    /// When each peer last acknowledged.
    Leader {
        acks: Vec<Micros>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Process {
    Runs,
    Paused,
    Crashed,
}

#[derive(Debug)]
struct Peer {
    process: Process,
    role: Role,
    term: u64,
    voted_in: u64,
    due: Micros,
}

#[derive(Debug)]
pub(crate) struct Raft {
    peers: Vec<Peer>,
    /// A leader that no majority acknowledged for so long steps down; `None`: it never does by itself.
    quorum_check: Option<Micros>,
    rng: Rng,
    pub(crate) outbox: Vec<Letter>,
}

/// What a node knows of itself when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SelfImage {
    Leads { term: u64 },
    Follows,
    Campaigns,
}

impl Raft {
    pub(crate) fn new(size: usize, quorum_check: Option<Micros>, mut rng: Rng) -> Self {
        let peer = |_| Peer {
            process: Process::Runs,
            role: Role::Follower,
            term: 0,
            voted_in: 0,
            due: rng.u64(0..300 * MS),
        };
        let peers = (0..size).map(peer).collect();
        Raft { peers, quorum_check, rng, outbox: Vec::new() }
    }

    pub(crate) fn size(&self) -> usize {
        self.peers.len()
    }

    pub(crate) fn process(&self, node: usize) -> Process {
        self.peers[node].process
    }

    pub(crate) fn self_image(&self, node: usize) -> SelfImage {
        let peer = &self.peers[node];
        match peer.role {
            Role::Leader { .. } => SelfImage::Leads { term: peer.term },
            Role::Follower => SelfImage::Follows,
            Role::Candidate { .. } => SelfImage::Campaigns,
        }
    }

    /// Some leader, possibly a stale one.
    pub(crate) fn any_leader(&self) -> Option<usize> {
        (0..self.size()).find(|node| matches!(self.peers[*node].role, Role::Leader { .. }))
    }

    /// The leader whom every node runs and follows, in one term.
    pub(crate) fn undisputed_leader(&self) -> Option<usize> {
        let leader = self.any_leader()?;
        let agrees = |(node, peer): (usize, &Peer)| {
            peer.process == Process::Runs
                && peer.term == self.peers[leader].term
                && (node == leader || peer.role == Role::Follower)
        };
        self.peers.iter().enumerate().all(agrees).then_some(leader)
    }

    /// When a node's timer is due.
    pub(crate) fn due(&self, node: usize) -> Micros {
        self.peers[node].due
    }

    /// A node's timer is due: heartbeat or election.
    pub(crate) fn tick(&mut self, now: Micros, node: usize) {
        let majority = self.size() / 2 + 1;
        let peer = &mut self.peers[node];
        if peer.process != Process::Runs {
            peer.due = now + HEARTBEAT;
            return;
        }
        let Role::Leader { acks } = &peer.role else {
            return self.campaign(now, node);
        };
        let others = || acks.iter().enumerate().filter(|(peer, _)| *peer != node);
        let acked = |patience| 1 + others().filter(|(_, at)| now < **at + patience).count();
        if self.quorum_check.is_some_and(|patience| acked(patience) < majority) {
            return self.step_down(now, node);
        }
        peer.due = now + HEARTBEAT;
        let term = peer.term;
        self.tell_all(node, Message::Heartbeat { term });
    }

    /// Stands for election in a new term.
    pub(crate) fn campaign(&mut self, now: Micros, node: usize) {
        let patience = self.rng.u64(150 * MS..300 * MS);
        let peer = &mut self.peers[node];
        peer.term += 1;
        peer.voted_in = peer.term;
        peer.role = Role::Candidate { votes: 1 };
        peer.due = now + patience;
        let term = peer.term;
        self.tell_all(node, Message::AskForVote { term });
    }

    pub(crate) fn step_down(&mut self, now: Micros, node: usize) {
        self.peers[node].role = Role::Follower;
        self.await_leader(now, node);
    }

    pub(crate) fn pause(&mut self, node: usize) {
        if self.process(node) == Process::Runs {
            self.peers[node].process = Process::Paused;
        }
    }

    pub(crate) fn crash(&mut self, node: usize) {
        self.peers[node].process = Process::Crashed;
    }

    /// Goes on where it was paused, or starts anew after a crash.
    pub(crate) fn resume(&mut self, now: Micros, node: usize) {
        let was = std::mem::replace(&mut self.peers[node].process, Process::Runs);
        match was {
            Process::Crashed => self.step_down(now, node),
            // A stale leader goes on for a moment as if nothing had happened.
            Process::Paused => self.peers[node].due = now + self.rng.u64(0..100 * MS),
            Process::Runs => {}
        }
    }

    pub(crate) fn receive(&mut self, now: Micros, Letter { from, to, message }: Letter) {
        if self.process(to) != Process::Runs {
            return;
        }
        let (Message::AskForVote { term }
        | Message::Vote { term }
        | Message::Heartbeat { term }
        | Message::Ack { term }
        | Message::Outdated { term }) = message;
        let own = self.peers[to].term;
        if term < own {
            return self.tell(to, from, Message::Outdated { term: own });
        }
        if own < term {
            self.peers[to].term = term;
            if self.peers[to].role != Role::Follower {
                self.step_down(now, to);
            }
        }
        self.receive_in_term(now, Letter { from, to, message }, term);
    }

    fn receive_in_term(&mut self, now: Micros, Letter { from, to, message }: Letter, term: u64) {
        let majority = self.size() / 2 + 1;
        let size = self.size();
        let peer = &mut self.peers[to];
        match (message, &mut peer.role) {
            (Message::AskForVote { .. }, _) if peer.voted_in < term => {
                peer.voted_in = term;
                self.await_leader(now, to);
                self.tell(to, from, Message::Vote { term });
            }
            (Message::Vote { .. }, Role::Candidate { votes }) => {
                *votes += 1;
                if *votes >= majority {
                    peer.role = Role::Leader { acks: vec![now; size] };
                    self.tick(now, to);
                }
            }
            (Message::Heartbeat { .. }, _) => {
                peer.role = Role::Follower;
                self.await_leader(now, to);
                self.tell(to, from, Message::Ack { term });
            }
            (Message::Ack { .. }, Role::Leader { acks }) => acks[from] = now,
            _ => {}
        }
    }

    fn await_leader(&mut self, now: Micros, node: usize) {
        self.peers[node].due = now + self.rng.u64(150 * MS..300 * MS);
    }

    fn tell_all(&mut self, from: usize, message: Message) {
        for to in (0..self.size()).filter(|to| *to != from) {
            self.tell(from, to, message);
        }
    }

    fn tell(&mut self, from: usize, to: usize, message: Message) {
        self.outbox.push(Letter { from, to, message });
    }
}
