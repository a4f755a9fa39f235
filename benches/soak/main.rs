//! The soak: everything that clients, nodes and networks do, all at once and for long, before the real gate; every byte of
//! it is compared, and whatever the gate keeps of it is counted.
//!
//! Nodes are processes of their own, as in the failover bench; the stage is the black-box tests'
//! (`tests/blackbox/support`).
//!
//! ```text
//! arguments  what to run
//! soak       one soak: load, faults and samples at once, then a look at what is left
//! stage      three nodes with the gate before them, and what may happen to them
//! gate       the real binary as a process
//! succession one process of the gate after another
//! load       who comes, and how many
//! kinds      what they do
//! clients    one client's session
//! judge      whether it ended as the rules have it (pure)
//! ledger     what has been seen so far
//! watch      what the gate holds, a sample a second
//! slope      how fast that grows (pure)
//! report     what is written of it
//! overload/  attacks on the gate, and on HAProxy (`--overload`)
//! ```
//!
//! `conduct`, `network`, `machine`, `haproxy` and `processes` are shared with other benches.
//! `tests/blackbox/soak_bench.rs` tests the pure ones, and runs a soak of seconds. `cargo bench --bench soak -- --help`
//! lists the arguments; the exit code is 1 unless everything that should be zero is.

mod arguments;
mod clients;
#[path = "../shared/conduct.rs"]
mod conduct;
mod gate;
#[expect(dead_code, reason = "shared with the bench `failover`, which asks for more")]
#[path = "../shared/haproxy.rs"]
mod haproxy;
mod judge;
mod kinds;
mod ledger;
mod load;
#[path = "../shared/machine.rs"]
mod machine;
#[expect(dead_code, reason = "shared with the bench `failover`, which asks for more")]
#[path = "../shared/network.rs"]
mod network;
mod overload;
#[expect(dead_code, reason = "shared with the bench `peers`, which asks for more")]
#[path = "../shared/processes.rs"]
mod processes;
mod report;
mod slope;
mod soak;
mod stage;
mod succession;
#[path = "../../tests/blackbox/support/mod.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "the stage is the tests'; the bench plays on a part of it")]
mod support;
mod watch;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::Builder;
use tokio::time::Instant;

use arguments::Arguments;
use conduct::conduct;

/// Where `--readme` writes.
const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

fn main() -> ExitCode {
    support::node_process::live_if_born();
    let arguments = Arguments::parse();
    if !arguments.bench {
        println!("the soak: not run (it takes long; `cargo bench --bench soak` runs it)");
        return ExitCode::SUCCESS;
    }
    let network = network::enter();
    machine::raise_descriptor_limit();
    conduct(Builder::new_multi_thread().worker_threads(2), async {
        let is_clean = run(&arguments, &network).await?;
        if !is_clean {
            eprintln!("not everything that should be zero is");
        }
        Ok(is_clean)
    })
}

/// Runs what is asked for and reports it; whether everything that should be zero is.
async fn run(arguments: &Arguments, network: &Result<(), String>) -> Result<bool, String> {
    let (load, begun) = (machine::load(), Instant::now());
    let given = std::env::args().skip(1).filter(|argument| argument != "--bench").collect::<Vec<_>>();
    let command = format!("cargo bench --bench soak -- {}", given.join(" "));
    let circumstances = || {
        format!(
            "{}- load averages {load} before, {} after\n- took {} s\n",
            machine::description(network),
            machine::load(),
            begun.elapsed().as_secs(),
        )
    };
    if arguments.overload {
        let outcome = overload::run().await;
        let text = overload::text(&outcome, command.trim_end(), &circumstances());
        write(&arguments.folder(), &[("OVERLOAD.md", &text)])?;
        println!("\n{text}\nwritten to {}", arguments.folder().display());
        return Ok(outcome.is_survived());
    }
    let (period, faults) = (arguments.period(), arguments.faults());
    let outcome = soak::run(arguments.binary.as_deref(), period, arguments.plan(), &faults).await;
    let minutes = period.as_secs_f64() / 60.0;
    let text = report::text(&outcome, command.trim_end(), minutes, &circumstances());
    write(&arguments.folder(), &[("RESULTS.md", &text), ("samples.csv", &outcome.samples.csv())])?;
    if arguments.readme {
        let table = report::table(&outcome, minutes);
        let written = report::write_readme(Path::new(README), &table, command.trim_end());
        written.map_err(|error| error.to_string())?;
    }
    println!("\n{text}\nwritten to {}", arguments.folder().display());
    Ok(report::is_clean(&outcome))
}

fn write(folder: &Path, files: &[(&str, &str)]) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    for (name, text) in files {
        fs::write(folder.join(name), text).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}
