//! Metrics of the process as such, which belong to no other role.

use prometheus::{Gauge, IntCounter, IntGauge, Registry};

use crate::board::wall_clock;

/// What the process counts about itself.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Panics caught; anything but 0 is a defect.
    pub task_panics: IntCounter,
    /// Tasks that hung and were begun anew; anything but 0 is a defect.
    pub task_hangs: IntCounter,
    /// Log lines that were dropped rather than waited for (O5).
    pub log_lines_dropped: IntCounter,
    config_successful: IntGauge,
    config_success_time: Gauge,
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
        let config_successful = IntGauge::new(
            "raftgate_config_last_reload_successful",
            "1 if the newest configuration was taken, at the start or by a reload; 0 if it was refused (O1)",
        )?;
        registry.register(Box::new(config_successful.clone()))?;
        let config_success_time = Gauge::new(
            "raftgate_config_last_reload_success_timestamp_seconds",
            "When the configuration in force was taken, in seconds since the Unix epoch",
        )?;
        registry.register(Box::new(config_success_time.clone()))?;
        Ok(Metrics {
            config_successful,
            config_success_time,
            task_panics: counter("raftgate_task_panics_total", "Panics caught; each is a defect")?,
            task_hangs: counter(
                "raftgate_task_hangs_total",
                "Tasks that hung and were begun anew; each is a defect",
            )?,
            log_lines_dropped: counter(
                "raftgate_log_lines_dropped_total",
                "Log lines dropped because nobody took them fast enough",
            )?,
        })
    }

    /// Notes that a configuration is in force now, the first one included.
    pub fn configuration_taken(&self) {
        self.config_successful.set(1);
        self.config_success_time.set(wall_clock());
    }

    /// Notes that a configuration was refused; the one before it stays in force (O1).
    pub fn configuration_refused(&self) {
        self.config_successful.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o1_a_refused_configuration_shows_and_the_time_of_the_one_in_force_stays() {
        let metrics = Metrics::register(&Registry::new()).unwrap();
        metrics.configuration_taken();
        let taken = metrics.config_success_time.get();
        assert_eq!((metrics.config_successful.get(), taken > 1e9), (1, true));
        metrics.configuration_refused();
        assert_eq!((metrics.config_successful.get(), metrics.config_success_time.get()), (0, taken));
        metrics.configuration_taken();
        assert_eq!(metrics.config_successful.get(), 1);
    }
}
