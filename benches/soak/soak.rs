//! One soak: load, faults and samples at once, then a look at what is left.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::gate::{Books, Holdings};
use super::judge::Fault;
use super::ledger::{Book, Ledger};
use super::load::{Load, Plan};
use super::stage::Stage;
use super::watch::{Samples, warm_up};

/// From one fault to the next, at least: a fault takes about three seconds until all is as it was.
const EVERY: Duration = Duration::from_secs(4);
/// No fault strikes so shortly before the load ends: its sessions are still to be seen to go on.
const LAST: Duration = Duration::from_secs(4);
/// How long the gate may take to be idle again: its probes' second connections and sessions that were cut go away.
const IDLE: Duration = Duration::from_secs(20);

/// What came of it.
pub(crate) struct Outcome {
    /// What clients and nodes have seen.
    pub(crate) book: Book,
    /// What the gate held.
    pub(crate) samples: Samples,
    /// The idle gate, before the load and after it.
    pub(crate) idle: [Holdings; 2],
    /// What the gate had counted in the end.
    pub(crate) books: Books,
}

/// Lets everything happen for so long.
pub(crate) async fn run(binary: Option<&Path>, period: Duration, plan: Plan, faults: &[Fault]) -> Outcome {
    let mut stage = Stage::start(binary).await;
    let before = stage.gate.watcher().holdings().expect("the gate has just answered");
    let ledger = Arc::new(Ledger::default());
    let end = Instant::now() + period;
    let load = Load {
        trust: stage.trust.clone(),
        gate: stage.gate.address,
        ledger: Arc::clone(&ledger),
        end,
        seeds: Arc::default(),
    };
    let clients = tokio::spawn(load.clone().run(plan));
    let watched = stage.gate.watcher();
    let (samples, ()) = tokio::join!(
        Samples::watch(&watched, &ledger, end),
        strike_all(&mut stage, faults, &ledger, &load, warm_up(period))
    );
    if let Err(error) = clients.await {
        ledger.defect("failures of the harness", error.to_string());
    }
    stage.gate.restore().await;
    ledger.settle();
    stage.take_faults(&ledger);
    let after = is_idle(&mut stage, before, &ledger).await;
    let mut books = stage.gate.watcher().books().await.unwrap_or_default();
    end_well(&mut stage, books, &ledger).await;
    books.accepted = stage.gate.last_books().iter().map(|books| books.accepted).sum();
    books.held += stage.gate.held_before;
    Outcome { book: ledger.read(), samples, idle: [before, after], books }
}

/// One fault after the other, until it is too late for one more.
async fn strike_all(stage: &mut Stage, faults: &[Fault], ledger: &Ledger, load: &Load, warm_up: Duration) {
    let (warm, end) = (Instant::now() + warm_up, load.end);
    let mut due = Instant::now() + EVERY;
    for &fault in faults.iter().cycle() {
        if fault.is_early() && Instant::now() >= warm && faults.iter().any(|fault| !fault.is_early()) {
            continue;
        }
        // Faults must not come at the same moment of each probe interval.
        let due_at = due + Duration::from_millis(fastrand::u64(0..500));
        if due_at + LAST >= end {
            return;
        }
        sleep_until(due_at).await;
        stage.strike(fault, ledger, load).await;
        due = Instant::now().max(due + EVERY);
    }
}

/// Waits until nothing is left of the load, or for no longer than that may take; what the gate holds then.
async fn is_idle(stage: &mut Stage, before: Holdings, ledger: &Ledger) -> Holdings {
    let watched = stage.gate.watcher();
    let gone = async {
        loop {
            let active = watched.books().await.map(|books| books.active);
            let holdings = watched.holdings().unwrap_or_default();
            if active == Some(0.0) && holdings.descriptors <= before.descriptors {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    // Whatever has not gone by then is in the figures.
    drop(timeout(IDLE, gone).await);
    let talking = stage.talking().await;
    if talking > 0 {
        ledger.defect("conversations that their nodes never heard the end of", talking.to_string());
    }
    watched.holdings().unwrap_or_default()
}

/// Looks at the gate's books and its log, and stops it.
async fn end_well(stage: &mut Stage, books: Books, ledger: &Ledger) {
    if !books.balance() || books.active > 0.5 {
        ledger.defect("last books that do not balance", format!("{books:?}"));
    }
    if books.panics > 0.5 {
        ledger.defect("panics", format!("{} tasks", books.panics));
    }
    if books.hangs > 0.5 {
        ledger.defect("hangs", format!("{} tasks", books.hangs));
    }
    if let Err(why) = stage.gate.stop().await {
        ledger.defect("ends that are not in good order", why);
    }
    let log = stage.gate.log();
    for line in log.lines().filter(|line| line.contains("panic")) {
        ledger.defect("panics", line.to_owned());
    }
}
