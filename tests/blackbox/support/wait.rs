//! Waiting until a condition holds: a test sleeps between two looks, but a sleep is never its proof.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// Longer than anything takes on a loaded machine; reaching it is a failure.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// How long between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// Looks again and again until `look` finds something.
pub(crate) async fn until<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    until_after(DEADLINE, what, look).await
}

/// The same with another deadline, for what takes its time.
pub(crate) async fn until_after<T>(
    patience: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {patience:?} in vain until {what}");
        sleep(LOOK).await;
    }
}

/// Waits for `work`, but no longer than the deadline.
pub(crate) async fn within_deadline<T>(what: &str, work: impl Future<Output = T>) -> T {
    let Ok(done) = timeout(DEADLINE, work).await else { panic!("waited {DEADLINE:?} in vain for {what}") };
    done
}
