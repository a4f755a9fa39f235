//! What probing costs the nodes while nothing happens and no client comes.

use std::time::Duration;

use rustix::process::Pid;
use tokio::time::sleep;

use crate::judge::as_f64;
use crate::processes;
use crate::stage::Stage;
use crate::support::clock::Stamp;

/// What one node paid.
pub(crate) struct Cost {
    /// The node.
    pub(crate) node: String,
    /// TLS handshakes a minute.
    pub(crate) handshakes: f64,
    /// Answered probes a minute.
    pub(crate) probes: f64,
    /// CPU time of its process, in milliseconds a minute.
    pub(crate) cpu_ms: f64,
}

/// Watches the nodes for so long.
pub(crate) async fn watch(stage: &mut Stage, period: Duration) -> Vec<Cost> {
    let mut before = Vec::new();
    for node in &mut stage.nodes {
        // The count comes first: asking for it costs time, too.
        before.push((node.handshakes().await, node.probes().len(), cpu_ms(node.id()), Stamp::now()));
    }
    sleep(period).await;
    let mut costs = Vec::new();
    for (node, (handshakes, probes, cpu, begin)) in stage.nodes.iter_mut().zip(before) {
        let cpu = cpu_ms(node.id()) - cpu;
        let minutes = Stamp::now().since(begin).as_secs_f64() / 60.0;
        let probes = as_f64(node.probes().len() - probes) / minutes;
        let handshakes = node.handshakes().await - handshakes;
        let handshakes = f64::from(u32::try_from(handshakes).unwrap_or(u32::MAX)) / minutes;
        costs.push(Cost { node: node.name.clone(), handshakes, probes, cpu_ms: cpu / minutes });
    }
    costs
}

fn cpu_ms(process: Pid) -> f64 {
    1e3 * processes::cpu_seconds(process).expect("the node runs")
}
