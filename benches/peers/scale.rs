//! Raftgate alone, before more and more clusters that it probes at its usual pace.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::configurations;
use crate::haproxy::free_address;
use crate::proxy::{Invocation, Proxy, cpu, says_ok};
use crate::stage::Stage;

/// How long probing goes on before it is counted: just after its start it is faster.
const SETTLED: Duration = Duration::from_secs(3);

/// What so many clusters cost.
#[derive(Clone, Debug)]
pub(crate) struct Cost {
    /// How many they are, of three nodes each.
    pub(crate) clusters: u32,
    /// CPU time of the gate a second.
    pub(crate) cores: f64,
    /// Its memory, in bytes.
    pub(crate) memory: f64,
    /// Probes that the nodes have answered a second: whether the pace was kept.
    pub(crate) answers: f64,
}

/// Watches a gate before so many clusters, all of the same three nodes.
pub(crate) async fn watch(stage: &mut Stage, clusters: u32, period: Duration) -> Result<Cost, String> {
    let folder = stage.folder(&format!("scale-{clusters}"))?;
    let (address, admin) = (free_address(), free_address());
    let file = folder.join("raftgate.toml");
    std::fs::write(&file, configurations::raftgate(stage, clusters, address, admin, false))
        .map_err(|error| error.to_string())?;
    let arguments = ["run".to_owned(), "-c".to_owned(), file.display().to_string()].to_vec();
    let invocation = Invocation { program: env!("CARGO_BIN_EXE_raftgate"), arguments };
    let mut gate = Proxy::start(&invocation, &folder, None).map_err(|error| error.to_string())?;
    let last = format!("/readyz?cluster=c{clusters}");
    gate.settle(async |_| says_ok(admin, "/readyz").await && says_ok(admin, &last).await).await?;
    sleep(SETTLED).await;
    let family = gate.family()?;
    let (before, answers, begun) = (cpu(&family)?, stage.answers().await, Instant::now());
    sleep(period).await;
    let seconds = begun.elapsed().as_secs_f64();
    let spent = cpu(&family)? - before;
    let answers = u32::try_from(stage.answers().await - answers).map_err(|error| error.to_string())?;
    Ok(Cost {
        clusters,
        cores: spent / seconds,
        memory: gate.memory()?,
        answers: f64::from(answers) / seconds,
    })
}
