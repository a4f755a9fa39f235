//! The signals that a process hears.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// All of them, by what they mean.
pub(super) struct Signals {
    pub(super) end: EndSignals,
    /// SIGHUP.
    pub(super) reload: Signal,
    /// SIGUSR2.
    pub(super) upgrade: Signal,
}

/// Those that end the process.
pub(super) struct EndSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Hears them from now on; must be called on a runtime.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(super) fn new() -> io::Result<Self> {
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Signals {
            end: EndSignals { terminate, interrupt },
            reload: signal(SignalKind::hangup())?,
            upgrade: signal(SignalKind::user_defined2())?,
        })
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
