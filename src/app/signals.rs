//! The signals that a process handles.

use std::io;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// All of them, by what they mean.
pub(super) struct Signals {
    pub(super) end: EndSignals,
    /// SIGHUP.
    pub(super) reload: Signal,
    /// SIGUSR1.
    pub(super) drain: Signal,
    /// SIGUSR2.
    pub(super) upgrade: Signal,
}

/// Those that end the process.
pub(super) struct EndSignals {
    terminate: Signal,
    interrupt: Signal,
}

/// The signals of which one that arrives while the configuration is loaded must not end the process. Each waits until the
/// gate serves. SIGTERM and SIGINT still end a process that has no client yet.
#[derive(Debug)]
pub(super) struct EarlySignals {
    pub(super) runtime: Runtime,
    reload: Signal,
    drain: Signal,
    upgrade: Signal,
}

impl EarlySignals {
    /// Handles them from now on.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(super) fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (reload, drain, upgrade) = {
            let _entered = runtime.enter();
            let kinds = (SignalKind::hangup(), SignalKind::user_defined1(), SignalKind::user_defined2());
            (signal(kinds.0)?, signal(kinds.1)?, signal(kinds.2)?)
        };
        Ok(EarlySignals { runtime, reload, drain, upgrade })
    }

    /// Handles all signals from now on, on this runtime.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(super) fn complete(self) -> io::Result<(Runtime, Signals)> {
        let EarlySignals { runtime, reload, drain, upgrade } = self;
        let end = {
            let _entered = runtime.enter();
            EndSignals {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
            }
        };
        Ok((runtime, Signals { end, reload, drain, upgrade }))
    }
}

impl EndSignals {
    /// The next of them.
    pub(super) async fn recv(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
