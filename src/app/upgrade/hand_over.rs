//! The journey of an upgrade, as the old process makes it.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use rustix::process::{Pid, kill_process};
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::letter::Serving;
use super::program::Program;
use super::successor::{News, Successor, UpgradeError};
use crate::admin::{Reply, Request};
use crate::app::gate::Gate;
use crate::app::notify;
use crate::app::signals::EndSignals;
use crate::memory::orders::WrittenOrders;

/// The new process's first moments: of one that dies in them, the service manager never hears.
const GUARD: Duration = Duration::from_secs(5);

/// What to know where nothing tells the supervisor which process is the main one.
const UNSUPERVISED: &str = "; NOTIFY_SOCKET is not set: a supervisor (runit, s6, supervisord) that has started the old process takes its end, with \
     the last session, for the gate's";

/// What became of an upgrade.
#[derive(Debug)]
pub(in crate::app) enum Outcome {
    /// Everything is as before.
    GoesOn,
    /// This new process has everything but the sessions.
    HandedOver(Box<Successor>),
    /// This signal came in between, to end the process.
    Signalled(&'static str),
}

/// What may happen while an upgrade is under way.
pub(in crate::app) struct Interruptions<'r> {
    pub(in crate::app) end: &'r mut EndSignals,
    pub(in crate::app) upgrade: &'r mut Signal,
    pub(in crate::app) reload: &'r mut Signal,
    pub(in crate::app) requests: &'r mut mpsc::Receiver<Request>,
}

/// Starts a new process and hands over to it. Whoever has asked for it is answered once it serves, or cannot. Whoever asks
/// for another upgrade meanwhile is refused.
pub(in crate::app) async fn hand_over(
    gate: &mut Gate,
    program: &Program,
    mut interruptions: Interruptions<'_>,
    reply: Reply,
) -> Outcome {
    let pid = std::process::id();
    if let Some(why) = refusal(pid) {
        error!(pid, %why, "upgrade: refused, this process goes on");
        reply.say(Err(format!("{why}; process {pid} goes on as before")));
        return Outcome::GoesOn;
    }
    info!(pid, program = %program.path.display(), "upgrade: begins");
    let successor = match start(gate, program, &mut interruptions).await {
        Ok(Ok(successor)) => successor,
        Ok(Err(why)) => {
            error!(pid, %why, "upgrade: failed, this process goes on");
            reply.say(Err(format!("{why}; process {pid} goes on as before")));
            return Outcome::GoesOn;
        }
        Err(name) => {
            warn!(pid, signal = name, "upgrade: given up");
            reply.say(Err(format!("the gate was told to end ({name})")));
            return Outcome::Signalled(name);
        }
    };
    let new_pid = successor.pid;
    gate.pause();
    info!(pid, new_pid, "upgrade: the new process serves, this one takes no clients any more");
    let Serving { lost, socket, .. } = successor.serving.clone().unwrap_or_default();
    let mut said = format!("process {new_pid} has taken over from process {pid}, whose sessions go on");
    if !lost.is_empty() {
        let lost = lost.join(", ");
        warn!(pid, new_pid, %lost, "upgrade: the new process could not read all that this one knows");
        said = format!("{said}; it could not read all that was known and asks the nodes first: {lost}");
    }
    if successor.serving.is_some() && socket != gate.config.admin_socket {
        let place =
            socket.map_or_else(|| "there is none".to_owned(), |path| format!("it is {}", path.display()));
        said = format!("{said}; the control socket is another one: {place}");
    }
    let supervised = if notify::has_manager() { "" } else { UNSUPERVISED };
    if !supervised.is_empty() {
        warn!(pid, new_pid, "upgrade: no service manager is told of the new process{supervised}");
    }
    reply.say(Ok(format!("{said}{supervised}")));
    guard(gate, successor, interruptions).await
}

/// Why a process with this id must not hand over, if it must not.
fn refusal(pid: u32) -> Option<&'static str> {
    (pid == 1).then_some(
        "an upgrade cannot outlive process 1: the container ends with it, and with the container the new process; start a \
         new container instead, or run the gate under an init (`docker run --init`)",
    )
}

/// A new process that serves, or why there is none; or the signal that came in between.
async fn start(
    gate: &Gate,
    program: &Program,
    interruptions: &mut Interruptions<'_>,
) -> Result<Result<Successor, UpgradeError>, &'static str> {
    let keys = gate.keys().map_err(|source| UpgradeError::new(program, source));
    let mut successor = match keys.and_then(|keys| Successor::spawn(program, keys)) {
        Ok(successor) => successor,
        Err(why) => return Ok(Err(why)),
    };
    let Interruptions { end, upgrade, requests, .. } = interruptions;
    let served = tokio::select! {
        served = successor.serves(async || gate.letter().await) => Ok(served),
        never = refuse(upgrade, requests, "an upgrade is under way: wait for its end") => match never {},
        name = end.recv() => Err(name),
    };
    if !matches!(served, Ok(Ok(()))) {
        successor.end().await;
        gate.take_orders();
    }
    served.map(|served| served.map(|()| successor))
}

/// Sees the new process through its first moments.
async fn guard(gate: &mut Gate, mut successor: Successor, interruptions: Interruptions<'_>) -> Outcome {
    let (pid, new_pid) = (std::process::id(), successor.pid);
    let Interruptions { end, upgrade, reload, requests } = interruptions;
    let handed_over = handed_over(new_pid);
    let mut orders = None;
    let death = tokio::select! {
        death = settles(&mut successor, &mut orders) => death,
        () = sleep(GUARD) => None,
        never = refuse(upgrade, requests, &handed_over) => match never {},
        never = pass_on(reload, new_pid) => match never {},
        name = end.recv() => {
            gate.leave();
            return Outcome::Signalled(name);
        }
    };
    gate.remember_orders(orders.as_ref());
    let Some(status) = death else {
        // Only now: of one that dies before, the service manager has never heard.
        notify::main_pid(new_pid);
        gate.retire(
            successor.serving.as_ref().map(|serving| (&*serving.addresses, serving.socket.as_deref())),
        );
        successor.settle().await;
        info!(pid, new_pid, "upgrade: done, the sessions of this process drain");
        return Outcome::HandedOver(Box::new(successor));
    };
    gate.resume().await;
    error!(pid, new_pid, status, "upgrade: the new process has ended, this one takes clients again");
    Outcome::GoesOn
}

/// Waits until the new process has shown that it is well; returns how it died if it did, or what it ends by.
async fn settles(successor: &mut Successor, orders: &mut Option<WrittenOrders>) -> Option<String> {
    loop {
        match successor.news().await {
            News::Settled => return None,
            News::Orders(newer) => *orders = Some(newer),
            News::Listens(addresses) => {
                if let Some(serving) = &mut successor.serving {
                    serving.addresses = addresses;
                }
            }
            News::Leaves => return Some("it was told to end".to_owned()),
            News::Died(status) => return Some(status),
        }
    }
}

/// What became of a process that has handed over.
#[derive(Debug)]
pub(in crate::app) enum Watched {
    /// Its last session has ended, or `upgrade.drain` is over.
    Drained,
    /// This signal came, to end the process.
    Signalled(&'static str),
    /// The gate cannot do its work any more.
    Failed(String),
    /// The new process has died: this one has to serve again.
    Alone,
}

/// Lets the sessions of a process that has handed over end, within `upgrade.drain`, and watches the new process
/// meanwhile. All sockets are kept for as long as the new process needs a guardian.
pub(in crate::app) async fn watch(
    gate: &mut Gate,
    successor: Box<Successor>,
    interruptions: Interruptions<'_>,
) -> Watched {
    let (pid, new_pid) = (std::process::id(), successor.pid);
    let Interruptions { end, upgrade, reload, requests } = interruptions;
    let handed_over = handed_over(new_pid);
    let mut drained = Box::pin(gate.sessions_drain());
    let refusing = refuse(upgrade, requests, &handed_over);
    let passing_on = pass_on(reload, new_pid);
    tokio::pin!(refusing, passing_on);
    let mut guarded = Some(successor);
    loop {
        let news = async {
            match &mut guarded {
                Some(successor) => successor.news().await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = &mut drained => return Watched::Drained,
            news = news => match news {
                News::Settled => {}
                News::Orders(orders) => gate.remember_orders(Some(&orders)),
                News::Listens(addresses) => gate.keep(&addresses),
                News::Leaves => {
                    info!(pid, new_pid, "upgrade: the new process needs no guardian any more");
                    gate.leave();
                    guarded = None;
                }
                News::Died(status) => {
                    error!(pid, new_pid, status, "upgrade: the new process has died, this one takes clients again");
                    return Watched::Alone;
                }
            },
            never = &mut refusing => match never {},
            never = &mut passing_on => match never {},
            name = end.recv() => {
                gate.leave();
                return Watched::Signalled(name);
            }
            why = gate.failed() => return Watched::Failed(why),
        }
    }
}

fn handed_over(new_pid: u32) -> String {
    format!("process {new_pid} has taken over: ask that one")
}

/// Passes each SIGHUP on to the new process: the sender may not have heard of it yet.
async fn pass_on(reload: &mut Signal, new_pid: u32) -> Infallible {
    while reload.recv().await.is_some() {
        let pid = i32::try_from(new_pid).ok().and_then(Pid::from_raw);
        if pid.is_some_and(|pid| kill_process(pid, rustix::process::Signal::HUP).is_ok()) {
            info!(new_pid, signal = "SIGHUP", "signal received, and passed on to the new process");
        } else {
            error!(new_pid, signal = "SIGHUP", "reload refused: the new process cannot be told");
        }
    }
    pending().await
}

/// Refuses every other upgrade, and every reload.
async fn refuse(upgrade: &mut Signal, requests: &mut mpsc::Receiver<Request>, why: &str) -> Infallible {
    loop {
        tokio::select! {
            Some(Request::Reload(reply) | Request::Upgrade(reply)) = requests.recv() => {
                reply.say(Err(why.to_owned()));
            }
            Some(()) = upgrade.recv() => {}
            else => return pending().await,
        }
        warn!("another upgrade, or a reload, is refused: {why}");
    }
}
