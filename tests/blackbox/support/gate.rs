//! The real binary: started with a file, watched through its log and its admin endpoints, ended by signals.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

pub(crate) use super::admin::{Metrics, get, metrics_of, sum};
use super::descriptors;
use super::wait::{until, within_deadline};

/// The binary.
const BINARY: &str = env!("CARGO_BIN_EXE_raftgate");

/// A running gate; it is killed when this is dropped.
///
/// A test ends with its books balanced: by [`Gate::assert_books_balance`], or by [`Gate::exits`] as the gate's own last
/// word has them. Whoever forgets both fails.
pub(crate) struct Gate {
    child: Child,
    log: Log,
    books_closed: AtomicBool,
    /// Where clients connect: the address of the listener `edge`.
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
}

/// Every line the gate has written, as far as it has been read.
#[derive(Clone, Default)]
pub(crate) struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    unread: Arc<AtomicBool>,
}

/// The binary, without any setting that the tests' own environment may hold.
pub(crate) fn raftgate() -> Command {
    without_settings(Command::new(BINARY))
}

/// The binary in a world of its own, in which `mine` lies where everybody else sees `theirs`. It needs
/// [`can_have_own_files`].
fn raftgate_seeing((mine, theirs): (&Path, &str)) -> Command {
    let mut command = Command::new("unshare");
    let script = "mount --bind \"$0\" \"$1\" && shift && exec \"$@\"";
    command.args(["-rm", "sh", "-c", script]).arg(mine).args([theirs, BINARY]);
    without_settings(command)
}

/// Whether this machine lets a process have a world of its own.
pub(crate) async fn can_have_own_files() -> bool {
    let tried = Command::new("unshare").args(["-rm", "mount", "--bind", "/etc/hosts", "/etc/hosts"]).status();
    tried.await.is_ok_and(|status| status.success())
}

/// The binary as a user who may neither open low ports nor read what is closed to them. It needs [`can_lack_rights`].
pub(crate) fn raftgate_without_rights() -> Command {
    let mut command = without_rights();
    command.arg(BINARY);
    without_settings(command)
}

/// Whether this machine lets a process live with fewer rights.
pub(crate) async fn can_lack_rights() -> bool {
    without_rights().arg("true").status().await.is_ok_and(|status| status.success())
}

/// Runs what follows in a network of its own, in which the low ports are reserved whatever the machine's own say.
fn without_rights() -> Command {
    let mut command = Command::new("unshare");
    let rights = "--bounding-set=-net_bind_service,-dac_override,-dac_read_search";
    command.args(["-rn", "setpriv", rights]);
    command
}

fn without_settings(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RAFTGATE_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

impl Gate {
    /// Runs the gate with this file and waits until it says where it listens.
    pub(crate) async fn start(file: &Path) -> Self {
        Self::run(raftgate(), file).await
    }

    /// The same with settings in its environment.
    pub(crate) async fn start_with(file: &Path, variables: &[(&str, &str)]) -> Self {
        let mut command = raftgate();
        command.envs(variables.iter().copied());
        Self::run(command, file).await
    }

    /// The same with a file of its own in place of the system's.
    pub(crate) async fn start_seeing(file: &Path, own: (&Path, &str)) -> Self {
        Self::run(raftgate_seeing(own), file).await
    }

    /// The same by way of a command that runs the one given after it, in the same process, somewhere else. Its admin
    /// endpoint may be out of reach then.
    pub(crate) async fn start_in(enter: &[OsString], file: &Path) -> Self {
        let mut command = Command::new(&enter[0]);
        command.args(&enter[1..]).arg(BINARY);
        Self::run(without_settings(command), file).await
    }

    /// The same by another name of the binary, which may be exchanged later.
    pub(crate) async fn start_as(binary: &Path, file: &Path) -> Self {
        Self::run(without_settings(Command::new(binary)), file).await
    }

    /// The same with a command that runs the binary it is given the arguments of.
    pub(crate) async fn run(mut command: Command, file: &Path) -> Self {
        let mut child = command
            .args(["run", "-c"])
            .arg(file)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Log::default();
        log.follow(child.stdout.take().unwrap());
        log.follow(child.stderr.take().unwrap());
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut gate =
            Gate { child, log, books_closed: AtomicBool::new(false), address: nowhere, admin: nowhere };
        gate.address = gate.bound_address("listening").await;
        gate.admin = gate.bound_address("admin listening").await;
        gate
    }

    /// The log so far.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// Where the clients of another listener connect.
    pub(crate) fn listener(&self, name: &str) -> SocketAddr {
        let lines = self.log.lines_saying("listening");
        let line = lines.iter().find(|line| line["listener"] == name).expect("every listener is told of");
        line["address"].as_str().unwrap().parse().unwrap()
    }

    /// Where the admin endpoint is.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// Waits until every listener is bound and every node has been probed once.
    pub(crate) async fn is_ready(&self) {
        until("the gate is ready", async || (self.get("/readyz").await?.0 == 200).then_some(())).await;
    }

    /// Waits until the route is `node`, or until there is none.
    pub(crate) async fn routes_to(&self, node: Option<&str>) {
        let what = format!("the gate routes to {node:?}");
        until(&what, async || (self.leader().await.as_deref() == node).then_some(())).await;
    }

    /// Waits until the gate counts `node` as being in `state`.
    pub(crate) async fn sees(&self, node: &str, state: &str) {
        let key = format!("raftgate_node_state{{cluster=\"controllers\",node=\"{node}\",state=\"{state}\"}}");
        until(&format!("{node} counts as {state}"), async || {
            (self.metrics().await?.get(&key) == Some(&1.0)).then_some(())
        })
        .await;
    }

    /// Waits until `name`, summed over its labels that contain `label`, is `wanted`.
    pub(crate) async fn counts(&self, name: &str, label: &str, wanted: impl Fn(f64) -> bool) -> f64 {
        until(&format!("{name} {label} is as wanted"), async || {
            let sum = sum(&self.metrics().await?, name, label);
            wanted(sum).then_some(sum)
        })
        .await
    }

    /// Waits until no connection is left, then checks the books: every accepted connection is accounted for.
    pub(crate) async fn assert_books_balance(&self) {
        self.counts("raftgate_connections_active", "", |active| active == 0.0).await;
        let metrics = within_deadline("the metrics", self.metrics()).await.expect("the gate still runs");
        let [accepted, refused, closed] =
            ["connections_total", "connections_refused_total", "connections_closed_total"]
                .map(|name| sum(&metrics, &format!("raftgate_{name}"), ""));
        assert!(
            (accepted - refused - closed).abs() < 0.5,
            "accepted {accepted} is not refused {refused} + closed {closed} + active 0: {metrics:#?}"
        );
        let held = sum(&metrics, "raftgate_held_connections", "");
        let sessions = sum(&metrics, "raftgate_sessions_active", "");
        assert!(held.abs() + sessions.abs() < 0.5, "{held} held and {sessions} sessions, but none active");
        assert!(sum(&metrics, "raftgate_task_panics_total", "") < 0.5, "a task has panicked: {metrics:#?}");
        assert!(sum(&metrics, "raftgate_task_hangs_total", "") < 0.5, "a task has hung: {metrics:#?}");
        self.close_books();
    }

    /// Its books have been looked at, or are where this gate is used.
    pub(crate) fn close_books(&self) {
        self.books_closed.store(true, Ordering::Relaxed);
    }

    /// All of `/metrics`; `None` while the gate does not answer.
    pub(crate) async fn metrics(&self) -> Option<Metrics> {
        metrics_of(self.admin).await
    }

    /// One request to the admin endpoint: status and body; `None` while it does not answer.
    pub(crate) async fn get(&self, path: &str) -> Option<(u16, String)> {
        get(self.admin, path).await
    }

    /// The processes that it has started to take its place, the newest last.
    pub(crate) fn heirs(&self) -> Vec<Pid> {
        let started = self.log.lines_saying("upgrade: a new process is started");
        let pids = started.iter().filter_map(|line| i32::try_from(line["pid"].as_i64()?).ok());
        pids.filter_map(Pid::from_raw).collect()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Stops it where it stands, as a virtual machine that is moved; its kernel still accepts.
    pub(crate) async fn stand_still(&self) {
        self.signal(Signal::STOP);
        let stat = format!("/proc/{}/stat", self.pid().as_raw_nonzero());
        until("the gate has stopped", async || {
            std::fs::read_to_string(&stat).ok()?.contains(") T ").then_some(())
        })
        .await;
    }

    /// Lets it go on after [`stand_still`](Self::stand_still).
    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// How many descriptors its process has.
    pub(crate) fn descriptors(&self) -> usize {
        self.open_descriptors().len()
    }

    /// How many of them are ends of pipes, but for those that it was started with.
    pub(crate) fn pipes(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.id());
        let targets = self.open_descriptors().into_iter().filter(|number| *number > 2);
        let targets = targets.filter_map(|number| std::fs::read_link(format!("{folder}/{number}")).ok());
        targets.filter(|target| target.to_string_lossy().starts_with("pipe:")).count()
    }

    fn open_descriptors(&self) -> BTreeSet<u64> {
        descriptors::open(self.pid()).unwrap()
    }

    /// Lets its process have only so many descriptors more than it has now.
    pub(crate) fn leave_descriptors(&self, free: u32) {
        descriptors::leave(self.pid(), free).unwrap();
    }

    /// How many threads its process has.
    pub(crate) fn threads(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/task", self.id())).unwrap().count()
    }

    /// How much memory its process occupies, in bytes.
    pub(crate) fn resident_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the gate still runs");
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.id()).unwrap()).unwrap()
    }

    fn id(&self) -> u32 {
        self.child.id().expect("the gate has not been waited for")
    }

    /// Waits for its end, and checks its last books: with them it says what became of every connection. A gate that is
    /// ended in the middle of its work (code 1), or whose log nobody reads, leaves none.
    pub(crate) async fn exits(&mut self) -> ExitStatus {
        let status = within_deadline("the gate's exit", self.child.wait()).await.unwrap();
        if status.success() && !self.log.unread.load(Ordering::Relaxed) {
            let stopped = async || self.log.lines_saying("stopped").pop();
            let said = until("the gate's last books", stopped).await;
            let [accepted, refused, closed, active] = ["accepted", "refused", "closed", "active"]
                .map(|name| said[name].as_i64().unwrap_or_else(|| panic!("no {name} in {said}")));
            assert_eq!((accepted, active), (refused + closed, 0), "{said}");
        }
        self.close_books();
        status
    }

    /// The route's node at this moment.
    pub(crate) async fn leader(&self) -> Option<String> {
        let metrics = self.metrics().await?;
        let (series, _) =
            metrics.iter().find(|(series, value)| series.starts_with("raftgate_leader{") && **value > 0.5)?;
        Some(series.split_once("node=\"")?.1.split_once('"')?.0.to_owned())
    }

    async fn bound_address(&mut self, message: &str) -> SocketAddr {
        let log = self.log.clone();
        until(&format!("the gate logs `{message}`"), async || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the gate ended with {status} before `{message}`:\n{}", log.text());
            }
            log.lines_saying(message).first().and_then(|line| line["address"].as_str()?.parse().ok())
        })
        .await
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        for heir in self.heirs() {
            // Most have ended, and it takes longer than any test until an id is used again.
            let _ = kill_process(heir, Signal::KILL);
        }
        if std::thread::panicking() {
            eprintln!("--- the gate's log:\n{}", self.log.text());
            return;
        }
        let checked = self.books_closed.load(Ordering::Relaxed);
        assert!(checked, "the test has ended without a look at the gate's books");
    }
}

impl Log {
    fn follow(&self, stream: impl AsyncRead + Unpin + Send + 'static) {
        let log = self.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stream).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                log.lines.lock().unwrap().push(line);
                if log.unread.load(Ordering::Relaxed) {
                    // The pipe stays open, and fills.
                    std::future::pending::<()>().await;
                }
            }
        });
    }

    /// After one more line nobody reads the log any more.
    pub(crate) fn leave_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    /// Every line.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// All of it.
    pub(crate) fn text(&self) -> String {
        self.lines().join("\n")
    }

    /// The fields of each line with exactly this message.
    pub(crate) fn lines_saying(&self, message: &str) -> Vec<Value> {
        let lines = self.lines();
        let parsed = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        parsed.map(fields).filter(|fields| fields["message"] == message).collect()
    }
}

/// A log line's fields, wherever the format puts them.
pub(crate) fn fields(mut line: Value) -> Value {
    if line["fields"].is_object() { line["fields"].take() } else { line }
}
