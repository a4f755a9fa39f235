//! What a gate does when another process takes its place (O3), or when it has taken another's.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use tokio::time::timeout;
use tracing::{info, warn};

use super::gate::Gate;
use super::inherited::{Inherited, Key};
use super::listening::Listening;
use super::supervision::Pulse;
use super::upgrade::Letter;
use crate::sockets;

/// How long a cluster may take to say what it remembers: the new process does without it then.
const PATIENCE: Duration = Duration::from_secs(5);

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
            for key in admin.keys() {
                keys.push(key.try_clone()?);
            }
        }
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
        Letter::new(self.control.last_epoch(), clusters).of_one_ready(self.board.not_ready().is_none())
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

    /// Serves again: the other process is gone.
    pub(super) fn resume(&mut self) {
        for key in self.keys().into_iter().flatten() {
            // It may have begun to stop.
            sockets::end_quiescence(&key.socket);
        }
        self.proxy.resume();
        self.take_orders();
        if let Some(admin) = &self.admin {
            admin.set_open(true);
        }
    }

    /// Leaves the sockets to another process for good; sessions stay, and their leaders are still followed.
    pub(super) fn leave(&mut self) {
        self.board.set_draining();
        self.proxy.leave();
        if let Some(mut admin) = self.admin.take()
            && let Some(file) = admin.socket_file()
        {
            file.leave();
        }
        (self.listening, self.spare) = (Listening::default(), Inherited::default());
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
