//! The names of a cluster's nodes: entered in a directory, and looked up once for whoever asks only once.

use tokio::task::JoinSet;

use crate::config::{Cluster, Node, NodeAddresses};
use crate::names::{self, Directory, Host};

/// A cluster's names.
struct Names {
    /// Those hosts that have to be looked up.
    hosts: Vec<Host>,
    /// One a node, in the order of their ids.
    addresses: Vec<NodeAddresses>,
}

/// Enters the hosts of all nodes of one cluster in a directory.
fn enter(cluster: &Cluster) -> Names {
    let directory = Directory::default();
    let nodes = cluster.nodes.iter().map(|node| enter_node(&directory, node));
    let (addresses, hosts): (_, Vec<_>) = nodes.unzip();
    Names { hosts: hosts.concat(), addresses }
}

/// Enters the hosts of one node in a directory; returns its addresses, and those of its hosts that have to be looked up.
pub(super) fn enter_node(directory: &Directory, node: &Node) -> (NodeAddresses, Vec<Host>) {
    let probed = directory.add(&node.probe_address.host);
    // A node that is probed at the host to which its clients go is where the probe reached it. Of two hosts, the probe
    // can only tell about its own.
    let served = if node.address.host == node.probe_address.host {
        probed.clone()
    } else {
        directory.add(&node.address.host)
    };
    let addresses = NodeAddresses {
        address: served.port(node.address.port),
        probe_address: probed.port(node.probe_address.port),
    };
    let mut hosts = vec![probed];
    if node.address.host != node.probe_address.host {
        hosts.push(served);
    }
    hosts.retain(Host::is_name);
    (addresses, hosts)
}

/// The addresses of all nodes of one cluster, in the order of their ids, looked up once and at the same time. A name
/// that has none yet is no error here: whoever asks its node is told why.
pub async fn resolve(cluster: &Cluster) -> Vec<NodeAddresses> {
    let names = enter(cluster);
    let mut look_ups = JoinSet::new();
    for host in names.hosts {
        look_ups.spawn(names::look_up_once(host, names::system));
    }
    look_ups.join_all().await;
    names.addresses
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config;

    fn cluster(nodes: &str) -> Arc<Cluster> {
        let toml = format!("listeners.e = {{ bind = \":1\", cluster = \"c\" }}\n[clusters.c]\n{nodes}");
        config::load_text("t.toml", &toml).unwrap().config.clusters.remove(0)
    }

    #[test]
    fn clients_go_where_the_probe_reached_the_node_if_the_host_is_the_same() {
        let cluster = cluster(
            "nodes.a = { address = \"a.test:1\", probe_address = \"a.test:2\" }\n\
             nodes.b = { address = \"b.test:1\", probe_address = \"other.test:2\" }\n\
             nodes.c = \"10.0.0.3:1\"",
        );
        let names = enter(&cluster);
        assert_eq!(names.hosts.len(), 3, "an IP address is not looked up");
        let reached = ([10, 0, 0, 9], 2).into();
        for node in &names.addresses {
            node.probe_address.note_reached(reached);
        }
        let served: Vec<_> = names.addresses.iter().map(|node| node.address.to_string()).collect();
        assert_eq!(served, ["10.0.0.9:1", "b.test:1", "10.0.0.9:1"]);
    }

    #[tokio::test]
    async fn names_are_looked_up_once_for_who_asks_once() {
        let addresses = resolve(&cluster("nodes.a = \"localhost:1\"\nnodes.b = \"10.0.0.3:1\"")).await;
        assert!(addresses[0].address.current().is_some_and(|address| address.ip().is_loopback()));
        assert_eq!(addresses[1].probe_address.to_string(), "10.0.0.3:1");
    }
}
