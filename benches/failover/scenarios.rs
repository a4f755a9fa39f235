//! The faults: what strikes a stage under a stream of clients, and who led when.

use std::time::Duration;

use clap::ValueEnum;
use tokio::time::{Instant, sleep};

use crate::judge::{History, Reign, as_f64};
use crate::stage::{NODES, Stage};
use crate::support::clock::Stamp;
use crate::support::crowd::Crowd;

/// How long an election takes, from the fault to the claim: between this and a tenth more, at random. The fault itself
/// sets off the probes of the gate, so that a claim always as long after it would meet them always in the same phase.
const ELECTION: Duration = Duration::from_secs(1);
/// How long after the election a frozen leader wakes up.
const ASLEEP: Duration = Duration::from_secs(1);
/// How long it then says that it leads, until it hears of the election.
const STALE: Duration = Duration::from_millis(200);
/// How long a leader rules while leadership flaps.
const FLAP: Duration = Duration::from_millis(100);
/// How often it flaps.
const FLAPS: usize = 20;
/// How long clients come while two nodes claim, once the newer one has served its first.
const TWO: Duration = Duration::from_secs(1);
/// How long the newer one may take for that.
const TWO_LEADERS_PATIENCE: Duration = Duration::from_secs(10);
/// How long new clients must all have been served by the last leader for a run to be over.
const QUIET: Duration = Duration::from_millis(700);
/// When a run is over in any case.
const PATIENCE: Duration = Duration::from_secs(20);

/// What happens to the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// The leader steps down in good order, another claims within milliseconds.
    HandOver,
    /// The leader is killed.
    Kill,
    /// The leader is stopped where it stands.
    Freeze,
    /// The same, and it goes on after the election.
    FreezeAndWake,
    /// No packet goes to or from the leader any more.
    Partition,
    /// A second node claims while the first goes on claiming.
    TwoLeaders,
    /// Leadership goes to and fro between two nodes every 100 ms.
    Flapping,
}

impl Scenario {
    /// All of them, in the order of the report.
    pub(crate) const ALL: [Self; 7] = [
        Self::HandOver,
        Self::Kill,
        Self::Freeze,
        Self::FreezeAndWake,
        Self::Partition,
        Self::TwoLeaders,
        Self::Flapping,
    ];

    /// Its name in arguments and tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::HandOver => "hand-over",
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::FreezeAndWake => "freeze-and-wake",
            Self::Partition => "partition",
            Self::TwoLeaders => "two-leaders",
            Self::Flapping => "flapping",
        }
    }

    /// What happens, in words.
    pub(crate) fn story(self) -> &'static str {
        match self {
            Self::HandOver => "the leader says that it follows, another that it leads within about 10 ms",
            Self::Kill => "SIGKILL; another claims 1.0 to 1.1 s later",
            Self::Freeze => "SIGSTOP; another claims 1.0 to 1.1 s later",
            Self::FreezeAndWake => {
                "SIGSTOP; another claims 1.0 to 1.1 s later; SIGCONT after one more second; the old one still says 200 for 200 ms"
            }
            Self::Partition => "packets to and from the leader vanish; another claims 1.0 to 1.1 s later",
            Self::TwoLeaders => "another claims, the first goes on claiming",
            Self::Flapping => "orderly hand-overs to and fro between two nodes every 100 ms, 20 times",
        }
    }

    /// Whether each node needs a network of its own.
    pub(crate) fn needs_networks(self) -> bool {
        self == Self::Partition
    }

    /// Lets the fault strike, and waits until new clients are served as they should be.
    pub(crate) async fn strike(self, stage: &mut Stage, crowd: &Crowd) -> History {
        let begin = Stamp::now();
        crowd.served_by(NODES[0], 30, begin).await;
        let pace = pace(crowd).await;
        // The fault must not come at the same moment of each probe interval.
        sleep(Duration::from_millis(fastrand::u64(0..500))).await;
        let mut plot = Plot::new();
        match self {
            Self::HandOver => plot.hand_over(stage, 0, 1).await,
            Self::Kill => {
                let killed = stage.nodes[0].kill().await;
                plot.elect_after_fault(stage, killed).await;
            }
            Self::Freeze => {
                let frozen = stage.nodes[0].freeze().await;
                plot.elect_after_fault(stage, frozen).await;
            }
            Self::FreezeAndWake => {
                let frozen = stage.nodes[0].freeze().await;
                plot.elect_after_fault(stage, frozen).await;
                sleep(ASLEEP).await;
                stage.nodes[0].wake();
                sleep(STALE).await;
                stage.nodes[0].order("follow").await;
            }
            Self::Partition => {
                let cut = stage.remotes[0].cut_off().await.expect("the cable was laid");
                plot.elect_after_fault(stage, cut).await;
            }
            Self::TwoLeaders => {
                let claimed = stage.nodes[1].order("lead").await;
                plot.end(claimed, 1, claimed);
                plot.begin(1, claimed);
                let begun = Instant::now();
                while crowd.done_since(NODES[1], claimed).0 == 0 && begun.elapsed() < TWO_LEADERS_PATIENCE {
                    sleep(Duration::from_millis(20)).await;
                }
                sleep(TWO).await;
            }
            Self::Flapping => {
                for flap in 0..FLAPS {
                    let due = Instant::now() + FLAP;
                    plot.hand_over(stage, flap % 2, (flap + 1) % 2).await;
                    tokio::time::sleep_until(due).await;
                }
            }
        }
        let settled = self == Self::TwoLeaders || is_quiet(crowd, plot.leader(), pace).await;
        plot.history(stage, settled).await
    }
}

/// Who led when, while it happens.
struct Plot {
    history: History,
    /// For each reign that has ended: which node gave that away, from which moment on.
    traitors: Vec<(usize, Stamp)>,
}

impl Plot {
    /// The first node has led all the time.
    fn new() -> Self {
        let mut plot = Plot { history: History::default(), traitors: Vec::new() };
        plot.begin(0, "0".parse().expect("a number"));
        plot
    }

    fn leader(&self) -> &str {
        &self.history.reigns.last().expect("somebody has led").node
    }

    fn begin(&mut self, node: usize, from: Stamp) {
        let node = NODES[node].to_owned();
        self.history.reigns.push(Reign { node, from, until: None, given_away: None });
    }

    fn end(&mut self, until: Stamp, traitor: usize, since: Stamp) {
        self.history.reigns.last_mut().expect("somebody has led").until = Some(until);
        self.traitors.push((traitor, since));
    }

    async fn hand_over(&mut self, stage: &mut Stage, from: usize, to: usize) {
        let down = stage.nodes[from].order("follow").await;
        self.end(down, from, down);
        let claimed = stage.nodes[to].order("lead").await;
        self.begin(to, claimed);
    }

    async fn elect_after_fault(&mut self, stage: &mut Stage, fault: Stamp) {
        self.history.fault = Some((NODES[0].to_owned(), fault));
        sleep(ELECTION.mul_f64(1.0 + 0.1 * fastrand::f64())).await;
        let claimed = stage.nodes[1].order("lead").await;
        self.end(fault, 1, claimed);
        self.begin(1, claimed);
    }

    async fn history(mut self, stage: &Stage, settled: bool) -> History {
        for (reign, (traitor, since)) in self.history.reigns.iter_mut().zip(self.traitors) {
            reign.given_away = stage.given_away(traitor, since).await;
        }
        self.history.settled = settled;
        self.history
    }
}

/// How many clients the leader serves in [`QUIET`] while nothing happens.
async fn pace(crowd: &Crowd) -> usize {
    let begin = Stamp::now();
    sleep(QUIET).await;
    let (served, done) = crowd.done_since(NODES[0], begin);
    assert!(
        served == done && served > 20,
        "{served} of {done} clients served within {QUIET:?} before any fault"
    );
    served
}

/// Waits until, for [`QUIET`], all new clients have been served by `leader`, and nearly as many as before the fault.
async fn is_quiet(crowd: &Crowd, leader: &str, pace: usize) -> bool {
    let step = QUIET / 7;
    let begun = Instant::now();
    let mut moments = vec![Stamp::now()];
    while begun.elapsed() < PATIENCE {
        sleep(step).await;
        if let Some(since) = moments.len().checked_sub(7).map(|at| moments[at]) {
            let (served, done) = crowd.done_since(leader, since);
            if served == done && as_f64(served) > 0.7 * as_f64(pace) {
                return true;
            }
        }
        moments.push(Stamp::now());
    }
    false
}
