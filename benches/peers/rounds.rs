//! Every peer in turn, again and again: noise hits all alike.
//!
//! In a round the peers of one setting are started together; then each workload is put on one after the other, beginning
//! with another one each round, while those who are not measured only ask their nodes who leads.

use std::fs;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::arguments::Arguments;
use crate::cores::last_core;
use crate::load::{Job, Order, Outcome};
use crate::machine;
use crate::own_process::{OwnProcess, Role};
use crate::peers::{Peer, Room, Running};
use crate::proxy::cpu;
use crate::report::{self, Circumstances};
use crate::samples::{Sample, Samples};
use crate::scale::{self, Cost};
use crate::stage::Stage;
use crate::workloads::{Setting, Workload};

/// What all peers are measured with: BBR paces what it sends, which on the loopback distorts by two to three times.
const CONGESTION_CONTROL: &str = "cubic";
/// How long a peer may take beyond the time of a load.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a peer is left alone after its clients have gone, or before its memory is read.
const PAUSE: Duration = Duration::from_millis(200);

/// What a bench is in the middle of.
struct Bench<'a> {
    arguments: &'a Arguments,
    begun: Instant,
    samples: Samples,
    costs: Vec<Cost>,
    /// What was not run, and why.
    not_run: Vec<String>,
    /// What went wrong.
    errors: Vec<String>,
}

/// Runs what is asked for and reports it.
pub(crate) async fn run(arguments: &Arguments, network: &Result<(), String>) -> Result<(), String> {
    // A network of the bench's own has a setting of its own; nobody else's is changed.
    if network.is_ok()
        && let Err(error) = fs::write("/proc/sys/net/ipv4/tcp_congestion_control", CONGESTION_CONTROL)
    {
        println!("TCP congestion control cannot be set to {CONGESTION_CONTROL}: {error}");
    }
    let samples = Samples::new(arguments.samples()).map_err(|error| error.to_string())?;
    let load = machine::load();
    let begun = Instant::now();
    let mut bench =
        Bench { arguments, begun, samples, costs: Vec::new(), not_run: Vec::new(), errors: Vec::new() };
    bench.run().await;
    if bench.samples.rounds.is_empty() && bench.costs.is_empty() {
        bench.errors.push("nothing was run".to_owned());
    }
    let circumstances = Circumstances {
        arguments,
        machine: machine::description(network),
        load: format!("{load} before, {} after", machine::load()),
        took: begun.elapsed(),
        not_run: &bench.not_run,
        errors: &bench.errors,
    };
    let text =
        report::write(&bench.samples, &bench.costs, &circumstances).map_err(|error| error.to_string())?;
    println!("\n{text}\nwritten to {}", arguments.folder().display());
    if bench.errors.is_empty() { Ok(()) } else { Err(bench.errors.join("; ")) }
}

impl Bench<'_> {
    async fn run(&mut self) {
        let peers = match self.runnable_peers().await {
            Ok(peers) => peers,
            Err(error) => return self.error("the stage", &error),
        };
        for round in 1..=self.arguments.rounds() {
            for setting in Setting::WITH_PEERS {
                let workloads = self.arguments.workloads_of(setting);
                if workloads.is_empty() || peers.is_empty() {
                    continue;
                }
                if let Err(error) = self.round(round, setting, &workloads, &peers).await {
                    self.error(&format!("round {round}"), &error);
                }
            }
        }
        if !self.arguments.workloads_of(Setting::Scale).is_empty()
            && self.arguments.peers().contains(&Peer::Raftgate)
        {
            for &clusters in self.arguments.clusters() {
                if let Err(error) = self.scale(clusters).await {
                    self.error(&format!("{clusters} clusters"), &error);
                }
            }
        }
    }

    /// The peers that can be started here; of the others says why not.
    async fn runnable_peers(&mut self) -> Result<Vec<Peer>, String> {
        let stage = Stage::start(None).await?;
        let mut peers = Vec::new();
        for peer in self.arguments.peers() {
            match peer.objection(&stage).await {
                None => peers.push(peer),
                Some(why) => {
                    println!("not run: {}: {why}", peer.name());
                    self.not_run.push(format!("{}: {why}", peer.name()));
                }
            }
        }
        Ok(peers)
    }

    async fn round(
        &mut self,
        round: u32,
        setting: Setting,
        workloads: &[Workload],
        peers: &[Peer],
    ) -> Result<(), String> {
        let core = if setting == Setting::OneCore { Some(last_core()?) } else { None };
        let room = Room { core, has_one_worker: setting == Setting::OneWorker };
        let stage = Stage::start(core).await?;
        let mut running = Vec::new();
        let starting = peers.iter().map(|peer| peer.start(&stage, room)).collect();
        for (peer, started) in peers.iter().zip(all(starting).await) {
            match started {
                Ok(started) => running.push(started),
                Err(error) => self.error(peer.name(), &error),
            }
        }
        for &workload in workloads {
            let first = round as usize % running.len().max(1);
            let (before, from) = running.split_at(first);
            for peer in from.iter().chain(before) {
                let Some(order) = self.order(workload, peer) else { continue };
                match measure(order, peer, core).await {
                    Ok((outcome, value, cpu_per_gb)) => {
                        let sample = Sample {
                            workload,
                            peer: peer.peer,
                            round,
                            value,
                            cpu_per_gb,
                            delays: outcome.delays,
                            failed: outcome.failed,
                        };
                        self.print(&sample);
                        if let Some(why) = outcome.why {
                            let what = format!("{}, {}", workload.name(), peer.peer.name());
                            self.error(&what, &format!("{} connections failed: {why}", outcome.failed));
                        }
                        self.samples.keep(sample).map_err(|error| error.to_string())?;
                    }
                    Err(error) => self.error(&format!("{}, {}", workload.name(), peer.peer.name()), &error),
                }
                sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    /// What clients do; nothing where there is nothing to measure.
    fn order(&self, workload: Workload, peer: &Running) -> Option<Order> {
        let job = workload.job(self.arguments.sessions())?;
        let has_memory = workload != Workload::Idle || peer.proxy.is_some();
        has_memory.then_some(Order { job, target: peer.address, window: self.arguments.window() })
    }

    async fn scale(&mut self, clusters: u32) -> Result<(), String> {
        let mut stage = Stage::start(None).await?;
        let cost = scale::watch(&mut stage, clusters, self.arguments.watch()).await?;
        println!(
            "{:>5} s  {clusters} clusters: {:.3} cores, {:.0} KiB, {:.0} probes/s",
            self.begun.elapsed().as_secs(),
            cost.cores,
            cost.memory / 1024.0,
            cost.answers
        );
        self.costs.push(cost);
        Ok(())
    }

    fn print(&self, sample: &Sample) {
        println!(
            "{:>5} s  round {}  {:<22} {:<14} {:>12.3} {}{}{}{}",
            self.begun.elapsed().as_secs(),
            sample.round,
            sample.workload.name(),
            sample.peer.name(),
            sample.value,
            sample.workload.unit(),
            sample.cpu_per_gb.map(|cpu| format!(", {cpu:.3} s/GB")).unwrap_or_default(),
            sample
                .delays
                .map(|delays| format!(", half {:.3}, longest {:.3}", delays.half, delays.longest))
                .unwrap_or_default(),
            if sample.failed == 0 { String::new() } else { format!(", {} FAILED", sample.failed) },
        );
    }

    fn error(&mut self, what: &str, error: &str) {
        let text = format!("{what}: {error}");
        println!("ERROR: {text}");
        self.errors.push(text);
    }
}

/// Lets all of them go on at the same time; what they come to, in their order.
async fn all<T>(work: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut work: Vec<_> = work.into_iter().map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(move |context| {
        for (one, done) in work.iter_mut().filter(|(_, done)| done.is_none()) {
            if let std::task::Poll::Ready(value) = one.as_mut().poll(context) {
                *done = Some(value);
            }
        }
        if work.iter().any(|(_, done)| done.is_none()) {
            return std::task::Poll::Pending;
        }
        std::task::Poll::Ready(work.iter_mut().filter_map(|(_, done)| done.take()).collect())
    })
    .await
}

/// Puts a load on a peer: what the clients say, in the workload's unit, and what each 10^9 bytes cost if bytes are counted.
async fn measure(
    order: Order,
    peer: &Running,
    core: Option<usize>,
) -> Result<(Outcome, f64, Option<f64>), String> {
    let family = peer.proxy.as_ref().map(crate::proxy::Proxy::family).transpose()?;
    let memory_before = peer.proxy.as_ref().map(crate::proxy::Proxy::memory).transpose()?;
    let mut load = OwnProcess::start(Role::Load(order), core)?;
    load.hears("begin", PATIENCE).await?;
    let before = family.as_deref().map(cpu).transpose()?;
    let said = load.hears("end", order.window + PATIENCE).await?;
    let after = family.as_deref().map(cpu).transpose()?;
    let outcome: Outcome = serde_json::from_str(&said).map_err(|error| error.to_string())?;
    if outcome.amount == 0 {
        return Err(format!("nothing was counted, {} connections failed: {:?}", outcome.failed, outcome.why));
    }
    let amount = number(outcome.amount);
    let (value, cpu_per_gb) = match order.job {
        Job::Bulk { .. } => {
            let spent = before.zip(after).map(|(before, after)| (after - before) / (amount / 1e9));
            (amount / 1e9 / outcome.seconds, spent)
        }
        Job::Idle { .. } => {
            // What the last ones needed only for their beginning is gone then.
            sleep(5 * PAUSE).await;
            let memory_after = peer.proxy.as_ref().map(crate::proxy::Proxy::memory).transpose()?;
            let grown = memory_before.zip(memory_after).map(|(before, after)| after - before);
            (grown.ok_or("there is no proxy")? / amount, None)
        }
        Job::PingBesideBulk { .. } => {
            (outcome.delays.ok_or("no message was timed")?.all_but_a_hundredth, None)
        }
        Job::PingPong { .. } | Job::Connections { .. } => (amount / outcome.seconds, None),
    };
    Ok((outcome, value, cpu_per_gb))
}

/// A count as a number to calculate with.
fn number(count: u64) -> f64 {
    let half = |bits: u64| f64::from(u32::try_from(bits & u64::from(u32::MAX)).unwrap_or_default());
    half(count >> 32) * (f64::from(u32::MAX) + 1.0) + half(count)
}
