//! One schedule: a storm of faults, peace, and then one failure in peace.

use std::sync::Arc;

use fastrand::Rng;
use tokio::runtime::Builder;
use tokio::time::{Duration, sleep_until};

use super::cluster::Cluster;
use super::gate::Gate;
use super::judge::Judge;
use super::network::World;
use super::plan::Plan;
use super::rates::Rates;
use super::trace::Trace;
use crate::leader::tests::judge::Tally;
use crate::leader::tests::raft::{MS, Micros};

/// How long faults happen.
const STORM: Micros = 3000 * MS;
/// How long nothing happens then: raft finds its leader, and the gate, too.
const PEACE: Micros = 2600 * MS;
/// How often the judge looks even if nothing happens.
const LOOK: Micros = 50 * MS;
/// Longer than a connection takes to be closed by one who has let go of it.
const FAREWELL: Duration = Duration::from_secs(2);

/// What was seen in a schedule.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) tally: Tally,
    pub(super) probes: u64,
    pub(super) drained: u64,
    pub(super) kept_again: u64,
    pub(super) cut: u64,
    /// How long what an epilogue promises took, by its name.
    pub(super) followed: Option<(&'static str, Micros)>,
    pub(super) trace: String,
}

/// A schedule under way.
pub(super) struct Schedule {
    pub(super) world: Arc<World>,
    pub(super) plan: Plan,
    pub(super) gate: Gate,
    pub(super) judge: Judge,
    pub(super) rng: Rng,
}

/// Says how to replay the schedule that panicked, and what led to it if that is known.
struct Replay(u64, Arc<World>);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // In one piece, or what others write meanwhile comes between.
            let trace = self.1.lock().cluster.trace.end();
            let message = format!("{trace}\nreplay with RAFTGATE_SEED={}\n", self.0);
            eprint!("{message}");
        }
    }
}

impl Schedule {
    /// Plays the schedule of a seed to its end; panics when the judge objects.
    pub(super) fn play(seed: u64, traced: bool) -> Outcome {
        // The probers' jitter is drawn from the thread's generator.
        fastrand::seed(seed);
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(Self::run(seed, Trace::kept(traced)))
    }

    async fn run(seed: u64, trace: Trace) -> Outcome {
        let mut rng = Rng::with_seed(seed);
        let plan = Plan::draw(&mut rng);
        let cluster = Cluster::new(&plan, rng.fork(), trace);
        let rates = Rates::new(&plan.policy, plan.size);
        let world = World::new(cluster, plan.manner, rates, rng.fork());
        let _replay = Replay(seed, Arc::clone(&world));
        world.lock().cluster.trace.note(0, format_args!("{plan:?}"));
        let cluster = tokio::spawn(Arc::clone(&world).live());
        sleep_until(world.at(plan.gate_starts)).await;
        let gate = Gate::start(&world, &plan, rng.fork());
        let judge = Judge::new(&world, &plan);
        let mut schedule = Schedule { world: Arc::clone(&world), plan, gate, judge, rng };
        schedule.watch_until(STORM).await;
        if !schedule.plan.calm {
            world.change(|cluster, now| {
                cluster.stormy = false;
                cluster.heal(now);
            });
        }
        schedule.watch_until(STORM + PEACE).await;
        let followed = schedule.play_epilogue().await;
        let Schedule { gate, judge, .. } = schedule;
        gate.stop().await;
        sleep_until(world.at(world.now()) + FAREWELL).await;
        assert_eq!(world.open(), 0, "connections are left over");
        assert!(!cluster.is_finished(), "the cluster panicked");
        let sessions = &judge.sessions;
        Outcome {
            tally: judge.tally(),
            probes: judge.probes,
            drained: sessions.drained,
            kept_again: sessions.kept_again,
            cut: sessions.cut,
            followed,
            trace: world.lock().cluster.trace.text().to_owned(),
        }
    }

    /// Passes on what the gate is told, and judges it, up to a time.
    pub(super) async fn watch_until(&mut self, end: Micros) {
        while self.world.now() < end {
            let look = self.world.at((self.world.now() + LOOK).min(end));
            tokio::select! {
                biased;
                input = self.gate.told.recv() => {
                    let input = input.expect("probers are there all the time");
                    self.judge.look(&self.gate, false);
                    self.judge.hear(&input);
                    self.gate.tell(input).await;
                    self.judge.look(&self.gate, true);
                }
                _ = self.gate.reader.changed() => self.judge.look(&self.gate, false),
                () = sleep_until(look) => self.judge.look(&self.gate, false),
            }
        }
    }

    /// Watches for so long.
    pub(super) async fn watch_for(&mut self, time: Micros) {
        self.watch_until(self.world.now() + time).await;
    }
}
