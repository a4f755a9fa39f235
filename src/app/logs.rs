//! The process's log: text or JSON lines on standard error, never in the way (O5).

use std::io;

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};

use crate::config::{LogFormat, LogSettings};

/// Lines that may wait for whoever reads standard error; more are dropped and counted.
const LINES_BUFFERED: usize = 8192;

/// Keeps the log alive; what is still buffered is written when it is dropped.
pub(super) struct Log {
    _guard: WorkerGuard,
    dropped: tracing_appender::non_blocking::ErrorCounter,
}

impl Log {
    /// Tells how many lines have been dropped so far.
    pub(super) fn dropped_lines(&self) -> impl Fn() -> u64 + Send + Sync + 'static {
        let dropped = self.dropped.clone();
        move || u64::try_from(dropped.dropped_lines()).unwrap_or(u64::MAX)
    }
}

/// Starts logging; from here on `tracing`'s macros write to standard error. A second call in one
/// process changes nothing.
pub(super) fn start(settings: &LogSettings) -> Log {
    let (writer, guard) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(LINES_BUFFERED).finish(io::stderr());
    let dropped = writer.error_counter();
    let builder = tracing_subscriber::fmt()
        .with_writer(writer)
        .with_max_level(settings.level)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()));
    // An error means that somebody (a test) has set a subscriber already: theirs stays.
    let _ = match settings.format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => {
            builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
        }
    };
    Log { _guard: guard, dropped }
}
