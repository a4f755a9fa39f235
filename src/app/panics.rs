//! Counts and logs every panic of the process, with its place: a defect that must not go unnoticed.

use std::panic;

use crate::admin::Metrics;

/// From here on panics are counted by `metrics`. Where there is a log they are told there alone, so that a log for
/// machines stays one and nothing waits for standard error (O5); else as before.
pub(super) fn watch(metrics: &Metrics) {
    let counter = metrics.task_panics.clone();
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        counter.inc();
        if tracing::dispatcher::has_been_set() {
            let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
            let said = panic.payload_as_str().unwrap_or("no message");
            tracing::error!(place, said, "panic: this is a defect, please report it");
        } else {
            before(panic);
        }
    }));
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use prometheus::Registry;

    use super::*;

    /// What was logged.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Runs in a process of its own: the hook and the log are everybody's in a process.
    #[test]
    fn o5_a_panic_is_counted_and_logged_with_its_place() {
        const MARK: &str = "RAFTGATE_TEST_PANICS";
        if std::env::var_os(MARK).is_none() {
            let name = "app::panics::tests::o5_a_panic_is_counted_and_logged_with_its_place";
            let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
            let output = alone.args(["--exact", name]).env(MARK, "1").output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success() && said.contains("1 passed"), "{said}");
            return;
        }
        let (log, metrics) = (Log::default(), Metrics::register(&Registry::new()).unwrap());
        watch(&metrics);
        let writer = log.clone();
        tracing_subscriber::fmt().with_writer(move || writer.clone()).init();
        std::thread::spawn(|| panic!("as a test")).join().unwrap_err();
        assert_eq!(metrics.task_panics.get(), 1);
        let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(logged.contains(file!()) && logged.contains("as a test"), "{logged}");
    }
}
