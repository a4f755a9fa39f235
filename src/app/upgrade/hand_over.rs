//! The journey of an upgrade, as the old process makes it.

use std::convert::Infallible;
use std::time::Duration;

use rustix::process::{Pid, kill_process};
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::program::Program;
use super::successor::{Successor, UpgradeError};
use crate::admin::{Reply, Request};
use crate::app::gate::Gate;
use crate::app::notify;
use crate::app::run::RunError;
use crate::app::signals::EndSignals;

/// For how long this process could take clients in again, should the new one die in its first moments.
const GUARD: Duration = Duration::from_secs(5);

/// What to know where nothing tells the supervisor which process is the main one.
const UNSUPERVISED: &str = "; NOTIFY_SOCKET is not set: a supervisor (runit, s6, supervisord) that has started the old process takes its end, with \
     the last session, for the gate's";

/// What became of an upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum Outcome {
    /// Everything is as before.
    GoesOn,
    /// The new process of this id has everything but the sessions.
    HandedOver(u32),
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
    let supervised = if notify::has_manager() { "" } else { UNSUPERVISED };
    if !supervised.is_empty() {
        warn!(pid, new_pid, "upgrade: no service manager is told of the new process{supervised}");
    }
    reply.say(Ok(format!(
        "process {new_pid} has taken over from process {pid}, whose sessions go on{supervised}"
    )));
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
    let handed_over = format!("process {new_pid} has taken over: ask that one");
    let settled = tokio::select! {
        settled = successor.settles() => settled,
        () = sleep(GUARD) => true,
        never = refuse(upgrade, requests, &handed_over) => match never {},
        never = pass_on(reload, new_pid) => match never {},
        name = end.recv() => {
            gate.leave();
            return Outcome::Signalled(name);
        }
    };
    if settled {
        // Only now: of one that dies before, the service manager has never heard.
        notify::main_pid(new_pid);
        gate.leave();
        info!(pid, new_pid, "upgrade: done, the sessions of this process drain");
        Outcome::HandedOver(new_pid)
    } else {
        gate.resume();
        let status = successor.last().await;
        error!(pid, new_pid, status, "upgrade: the new process has ended, this one takes clients again");
        Outcome::GoesOn
    }
}

/// Lets the sessions of a process that has handed over end, within `upgrade.drain`; a signal to end lets them for
/// `shutdown.drain`, and a second one not at all.
///
/// # Errors
/// The gate cannot do its work any more, or it was ended by a second signal.
pub(in crate::app) async fn drain(
    gate: Gate,
    new_pid: u32,
    interruptions: Interruptions<'_>,
) -> Result<(), RunError> {
    let Interruptions { end, upgrade, reload, requests } = interruptions;
    let handed_over = format!("process {new_pid} has taken over: ask that one");
    tokio::select! {
        () = gate.drained() => {}
        name = end.recv() => {
            info!(signal = name, "signal received");
            return tokio::select! {
                () = gate.stop() => Ok(()),
                _ = end.recv() => Err(RunError::Impatient),
            };
        }
        never = refuse(upgrade, requests, &handed_over) => match never {},
        never = pass_on(reload, new_pid) => match never {},
        why = gate.failed() => return Err(RunError::Failed(why)),
    }
    gate.finish();
    Ok(())
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
    std::future::pending().await
}

/// Refuses every other upgrade, and every reload.
async fn refuse(upgrade: &mut Signal, requests: &mut mpsc::Receiver<Request>, why: &str) -> Infallible {
    loop {
        tokio::select! {
            Some(Request::Reload(reply) | Request::Upgrade(reply)) = requests.recv() => {
                reply.say(Err(why.to_owned()));
            }
            Some(()) = upgrade.recv() => {}
            else => return std::future::pending().await,
        }
        warn!("another upgrade, or a reload, is refused: {why}");
    }
}
