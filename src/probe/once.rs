//! Asks a node once, and looks once at what it shows to clients: for checks by people, where nobody follows.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::exchange::{self, Deadline, Endpoint};
use super::failure::Failure;
use super::prober::{ProberSetupError, endpoint};
use super::settings::Settings;
use super::tls::{Connector, Leaf, Peer, Pin};
use crate::intent::Certificate;
use crate::leader::Verdict;
use crate::wire::proxy_header::{self, Version};

#[cfg(test)]
mod tests;

/// What came of asking a node once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it means.
    pub verdict: Verdict,
    /// Why, in words; of a failure, with what to do.
    pub detail: String,
    /// How long it took, from connecting to the answer's last byte.
    pub latency: Duration,
    /// What the node presented, acceptable or not.
    pub certificate: Option<Arc<Certificate>>,
}

/// What a node shows to a client that asks for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The certificate.
    pub certificate: Arc<Certificate>,
    /// Whether it is for that name, as a verifying client judges it.
    pub covers: bool,
    /// Its key: that of another certificate may be the same.
    pub key: Option<Pin>,
}

/// Asks a node as its prober would, but once and on a connection of its own. The connector is the cluster's.
///
/// # Errors
/// If the settings cannot be used as they are; that the node does not answer is an answer.
pub async fn ask_once(settings: &Settings, connector: Option<Connector>) -> Result<Answer, ProberSetupError> {
    let mut endpoint = endpoint(settings, connector).map_err(|cause| ProberSetupError {
        cluster: Arc::clone(&settings.cluster),
        node: Arc::clone(&settings.node),
        cause,
    })?;
    let began = Instant::now();
    let (result, leaf) = exchange_once(&mut endpoint, Deadline::after(began, settings.timeout)).await;
    let latency = began.elapsed();
    let (verdict, detail) = match result {
        Ok(answer) => {
            let judgement = settings.rules.judge(answer.status, &answer.body).with_hint(&settings.request);
            (judgement.verdict, judgement.detail)
        }
        Err(failure) => (Verdict::Unreachable { failure: failure.kind }, failure.detail),
    };
    Ok(Answer { verdict, detail, latency, certificate: leaf.map(|leaf| leaf.certificate) })
}

async fn exchange_once(
    endpoint: &mut Endpoint,
    deadline: Deadline,
) -> (Result<exchange::Answer, Failure>, Option<Leaf>) {
    let (connected, leaf) = endpoint.connect(deadline).await;
    let answer = async {
        let mut connection = connected?;
        let head = connection.send(&endpoint.request, deadline).await?;
        connection.read(head, &endpoint.rules, deadline).await
    };
    (answer.await, leaf)
}

/// Looks at what a node shows to a client that asks for `name`, a DNS name or an IP address, and that is introduced by a
/// PROXY header where clients are. Nothing of it is verified.
///
/// # Errors
/// Why nothing was to be seen, in words.
pub async fn look_once(
    address: SocketAddr,
    name: &str,
    send_proxy: Option<Version>,
    patience: Duration,
) -> Result<Shown, String> {
    let name = ServerName::try_from(name.to_owned()).map_err(|_| format!("{name:?} is not a name"))?;
    let looking = async {
        let stream = connect(address, send_proxy).await.map_err(|error| Failure::connect(address, &error))?;
        let peer = Peer { name: name.clone(), spiffe_id: None };
        let (result, leaf) = Connector::onlooker().handshake(&peer, stream).await;
        match (leaf, result) {
            // A node may end a handshake because it wants to know who asks; it has shown itself nevertheless.
            (Some(leaf), _) => {
                Ok(Shown { covers: leaf.covers(&name), key: leaf.key(), certificate: leaf.certificate })
            }
            (None, Err(error)) => Err(Failure::handshake(&error, None, &name)),
            (None, Ok(_)) => Err(Failure::unreadable_certificate()),
        }
    };
    let looked = timeout(patience, looking).await;
    let shown = looked.map_err(|_| format!("nothing within {}", humantime::format_duration(patience)))?;
    shown.map_err(|failure| failure.detail)
}

/// Connects to where clients go, and says nothing.
///
/// # Errors
/// Why no connection can be had, in words.
pub async fn connect_once(address: SocketAddr, patience: Duration) -> Result<(), String> {
    match timeout(patience, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Failure::connect(address, &error).detail),
        Err(_) => Err(format!(
            "cannot connect to {address} within {}; does a firewall drop packets?",
            humantime::format_duration(patience)
        )),
    }
}

async fn connect(address: SocketAddr, send_proxy: Option<Version>) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    if let Some(version) = send_proxy {
        stream.write_all(&proxy_header::write(version, None)).await?;
    }
    Ok(stream)
}
