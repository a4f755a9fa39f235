//! Every gate in turn, again and again: noise hits all alike.
//!
//! A round is one scenario before each gate. All stages of a round are up and settled before the first fault strikes,
//! and are struck one at a time, each round beginning with another gate. What is left of a run then, clients that wait in
//! vain for up to 15 s, goes on while the next is struck.

use std::path::PathBuf;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::arguments::Arguments;
use crate::bulk;
use crate::gates::{Kind, Running};
use crate::judge::Figures;
use crate::machine;
use crate::report::{self, Circumstances};
use crate::samples::{FAILURES, Sample, Samples, ms};
use crate::scenarios::Scenario;
use crate::stage::{Backstage, Stage};
use crate::steady;
use crate::support::client::{Outcome, Visit};
use crate::support::crowd::Crowd;

/// No client should have to wait longer than this beyond the election.
const LONG_WAIT: Duration = Duration::from_millis(500);

/// A run whose clients have not all gone yet.
type Tail = JoinHandle<Figures>;

/// What a bench is in the middle of.
struct Bench<'a> {
    arguments: &'a Arguments,
    begun: Instant,
    samples: Samples,
    /// What was not run, and why.
    not_run: Vec<String>,
    /// What went wrong with the bench itself.
    errors: Vec<String>,
    tails: Vec<(Scenario, Kind, u32, Tail)>,
}

/// Runs what is asked for and reports it.
pub(crate) async fn run(arguments: &Arguments, network: Result<(), String>) -> Result<(), String> {
    let samples = Samples::new(arguments.folder()).map_err(|error| error.to_string())?;
    let load = machine::load();
    let begun = Instant::now();
    let mut bench =
        Bench { arguments, begun, samples, not_run: Vec::new(), errors: Vec::new(), tails: Vec::new() };
    let gates = bench.runnable_gates().await;
    if let Some(period) = arguments.steady() {
        bench.steady(&gates, period).await;
    }
    for scenario in bench.runnable_scenarios(&network) {
        for run in 1..=arguments.runs() {
            if begun.elapsed() > arguments.bound() {
                bench.not_run.push(format!("{}, from run {run} on: out of time", scenario.name()));
                break;
            }
            bench.round(scenario, run, &gates).await;
        }
    }
    bench.collect(true).await;
    if bench.samples.runs.is_empty() && bench.samples.steady.is_empty() {
        bench.errors.push("nothing was run".to_owned());
    }
    let circumstances = Circumstances {
        machine: machine::description(&network),
        load: format!("{load} before, {} after", machine::load()),
        took: begun.elapsed(),
        runs: arguments.runs(),
        not_run: &bench.not_run,
        errors: &bench.errors,
    };
    let text = report::text(&bench.samples, &arguments.scenarios(), &arguments.gates(), &circumstances);
    bench.samples.write("RESULTS.md", &text).map_err(|error| error.to_string())?;
    println!("\n{text}\nwritten to {}", arguments.folder().display());
    if bench.errors.is_empty() { Ok(()) } else { Err(bench.errors.join("; ")) }
}

impl Bench<'_> {
    /// The gates that can be started here; of the others says why not.
    async fn runnable_gates(&mut self) -> Vec<Kind> {
        let backstage = Backstage::start(false).await;
        let mut gates = Vec::new();
        for gate in self.arguments.gates() {
            match gate.objection(&backstage.nodes, backstage.folder.path()).await {
                None => gates.push(gate),
                Some(why) => self.not_run(format!("{}: {why}", gate.name())),
            }
        }
        gates
    }

    fn runnable_scenarios(&mut self, network: &Result<(), String>) -> Vec<Scenario> {
        let mut scenarios = self.arguments.scenarios();
        if let Err(why) = network {
            for scenario in scenarios.extract_if(.., |scenario| scenario.needs_networks()) {
                self.not_run(format!("{}: no network namespaces: {why}", scenario.name()));
            }
        }
        scenarios
    }

    fn not_run(&mut self, what: String) {
        println!("not run: {what}");
        self.not_run.push(what);
    }

    /// All gates at once: nobody's time is measured, and each has nodes of its own.
    async fn steady(&mut self, gates: &[Kind], period: Duration) {
        println!("steady: {period:?}");
        let stages = self.stages("steady", gates, false).await;
        let watched: Vec<_> = stages
            .into_iter()
            .map(|(gate, mut stage)| {
                (
                    gate,
                    tokio::task::spawn_local(async move {
                        let costs = steady::watch(&mut stage, period).await;
                        stage.gate.end().await;
                        costs
                    }),
                )
            })
            .collect();
        for (gate, costs) in watched {
            let kept = match costs.await {
                Ok(costs) => self.samples.keep_steady(gate, costs).map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = kept {
                self.error("steady", gate, 1, &error);
            }
        }
    }

    async fn round(&mut self, scenario: Scenario, run: u32, gates: &[Kind]) {
        let mut stages = self.stages(scenario.name(), gates, scenario.needs_networks()).await;
        if !stages.is_empty() {
            let first = (run as usize) % stages.len();
            stages.rotate_left(first);
        }
        for (gate, stage) in stages {
            let name = format!("{}-{}-{run}", scenario.name(), gate.name());
            let failures = self.arguments.folder().join(format!("{FAILURES}{name}.log"));
            match tokio::task::spawn_local(strike(scenario, stage, self.arguments.bulk, failures)).await {
                Ok(tail) => self.tails.push((scenario, gate, run, tail)),
                Err(error) => self.error(scenario.name(), gate, run, &error.to_string()),
            }
        }
        self.collect(false).await;
    }

    /// Takes in the runs that are over, or waits for all.
    async fn collect(&mut self, all: bool) {
        let mut left = Vec::new();
        for (scenario, gate, run, tail) in std::mem::take(&mut self.tails) {
            if !all && !tail.is_finished() {
                left.push((scenario, gate, run, tail));
                continue;
            }
            match tail.await {
                Ok(figures) => {
                    self.print(scenario, gate, run, &figures);
                    let kept = self.samples.keep(Sample { scenario, gate, run, figures });
                    if let Err(error) = kept {
                        self.error(scenario.name(), gate, run, &error.to_string());
                    }
                }
                Err(error) => self.error(scenario.name(), gate, run, &error.to_string()),
            }
        }
        self.tails = left;
    }

    fn print(&self, scenario: Scenario, gate: Kind, run: u32, figures: &Figures) {
        let first = figures.claim_to_first.map_or("never".to_owned(), |time| format!("{:.1} ms", ms(time)));
        println!(
            "{:>5} s  {:<15} {:<20} run {run}: {} clients, {} failed, {} cut off, {} misrouted ({} beyond, by {:.2} ms), first after {first}, longest wait {:.0} ms{}",
            self.begun.elapsed().as_secs(),
            scenario.name(),
            gate.name(),
            figures.clients,
            figures.failed,
            figures.cut_off,
            figures.misrouted,
            figures.beyond_promise,
            ms(figures.latest_beyond),
            ms(figures.longest_wait),
            if figures.settled { "" } else { ", NOT SETTLED" },
        );
    }

    fn error(&mut self, what: &str, gate: Kind, run: u32, error: &str) {
        let text = format!("{what}, {}, run {run}: {error}", gate.name());
        println!("ERROR: {text}");
        self.errors.push(text);
    }

    /// A stage for each gate, all settled.
    async fn stages(&mut self, what: &str, gates: &[Kind], remote: bool) -> Vec<(Kind, Stage)> {
        let starting: Vec<_> =
            gates.iter().map(|&gate| (gate, tokio::task::spawn_local(Stage::start(gate, remote)))).collect();
        let mut stages = Vec::new();
        for (gate, stage) in starting {
            match stage.await {
                Ok(stage) => stages.push((gate, stage)),
                Err(error) => self.error(what, gate, 0, &error.to_string()),
            }
        }
        stages
    }
}

/// One run: its figures are there once the last client has gone.
async fn strike(scenario: Scenario, mut stage: Stage, bulk: usize, failures: PathBuf) -> Tail {
    let bulk = bulk::flow(&stage.trust, stage.gate.address(), bulk);
    let crowd = Crowd::arrive(&stage.trust, stage.gate.address());
    let history = scenario.strike(&mut stage, &crowd).await;
    drop(bulk);
    tokio::task::spawn_local(async move {
        // The nodes live until the last client has gone, not only what is named below.
        let stage: Stage = stage;
        let visits = crowd.leave().await;
        for visit in &visits {
            if let Outcome::Failed(why) | Outcome::Interrupted(why) = &visit.outcome {
                // No descriptors, no ports: then the bench has failed, and no gate.
                let own =
                    ["os error 24", "os error 23", "os error 99"].iter().any(|error| why.contains(error));
                assert!(!own, "the bench cannot make its clients: {why}");
            }
        }
        let figures = history.judge(&visits);
        // A client that fails behind Raftgate, or waits for long, is a fault of Raftgate's: keep what tells why.
        let faulty = figures.failed + figures.beyond_promise > 0 || figures.longest_wait > LONG_WAIT;
        if faulty && matches!(stage.gate, Running::Raftgate(_)) {
            let notable = |visit: &&Visit| {
                !matches!(visit.outcome, Outcome::Served { .. })
                    || history.is_misrouted(visit)
                    || history.wait(visit) > LONG_WAIT
            };
            let visits: Vec<&Visit> = visits.iter().filter(notable).collect();
            let text = format!("{history:#?}\n{visits:#?}\n{}\n", stage.gate.log());
            if let Err(error) = std::fs::write(&failures, text) {
                eprintln!("{}: {error}", failures.display());
            }
        }
        stage.gate.end().await;
        figures
    })
}
