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
//! cores           which core a process is kept to
//! rounds          every peer in turn, again and again
//! scale           Raftgate before many clusters
//! samples         one row a round, workload and peer: the raw results
//! goals           what is to be reached (pure; tests/blackbox/peers_bench.rs tests it)
//! report          the tables made of them
//! chart           the picture made of them
//! ```
//!
//! `conduct`, `network`, `machine`, `haproxy` and `processes` are shared with other benches, `judge` is the failover bench's.
//! `cargo bench --bench peers -- --help` lists the arguments.

mod arguments;
mod chart;
#[path = "../shared/conduct.rs"]
mod conduct;
mod configurations;
mod cores;
#[cfg_attr(not(target_os = "linux"), path = "crowd_elsewhere.rs")]
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

use clap::Parser;
use tokio::runtime::Builder;

use arguments::Arguments;
use conduct::conduct;

fn main() -> ExitCode {
    support::node_process::live_if_born();
    own_process::live_if_born();
    let arguments = Arguments::parse();
    if !arguments.bench {
        println!("the bench of peers: not run (it takes long; `cargo bench --bench peers` runs it)");
        return ExitCode::SUCCESS;
    }
    if !cfg!(target_os = "linux") {
        eprintln!("the bench of peers: not run (its load takes Linux)");
        return ExitCode::FAILURE;
    }
    let network = network::enter();
    machine::raise_descriptor_limit();
    conduct(&mut Builder::new_current_thread(), async {
        rounds::run(&arguments, &network).await.map(|()| true)
    })
}
