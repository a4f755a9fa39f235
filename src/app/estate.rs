//! What a gate does when another process takes its place (O3), or when it has taken another's.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tracing::{error, info, warn};

use super::admin::Doors;
use super::gate::Gate;
use super::inherited::{Inherited, Key};
use super::listening::Listening;
use super::supervision::Pulse;
use super::upgrade::Letter;
use crate::memory::orders::{self, WrittenOrders};
use crate::sockets;

/// How long a cluster may take to say what it remembers: the new process does without it then.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a cluster may take to carry out orders before clients are taken in again.
const RESTORE: Duration = Duration::from_millis(200);

impl Gate {
    /// Where its pulse is felt.
    pub(super) fn pulse(&self) -> Pulse {
        Pulse { inboxes: self.inboxes.clone(), census: self.proxy.census() }
    }

    /// Every listening socket, to be passed on.
    ///
    /// # Errors
    /// There are no descriptors for them.
    pub(super) fn keys(&self) -> io::Result<Vec<Key>> {
        let mut keys = self.listening.keys()?;
        keys.extend(self.spare.keys()?);
        if let Some(admin) = &self.admin {
            keys.extend(admin.keys()?);
        }
        keys.extend(self.retired.keys()?);
        Ok(keys)
    }

    /// All that a new process has to remember. No operator's order is taken from now on, for that one would not know of
    /// it, until [`take_orders`](Self::take_orders).
    pub(super) async fn letter(&self) -> Letter {
        // Those of a cluster that does not answer are not waited for: nothing is told of it anyway.
        let _ = timeout(PATIENCE, self.orders.close()).await;
        let mut clusters = BTreeMap::new();
        for (name, inbox) in self.inboxes.all() {
            if let Ok(Some(memory)) = timeout(PATIENCE, inbox.remember()).await {
                clusters.insert(name.to_string(), memory);
            } else {
                warn!(cluster = %name, "upgrade: nobody says what is known of this cluster");
            }
        }
        // Read last: no tenure that is told of is of a later one.
        let letter =
            Letter::new(self.control.last_epoch(), clusters).with_orders(self.control.orders().orders());
        letter.of_one_ready(self.board.not_ready().is_none())
    }

    /// Takes operators' orders again: no other process takes over.
    pub(super) fn take_orders(&self) {
        self.orders.open();
    }

    /// Leaves all that is new to another process with the same sockets, until [`resume`](Self::resume) or
    /// [`leave`](Self::leave).
    pub(super) fn pause(&mut self) {
        self.proxy.pause();
        if let Some(admin) = &self.admin {
            admin.set_open(false);
        }
    }

    /// Serves again: the other process is gone. Orders that it has taken are in force here before a client comes in.
    pub(super) async fn resume(&mut self) {
        for key in self.keys().into_iter().flatten() {
            // It may have begun to stop.
            sockets::end_quiescence(&key.socket);
        }
        for (_, inbox) in self.inboxes.all() {
            // One that does not answer is not waited for: clients of the others are.
            let _ = timeout(RESTORE, inbox.restore_orders()).await;
        }
        self.proxy.resume();
        self.take_orders();
        if let Some(admin) = &self.admin {
            admin.set_open(true);
        }
        self.reopen_admin();
    }

    fn reopen_admin(&mut self) {
        let mut doors = std::mem::take(&mut self.retired);
        doors.restore();
        match doors.open(Arc::clone(&self.admin_state), self.controls.clone()) {
            Ok(Some(admin)) => self.admin = Some(admin),
            Ok(None) => {}
            Err(error) => error!(%error, "admin cannot be served again"),
        }
    }

    /// Enters orders that another process has taken; they are in force here once this process serves again.
    pub(super) fn remember_orders(&self, written: Option<&WrittenOrders>) {
        match written.map(orders::read) {
            Some(Ok(orders)) => self.control.orders().replace(orders),
            Some(Err(why)) => warn!(%why, "upgrade: orders of the new process are of no use here"),
            None => {}
        }
    }

    /// Leaves everything but the sessions to another process, and keeps the sockets that it has, too, for
    /// [`resume`](Self::resume). `other` says where that process listens and which control socket it has, if it has said so.
    pub(super) fn retire(&mut self, other: Option<(&[SocketAddr], Option<&Path>)>) {
        if let Some(admin) = self.admin.take() {
            self.retired = admin.retire();
        }
        if let Some(file) = self.retired.socket_file() {
            match other {
                // A command must not find a socket that no process serves.
                Some((_, socket)) if socket != Some(file.path()) => file.remove(),
                _ => file.leave(),
            }
        }
        if let Some((addresses, _)) = other {
            self.keep(addresses);
        }
    }

    /// Keeps the sockets at these addresses, and closes all others: the process that serves has closed them, and whoever
    /// came there would wait for ever.
    pub(super) fn keep(&mut self, addresses: &[SocketAddr]) {
        let mut config = self.config.clone();
        for listener in &mut config.listeners {
            let name = Arc::clone(&listener.name);
            listener.bind.retain(|configured| self.listening.is_bound_within(&name, *configured, addresses));
        }
        if config.listeners.iter().zip(&self.config.listeners).all(|(now, before)| now.bind == before.bind) {
            return;
        }
        if let Err(error) = self.adopt(&config) {
            error!(%error, "upgrade: sockets that the new process has closed cannot be closed here: it has no guardian");
            self.leave();
        }
    }

    /// Leaves the sockets to another process for good; sessions stay, and their leaders are still followed.
    pub(super) fn leave(&mut self) {
        self.board.set_draining();
        self.proxy.leave();
        if let Some(admin) = self.admin.take() {
            self.retired = admin.retire();
            if let Some(file) = self.retired.socket_file() {
                file.leave();
            }
        }
        (self.listening, self.spare) = (Listening::default(), Inherited::default());
        self.retired = Doors::default();
    }

    /// Waits until the last session has ended, or `upgrade.drain` is over. It does not borrow the gate.
    pub(super) fn sessions_drain(&self) -> impl Future<Output = ()> + use<> {
        let (active, limit, emptied) = (self.proxy.active(), self.config.upgrade_drain, self.proxy.emptied());
        async move {
            match limit {
                None => {
                    info!(active, "sessions drain, for as long as they take");
                    emptied.await;
                }
                Some(limit) => {
                    info!(active, ?limit, "sessions drain");
                    // The remaining sessions are cut.
                    let _ = timeout(limit, emptied).await;
                }
            }
        }
    }

    /// Waits until the last session has ended, or `upgrade.drain` is over.
    pub(super) async fn drained(&self) {
        let active = self.proxy.active();
        match self.config.upgrade_drain {
            None => {
                info!(active, "sessions drain, for as long as they take");
                self.proxy.drained().await;
            }
            Some(limit) => {
                info!(active, ?limit, "sessions drain");
                self.drained_within(limit).await;
            }
        }
    }

    /// Everything is this process's: whoever had it before is gone.
    pub(super) fn own(&mut self) {
        if let Some(file) = self.admin.as_mut().and_then(super::admin::AdminThread::socket_file) {
            file.take_over();
        }
    }
}
