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
