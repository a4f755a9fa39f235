//! The process's log: text or JSON lines on standard error, never in the way (O5).

use std::io::{self, BufWriter, Stderr, Write};
use std::thread;
use std::time::Duration;

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, fmt, reload};

use crate::config::{LogFormat, LogSettings};
use crate::style;

/// Lines that may wait for whoever reads standard error; more are dropped and counted.
const LINES_BUFFERED: usize = 8192;

/// How much of the log is written at once, and for how long lines are gathered for that. Whoever logs has to wake the
/// writer only if it sleeps for want of lines: rarely, where lines come often.
const WRITTEN_AT_ONCE: usize = 64 * 1024;
const GATHERING: Duration = Duration::from_millis(5);

/// Keeps the log alive; what is still buffered is written when it is dropped.
pub(super) struct Log {
    _guard: WorkerGuard,
    dropped: tracing_appender::non_blocking::ErrorCounter,
    level: reload::Handle<LevelFilter, Registry>,
}

impl Log {
    /// Tells how many lines have been dropped so far.
    pub(super) fn dropped_lines(&self) -> impl Fn() -> u64 + Send + Sync + 'static {
        let dropped = self.dropped.clone();
        move || u64::try_from(dropped.dropped_lines()).unwrap_or(u64::MAX)
    }

    /// From now on this is the least important level that is shown.
    pub(super) fn set_level(&self, level: Level) {
        // It fails where somebody else's subscriber is the process's: a test's, which shows what it shows.
        let _ = self.level.reload(LevelFilter::from_level(level));
    }
}

/// Starts logging; from here on `tracing`'s macros write to standard error. A second call in one
/// process changes nothing.
pub(super) fn start(settings: &LogSettings) -> Log {
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES_BUFFERED)
        .finish(Gathered::new());
    let dropped = writer.error_counter();
    let (filter, level) = reload::Layer::new(LevelFilter::from_level(settings.level));
    let lines = fmt::layer().with_writer(writer).with_ansi(style::is_coloured(&io::stderr()));
    let lines = match settings.format {
        LogFormat::Text => lines.with_target(false).boxed(),
        LogFormat::Json => {
            lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
        }
    };
    // An error means that somebody (a test) has set a subscriber already: theirs stays.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    Log { _guard: guard, dropped, level }
}

/// Standard error, to which what has been gathered is written at once.
struct Gathered(BufWriter<Stderr>);

impl Gathered {
    fn new() -> Self {
        Gathered(BufWriter::with_capacity(WRITTEN_AT_ONCE, io::stderr()))
    }
}

impl Write for Gathered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    /// Comes when no line waits: here more are waited for. Whoever calls has nothing else to do.
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()?;
        thread::sleep(GATHERING);
        Ok(())
    }
}
