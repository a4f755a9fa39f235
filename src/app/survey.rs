//! Asks every node once, and looks at what each shows to clients: what `check --probe` tells.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::Builder;
use tokio::task::JoinHandle;

use super::resolve::resolve;
use super::tls;
use crate::config::{Cluster, Config, HostPort, NodeAddresses, Preset};
use crate::names::Address;
use crate::probe::tls::TlsSetupError;
use crate::probe::{Answer, ProberSetupError, Shown, ask_once, connect_once, look_once};
use crate::wire::proxy_header::Version;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// The clusters, in the order of the configuration.
    pub clusters: Vec<ClusterSurvey>,
    /// The names of all listeners, in the order of the configuration.
    pub public_names: Vec<PublicName>,
}

/// One cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterSurvey {
    /// Its name.
    pub name: Arc<str>,
    /// The preset that its defaults came from.
    pub preset: Preset,
    /// Its nodes, in the order of the configuration.
    pub nodes: Vec<NodeSurvey>,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSurvey {
    /// Its name.
    pub name: Arc<str>,
    /// Where it was asked.
    pub address: HostPort,
    /// What it answered.
    pub answer: Answer,
    /// Why its clients cannot connect, where they go to another address than the probe, or to another port.
    pub not_serving: Option<String>,
    /// The other addresses of the same kind that the name of the probe's address stands for, and that are not asked.
    pub others: Vec<SocketAddr>,
}

/// A name that clients use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicName {
    /// The listener that clients reach by it.
    pub listener: Arc<str>,
    /// The name.
    pub name: String,
    /// A cluster that clients may get to by it: a place in [`Survey::clusters`]. By routes there may be several, and
    /// then the name is there once for each.
    pub cluster: usize,
    /// What each node of the cluster shows to a client that asks for it, where its clients go; or why nothing was
    /// to be seen.
    pub shown: Vec<Result<Shown, String>>,
}

/// Why nobody could be asked.
#[derive(Debug, Error)]
pub enum SurveyError {
    /// A cluster's TLS cannot be set up.
    #[error("cluster {cluster}: {cause}")]
    Tls {
        /// The cluster's name.
        cluster: Arc<str>,
        /// Why.
        cause: TlsSetupError,
    },
    /// A node cannot be asked as configured.
    #[error(transparent)]
    Probe(#[from] ProberSetupError),
    /// The operating system refused a poller.
    #[error("cannot begin: {0}")]
    Runtime(#[from] io::Error),
}

/// Asks every node once, all at the same time, and then looks at all of them in the same way.
///
/// # Errors
/// If the configuration cannot be used; that a node does not answer is an answer.
pub fn survey(config: &Config) -> Result<Survey, SurveyError> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let survey = runtime.block_on(survey_all(config));
    // A name service that hangs has been given up, and is not waited for.
    runtime.shutdown_background();
    survey
}

async fn survey_all(config: &Config) -> Result<Survey, SurveyError> {
    let addresses = look_up(config).await;
    let mut asking = Vec::new();
    for (cluster, addresses) in config.clusters.iter().zip(&addresses) {
        asking.push(begin_to_ask(cluster, addresses)?);
    }
    let mut clusters = Vec::new();
    for (cluster, tasks) in config.clusters.iter().zip(asking) {
        let mut nodes = Vec::new();
        for (node, (task, serving, others)) in cluster.nodes.iter().zip(tasks) {
            nodes.push(NodeSurvey {
                name: Arc::clone(&node.name),
                address: node.probe_address.clone(),
                answer: done(task).await?,
                not_serving: done(serving).await.err(),
                others,
            });
        }
        clusters.push(ClusterSurvey { name: Arc::clone(&cluster.name), preset: cluster.preset, nodes });
    }
    let mut public_names = Vec::new();
    // Not before all have answered, so that their latencies stay their own.
    for (listener, name, cluster, tasks) in begin_to_look(config, &addresses) {
        let mut shown = Vec::new();
        for task in tasks {
            shown.push(done(task).await);
        }
        public_names.push(PublicName { listener, name, cluster, shown });
    }
    Ok(Survey { clusters, public_names })
}

/// The addresses of every cluster's nodes.
async fn look_up(config: &Config) -> Vec<Vec<NodeAddresses>> {
    let tasks: Vec<_> = config
        .clusters
        .iter()
        .cloned()
        .map(|cluster| tokio::spawn(async move { resolve(&cluster).await }))
        .collect();
    let mut addresses = Vec::new();
    for task in tasks {
        addresses.push(done(task).await);
    }
    addresses
}

type Asked = JoinHandle<Result<Answer, ProberSetupError>>;
/// Of each node: the question, a connect as a client's, and its other addresses.
type Asking = Vec<(Asked, JoinHandle<Result<(), String>>, Vec<SocketAddr>)>;

fn begin_to_ask(cluster: &Cluster, addresses: &[NodeAddresses]) -> Result<Asking, SurveyError> {
    let probes = cluster.probe_settings(addresses);
    let connector = tls::connector(cluster)
        .map_err(|cause| SurveyError::Tls { cluster: Arc::clone(&cluster.name), cause })?;
    let patience = cluster.probe.policy.timeout;
    let ask = |(settings, node): (_, &NodeAddresses)| {
        let (connector, node) = (connector.clone(), node.clone());
        let others = node.probe_address.others();
        let asked = tokio::spawn(async move { ask_once(&settings, connector).await });
        let serving = tokio::spawn(async move {
            // The probe has connected there.
            if node.address == node.probe_address { Ok(()) } else { connect(&node.address, patience).await }
        });
        (asked, serving, others)
    };
    Ok(probes.into_iter().zip(addresses).map(ask).collect())
}

type Looking = (Arc<str>, String, usize, Vec<JoinHandle<Result<Shown, String>>>);

fn begin_to_look(config: &Config, addresses: &[Vec<NodeAddresses>]) -> Vec<Looking> {
    let names = config
        .listeners
        .iter()
        .flat_map(|listener| listener.public_names.iter().map(move |name| (listener, name)));
    let with_clusters = names.flat_map(|(listener, name)| {
        // An IP address is never sent as the server's name (RFC 6066, section 3).
        let sent = Some(name.as_str()).filter(|name| name.parse::<IpAddr>().is_err());
        let clusters = listener.routes.reached_by(sent, listener.cluster);
        clusters.into_iter().map(move |cluster| (listener, name, cluster))
    });
    with_clusters
        .filter_map(|(listener, name, place)| {
            let cluster = config.clusters.get(place)?;
            let (patience, send_proxy) = (cluster.probe.policy.timeout, cluster.connect.send_proxy);
            let nodes = addresses.get(place)?.iter();
            let look = |node: &NodeAddresses| {
                tokio::spawn(look(node.address.clone(), name.clone(), send_proxy, patience))
            };
            Some((Arc::clone(&listener.name), name.clone(), place, nodes.map(look).collect()))
        })
        .collect()
}

async fn look(
    address: Address,
    name: String,
    send_proxy: Option<Version>,
    patience: Duration,
) -> Result<Shown, String> {
    look_once(found(&address)?, &name, send_proxy, patience).await
}

/// Connects as a client would be connected, and no more.
async fn connect(address: &Address, patience: Duration) -> Result<(), String> {
    connect_once(found(address)?, patience).await
}

fn found(address: &Address) -> Result<SocketAddr, String> {
    address.current().ok_or_else(|| {
        let cause = address.trouble();
        let cause = cause.as_deref().unwrap_or("the name service has not answered");
        format!("{address} has no address: {cause}; check the name, or write the IP address")
    })
}

async fn done<T>(task: JoinHandle<T>) -> T {
    match task.await {
        Ok(value) => value,
        // Nobody cancels: it has panicked.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
