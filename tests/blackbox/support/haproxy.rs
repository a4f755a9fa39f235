//! HAProxy, before the gate or before its nodes, with a log of who came.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Stdio;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::skip;
use super::wait::until;

/// What a line of the log is about: the client, and what it connected to.
const LOG_FORMAT: &str = "log-format \"%ft %ci:%cp to %fi:%fp\"";

/// Where programs are that only administrators run, too.
pub(crate) fn path() -> String {
    std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/usr/local/sbin"
}

/// Whether there is a HAProxy; where not, `what` is not run.
pub(crate) fn is_installed(what: &str) -> bool {
    let found = std::env::split_paths(&path()).any(|folder| folder.join("haproxy").is_file());
    if !found {
        skip(&format!("{what}: `haproxy` is not installed"));
    }
    found
}

/// A running HAProxy; it is killed when this is dropped.
pub(crate) struct Haproxy {
    _child: Child,
    _folder: TempDir,
    lines: Arc<Mutex<Vec<String>>>,
}

/// Addresses that nobody else binds: ports of a loopback address of their own.
pub(crate) fn own_addresses<const N: usize>() -> [SocketAddr; N] {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let ip = Ipv4Addr::new(127, high | 0x80, low, NEXT.fetch_add(1, Ordering::Relaxed));
    // All are open at once, so that they differ.
    let open: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind((ip, 0)).unwrap());
    open.map(|listener| listener.local_addr().unwrap())
}

impl Haproxy {
    /// Starts it with these sections, and waits until it listens at these addresses.
    pub(crate) async fn start(sections: &str, listening: &[SocketAddr]) -> Self {
        let text = format!(
            "global\n  log stdout format raw local0\n  nbthread 1\ndefaults\n  mode tcp\n  log global\n  {LOG_FORMAT}\n  \
             timeout connect 30s\n  timeout client 30s\n  timeout server 30s\n{sections}\n"
        );
        Self::run(&text, &[], listening).await
    }

    /// Starts it with this text as its file and these variables, and waits until it listens at these addresses.
    pub(crate) async fn run(text: &str, variables: &[(&str, &str)], listening: &[SocketAddr]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("haproxy.cfg");
        std::fs::write(&file, text).unwrap();
        let mut child = Command::new("haproxy")
            .args(["-db", "-f"])
            .arg(&file)
            .env("PATH", path())
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let kept = Arc::clone(&lines);
        tokio::spawn(async move {
            while let Ok(Some(line)) = output.next_line().await {
                kept.lock().unwrap().push(line);
            }
        });
        for address in listening {
            until("HAProxy listens", async || TcpStream::connect(address).await.ok()).await;
        }
        Haproxy { _child: child, _folder: folder, lines }
    }

    /// Waits until it has logged that this client came to `frontend`, having connected to `destination`.
    pub(crate) async fn saw(&self, frontend: &str, client: SocketAddr, destination: SocketAddr) {
        let wanted = format!("{frontend} {client} to {destination}");
        until(&format!("HAProxy logs {wanted:?}"), async || self.log().contains(&wanted).then_some(())).await;
    }

    fn log(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- HAProxy's log:\n{}", self.log().join("\n"));
        }
    }
}
