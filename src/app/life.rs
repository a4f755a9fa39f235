//! What a process does from the moment when its gate serves until its end: it reloads, hands over, stops, as signals and
//! people ask for it.

use std::future::pending;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::gate::Gate;
use super::logs::Log;
use super::notify;
use super::run::RunError;
use super::signals::Signals;
use super::supervision::{Supervision, supervise};
use super::upgrade::{self, Guardian, GuardianNews, Interruptions, Outcome, Program, Watched, Word};
use crate::admin::{Reply, Request};
use crate::config::{self, Sources};
use crate::memory::orders::{self, OrdersInForce};

/// A process and what it listens to.
pub(super) struct Life<'l> {
    pub(super) sources: &'l Sources,
    pub(super) log: &'l Log,
    pub(super) program: Program,
    pub(super) signals: Signals,
    pub(super) requests: mpsc::Receiver<Request>,
    /// The process that takes clients again if this one dies.
    pub(super) guardian: Option<Guardian>,
    /// Tells of orders that operators give: the guardian has to know them.
    pub(super) changes: watch::Receiver<OrdersInForce>,
    pub(super) gate: Gate,
    /// There is none before the guardian has left everything to this process: the service manager listens to that one.
    pub(super) supervision: Option<Supervision>,
}

/// What a process wakes up for, and where to answer.
enum Call {
    Stop(&'static str),
    Drain,
    Reload(Reply),
    Upgrade(Reply),
    Guardian(GuardianNews),
    Ordered,
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
                Call::Reload(reply) => {
                    reply.say(self.reload());
                    self.tell_addresses().await;
                }
                Call::Guardian(news) => self.hear_guardian(news),
                Call::Ordered => self.tell_orders().await,
                Call::Failed(why) => return Err(RunError::Failed(why)),
                Call::Upgrade(reply) => match self.hand_over(reply).await {
                    Outcome::GoesOn => {}
                    Outcome::Signalled(signal) => {
                        info!(signal, "signal received");
                        return self.stop().await;
                    }
                    Outcome::HandedOver(successor) => {
                        self.take_leave().await;
                        drop(self.supervision.take());
                        let interruptions = interruptions(&mut self.signals, &mut self.requests);
                        match upgrade::watch(&mut self.gate, successor, interruptions).await {
                            Watched::Alone => self.come_back().await,
                            Watched::Drained => {
                                self.gate.leave();
                                self.gate.finish();
                                return Ok(());
                            }
                            Watched::Failed(why) => return Err(RunError::Failed(why)),
                            Watched::Signalled(signal) => {
                                info!(signal, "signal received");
                                return self.end().await;
                            }
                        }
                    }
                },
            }
        }
    }

    /// Serves again in place of a process that has died, by the newest configuration if it is sound.
    async fn come_back(&mut self) {
        self.gate.resume().await;
        notify::main_pid(std::process::id());
        self.supervision = Some(supervise(&self.gate.board, self.gate.pulse()));
        // Those that came while nobody was to be told.
        self.changes.mark_unchanged();
        // It has drained until now, so nobody waits for that any more.
        let _ = timeout(Duration::ZERO, self.signals.drain.recv()).await;
        // A refusal is logged, and what was in force before goes on.
        let _ = self.reload();
    }

    fn hear_guardian(&mut self, news: GuardianNews) {
        if news == GuardianNews::Gone {
            self.guardian = None;
        }
        if self.supervision.is_none() {
            self.come_of_age();
        }
    }

    async fn tell_orders(&mut self) {
        let orders = orders::write(&self.changes.borrow_and_update());
        self.tell(Word::Orders(orders)).await;
    }

    async fn tell_addresses(&mut self) {
        let addresses = self.gate.listeners().into_iter().map(|(_, address)| address).collect();
        self.tell(Word::Listens(addresses)).await;
    }

    /// The guardian need not look after this process any more: it ends on purpose, or another one guards in its turn.
    async fn take_leave(&mut self) {
        self.tell(Word::Leaves).await;
        self.guardian = None;
    }

    async fn tell(&mut self, word: Word) {
        if let Some(guardian) = &mut self.guardian {
            guardian.tell(&word).await;
        }
    }

    async fn next_call(&mut self) -> Call {
        let guardian = async {
            match &mut self.guardian {
                Some(guardian) => guardian.news().await,
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
            news = guardian => Call::Guardian(news),
            Ok(()) = self.changes.changed() => Call::Ordered,
            why = self.gate.failed() => Call::Failed(why),
        }
    }

    /// Everything is this process's own from now on: it is the one that the service manager listens to.
    fn come_of_age(&mut self) {
        self.gate.own();
        notify::ready();
        self.supervision = Some(supervise(&self.gate.board, self.gate.pulse()));
    }

    async fn hand_over(&mut self, reply: Reply) -> Outcome {
        if self.supervision.is_none()
            && let Some(guardian) = &mut self.guardian
        {
            // Whoever asks for this has found this process to be well.
            let news = guardian.settle().await;
            self.hear_guardian(news);
        }
        let interruptions = interruptions(&mut self.signals, &mut self.requests);
        upgrade::hand_over(&mut self.gate, &self.program, interruptions, reply).await
    }

    /// Reads the configuration again, and goes over to it if it is sound (O1); says what has changed, or why nothing has.
    fn reload(&mut self) -> Result<String, String> {
        if self.supervision.is_some() {
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
        if self.supervision.is_some() {
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
        if self.supervision.is_none() && self.guardian.is_some() {
            self.gate.leave();
        }
        self.take_leave().await;
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
        if self.supervision.is_some() || self.guardian.is_none() {
            notify::stopping();
        } else {
            // The process before takes its sockets back: they must not be made deaf to clients.
            self.gate.leave();
        }
        self.take_leave().await;
        self.end().await
    }

    /// The same of a process that the service manager does not listen to.
    async fn end(mut self) -> Result<(), RunError> {
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
