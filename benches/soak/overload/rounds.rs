//! Each attack on each target, fresh each time: good clients before it, beside it, and after.

use std::time::Duration;

use tokio::time::{Instant, interval, sleep, timeout};

use crate::processes;
use crate::support::attack::begin;
use crate::support::certs::Authority;
use crate::support::client::{Outcome as End, Trust, Visit};
use crate::support::clock::Stamp;
use crate::support::crowd::Crowd;
use crate::support::node::Node;
use crate::support::wait::until;

use super::attacks::Overload;
use super::cage::Cage;
use super::target::{Kind, Target};

/// How often a good client comes.
const EVERY: Duration = Duration::from_millis(20);
/// How long they come before the attack.
const BEFORE: Duration = Duration::from_secs(5);
/// How long an attack goes on before it is looked at.
const UNDER_WAY: Duration = Duration::from_secs(2);
/// How long good clients come beside it.
const BESIDE: Duration = Duration::from_secs(8);
/// How often the target is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(200);
/// How long recovery is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// What good clients noticed.
#[derive(Clone, Debug, Default)]
pub(super) struct Notice {
    /// How many there were.
    pub(super) clients: usize,
    /// How many were not served.
    pub(super) failed: usize,
    /// How long those who were took: the half of them no longer, and all but a hundredth.
    pub(super) took: [Duration; 2],
}

/// One attack on one target.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(super) overload: Overload,
    pub(super) kind: Kind,
    /// Good clients without the attack, and with it.
    pub(super) notices: [Notice; 2],
    /// The longest time between two probes of a node.
    pub(super) probe_gap: Option<Duration>,
    /// The longest that the admin listener took; nothing where there is none.
    pub(super) admin: Option<Duration>,
    /// How many cores it used meanwhile.
    pub(super) cores: f64,
    /// The most memory, in MiB.
    pub(super) memory: f64,
    /// From the attack's end to the next client that was served; nothing if none was.
    pub(super) recovery: Option<Duration>,
}

/// All that was tried.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(super) rows: Vec<Row>,
    /// What was not, and why.
    pub(super) not_run: Vec<String>,
}

impl Outcome {
    /// Whether Raftgate lived through all of it, and went on asking its nodes and answering questions.
    pub(crate) fn is_survived(&self) -> bool {
        let ours = self.rows.iter().filter(|row| row.kind == Kind::Raftgate);
        ours.clone().count() > 0
            && ours
                .into_iter()
                .all(|row| row.recovery.is_some() && row.admin.is_some_and(|took| took < LIMIT))
    }
}

/// Later than this is no answer.
const LIMIT: Duration = Duration::from_secs(5);

/// Tries them all.
pub(crate) async fn run() -> Outcome {
    let mut outcome = Outcome::default();
    for overload in Overload::ALL {
        for kind in Kind::ALL {
            println!("{overload:?} on {}", kind.name());
            match round(overload, kind).await {
                Ok(row) => outcome.rows.push(row),
                Err(why) => outcome.not_run.push(format!("{overload:?} on {}: {why}", kind.name())),
            }
        }
    }
    outcome
}

async fn round(overload: Overload, kind: Kind) -> Result<Row, String> {
    let authority = Authority::new();
    let mut nodes = Vec::new();
    for (name, order) in [("n1", "lead"), ("n2", "follow"), ("n3", "follow")] {
        nodes.push(Node::start(&authority, name, order).await);
    }
    let trust = Trust::new(&authority, &nodes);
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).map_err(|error| error.to_string())?;
    // The cage outlives what is in it.
    let mut _cage = None;
    let target = Target::start(kind, overload, &nodes, folder.path()).await;
    until("clients are served", async || trust.visit(target.address).await.is_served_by("n1").then_some(()))
        .await;
    let crowd = Crowd::arrive_every(EVERY, &trust, target.address);
    sleep(BEFORE).await;
    let before = notice(&crowd.leave().await);

    if let Some(bytes) = overload.memory() {
        _cage = Some(Cage::around(target.process, bytes)?);
    }
    if let Some(free) = overload.descriptors() {
        target.leave_descriptors(free)?;
    }
    let (attack, count) = overload.attackers();
    let mut attackers = begin(attack, &trust, target.address, count);
    sleep(UNDER_WAY).await;
    let (begun, cpu) = (Stamp::now(), target.cpu());
    let crowd = Crowd::arrive_every(EVERY, &trust, target.address);
    let (admin, memory) = look(&target).await;
    let ended = Stamp::now();
    let cores = (target.cpu() - cpu) / ended.since(begun).as_secs_f64();
    attackers.shutdown().await;
    let recovery = recovery(&trust, &target).await;
    let beside = notice(&crowd.leave().await);
    let probe_gap = nodes.iter().map(|node| gap(node, begun, ended)).max().flatten();
    let alive = processes::cpu_seconds(target.process).is_ok();
    let recovery = recovery.filter(|_| alive);
    let notices = [before, beside];
    Ok(Row { overload, kind, notices, probe_gap, admin, cores, memory, recovery })
}

/// Looks at the target while good clients come: the longest that its admin listener took, and its most memory.
async fn look(target: &Target) -> (Option<Duration>, f64) {
    let (end, mut tick) = (Instant::now() + BESIDE, interval(LOOK));
    let (mut longest, mut memory) = (None, 0.0_f64);
    while Instant::now() < end {
        tick.tick().await;
        longest = longest.max(target.admin_answers().await);
        memory = memory.max(target.memory().unwrap_or(0.0));
    }
    (longest, memory)
}

async fn recovery(trust: &Trust, target: &Target) -> Option<Duration> {
    let over = Instant::now();
    let served = async {
        while !trust.visit(target.address).await.is_served_by("n1") {
            sleep(EVERY).await;
        }
    };
    timeout(PATIENCE, served).await.ok().map(|()| over.elapsed())
}

/// The longest time between two probes of a node in a window.
fn gap(node: &Node, begun: Stamp, ended: Stamp) -> Option<Duration> {
    let arrivals =
        node.probes().into_iter().map(|probe| probe.arrived).filter(|at| (begun..ended).contains(at));
    let moments: Vec<Stamp> = std::iter::once(begun).chain(arrivals).chain([ended]).collect();
    moments.windows(2).map(|pair| pair[1].since(pair[0])).max()
}

fn notice(visits: &[Visit]) -> Notice {
    let served = visits.iter().filter(|visit| matches!(visit.outcome, End::Served { .. }));
    let mut took: Vec<Duration> = served.map(|visit| visit.ended.since(visit.started)).collect();
    took.sort();
    let part = |hundredths: usize| took.get(took.len() * hundredths / 100).copied().unwrap_or_default();
    Notice { clients: visits.len(), failed: visits.len() - took.len(), took: [part(50), part(99)] }
}
