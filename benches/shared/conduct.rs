//! A bench from its first await to its exit code.

use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

/// Runs a bench until it ends or somebody interrupts it. It is a success if it says so; it may also not have come to
/// an end, and says why.
pub(crate) fn conduct(runtime: &mut Builder, bench: impl Future<Output = Result<bool, String>>) -> ExitCode {
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("the bench has no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    // What conducts stays on this thread; where the runtime has others, the clients have those.
    let conductor = LocalSet::new();
    let done = conductor.block_on(&runtime, async {
        tokio::select! {
            done = bench => done,
            () = interrupted() => Err("interrupted; what was written before stays".to_owned()),
        }
    });
    // Tasks end here, and with them the processes that they own.
    drop(conductor);
    runtime.shutdown_timeout(Duration::from_secs(2));
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
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
