//! The bench of peers: Raftgate, HAProxy and nginx side by side under the same load, and nothing in between for
//! comparison.
//!
//! Node and clients are processes of their own; the nodes that are asked who leads are the black-box tests'
//! (`tests/blackbox/support`).
//!
//! ```text
//! arguments       what to run
//! workloads       what is measured
//! peers           who is compared
//! configurations  how each of them is configured
//! proxy           a peer as a process
//! processes       what processes cost
//! stage           the nodes behind the peers
//! own_process     this binary as node or as clients
//! service         the node that the load ends at
//! load            the clients
//! crowd           many connections in one thread, for both
//! rounds          every peer in turn, again and again
//! scale           Raftgate before many clusters
//! samples         one row a round, workload and peer: the raw results
//! goals           what is to be reached (pure; tests/blackbox/peers_bench.rs tests it)
//! report          the tables made of them
//! chart           the picture made of them
//! ```
//!
//! `network`, `machine`, `haproxy` and `processes` are shared with other benches, `judge` is the failover bench's.
//! `cargo bench --bench peers -- --help` lists the arguments.

mod arguments;
mod chart;
mod configurations;
mod crowd;
mod goals;
#[expect(dead_code, reason = "shared with the bench `failover`, which asks for more")]
#[path = "../shared/haproxy.rs"]
mod haproxy;
#[expect(dead_code, reason = "shared with the bench `failover`, which asks for more")]
#[path = "../failover/judge.rs"]
mod judge;
mod load;
#[path = "../shared/machine.rs"]
mod machine;
#[expect(dead_code, reason = "shared with the bench `failover`, which asks for more")]
#[path = "../shared/network.rs"]
mod network;
mod own_process;
mod peers;
#[path = "../shared/processes.rs"]
mod processes;
mod proxy;
mod report;
mod rounds;
mod samples;
mod scale;
mod service;
mod stage;
#[path = "../../tests/blackbox/support/mod.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "the stage is the tests'; the bench plays on a part of it")]
mod support;
mod workloads;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

use arguments::Arguments;

fn main() -> ExitCode {
    support::node_process::live_if_born();
    own_process::live_if_born();
    let arguments = Arguments::parse();
    if !arguments.bench {
        println!("the bench of peers: not run (it takes long; `cargo bench --bench peers` runs it)");
        return ExitCode::SUCCESS;
    }
    let network = network::enter();
    machine::raise_descriptor_limit();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("the bench has no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let conductor = LocalSet::new();
    let done = conductor.block_on(&runtime, async {
        tokio::select! {
            done = rounds::run(&arguments, &network) => done,
            () = interrupted() => Err("interrupted: what was measured before is in samples.csv".to_owned()),
        }
    });
    // Tasks end here, and with them the processes that they own.
    drop(conductor);
    runtime.shutdown_timeout(Duration::from_secs(2));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("the bench has failed: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Ends when somebody wants the bench to.
async fn interrupted() {
    let mut asked = signal(SignalKind::terminate()).expect("signals can be heard");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => (),
        _ = asked.recv() => (),
    }
}
