//! The failover bench: Raftgate and HAProxy side by side under the same faults.
//!
//! Nodes are processes of their own, which stamp their changes with the machine's monotonic clock; a new verifying TLS
//! client comes every 5 ms. The stage is the black-box tests' (`tests/blackbox/support`).
//!
//! ```text
//! arguments   what to run
//! network     a network of the bench's own, and one for each node that is to be cut off
//! gates       what is compared, and how each is configured
//! haproxy     HAProxy as a process
//! stage       three nodes with one gate before them
//! scenarios   the faults
//! bulk        what keeps a gate busy meanwhile, if it is to be
//! judge       what the clients lived through, in numbers (pure; tests/blackbox/failover_bench.rs tests it)
//! processes   what processes cost
//! steady      what probing costs the nodes while nothing happens
//! rounds      every gate in turn, again and again
//! samples     one row a run: the raw results
//! report      the tables made of them
//! machine     what it all ran on
//! conduct     a bench from its first await to its exit code
//! ```
//!
//! `cargo bench --bench failover -- --help` lists the arguments.

mod arguments;
mod bulk;
#[path = "../shared/conduct.rs"]
mod conduct;
mod gates;
#[expect(dead_code, reason = "shared with the bench `soak`, which asks for more")]
#[path = "../shared/haproxy.rs"]
mod haproxy;
mod judge;
#[path = "../shared/machine.rs"]
mod machine;
#[path = "../shared/network.rs"]
mod network;
#[expect(dead_code, reason = "shared with the bench `peers`, which asks for more")]
#[path = "../shared/processes.rs"]
mod processes;
mod report;
mod rounds;
mod samples;
mod scenarios;
mod stage;
mod steady;
#[path = "../../tests/blackbox/support/mod.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "the stage is the tests'; the bench plays on a part of it")]
mod support;

use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::Builder;

use arguments::Arguments;
use conduct::conduct;

fn main() -> ExitCode {
    support::node_process::live_if_born();
    let arguments = Arguments::parse();
    if !arguments.bench {
        println!("the failover bench: not run (it takes long; `cargo bench --bench failover` runs it)");
        return ExitCode::SUCCESS;
    }
    let network = network::enter();
    machine::raise_descriptor_limit();
    conduct(Builder::new_multi_thread().worker_threads(2), async {
        rounds::run(&arguments, network).await.map(|()| true)
    })
}
