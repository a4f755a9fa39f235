//! The real binary as a process: what it holds, what it counts, what it has logged.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::support::certs::own_name;
use crate::support::gate::{Metrics, get, metrics_of, raftgate, sum};
use crate::support::node::Node;
use crate::support::wait::until;

use super::judge::Fault;

/// Longer than a gate without sessions takes to stop.
pub(super) const STOPPING: Duration = Duration::from_secs(30);

/// A file that nobody can take.
const MISTAKE: &str = "clusters = \"none\"\n";

/// A running gate; it is killed when this is dropped.
pub(crate) struct Gate {
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    watcher: Watcher,
    pub(super) child: Child,
    /// It and all that took its place.
    pub(super) processes: Vec<Pid>,
    /// How many clients those before this one have held.
    pub(super) held_before: f64,
    file: PathBuf,
    pub(super) log: PathBuf,
    /// What its file says at first, and what it says when it is changed.
    texts: [String; 2],
    changed: bool,
}

/// Who looks at a gate from outside.
#[derive(Clone, Debug)]
pub(crate) struct Watcher {
    /// Where its metrics are.
    pub(crate) admin: SocketAddr,
    pid: Arc<Mutex<Pid>>,
}

/// What the gate's process holds at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holdings {
    /// Resident memory, in KiB.
    pub(crate) kib: u64,
    /// Threads.
    pub(crate) threads: u64,
    /// Descriptors but for those of pipes.
    pub(crate) descriptors: u64,
    /// Descriptors of pipes: what is spliced goes through them, and an empty one may be kept for the next.
    pub(crate) pipes: u64,
}

/// Connections since the start, as the gate counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Books {
    /// All.
    pub(crate) accepted: f64,
    /// Those turned away.
    pub(crate) refused: f64,
    /// Those that have ended.
    pub(crate) closed: f64,
    /// Those at this moment.
    pub(crate) active: f64,
    /// Those that have waited for a leader.
    pub(crate) held: f64,
    /// Those moved to another node before its first byte.
    pub(crate) moved: f64,
    /// Tasks that have panicked.
    pub(crate) panics: f64,
    /// Tasks that have hung.
    pub(crate) hangs: f64,
}

impl Books {
    /// Whether every connection is accounted for.
    pub(crate) fn balance(&self) -> bool {
        (self.accepted - self.refused - self.closed - self.active).abs() < 0.5
    }
}

impl From<&Metrics> for Books {
    fn from(metrics: &Metrics) -> Self {
        let of = |name: &str| sum(metrics, &format!("raftgate_{name}"), "");
        Books {
            accepted: of("connections_total"),
            refused: of("connections_refused_total"),
            closed: of("connections_closed_total"),
            active: of("connections_active"),
            held: of("hold_duration_seconds_count"),
            moved: of("connections_moved_total"),
            panics: of("task_panics_total"),
            hangs: of("task_hangs_total"),
        }
    }
}

impl Gate {
    /// Starts a gate before these nodes, with the authority's certificate in the folder's `ca.pem`, and waits until it is
    /// ready; `binary` in place of this build's.
    pub(crate) async fn start(binary: Option<&Path>, nodes: &[Node], folder: &Path) -> Self {
        Self::start_with(binary, "", nodes, folder).await
    }

    /// The same with lines of their own for its listener.
    pub(crate) async fn start_with(
        binary: Option<&Path>,
        listener: &str,
        nodes: &[Node],
        folder: &Path,
    ) -> Self {
        let (address, admin) = (free_address(), free_address());
        let (file, log) = (folder.join("raftgate.toml"), folder.join("raftgate.log"));
        let text = configuration([address, admin], listener, nodes, folder);
        let texts = [text.clone(), text + &change(free_address())];
        fs::write(&file, &texts[0]).expect("the folder can be written");
        let written = File::create(&log).expect("the folder can be written");
        let mut command = match binary {
            Some(binary) => Command::new(binary),
            None => raftgate(),
        };
        let child = command
            .args(["run", "-c"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(written.try_clone().expect("a descriptor is left"))
            .stderr(written)
            .kill_on_drop(true)
            .spawn()
            .expect("the gate can be started");
        let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let pid = pid.expect("it has just been started");
        let watcher = Watcher { admin, pid: Arc::new(Mutex::new(pid)) };
        let (processes, held_before) = (vec![pid], 0.0);
        let mut gate =
            Gate { address, watcher, child, processes, held_before, file, log, texts, changed: false };
        until("the gate is ready", async || {
            let ended = gate.child.try_wait().ok()?;
            assert!(ended.is_none(), "the gate ended with {ended:?}:\n{}", gate.log());
            (get(admin, "/readyz").await?.0 == 200).then_some(())
        })
        .await;
        gate
    }

    /// Waits until the route is this node.
    pub(crate) async fn routes_to(&self, node: &str) {
        let label = format!("node=\"{node}\"");
        until(&format!("the gate routes to {node}"), async || {
            (sum(&metrics_of(self.watcher.admin).await?, "raftgate_leader", &label) > 0.5).then_some(())
        })
        .await;
    }

    /// Has it read its file again, and waits until it has said what it makes of it.
    pub(crate) async fn reload(&mut self, kind: Fault) {
        if kind == Fault::ReloadChanged {
            self.changed = !self.changed;
        }
        let text = match kind {
            Fault::ReloadRefused => MISTAKE,
            _ => &self.texts[usize::from(self.changed)],
        };
        fs::write(&self.file, text).expect("the folder can be written");
        let before = self.reloaded().await.expect("the gate answers").0;
        kill_process(self.watcher.pid(), Signal::HUP).expect("the gate runs");
        until(&format!("the gate has done its {}", kind.name()), async || {
            let (at, successful) = self.reloaded().await?;
            let refused = kind == Fault::ReloadRefused && !successful;
            (refused || (successful && at > before)).then_some(())
        })
        .await;
        // Whoever starts next reads it, too: a new process of an upgrade.
        fs::write(&self.file, &self.texts[usize::from(self.changed)]).expect("the folder can be written");
    }

    /// Has it take its first file again, if it has another one.
    pub(crate) async fn restore(&mut self) {
        if self.changed {
            self.reload(Fault::ReloadChanged).await;
        }
    }

    /// When it last took a file, and whether it has taken the newest.
    async fn reloaded(&self) -> Option<(f64, bool)> {
        let metrics = metrics_of(self.watcher.admin).await?;
        let at = sum(&metrics, "raftgate_config_last_reload_success_timestamp_seconds", "");
        Some((at, sum(&metrics, "raftgate_config_last_reload_successful", "") > 0.5))
    }

    /// Who looks at it.
    pub(crate) fn watcher(&self) -> Watcher {
        self.watcher.clone()
    }

    /// Everything it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Watcher {
    /// The process that serves.
    pub(crate) fn pid(&self) -> Pid {
        *self.pid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another process has taken its place.
    pub(super) fn follow(&self, process: Pid) {
        *self.pid.lock().unwrap_or_else(PoisonError::into_inner) = process;
    }

    /// Its books; `None` while it does not answer. A scrape takes its figures one after the other, so that connections
    /// that come and go meanwhile may be in one and not in another: what does not balance is looked at again.
    pub(crate) async fn books(&self) -> Option<Books> {
        let mut books = Books::from(&metrics_of(self.admin).await?);
        for _ in 0..20 {
            if books.balance() {
                break;
            }
            books = Books::from(&metrics_of(self.admin).await?);
        }
        Some(books)
    }

    /// What its process holds.
    pub(crate) fn holdings(&self) -> io::Result<Holdings> {
        let folder = format!("/proc/{}", self.pid().as_raw_nonzero());
        let status = fs::read_to_string(format!("{folder}/status"))?;
        let of = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let mut holdings = Holdings {
            kib: of("VmRSS:").ok_or_else(|| io::Error::other("no VmRSS"))?,
            threads: of("Threads:").ok_or_else(|| io::Error::other("no threads"))?,
            ..Holdings::default()
        };
        for entry in fs::read_dir(format!("{folder}/fd"))? {
            // It may be closed by now.
            match fs::read_link(entry?.path()) {
                Ok(what) if what.to_string_lossy().starts_with("pipe:") => holdings.pipes += 1,
                Ok(_) => holdings.descriptors += 1,
                Err(_) => {}
            }
        }
        Ok(holdings)
    }
}

/// What a changed file says beyond.
fn change(spare: SocketAddr) -> String {
    format!(
        "probe.interval = \"240ms\"\ntimeouts.idle = \"59m\"\n\n\
         [listeners.spare]\nbind = \"{spare}\"\ncluster = \"controllers\"\n"
    )
}

/// An address below the ports that the kernel gives to clients.
fn free_address() -> SocketAddr {
    let ports = std::iter::repeat_with(|| fastrand::u16(20_000..32_000));
    let mut addresses = ports.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    addresses.find(|address| TcpListener::bind(address).is_ok()).expect("there are thousands")
}

/// What OpenZiti's preset is with all that it leaves to be chosen; clients' connections are logged as they are by default.
fn configuration([address, admin]: [SocketAddr; 2], listener: &str, nodes: &[Node], folder: &Path) -> String {
    let mut text = format!(
        "log.format = \"json\"\nadmin.bind = \"{admin}\"\nadmin.socket = \"{}\"\n\n\
         [listeners.edge]\nbind = \"{address}\"\ncluster = \"controllers\"\n{listener}\n\
         [clusters.controllers]\npreset = \"openziti\"\nprobe.tls.ca_file = \"{}\"\n",
        folder.join("control.sock").display(),
        folder.join("ca.pem").display(),
    );
    for node in nodes {
        let (name, server_name) = (&node.name, own_name(&node.name));
        let [data, probes] = [node.port, node.probe_port].map(|port| SocketAddr::from((node.host, port)));
        writeln!(
            text,
            "nodes.{name} = {{ address = \"{data}\", probe_address = \"{probes}\", server_name = \"{server_name}\" }}"
        )
        .expect("a string can be written");
    }
    text
}
