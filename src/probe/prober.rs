//! Asks one node, again and again, at the pace that `follow` orders.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{ServerName, UnixTime};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::dial::{Dial, Tcp};
use super::exchange::{Deadline, Endpoint};
use super::hedge::HedgedLink;
use super::judge::Judgement;
use super::link::{Exchange, Link};
use super::metrics::Metrics;
use super::pace::{Intervals, Latencies, spread};
use super::request::{self, RequestError};
use super::settings::{Settings, TlsSettings, Verify};
use super::tls::{Connector, Peer};
use crate::intent::{Certificate, Inbox, ProbeIds, ProbeOrder, ProbeReport, Suspicion};
use crate::leader::{Observation, Verdict};

#[cfg(test)]
mod tests;

/// No duration is longer in effect: a moment beyond it might not be representable.
const LONGEST: Duration = Duration::from_hours(365 * 24);
/// No interval is shorter in effect: none at all would be a busy loop.
const SHORTEST: Duration = Duration::from_millis(1);

/// How late a deadline may be noticed on a machine that is loaded but does not stand still.
const LATE: Duration = Duration::from_millis(250);

/// The longest from the beginning of one probe to that of the next, unless nobody takes its report: whoever takes longer
/// hangs (O5).
pub fn longest_turn(settings: &Settings) -> Duration {
    intervals(settings).longest_turn(settings.timeout.min(LONGEST))
}

fn intervals(settings: &Settings) -> Intervals {
    Intervals {
        steady: settings.interval.clamp(SHORTEST, LONGEST),
        fast: settings.fast_interval.clamp(SHORTEST, LONGEST),
    }
}

/// One node's prober. One exchange is under way at a time, and its hedge (L4).
#[derive(Debug)]
pub struct Prober {
    settings: Arc<Settings>,
    link: HedgedLink,
    intervals: Intervals,
    timeout: Duration,
    /// The connection's peer may be anybody.
    unverified: bool,
    orders: watch::Receiver<ProbeOrder>,
    inbox: Inbox,
    ids: Arc<ProbeIds>,
    metrics: Metrics,
    latencies: Latencies,
    /// Whether the node could not be asked last time, for want of something here.
    exhausted: bool,
    /// The certificate whose expiries are shown.
    shown: Option<Arc<Certificate>>,
}

/// Why a node cannot be probed as configured.
#[derive(Debug, thiserror::Error)]
#[error("cluster {cluster}, node {node}: {cause}")]
pub struct ProberSetupError {
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// The node's name.
    pub node: Arc<str>,
    /// What is wrong.
    #[source]
    pub cause: SetupCause,
}

/// What is wrong with a prober's settings.
#[derive(Debug, thiserror::Error)]
pub enum SetupCause {
    /// The request cannot be sent.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// No certificate can be for this name.
    #[error("server_name is \"{0}\"; expected a DNS name or an IP address, without a port")]
    ServerName(String),
    /// A pointer that cannot match anything.
    #[error(
        "probe.leader or probe.follower has the JSON pointer \"{0}\"; expected one that begins with \"/\""
    )]
    Pointer(String),
    /// TLS is on, but nobody set it up.
    #[error("TLS is enabled, but no connector was given")]
    NoConnector,
}

impl Prober {
    /// A prober that has not begun yet. The connector is the cluster's; without TLS in the settings it is not used.
    ///
    /// # Errors
    /// If the request, the server name or the rules cannot be used as they are.
    pub fn new(
        settings: Arc<Settings>,
        connector: Option<Connector>,
        orders: watch::Receiver<ProbeOrder>,
        inbox: Inbox,
        ids: Arc<ProbeIds>,
        metrics: Metrics,
    ) -> Result<Self, ProberSetupError> {
        Self::over(Arc::new(Tcp), settings, connector, orders, inbox, ids, metrics)
    }

    /// The same, with its connections made by `dial`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn over(
        dial: Arc<dyn Dial>,
        settings: Arc<Settings>,
        connector: Option<Connector>,
        orders: watch::Receiver<ProbeOrder>,
        inbox: Inbox,
        ids: Arc<ProbeIds>,
        metrics: Metrics,
    ) -> Result<Self, ProberSetupError> {
        let endpoint = endpoint(&settings, connector).map_err(|cause| ProberSetupError {
            cluster: Arc::clone(&settings.cluster),
            node: Arc::clone(&settings.node),
            cause,
        })?;
        let unverified = endpoint.tls.as_ref().is_some_and(|(tls, _)| tls.verify() == Verify::None);
        Ok(Prober {
            link: HedgedLink::new(Link::new(
                endpoint.over(dial),
                spread(settings.renew.min(LONGEST), fastrand::f64()),
            )),
            intervals: intervals(&settings),
            timeout: settings.timeout.min(LONGEST),
            settings,
            unverified,
            orders,
            inbox,
            ids,
            metrics,
            latencies: Latencies::default(),
            shown: None,
            exhausted: false,
        })
    }

    /// Probes at once (L1) and then by the orders, until their sender is gone.
    pub async fn run(&mut self) {
        self.metrics.show();
        if self.unverified {
            tracing::warn!(
                cluster = %self.settings.cluster,
                node = %self.settings.node,
                "probe.tls.verify is \"none\": anybody on the path to this node can claim to be the leader"
            );
        }
        loop {
            let began = Instant::now();
            let round = self.orders.borrow_and_update().round;
            if self.probe(began).await.is_break() || self.wait(began, round).await.is_break() {
                return;
            }
        }
    }

    /// One probe, from its id to its report. Breaks off when the prober is dismissed.
    async fn probe(&mut self, began: Instant) -> ControlFlow<()> {
        let probe = self.ids.next();
        // In a box of its own, which lasts as long as the exchange: nodes are many, and few are asked at a time.
        let exchange = Box::pin(self.exchange(began)).await?;
        if exchange.result.is_err() && began.elapsed() > self.timeout + LATE {
            // No verdict: this host stood still beyond the deadline, so the node may have answered in time (L2).
            return ControlFlow::Continue(());
        }
        if self.is_exhausted(&exchange) {
            // No verdict: what this host lacks says nothing about the node (L5). The lease still ends a route that
            // nobody confirms (L7), but silence that is ours must not cut the node's sessions (S5).
            return ControlFlow::Continue(());
        }
        let latency = began.elapsed();
        let judgement = self.judge(&exchange);
        if exchange.result.is_ok() {
            self.link.note_statement(matches!(judgement.verdict, Verdict::Leader | Verdict::Follower));
        }
        // A hedge's answer was awaited on two connections: it is no measure of either.
        if exchange.result.is_ok() && !exchange.hedged {
            self.latencies.observe(exchange.connected, latency);
        }
        self.metrics.count(judgement.verdict, latency);
        self.show(exchange.certificate.as_ref());
        let report = ProbeReport {
            observation: Observation {
                node: self.settings.id,
                probe,
                began: began.into_std(),
                verdict: judgement.verdict,
            },
            latency,
            healthy: judgement.healthy,
            detail: judgement.detail.into(),
            at: exchange.at,
            certificate: exchange.certificate,
        };
        self.inbox.report(report).await;
        ControlFlow::Continue(())
    }

    /// Asks the node, and raises a signal if it takes unusually long (L5).
    async fn exchange(&mut self, began: Instant) -> ControlFlow<(), Exchange> {
        let Prober { link, inbox, orders, settings, .. } = self;
        let deadline = Deadline::after(began, self.timeout);
        let late_after = self.latencies.late_after(!link.is_reusable(began), self.intervals.fast);
        let late_at = late_after.map_or(deadline.at, |late_after| began + late_after);
        // A node that has never answered may be slow, so this is no signal; but a first packet may have been lost.
        let hedge_at = late_after.map_or(began + self.timeout / 3, |_| late_at);
        let exchange =
            link.exchange(deadline, hedge_at, || inbox.signal(settings.id, Suspicion::ProbeConnectionClosed));
        tokio::pin!(exchange);
        tokio::select! {
            biased;
            exchange = &mut exchange => return ControlFlow::Continue(exchange),
            () = dismissal(orders) => return ControlFlow::Break(()),
            () = sleep_until(late_at), if late_at < deadline.at => inbox.signal(settings.id, Suspicion::ProbeLate),
        }
        tokio::select! {
            biased;
            exchange = exchange => ControlFlow::Continue(exchange),
            () = dismissal(orders) => ControlFlow::Break(()),
        }
    }

    /// Waits until the probe is due that follows one begun at `began`, or until a later round than `round` or a newer
    /// statement is ordered (L5). Breaks off when the prober is dismissed.
    async fn wait(&mut self, began: Instant, round: u64) -> ControlFlow<()> {
        let chance = fastrand::f64();
        loop {
            let order = *self.orders.borrow_and_update();
            if order.wants_more(began, round) {
                return ControlFlow::Continue(());
            }
            tokio::select! {
                biased;
                changed = self.orders.changed() => if changed.is_err() {
                    return ControlFlow::Break(());
                },
                () = self.link.lost() => self.inbox.signal(self.settings.id, Suspicion::ProbeConnectionClosed),
                () = sleep_until(self.intervals.due(began, order.pace, chance)) => {
                    return ControlFlow::Continue(());
                }
            }
        }
    }

    /// Whether the node could not be asked for want of something here; told once an episode.
    fn is_exhausted(&mut self, exchange: &Exchange) -> bool {
        let cause = exchange.result.as_ref().err().filter(|failure| failure.exhausted);
        if let Some(failure) = cause.filter(|_| !self.exhausted) {
            tracing::error!(
                cluster = %self.settings.cluster,
                node = %self.settings.node,
                detail = failure.detail,
                "node cannot be probed, for a reason of this host"
            );
            self.inbox.unasked(self.settings.id, &failure.detail);
        }
        self.exhausted = cause.is_some();
        self.exhausted
    }

    fn judge(&self, exchange: &Exchange) -> Judgement {
        match &exchange.result {
            Ok(answer) => {
                let Settings { rules, request, .. } = &*self.settings;
                let mut judgement = rules.judge(answer.status, &answer.body).with_hint(request);
                if exchange.hedged {
                    judgement.detail.push_str(", on a second connection: the first did not answer in time");
                }
                judgement
            }
            Err(failure) => Judgement {
                verdict: Verdict::Unreachable { failure: failure.kind },
                healthy: false,
                detail: failure.detail.clone(),
            },
        }
    }

    /// Sets the expiries that are shown, if another certificate was accepted than before. Anybody on the path can present
    /// one, so what was not accepted shows nothing.
    fn show(&mut self, certificate: Option<&Arc<Certificate>>) {
        let Some(certificate) = certificate.filter(|certificate| certificate.is_accepted) else { return };
        let shown = self.shown.as_ref();
        if shown.is_some_and(|shown| Arc::ptr_eq(shown, certificate)) {
            return;
        }
        if shown.is_none_or(|shown| {
            shown.not_after != certificate.not_after || shown.related != certificate.related
        }) {
            self.metrics.set_certificate_expiries(certificate);
            self.warn_of_expired(certificate);
        }
        self.shown = Some(Arc::clone(certificate));
    }

    /// Says which certificates have expired though the node's own is accepted.
    fn warn_of_expired(&self, certificate: &Certificate) {
        let now = i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX);
        for expired in certificate.related.iter().filter(|related| related.not_after < now) {
            tracing::warn!(
                cluster = %self.settings.cluster,
                node = %self.settings.node,
                certificate = expired.kind.as_str(),
                name = expired.name,
                "a certificate that the connection to this node depends on has expired: clients may refuse the node; renew it"
            );
        }
    }
}

/// Waits until nobody orders anything any more. Orders that come meanwhile are read later, by their value.
async fn dismissal(orders: &mut watch::Receiver<ProbeOrder>) {
    while orders.changed().await.is_ok() {}
}

/// Where and what to ask, checked.
pub(super) fn endpoint(settings: &Settings, connector: Option<Connector>) -> Result<Endpoint, SetupCause> {
    if let Some(pointer) = settings.rules.invalid_pointer() {
        return Err(SetupCause::Pointer(pointer.to_owned()));
    }
    let tls = match &settings.tls {
        Some(tls) => Some((connector.ok_or(SetupCause::NoConnector)?, peer(tls)?)),
        None => None,
    };
    let (request, rules) = (request::parse(&settings.request)?, Arc::clone(&settings.rules));
    let endpoint = Endpoint::new(settings.address.clone(), tls, request, rules);
    Ok(endpoint.introduced_by(settings.send_proxy))
}

fn peer(tls: &TlsSettings) -> Result<Peer, SetupCause> {
    let name = ServerName::try_from(tls.server_name.clone())
        .map_err(|_| SetupCause::ServerName(tls.server_name.clone()))?;
    Ok(Peer { name, spiffe_id: tls.spiffe_id.clone() })
}
