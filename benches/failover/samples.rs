//! The raw results: one row a run and gate, written as soon as it is known.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::gates::Kind;
use crate::judge::Figures;
use crate::scenarios::Scenario;
use crate::steady::Cost;

/// The columns of `samples.csv`; times are milliseconds.
const COLUMNS: &str = "scenario,gate,run,clients,failed,cut_off,misrouted,beyond_promise,latest_beyond_ms,claim_to_first_ms,longest_wait_ms,\
                       longest_cut_off_ms,share_newest_percent,settled\n";
/// The columns of `steady.csv`, each a minute.
const STEADY_COLUMNS: &str = "gate,node,handshakes,probes,cpu_ms\n";

/// The files of results.
const RESULTS: [&str; 3] = ["samples.csv", "steady.csv", "RESULTS.md"];
/// What the names of files begin with that tell of failures behind Raftgate.
pub(crate) const FAILURES: &str = "failures-";

/// One run of one scenario before one gate.
pub(crate) struct Sample {
    /// What happened.
    pub(crate) scenario: Scenario,
    /// Before which gate.
    pub(crate) gate: Kind,
    /// The how manieth time.
    pub(crate) run: u32,
    /// What the clients lived through.
    pub(crate) figures: Figures,
}

/// All results, in memory and in files.
pub(crate) struct Samples {
    folder: PathBuf,
    text: String,
    /// The runs.
    pub(crate) runs: Vec<Sample>,
    /// The steady phase.
    pub(crate) steady: Vec<(Kind, Cost)>,
}

impl Samples {
    /// None yet; the files of an earlier bench are removed.
    pub(crate) fn new(folder: PathBuf) -> std::io::Result<Self> {
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(FAILURES) || RESULTS.contains(&name.as_str()) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Samples { folder, text: COLUMNS.to_owned(), runs: Vec::new(), steady: Vec::new() })
    }

    /// Keeps one more.
    pub(crate) fn keep(&mut self, sample: Sample) -> std::io::Result<()> {
        self.text.push_str(&row(&sample));
        self.runs.push(sample);
        self.write("samples.csv", &self.text)
    }

    /// Keeps what the nodes behind `gate` paid.
    pub(crate) fn keep_steady(&mut self, gate: Kind, costs: Vec<Cost>) -> std::io::Result<()> {
        self.steady.extend(costs.into_iter().map(|cost| (gate, cost)));
        let mut text = STEADY_COLUMNS.to_owned();
        for (gate, cost) in &self.steady {
            let Cost { node, handshakes, probes, cpu_ms } = cost;
            writeln!(text, "{},{node},{handshakes:.1},{probes:.1},{cpu_ms:.2}", gate.name())
                .expect("a string can be written");
        }
        self.write("steady.csv", &text)
    }

    /// Writes one file of results.
    pub(crate) fn write(&self, name: &str, text: &str) -> std::io::Result<()> {
        fs::write(self.folder.join(name), text)
    }

    /// The figures of all runs of one scenario before one gate.
    pub(crate) fn of(&self, scenario: Scenario, gate: Kind) -> Vec<&Figures> {
        let wanted = self.runs.iter().filter(|sample| (sample.scenario, sample.gate) == (scenario, gate));
        wanted.map(|sample| &sample.figures).collect()
    }
}

/// A time in milliseconds.
pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn row(sample: &Sample) -> String {
    let figures = &sample.figures;
    let optional = |value: Option<f64>| value.map(|value| format!("{value:.2}")).unwrap_or_default();
    format!(
        "{},{},{},{},{},{},{},{},{:.2},{},{:.2},{:.2},{},{}\n",
        sample.scenario.name(),
        sample.gate.name(),
        sample.run,
        figures.clients,
        figures.failed,
        figures.cut_off,
        figures.misrouted,
        figures.beyond_promise,
        ms(figures.latest_beyond),
        optional(figures.claim_to_first.map(ms)),
        ms(figures.longest_wait),
        ms(figures.longest_cut_off),
        optional(figures.share),
        figures.settled,
    )
}
