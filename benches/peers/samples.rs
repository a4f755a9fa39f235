//! The raw results: one row a round, workload and peer, written as soon as it is known.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use crate::judge::median;
use crate::load::Delays;
use crate::peers::Peer;
use crate::workloads::Workload;

const COLUMNS: &str = "workload,peer,round,value,unit,cpu_s_per_gb,half_ms,longest_ms,failed\n";

/// One round of one workload on one peer.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// What was done.
    pub(crate) workload: Workload,
    /// Through whom.
    pub(crate) peer: Peer,
    /// The how manieth time.
    pub(crate) round: u32,
    /// How much of the workload's unit.
    pub(crate) value: f64,
    /// CPU time of the peer's processes for each 10^9 bytes, where bytes are counted.
    pub(crate) cpu_per_gb: Option<f64>,
    /// How long single messages took, where they are timed.
    pub(crate) delays: Option<Delays>,
    /// Connections that have failed.
    pub(crate) failed: u64,
}

/// All results, in memory and in a file.
pub(crate) struct Samples {
    file: PathBuf,
    /// The rounds.
    pub(crate) rounds: Vec<Sample>,
}

impl Samples {
    /// None yet.
    pub(crate) fn new(file: PathBuf) -> std::io::Result<Self> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        let samples = Samples { file, rounds: Vec::new() };
        samples.write()?;
        Ok(samples)
    }

    /// Keeps one more.
    pub(crate) fn keep(&mut self, sample: Sample) -> std::io::Result<()> {
        self.rounds.push(sample);
        self.write()
    }

    /// The rounds of one workload on one peer.
    pub(crate) fn of(&self, workload: Workload, peer: Peer) -> Vec<&Sample> {
        self.rounds.iter().filter(|sample| (sample.workload, sample.peer) == (workload, peer)).collect()
    }

    /// The median of what one workload has come to on one peer.
    pub(crate) fn value(&self, workload: Workload, peer: Peer) -> Option<f64> {
        median(&self.of(workload, peer).iter().map(|sample| sample.value).collect::<Vec<_>>())
    }

    /// The median of the CPU time for each 10^9 bytes.
    pub(crate) fn cpu_per_gb(&self, workload: Workload, peer: Peer) -> Option<f64> {
        median(&self.of(workload, peer).iter().filter_map(|sample| sample.cpu_per_gb).collect::<Vec<_>>())
    }

    /// The median of one figure of how long single messages took.
    pub(crate) fn delay(
        &self,
        workload: Workload,
        peer: Peer,
        figure: impl Fn(Delays) -> f64,
    ) -> Option<f64> {
        let of_rounds = self.of(workload, peer).into_iter().filter_map(|sample| sample.delays);
        median(&of_rounds.map(figure).collect::<Vec<_>>())
    }

    fn write(&self) -> std::io::Result<()> {
        let mut text = COLUMNS.to_owned();
        for Sample { workload, peer, round, value, cpu_per_gb, delays, failed } in &self.rounds {
            let cpu = cpu_per_gb.map(|cpu| format!("{cpu:.5}")).unwrap_or_default();
            let delays = delays.map(|delays| format!("{:.4},{:.4}", delays.half, delays.longest));
            let delays = delays.unwrap_or_else(|| ",".to_owned());
            writeln!(
                text,
                "{},{},{round},{value:.6},{},{cpu},{delays},{failed}",
                workload.name(),
                peer.name(),
                workload.unit()
            )
            .expect("a string can be written");
        }
        fs::write(&self.file, text)
    }
}
