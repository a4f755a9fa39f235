//! What a process does from the moment when its gate serves until its end: it reloads, hands over, stops, as signals and
//! people ask for it.

use std::future::pending;

use tokio::sync::mpsc;
use tracing::{error, info, warn};

use super::gate::Gate;
use super::logs::Log;
use super::notify;
use super::run::RunError;
use super::signals::Signals;
use super::supervision::{Supervision, supervise};
use super::upgrade::{self, Guardian, Interruptions, Outcome, Program};
use crate::admin::{Reply, Request};
use crate::config::{self, Sources};

/// A process and what it listens to.
pub(super) struct Life<'l> {
    pub(super) sources: &'l Sources,
    pub(super) log: &'l Log,
    pub(super) program: Program,
    pub(super) signals: Signals,
    pub(super) requests: mpsc::Receiver<Request>,
    /// Who would take clients again if this process ended in its first moments.
    pub(super) guardian: Option<Guardian>,
    pub(super) gate: Gate,
    /// There is none as long as there is a guardian: the service manager listens to that one.
    pub(super) supervision: Option<Supervision>,
}

/// What a process wakes up for, and where to answer.
enum Call {
    Stop(&'static str),
    Drain,
    Reload(Reply),
    Upgrade(Reply),
    GuardianGone,
    Failed(String),
}

impl Life<'_> {
    /// Lives.
    ///
    /// # Errors
    /// The gate can no longer do its work, or was ended by a second signal.
    pub(super) async fn live(mut self) -> Result<(), RunError> {
        if self.guardian.is_none() {
            self.come_of_age();
        }
        loop {
            match self.next_call().await {
                Call::Stop(signal) => {
                    info!(signal, "signal received");
                    return self.stop().await;
                }
                Call::Drain => return self.drain().await,
                Call::Reload(reply) => reply.say(self.reload()),
                Call::GuardianGone => self.come_of_age(),
                Call::Failed(why) => return Err(RunError::Failed(why)),
                Call::Upgrade(reply) => match self.hand_over(reply).await {
                    Outcome::GoesOn => {}
                    Outcome::Signalled(signal) => {
                        info!(signal, "signal received");
                        return self.stop().await;
                    }
                    Outcome::HandedOver(pid) => {
                        drop(self.supervision.take());
                        let Life { gate, mut signals, mut requests, .. } = self;
                        return upgrade::drain(gate, pid, interruptions(&mut signals, &mut requests)).await;
                    }
                },
            }
        }
    }

    async fn next_call(&mut self) -> Call {
        let guardian = async {
            match &mut self.guardian {
                Some(guardian) => guardian.gone().await,
                None => pending().await,
            }
        };
        tokio::select! {
            name = self.signals.end.recv() => Call::Stop(name),
            Some(()) = self.signals.drain.recv() => Call::Drain,
            Some(()) = self.signals.reload.recv() => Call::Reload(Reply::default()),
            Some(()) = self.signals.upgrade.recv() => Call::Upgrade(Reply::default()),
            Some(request) = self.requests.recv() => match request {
                Request::Reload(reply) => Call::Reload(reply),
                Request::Upgrade(reply) => Call::Upgrade(reply),
            },
            () = guardian => Call::GuardianGone,
            why = self.gate.failed() => Call::Failed(why),
        }
    }

    /// Everything is this process's own from now on: it is the one that the service manager listens to.
    fn come_of_age(&mut self) {
        self.guardian = None;
        self.gate.own();
        notify::ready();
        self.supervision = Some(supervise(&self.gate.board, self.gate.pulse()));
    }

    async fn hand_over(&mut self, reply: Reply) -> Outcome {
        if let Some(guardian) = self.guardian.take() {
            // Whoever asks for this has found this process to be well.
            guardian.dismiss().await;
            self.come_of_age();
        }
        let interruptions = interruptions(&mut self.signals, &mut self.requests);
        upgrade::hand_over(&mut self.gate, &self.program, interruptions, reply).await
    }

    /// Reads the configuration again, and goes over to it if it is sound (O1); says what has changed, or why nothing has.
    fn reload(&mut self) -> Result<String, String> {
        if self.guardian.is_none() {
            notify::reloading();
        }
        let outcome =
            config::load_again(self.sources).map_err(|error| error.to_string()).and_then(|loaded| {
                let reloaded = self.gate.reload(&loaded.config).map_err(|error| error.to_string())?;
                for warning in &loaded.warnings {
                    warn!("{warning}");
                }
                self.log.set_level(loaded.config.log.level);
                Ok(reloaded.to_string())
            });
        if self.guardian.is_none() {
            notify::ready();
        }
        outcome.inspect_err(|why| {
            self.gate.note_refused();
            error!("reload refused, nothing has changed: {why}");
        })
    }

    /// Takes no more clients, and ends with the last session, or after `upgrade.drain`: what SIGUSR1 asks of HAProxy, too.
    /// SIGTERM and SIGINT then bound the rest by `shutdown.drain`.
    async fn drain(mut self) -> Result<(), RunError> {
        info!(signal = "SIGUSR1", "signal received");
        self.requests.close();
        while self.requests.try_recv().is_ok() {}
        self.gate.close();
        tokio::select! {
            () = self.gate.drained() => {}
            why = self.gate.failed() => return Err(RunError::Failed(why)),
            signal = self.signals.end.recv() => {
                info!(signal, "signal received");
                return self.stop().await;
            }
        }
        self.gate.finish();
        Ok(())
    }

    async fn stop(mut self) -> Result<(), RunError> {
        notify::stopping();
        // Whoever asks for anything else is told at once, and need not wait for the end.
        self.requests.close();
        while self.requests.try_recv().is_ok() {}
        tokio::select! {
            () = self.gate.stop() => Ok(()),
            _ = self.signals.end.recv() => Err(RunError::Impatient),
        }
    }
}

/// What may come in between while this process hands over, or has handed over.
fn interruptions<'r>(
    signals: &'r mut Signals,
    requests: &'r mut mpsc::Receiver<Request>,
) -> Interruptions<'r> {
    Interruptions {
        end: &mut signals.end,
        upgrade: &mut signals.upgrade,
        reload: &mut signals.reload,
        requests,
    }
}
