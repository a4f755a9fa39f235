//! A stand-in for the gate until `app::Gate` is there: it takes the nodes' own word for who leads.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

use super::DemoError;
use super::cluster::Cluster;
use super::standing::{NAMES, Standing, leader};
use crate::board::{ClusterStatus, NodeStatus};

/// The gate.
pub(super) struct Gate {
    address: SocketAddr,
    nodes: Vec<SocketAddr>,
    standings: watch::Receiver<Vec<Standing>>,
    stop: oneshot::Sender<()>,
}

impl Gate {
    /// Starts it.
    pub(super) fn start(_text: &str, cluster: &Cluster) -> Result<Self, DemoError> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(DemoError::Io)?;
        listener.set_nonblocking(true).map_err(DemoError::Io)?;
        let address = listener.local_addr().map_err(DemoError::Io)?;
        let nodes: Vec<_> = cluster.nodes().iter().map(super::node::Node::address).collect();
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(DemoError::Io)?;
        let (standings, addresses) = (cluster.standings(), nodes.clone());
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, standings, addresses) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Gate { address, nodes, standings: cluster.standings(), stop })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it publishes.
    pub(super) fn status(&self) -> Arc<ClusterStatus> {
        let all = self.standings.borrow().clone();
        let route = leader(&all);
        let nodes = all.iter().enumerate().map(|(place, node)| NodeStatus {
            name: NAMES[place].into(),
            address: self.nodes[place].to_string(),
            state: if node.condition != super::standing::Condition::Up {
                "unreachable"
            } else if node.leads {
                "leader"
            } else {
                "follower"
            },
            detail: "".into(),
            latency_ms: None,
            last_verdict: None,
            certificate: None,
        });
        Arc::new(ClusterStatus {
            leader: route.map(|place| NAMES[place].into()),
            nodes: nodes.collect(),
            ..ClusterStatus::default()
        })
    }

    /// Stops it.
    pub(super) async fn stop(self) {
        drop(self.stop);
        tokio::task::yield_now().await;
    }

    /// Waits until it can no longer do its work; says why.
    pub(super) async fn failed(&self) -> String {
        std::future::pending().await
    }
}

async fn serve(
    listener: std::net::TcpListener,
    standings: watch::Receiver<Vec<Standing>>,
    nodes: Vec<SocketAddr>,
) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    while let Ok((mut client, _)) = listener.accept().await {
        let (mut standings, nodes) = (standings.clone(), nodes.clone());
        tokio::spawn(async move {
            let mut node = loop {
                let Ok(place) = standings.wait_for(|all| leader(all).is_some()).await.map(|all| leader(&all))
                else {
                    return;
                };
                if let Some(place) = place
                    && let Ok(node) = TcpStream::connect(nodes[place]).await
                {
                    break node;
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            };
            let _ = tokio::io::copy_bidirectional(&mut client, &mut node).await;
        });
    }
}
