//! The one kept-alive connection to a node: used, renewed and replaced (L6).

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Response;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::exchange::{Answer, Connection, Deadline, Endpoint};
use super::failure::Failure;
use super::scout::Scout;
use crate::intent::Certificate;
use crate::leader::ProbeFailure;

#[cfg(test)]
mod tests;

/// A node, and the connection kept to it, if there is one.
#[derive(Debug)]
pub(super) struct Link {
    endpoint: Endpoint,
    renew: Duration,
    kept: Option<Connection>,
    /// Whether the newest answer says nothing of what the node is.
    is_unfit: bool,
    scout: Scout,
}

/// One finished exchange.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) result: Result<Answer, Failure>,
    /// Where the node was asked, if there was a connection.
    pub(super) at: Option<SocketAddr>,
    /// What the node presented on the connection used, or on the one that could not be made.
    pub(super) certificate: Option<Arc<Certificate>>,
    /// Whether a connection had to be made for it.
    pub(super) connected: bool,
    /// Whether it went over a second connection, because the first one's answer was late (L4).
    pub(super) hedged: bool,
}

impl Exchange {
    /// Whether it tells enough of the node that another exchange under way need not be waited for: an answer does, and
    /// so does a host that says that nobody listens there any more. A full queue, a firewall or want of something here
    /// look otherwise.
    pub(super) fn settles(&self) -> bool {
        self.result.as_ref().map_or_else(|failure| failure.nobody_listens, |_| true)
    }
}

impl Link {
    pub(super) fn new(endpoint: Endpoint, renew: Duration) -> Self {
        Link { endpoint, renew, kept: None, is_unfit: false, scout: Scout::default() }
    }

    /// Another one to the same node, without a connection.
    pub(super) fn unconnected(&self) -> Self {
        let mut endpoint = self.endpoint.clone();
        endpoint.connected = None;
        Link::new(endpoint, self.renew)
    }

    /// Whether an exchange begun now would use the kept connection.
    pub(super) fn is_reusable(&self, now: Instant) -> bool {
        self.kept.as_ref().is_some_and(|kept| now < kept.made + self.renew)
    }

    /// Notes whether the answer of the last exchange says that the node leads or follows. While it does not, the node is
    /// also looked for at the other addresses that its name stands for.
    pub(super) fn note_statement(&mut self, is_statement: bool) {
        self.is_unfit = !is_statement;
    }

    /// Goes over to the address at which the node was found to make a statement, and looks for one if the connection in
    /// use leads to where the name no longer does.
    async fn scout(&mut self, deadline: Deadline) {
        if let Some(found) = self.scout.found().await {
            self.kept = found.connection;
            (self.endpoint.connected, self.endpoint.preferred) = (Some(found.address), Some(found.address));
            self.is_unfit = false;
        }
        let Some(connected) = self.endpoint.connected else { return };
        if self.is_unfit || self.endpoint.is_outdated() {
            let mut elsewhere = self.endpoint.address.in_turn(None);
            elsewhere.retain(|address| *address != connected);
            self.scout.send(&self.endpoint, elsewhere, deadline);
        } else {
            self.scout.call_back();
        }
    }

    /// Asks once, on the kept connection or, if there is none or it is due for renewal, on a new one. `lost` is
    /// called if the kept one turns out to be closed; then a new one is tried once.
    ///
    /// Dropping the future closes the connection in use.
    pub(super) async fn exchange(&mut self, deadline: Deadline, lost: impl Fn()) -> Exchange {
        self.scout(deadline).await;
        if self.is_reusable(Instant::now())
            && let Some(mut kept) = self.kept.take()
        {
            match kept.send(&self.endpoint.request, deadline).await {
                Ok(head) => return self.read(kept, head, deadline, false).await,
                // Keep-alive's usual race: the node gave the connection up while the request was on its way.
                Err(failure) if failure.kind == ProbeFailure::Closed => lost(),
                Err(failure) => {
                    let at = self.endpoint.connected;
                    self.endpoint.note_failure();
                    return Exchange {
                        result: Err(failure),
                        at,
                        certificate: kept.certificate.clone(),
                        connected: false,
                        hedged: false,
                    };
                }
            }
        }
        self.exchange_on_new_connection(deadline).await
    }

    async fn exchange_on_new_connection(&mut self, deadline: Deadline) -> Exchange {
        // The old one stays open until the new one is made, and is not used again if that fails (L6), unless it
        // failed for want of something here: then the node is asked the old way (L5).
        let (old, was_at) = (self.kept.take(), self.endpoint.connected);
        let (connected, leaf) = self.endpoint.connect(deadline).await;
        let certificate = leaf.map(|leaf| leaf.certificate);
        let (mut connection, connected) = match (connected, old) {
            (Ok(connection), _) => (connection, true),
            (Err(failure), Some(old)) if failure.exhausted => {
                self.endpoint.connected = was_at;
                (old, false)
            }
            (Err(failure), _) => {
                let result = Err(failure);
                return Exchange { result, at: None, certificate, connected: true, hedged: false };
            }
        };
        let at = self.endpoint.connected;
        let exchange = match connection.send(&self.endpoint.request, deadline).await {
            Ok(head) => self.read(connection, head, deadline, connected).await,
            Err(failure) => Exchange { result: Err(failure), at, certificate, connected, hedged: false },
        };
        if exchange.result.is_err() {
            self.endpoint.note_failure();
        }
        exchange
    }

    /// Reads the rest of an answer, and keeps the connection if it can be used again.
    async fn read(
        &mut self,
        mut connection: Connection,
        head: Response<Incoming>,
        deadline: Deadline,
        connected: bool,
    ) -> Exchange {
        let result = connection.read(head, &self.endpoint.rules, deadline).await;
        let (at, certificate) = (self.endpoint.connected, connection.certificate.clone());
        if result.as_ref().is_ok_and(|answer| !answer.closes) {
            self.kept = Some(connection);
        }
        Exchange { result, at, certificate, connected, hedged: false }
    }

    /// Waits until the kept connection is closed by the node, which it did not announce: one that was announced
    /// to close is not kept. Without a kept connection, waits for ever.
    pub(super) async fn lost(&mut self) {
        let Some(kept) = &mut self.kept else { return pending().await };
        kept.ended().await;
        self.kept = None;
    }
}
