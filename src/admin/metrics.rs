//! Metrics of the process as such, which belong to no other role.

use prometheus::{IntCounter, Registry};

/// What the process counts about itself.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Panics caught; anything but 0 is a defect.
    pub task_panics: IntCounter,
    /// Log lines that were dropped rather than waited for (O5).
    pub log_lines_dropped: IntCounter,
}

impl Metrics {
    /// Defines and registers them.
    ///
    /// # Errors
    /// If a name is taken already, which is a defect of the program.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        Ok(Metrics {
            task_panics: counter("raftgate_task_panics_total", "Panics caught; each is a defect")?,
            log_lines_dropped: counter(
                "raftgate_log_lines_dropped_total",
                "Log lines dropped because nobody took them fast enough",
            )?,
        })
    }
}
