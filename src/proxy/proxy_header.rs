//! The PROXY header that trusted proxies begin their connections with (`accept_proxy_from`): read without a byte of what
//! follows it, and the client let in by the address that it tells.

use std::fmt::Display;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::generation::Listener;
use super::joined::Joined;
use super::journey::Journey;
use super::opening::Opening;
use super::outcome::{Ending, Outcome, Refusal};
use super::routing::Newcomer;
use super::sources::SourcePlace;
use super::trace::Trace;
use crate::wire::proxy_header::{Addresses, Beginning, ENOUGH, Malformed, parse, write};

#[cfg(test)]
mod tests;

/// How long a proxy may take for its header. It has it at hand when it connects, so this is for lost packets to be sent
/// again; nor may anybody else take longer to show that what begins as a header is none.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Whose connections begin with a PROXY header, always: it can be forged, so that it counts from nobody else. An IPv4
/// proxy is one whatever socket it came by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(pub Arc<[IpNet]>);

impl Proxies {
    /// Whether this peer has to tell for whom it comes.
    pub(super) fn have(&self, peer: IpAddr) -> bool {
        // A dual-stack listener knows IPv4 peers by a mapped address.
        let peer = peer.to_canonical();
        self.0.iter().any(|network| network.contains(&peer))
    }

    /// Whether this peer must not: it is none of the proxies that there are. Without any, clients' bytes pass as they
    /// are: a header may be meant for the node.
    pub(super) fn forbid(&self, peer: IpAddr) -> bool {
        !self.0.is_empty() && !self.have(peer)
    }
}

/// What is said of a PROXY header that somebody else than the proxies sends.
pub(super) const FORGED: &str =
    "it sent a PROXY header, and is in none of the networks of `accept_proxy_from`";

/// Why there is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Lack {
    #[error("{0}")]
    Malformed(#[from] Malformed),
    #[error("it ended in the middle of its header")]
    Truncated,
    #[error("it took longer than {}s for its header", PATIENCE.as_secs())]
    Late,
    /// The peer closed without a byte: a check, or a proxy whose client had gone.
    #[error("it closed")]
    Closed,
    #[error("its connection failed")]
    Failed,
}

impl Newcomer {
    /// Whether the peer is a trusted proxy, which has to tell for whom it comes.
    pub(super) fn comes_by_proxy(&self) -> bool {
        self.entrance.listener.proxies.have(self.trace.peer().ip())
    }

    /// Its whole way, after its proxy has told who it is.
    pub(super) async fn arrive_by_proxy(mut self) -> Result<Joined, Ending> {
        self.be_introduced().await?;
        match self.entrance.only_cluster() {
            Some(cluster) => {
                let cluster = Rc::clone(cluster);
                self.bound_for(&cluster).arrive(Opening::default()).await
            }
            None => self.arrive_by_hello().await,
        }
    }

    /// Lets a trusted proxy tell for whom it comes, and its client in.
    ///
    /// # Errors
    /// The end of the connection: the header is not as it has to be, the client may not come in, or both have gone.
    async fn be_introduced(&mut self) -> Result<(), Ending> {
        let header = timeout(PATIENCE, read(&mut self.client)).await.unwrap_or(Err(Lack::Late));
        match header {
            Ok(Some(addresses)) => self.trace.came_by_proxy(addresses.canonical()),
            // The proxy speaks for itself, or cannot tell.
            Ok(None) => {}
            Err(Lack::Closed) => {
                self.client.keep_orderly();
                return Err(Outcome::Client.into());
            }
            Err(Lack::Failed) => return Err(Outcome::ClientError.into()),
            Err(lack) => return Err(refuse_header(&self.entrance.listener, &self.trace, &lack).into()),
        }
        let of_source = self.admit_by_source();
        self.of_source = of_source
            .inspect_err(|refusal| tell_refused(&self.entrance.listener, &self.trace, *refusal, ""))?;
        Ok(())
    }

    /// The client's address is known by now: may it come in?
    fn admit_by_source(&self) -> Result<Option<Box<SourcePlace>>, Refusal> {
        let client = self.trace.client().ip();
        if !self.entrance.listener.access.admits(client) {
            return Err(Refusal::Denied);
        }
        self.entrance.listener.bounds.admit_by_source(client)
    }
}

impl Journey {
    /// Whether a PROXY header would be a forged one.
    pub(super) fn may_not_introduce_itself(&self) -> bool {
        self.listener.proxies.forbid(self.trace.peer().ip())
    }

    /// The PROXY header for a node, about this client; nothing where none is wanted.
    pub(super) fn introduction(&self) -> Vec<u8> {
        let version = self.cluster.settings.send_proxy;
        let about = |version| write(version, Some(self.trace.addresses(&self.client)));
        version.map_or_else(Vec::new, about)
    }

    /// Turns it away for what it says of itself.
    pub(super) fn refuse_header(&self, why: &str) -> Refusal {
        refuse_header(&self.listener, &self.trace, &why)
    }
}

/// Turns away a peer for what it said, or did not say, of itself.
pub(super) fn refuse_header(listener: &Listener, trace: &Trace, why: &dyn Display) -> Refusal {
    tell_refused(listener, trace, Refusal::ProxyHeader, &why.to_string());
    Refusal::ProxyHeader
}

fn tell_refused(listener: &Listener, trace: &Trace, refusal: Refusal, why: &str) {
    tracing::debug!(
        listener = %listener.name,
        client = %trace.client(),
        via = trace.via().map(tracing::field::display),
        reason = refusal.as_str(),
        why = Some(why).filter(|why| !why.is_empty()),
        "client refused"
    );
}

/// Reads one header. What has been looked at is taken only as far as it belongs to the header.
async fn read(peer: &mut TcpStream) -> Result<Option<Addresses>, Lack> {
    let mut bytes = [0; ENOUGH];
    let mut taken = 0;
    loop {
        let seen = match peer.peek(&mut bytes[taken..]).await {
            Ok(0) if taken == 0 => return Err(Lack::Closed),
            Ok(0) => return Err(Lack::Truncated),
            Ok(seen) => seen,
            Err(_) => return Err(Lack::Failed),
        };
        match parse(&bytes[..taken + seen])? {
            // Taken, so that the next look waits for more.
            Beginning::Partial => taken += take(peer, &mut bytes[taken..taken + seen]).await?,
            Beginning::Whole(header) => {
                let mut left = header.length.saturating_sub(taken);
                while left > 0 {
                    left -= take(peer, &mut bytes[..left.min(ENOUGH)]).await?;
                }
                return Ok(header.addresses);
            }
        }
    }
}

async fn take(peer: &mut TcpStream, bytes: &mut [u8]) -> Result<usize, Lack> {
    match peer.read(bytes).await {
        Ok(0) => Err(Lack::Truncated),
        Ok(taken) => Ok(taken),
        Err(_) => Err(Lack::Failed),
    }
}
