//! HAProxy as a process, with the configuration that people put before raft clusters.

use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use rustix::process::Pid;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::support::node::Node;
use crate::support::wait::until;

/// Where Debian puts it, unless it is in the path.
const BINARY: &str = "haproxy";
/// How it asks who leads: only a node that answers 200 is up.
pub(crate) const CHECKS: &str = "  option httpchk GET /health-checks/controller/raft\n  \
    http-check expect status 200\n  default-server check check-ssl verify none";

/// A running HAProxy; it is killed when this is dropped.
pub(crate) struct Haproxy {
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    log: PathBuf,
    child: Child,
}

impl Haproxy {
    /// Lets HAProxy itself judge the configuration for these nodes.
    pub(crate) async fn check(nodes: &[Node], folder: &Path, checks: &str) -> io::Result<Output> {
        let file = folder.join("haproxy.cfg");
        std::fs::write(&file, configuration(free_address(), "", nodes, checks))?;
        command().arg("-c").arg("-f").arg(file).output().await
    }

    /// Starts it before these nodes, with `checks` added to each server, and waits until it accepts.
    pub(crate) async fn start(nodes: &[Node], folder: &Path, checks: &str) -> Self {
        Self::start_with("", nodes, folder, checks).await
    }

    /// The same with lines of their own for its frontend.
    pub(crate) async fn start_with(frontend: &str, nodes: &[Node], folder: &Path, checks: &str) -> Self {
        let address = free_address();
        let (file, log) = (folder.join("haproxy.cfg"), folder.join("haproxy.log"));
        std::fs::write(&file, configuration(address, frontend, nodes, checks))
            .expect("the folder can be written");
        let to_log = std::fs::File::create(&log).expect("the folder can be written");
        let mut command = command();
        command.arg("-db").arg("-f").arg(file).stdout(Stdio::null()).stderr(to_log);
        let mut child = command.spawn().expect("HAProxy was there a moment ago");
        until("HAProxy accepts", async || {
            assert_eq!(
                child.try_wait().ok()?,
                None,
                "HAProxy has ended: {:?}",
                std::fs::read_to_string(&log)
            );
            TcpStream::connect(address).await.ok()
        })
        .await;
        Haproxy { address, log, child }
    }

    /// Its process.
    pub(crate) fn process(&self) -> Pid {
        let id = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        id.expect("it has not been waited for")
    }

    /// What it has said of its servers.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

fn command() -> Command {
    let mut command = Command::new(BINARY);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/usr/local/sbin")).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// An address below the ports that the kernel gives to clients, since HAProxy cannot say which one it was given.
pub(crate) fn free_address() -> SocketAddr {
    static PORTS: AtomicU16 = AtomicU16::new(20_000);
    loop {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, PORTS.fetch_add(1, Ordering::Relaxed)));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

fn configuration(bind: SocketAddr, frontend: &str, nodes: &[Node], checks: &str) -> String {
    let mut text = format!(
        "global\n  maxconn 8000\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n\
         frontend edge\n  bind {bind}\n{frontend}  default_backend controllers\n\
         backend controllers\n{CHECKS}{checks}\n"
    );
    for node in nodes {
        writeln!(text, "  server {} {}:{}", node.name, node.host, node.port)
            .expect("a string can be written");
    }
    text
}
