//! The reload bench: Raftgate and HAProxy are told again and again to read their configuration, while a new verifying TLS
//! client comes every 5 ms and some sessions last.
//!
//! Raftgate is told by SIGHUP, HAProxy as Debian's unit does it: its master (`-Ws` there, `-W` here, where no systemd
//! listens) by SIGUSR2, with `expose-fd listeners`, so that the new process takes the sockets of the old one over.
//!
//! ```text
//! gates    what is compared, and how each is told
//! trial    one gate's reloads, and what clients, sessions and nodes lived through
//! ```
//!
//! The stage is the black-box tests' (`tests/blackbox/support`), `conduct` is shared with other benches.
//! `cargo bench --bench reload -- --help` lists the arguments.

#[path = "../shared/conduct.rs"]
mod conduct;
mod gates;
#[path = "../../tests/blackbox/support/mod.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "the stage is the tests'; the bench plays on a part of it")]
mod support;
mod trial;

use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::Builder;

use conduct::conduct;
use gates::Kind;

/// Raftgate and HAProxy side by side while their configuration is read again and again.
#[derive(Parser)]
#[command(name = "cargo bench --bench reload --")]
struct Arguments {
    /// How often each gate is told to.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    reloads: u32,
    /// Milliseconds between two reloads.
    #[arg(long, default_value_t = 400)]
    every: u64,
    /// Without it (`cargo test --benches`) nothing is run; cargo gives it by itself.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    support::node_process::live_if_born();
    let arguments = Arguments::parse();
    if !arguments.bench {
        println!("the reload bench: not run (`cargo bench --bench reload` runs it)");
        return ExitCode::SUCCESS;
    }
    conduct(Builder::new_multi_thread().worker_threads(2), async {
        println!("{} reloads, one every {} ms\n\n{}", arguments.reloads, arguments.every, trial::HEAD);
        for kind in Kind::ALL {
            println!("{}", trial::run(kind, arguments.reloads, arguments.every).await);
        }
        Ok(true)
    })
}
