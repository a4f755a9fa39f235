//! Has roles begin anew that have panicked or hang (O5): a defect in one must not take another with it, nor go on unnoticed.
//! That a panic is counted, and its place told, is the panic hook's business; who hangs is found, counted and told by
//! whoever watches the role.

use std::fmt::Display;
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

/// How long a role rests before it begins anew: one that panics at once, again and again, must not use up a core.
const REST: Duration = Duration::from_millis(100);

/// Runs what `begin` makes, and what it makes then whenever that has panicked, until one of them has ended. `role` is told
/// in the log.
pub async fn supervised<F: Future>(role: impl Display, begin: impl FnMut() -> F) -> F::Output {
    watched(role, begin, pending::<()>).await
}

/// The same, and it is given up and begun anew, too, when the future ends that `hung` makes each time it begins: that says
/// that it hangs.
pub async fn watched<F: Future, H: Future<Output = ()>>(
    role: impl Display,
    mut begin: impl FnMut() -> F,
    mut hung: impl FnMut() -> H,
) -> F::Output {
    loop {
        tokio::select! {
            // First, for whatever hangs may use up all that a task may do at a time.
            biased;
            () = hung() => {}
            // What makes it belongs to it: a panic there must not end what would begin it again.
            caught = Caught::new(async { begin().await }) => {
                if let Ok(output) = caught {
                    return output;
                }
                tracing::error!(%role, "a role has panicked: it begins anew");
            }
        }
        sleep(REST).await;
    }
}

/// Does one thing, which may panic. What it had begun to change is in the state in which the panic has left it: the caller
/// has to make something sound of that.
///
/// # Errors
/// It has panicked.
pub fn caught<T>(act: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(act)).map_err(|_| Panicked)
}

/// There was a panic, which the hook has told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked;

/// A future whose panics end nothing else, neither while it runs nor when it is dropped.
struct Caught<F>(Option<Pin<Box<F>>>);

impl<F> Caught<F> {
    fn new(future: F) -> Self {
        Caught(Some(Box::pin(future)))
    }
}

impl<F> Drop for Caught<F> {
    fn drop(&mut self) {
        // The hook has told of a panic.
        let _ = caught(|| drop(self.0.take()));
    }
}

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // After a panic nobody polls what is in there again.
        let polled = caught(|| match &mut self.0 {
            Some(future) => future.as_mut().poll(cx),
            None => Poll::Pending,
        });
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(panicked) => Poll::Ready(Err(panicked)),
        }
    }
}

/// Where it is told that what remains cannot do the gate's work any more, and why.
pub type Failing = watch::Sender<Option<String>>;

/// Tells of a panic that nobody has caught, when it ends what this belongs to.
#[derive(Debug)]
pub struct Alarm {
    what: &'static str,
    failing: Failing,
}

impl Alarm {
    /// One for this thread or task, as it is told.
    pub fn new(what: &'static str, failing: Failing) -> Self {
        Alarm { what, failing }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if thread::panicking() {
            self.failing
                .send_replace(Some(format!("{} has panicked, and nobody does its work now", self.what)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Counts how often one was dropped.
    struct Guard<'c>(&'c Cell<u32>);

    impl Drop for Guard<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn o5_what_panics_begins_anew_after_a_rest_until_it_ends() {
        let (began, dropped) = (Cell::new(0), Cell::new(0));
        let before = tokio::time::Instant::now();
        let output = supervised("a test", || {
            began.set(began.get() + 1);
            let guard = Guard(&dropped);
            let times = began.get();
            async move {
                let _guard = guard;
                tokio::task::yield_now().await;
                assert!(times == 3, "the {times}th time");
                times
            }
        });
        assert_eq!(output.await, 3);
        assert_eq!(dropped.get(), 3, "what it held is given back");
        assert_eq!(before.elapsed(), REST * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn o5_what_hangs_is_given_up_and_begins_anew_after_a_rest() {
        let (began, dropped) = (Cell::new(0), Cell::new(0));
        let after = Duration::from_secs(3);
        let before = tokio::time::Instant::now();
        let begin = || {
            began.set(began.get() + 1);
            let (times, guard) = (began.get(), Guard(&dropped));
            async move {
                let _guard = guard;
                if times < 3 {
                    pending::<()>().await;
                }
                times
            }
        };
        assert_eq!(watched("a test", begin, || sleep(after)).await, 3);
        assert_eq!(dropped.get(), 3, "what it held is given back");
        assert_eq!(before.elapsed(), (after + REST) * 2);
    }

    /// Panics when it is dropped, once.
    struct Fragile<'c>(&'c Cell<bool>);

    impl Drop for Fragile<'_> {
        fn drop(&mut self) {
            if self.0.take() {
                // As a panic does, but that it says nothing.
                std::panic::resume_unwind(Box::new("as a test"));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn o5_a_panic_while_it_begins_does_not_end_the_role() {
        let began = Cell::new(0);
        let begin = || {
            began.set(began.get() + 1);
            if began.get() < 3 {
                std::panic::resume_unwind(Box::new("as a test"));
            }
            async { "works" }
        };
        assert_eq!(supervised("a test", begin).await, "works");
    }

    #[tokio::test(start_paused = true)]
    async fn o5_a_panic_of_what_is_given_up_does_not_end_the_role() {
        let (breaks, began) = (Cell::new(true), Cell::new(0));
        let begin = || {
            began.set(began.get() + 1);
            let (times, fragile) = (began.get(), Fragile(&breaks));
            async move {
                let _fragile = fragile;
                if times == 1 {
                    pending::<()>().await;
                }
                "works"
            }
        };
        assert_eq!(watched("a test", begin, || sleep(Duration::from_secs(3))).await, "works");
        assert_eq!(began.get(), 2);
    }

    #[test]
    fn o5_a_thread_that_ends_by_a_panic_is_told_of_and_one_that_ends_is_not() {
        let (failing, failed) = watch::channel(None);
        let alarm = Alarm::new("a thread", failing.clone());
        thread::spawn(move || drop(alarm)).join().unwrap();
        assert_eq!(*failed.borrow(), None);
        let alarm = Alarm::new("a thread", failing);
        thread::spawn(move || {
            let _alarm = alarm;
            panic!("as a test");
        })
        .join()
        .unwrap_err();
        assert!(failed.borrow().as_ref().is_some_and(|why| why.contains("a thread")));
    }
}
