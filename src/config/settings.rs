//! From the checked configuration to each role's own settings.

use std::sync::Arc;

use super::limits::{DescriptorBudget, most_pipes};
use super::model::{Cluster, Config, Listener, Node};
use crate::leader::NodeId;
use crate::names::Address;
use crate::tenure::To;
use crate::{follow, probe, proxy};

/// A node's addresses, in the directory that keeps them true.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeAddresses {
    /// Where clients' bytes go: [`Node::address`].
    pub address: Address,
    /// Where it is probed: [`Node::probe_address`].
    pub probe_address: Address,
}

impl Config {
    /// How many descriptors the gate keeps back for itself by this configuration, and how many connections the rest is
    /// enough for (S8).
    pub fn descriptor_budget(&self) -> DescriptorBudget {
        DescriptorBudget::of(self)
    }

    /// What the data plane has to know.
    pub fn proxy_settings(&self) -> proxy::Settings {
        proxy::Settings {
            workers: self.workers,
            // Clients must never get what is kept back for probes: without these the route would be lost (S8).
            max_connections: self.max_connections.min(self.descriptor_budget().connections),
            pipes: most_pipes(self.workers),
            log_connections: self.log.connections,
            listeners: self.listeners.iter().map(Listener::settings).collect(),
            clusters: self.clusters.iter().map(|cluster| cluster.proxy_settings()).collect(),
        }
    }
}

impl Config {
    /// The kinds of readers that go to the cluster at this place of [`Config::clusters`].
    pub fn readers_of(&self, cluster: usize) -> Vec<To> {
        let leads_here = |listener: &&Listener| listener.clusters().any(|place| place == cluster);
        let listeners = self.listeners.iter().filter(leads_here);
        listeners.map(|listener| listener.to).filter(|to| *to != To::Leader).collect()
    }
}

impl Listener {
    /// The places of the clusters that its clients may get to; one may come more than once.
    pub(super) fn clusters(&self) -> impl Iterator<Item = usize> {
        self.cluster.into_iter().chain(self.routes.table.iter().filter_map(|route| route.target.cluster()))
    }

    fn settings(&self) -> proxy::ListenerSettings {
        proxy::ListenerSettings {
            name: Arc::clone(&self.name),
            bind: self.bind.clone(),
            cluster: self.cluster,
            routes: self.routes.clone(),
            proxies: self.proxies.clone(),
            to: self.to,
            access: self.access.clone(),
            max_connections: self.max_connections,
            max_connections_per_source: self.max_connections_per_source,
        }
    }
}

impl Cluster {
    /// What each node's prober has to know. `addresses` are those of [`Cluster::nodes`], in their order.
    pub fn probe_settings(&self, addresses: &[NodeAddresses]) -> Vec<probe::Settings> {
        let nodes = self.nodes.iter().zip(addresses).enumerate();
        nodes.map(|(place, (node, looked_up))| self.prober(NodeId(place), node, looked_up)).collect()
    }

    /// What following this cluster needs to know. `addresses` are those of [`Cluster::nodes`], in their order.
    pub fn follow_settings(&self, addresses: &[NodeAddresses]) -> follow::Settings {
        let nodes = self.nodes.iter().zip(addresses);
        follow::Settings {
            cluster: Arc::clone(&self.name),
            nodes: nodes.map(|(node, looked_up)| node.follow_settings(looked_up)).collect(),
            policy: self.probe.policy,
            hold_then: self.hold.then,
            fates: self.fates,
        }
    }

    /// What the prober of a node has to know, which has these addresses and goes by this id.
    pub fn prober(&self, id: NodeId, node: &Node, addresses: &NodeAddresses) -> probe::Settings {
        let probe = &self.probe;
        probe::Settings {
            cluster: Arc::clone(&self.name),
            node: Arc::clone(&node.name),
            id,
            address: addresses.probe_address.clone(),
            send_proxy: self.connect.send_proxy.filter(|_| node.probe_address == node.address),
            tls: self.tls(node),
            request: probe::Request {
                method: probe.method.clone(),
                path: probe.path.clone(),
                host: probe.host.clone().unwrap_or_else(|| node.authority(probe.tls.is_some())),
                headers: probe.headers.clone(),
            },
            rules: Arc::clone(&probe.rules),
            interval: probe.policy.interval,
            fast_interval: probe.policy.fast_interval,
            timeout: probe.policy.timeout,
            renew: probe.renew,
        }
    }

    /// How a node proves who it is; `None`: it is asked without TLS.
    pub fn tls(&self, node: &Node) -> Option<probe::TlsSettings> {
        self.probe.tls.as_ref().map(|tls| probe::TlsSettings {
            verify: tls.verify,
            roots: tls.roots.clone(),
            server_name: node.server_name.clone(),
            pins: tls.pins.clone(),
            spiffe_trust_domain: tls.spiffe_trust_domain.clone(),
            spiffe_id: node.spiffe_id.clone(),
            client: tls.client.clone(),
        })
    }

    fn proxy_settings(&self) -> proxy::ClusterSettings {
        proxy::ClusterSettings {
            name: Arc::clone(&self.name),
            nodes: self.nodes.iter().map(|node| Some(Arc::clone(&node.name))).collect(),
            hold_timeout: self.hold.timeout,
            max_age: self.max_age,
            hold_limit: self.hold.limit,
            connect_timeout: self.connect.timeout,
            on_first_byte: self.connect.on_first_byte,
            first_byte_timeout: self.connect.first_byte_timeout,
            send_proxy: self.connect.send_proxy,
            source: Arc::clone(&self.connect.source),
            idle: self.timeouts.idle,
            half_closed: self.timeouts.half_closed,
            drain: self.drain,
        }
    }
}

impl Node {
    /// What following its cluster needs to know of it.
    pub fn follow_settings(&self, addresses: &NodeAddresses) -> follow::NodeSettings {
        follow::NodeSettings {
            name: Arc::clone(&self.name),
            address: addresses.address.clone(),
            probe_address: addresses.probe_address.clone(),
            priority: self.priority,
        }
    }

    /// The `Host` header that a client of this node would send: its name, and the port unless it is the scheme's own.
    fn authority(&self, tls: bool) -> String {
        let host = if self.server_name.contains(':') {
            format!("[{}]", self.server_name)
        } else {
            self.server_name.clone()
        };
        match (self.probe_address.port, tls) {
            (443, true) | (80, false) => host,
            (port, _) => format!("{host}:{port}"),
        }
    }
}
