//! A peer as a process: started, watched for what it costs, ended with all that it has started.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::processes::{cpu_seconds, family, memory};

/// How long a peer may take until it knows who leads.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// A program with its arguments.
pub(crate) struct Invocation {
    /// The program, in the path or where Debian puts it.
    pub(crate) program: &'static str,
    /// What it is told.
    pub(crate) arguments: Vec<String>,
}

/// A running peer; it is killed when this is dropped.
pub(crate) struct Proxy {
    child: Child,
    log: PathBuf,
}

impl Invocation {
    /// Runs it to its end.
    pub(crate) async fn output(&self) -> std::io::Result<Output> {
        self.command(None).output().await
    }

    fn command(&self, core: Option<usize>) -> Command {
        let mut command = match core {
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["--cpu-list", &core.to_string(), self.program]);
                command
            }
            None => Command::new(self.program),
        };
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("RAFTGATE_") {
                command.env_remove(name);
            }
        }
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/usr/local/sbin")).args(&self.arguments);
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }
}

impl Proxy {
    /// Starts one, on one core if it is given. What it says goes to a file in `folder`.
    pub(crate) fn start(
        invocation: &Invocation,
        folder: &Path,
        core: Option<usize>,
    ) -> std::io::Result<Self> {
        let log = folder.join("log");
        let said = File::create(&log)?;
        let mut command = invocation.command(core);
        let child = command.stdout(said.try_clone()?).stderr(said).spawn()?;
        Ok(Proxy { child, log })
    }

    /// Waits until `is_ready` says so.
    pub(crate) async fn settle(&mut self, is_ready: impl AsyncFn(&str) -> bool) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("it has ended with {status}: {}", self.last_words()));
            }
            if is_ready(&self.log()).await {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("not ready within {PATIENCE:?}: {}", self.last_words()));
            }
            sleep(LOOK).await;
        }
    }

    /// The processes that it consists of.
    pub(crate) fn family(&self) -> Result<Vec<Pid>, String> {
        let root =
            self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)).ok_or("it has ended")?;
        family(root).map_err(|error| error.to_string())
    }

    /// The memory of all its processes, in bytes.
    pub(crate) fn memory(&self) -> Result<f64, String> {
        let of_all = self.family()?.into_iter().map(memory).sum::<std::io::Result<f64>>();
        of_all.map_err(|error| format!("its memory: {error}; its last words: {}", self.last_words()))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join(" / ")
    }
}

impl Drop for Proxy {
    /// Workers outlive a master that is killed, so each of the family is.
    fn drop(&mut self) {
        for process in self.family().unwrap_or_default() {
            // Who has ended meanwhile needs no signal.
            let _ = kill_process(process, Signal::KILL);
        }
    }
}

/// The CPU time of these processes.
pub(crate) fn cpu(family: &[Pid]) -> Result<f64, String> {
    let of_all = family.iter().map(|&process| cpu_seconds(process)).sum::<std::io::Result<f64>>();
    of_all.map_err(|error| format!("its CPU time: {error}"))
}

/// Whether somebody accepts there.
pub(crate) async fn accepts(address: SocketAddr) -> bool {
    TcpStream::connect(address).await.is_ok()
}

/// Whether an HTTP server answers 200 to this path.
pub(crate) async fn says_ok(address: SocketAddr, path: &str) -> bool {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer.starts_with("HTTP/1.1 200 "))
    };
    timeout(Duration::from_secs(5), exchange).await.is_ok_and(|answer| answer.is_ok_and(|is_ok| is_ok))
}
