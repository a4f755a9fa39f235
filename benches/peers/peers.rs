//! Who is compared.

use std::net::SocketAddr;
use std::path::Path;

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::configurations;
use crate::haproxy::free_address;
use crate::proxy::{Invocation, Proxy, accepts, says_ok};
use crate::stage::Stage;

/// What clients connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// The node itself.
    Direct,
    /// Raftgate as it comes.
    Raftgate,
    /// HAProxy with the common recipe.
    Haproxy,
    /// HAProxy at its best: it splices, with larger buffers and pipes.
    HaproxyBest,
    /// HAProxy with the common recipe once more: what differs from the other is noise.
    HaproxyAgain,
    /// nginx's stream module.
    Nginx,
}

/// A running peer; it ends when this is dropped.
pub(crate) struct Running {
    /// Who it is.
    pub(crate) peer: Peer,
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    /// Its processes, if it is anything between clients and node.
    pub(crate) proxy: Option<Proxy>,
}

/// What a peer may use.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Room {
    /// The only core, if it is to have one alone.
    pub(crate) core: Option<usize>,
    /// Whether one of its threads serves all clients.
    pub(crate) has_one_worker: bool,
}

/// How a peer is started, and where it will be.
struct Plan {
    invocation: Invocation,
    check: Invocation,
    address: SocketAddr,
    /// Where Raftgate answers questions.
    admin: SocketAddr,
}

impl Peer {
    /// All of them, in the order of the report.
    pub(crate) const ALL: [Self; 6] =
        [Self::Direct, Self::Raftgate, Self::Haproxy, Self::HaproxyBest, Self::HaproxyAgain, Self::Nginx];

    /// Its name in arguments, samples and tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Raftgate => "raftgate",
            Self::Haproxy => "haproxy",
            Self::HaproxyBest => "haproxy-best",
            Self::HaproxyAgain => "haproxy-again",
            Self::Nginx => "nginx",
        }
    }

    /// Why it cannot be run here, if it cannot: it is not installed, or does not like its configuration.
    pub(crate) async fn objection(self, stage: &Stage) -> Option<String> {
        if self == Self::Direct {
            return None;
        }
        let folder = match stage.folder("check") {
            Ok(folder) => folder,
            Err(error) => return Some(error),
        };
        let plan = match self.plan(stage, &folder, Room::default()) {
            Ok(plan) => plan,
            Err(error) => return Some(error),
        };
        match plan.check.output().await {
            Err(error) => Some(format!("{}: {error}", plan.check.program)),
            Ok(done) if done.status.success() => None,
            Ok(done) => {
                Some(String::from_utf8_lossy(&done.stderr).split_whitespace().collect::<Vec<_>>().join(" "))
            }
        }
    }

    /// Starts it before this stage with this much room, and waits until it knows who leads.
    pub(crate) async fn start(self, stage: &Stage, room: Room) -> Result<Running, String> {
        if self == Self::Direct {
            return Ok(Running { peer: self, address: stage.leader(), proxy: None });
        }
        let folder = stage.folder(self.name())?;
        let plan = self.plan(stage, &folder, room)?;
        let mut proxy =
            Proxy::start(&plan.invocation, &folder, room.core).map_err(|error| error.to_string())?;
        let is_ready = async |log: &str| match self {
            Self::Raftgate => says_ok(plan.admin, "/readyz?cluster=c1").await,
            // It takes every server to be up until its checks have failed.
            Self::Haproxy | Self::HaproxyBest | Self::HaproxyAgain => {
                ["n2", "n3"].iter().all(|node| log.contains(&format!("Server controllers/{node} is DOWN")))
            }
            Self::Direct | Self::Nginx => accepts(plan.address).await,
        };
        proxy.settle(is_ready).await.map_err(|why| format!("{}: {why}", self.name()))?;
        Ok(Running { peer: self, address: plan.address, proxy: Some(proxy) })
    }

    /// Writes its configuration.
    fn plan(self, stage: &Stage, folder: &Path, room: Room) -> Result<Plan, String> {
        let (address, admin, one) = (free_address(), free_address(), room.has_one_worker);
        let (name, text) = match self {
            Self::Direct | Self::Raftgate => {
                ("raftgate.toml", configurations::raftgate(stage, 1, address, admin, one))
            }
            Self::Haproxy | Self::HaproxyAgain => {
                ("haproxy.cfg", configurations::haproxy(stage, address, false, one))
            }
            Self::HaproxyBest => ("haproxy.cfg", configurations::haproxy(stage, address, true, one)),
            Self::Nginx => {
                // It counts the machine's cores, not those that it may have.
                let workers = if room.core.is_some() || one { "1" } else { "auto" };
                ("nginx.conf", configurations::nginx(stage, address, workers, folder))
            }
        };
        let file = folder.join(name);
        std::fs::write(&file, text).map_err(|error| error.to_string())?;
        let file = file.display().to_string();
        let errors = folder.join("nginx-early.log").display().to_string();
        let (program, run, check): (_, Vec<&str>, Vec<&str>) = match self {
            Self::Direct | Self::Raftgate => {
                (env!("CARGO_BIN_EXE_raftgate"), vec!["run", "-c", &file], vec!["check", "-c", &file])
            }
            Self::Haproxy | Self::HaproxyBest | Self::HaproxyAgain => {
                ("haproxy", vec!["-db", "-f", &file], vec!["-c", "-f", &file])
            }
            Self::Nginx => {
                ("nginx", vec!["-e", &errors, "-c", &file], vec!["-e", &errors, "-t", "-q", "-c", &file])
            }
        };
        let [invocation, check] = [run, check].map(|arguments| Invocation {
            program,
            arguments: arguments.into_iter().map(str::to_owned).collect(),
        });
        Ok(Plan { invocation, check, address, admin })
    }
}

impl ValueEnum for Peer {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}
