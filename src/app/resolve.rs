//! From the nodes' names to addresses, once, at start.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;
use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::config::{Cluster, HostPort, NodeAddresses};

/// How long one look-up may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// A node's name that has no address.
#[derive(Debug, Error)]
#[error(
    "cluster {cluster}, node {node}: {name} has no address: {cause}; check the name, or write the IP address"
)]
pub struct ResolveError {
    cluster: String,
    node: String,
    name: HostPort,
    cause: io::Error,
}

/// The addresses of all nodes of one cluster, in the order of their ids.
pub(super) async fn resolve(cluster: &Cluster) -> Result<Vec<NodeAddresses>, ResolveError> {
    let mut addresses = Vec::with_capacity(cluster.nodes.len());
    for node in &cluster.nodes {
        let look_up = async |name: &HostPort| {
            first_address(name).await.map_err(|cause| ResolveError {
                cluster: cluster.name.to_string(),
                node: node.name.to_string(),
                name: name.clone(),
                cause,
            })
        };
        addresses.push(NodeAddresses {
            address: look_up(&node.address).await?,
            probe_address: look_up(&node.probe_address).await?,
        });
    }
    Ok(addresses)
}

async fn first_address(name: &HostPort) -> io::Result<SocketAddr> {
    let found = timeout(LOOKUP_TIMEOUT, lookup_host((&*name.host, name.port))).await;
    let mut addresses =
        found.map_err(|_| io::Error::other("the name service did not answer within 5s"))??;
    addresses.next().ok_or_else(|| io::Error::other("the name service knows no address for it"))
}
