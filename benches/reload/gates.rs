//! What is compared: each before the same nodes, told to read its configuration again in its own way.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::support::gate::Gate;
use crate::support::haproxy;
use crate::support::node::Node;
use crate::support::scene::{Settings, configuration};
use crate::support::wait::until;

/// What stands before the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Raftgate as it comes.
    Raftgate,
    /// HAProxy with its checks as often as Raftgate's probes.
    Haproxy,
}

/// A running one; it is killed when this is dropped.
pub(crate) enum Running {
    Raftgate(Box<Gate>),
    Haproxy { address: SocketAddr, master: Box<Child> },
}

impl Kind {
    /// Both, in the order of the report.
    pub(crate) const ALL: [Self; 2] = [Self::Raftgate, Self::Haproxy];

    /// Starts it before these nodes; `folder` has the authority's certificate in `ca.pem`.
    pub(crate) async fn start(self, nodes: &[Node], folder: &Path) -> Running {
        if self == Self::Raftgate {
            let file = folder.join("raftgate.toml");
            let text = configuration(nodes, folder, Settings::default());
            std::fs::write(&file, text).expect("the folder can be written");
            let gate = Gate::start(&file).await;
            gate.is_ready().await;
            return Running::Raftgate(Box::new(gate));
        }
        let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let address = address.expect("there is a free port");
        let file = folder.join("haproxy.cfg");
        std::fs::write(&file, haproxy_cfg(address, nodes, folder)).expect("the folder can be written");
        let mut command = Command::new("haproxy");
        command.env("PATH", haproxy::path()).args(["-W", "-f"]).arg(file);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let master = command.spawn().expect("HAProxy is installed");
        until("HAProxy accepts", async || TcpStream::connect(address).await.ok()).await;
        Running::Haproxy { address, master: Box::new(master) }
    }
}

impl Running {
    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::Raftgate(gate) => gate.address,
            Self::Haproxy { address, .. } => *address,
        }
    }

    /// Tells it to read its configuration again.
    pub(crate) fn reload(&self) {
        match self {
            Self::Raftgate(gate) => gate.signal(Signal::HUP),
            Self::Haproxy { master, .. } => {
                let master = Pid::from_raw(id(master).cast_signed()).expect("it lives");
                kill_process(master, Signal::USR2).expect("it lives");
            }
        }
    }

    /// How many processes it is.
    pub(crate) fn processes(&self) -> usize {
        match self {
            Self::Raftgate(_) => 1,
            Self::Haproxy { master, .. } => {
                let children = format!("/proc/{0}/task/{0}/children", id(master));
                1 + std::fs::read_to_string(children).unwrap_or_default().split_whitespace().count()
            }
        }
    }

    /// Ends it once its last client is gone; Raftgate's books must balance.
    pub(crate) async fn end(self) {
        if let Self::Raftgate(gate) = self {
            gate.assert_books_balance().await;
        }
    }
}

fn id(master: &Child) -> u32 {
    master.id().expect("it has not been waited for")
}

fn haproxy_cfg(bind: SocketAddr, nodes: &[Node], folder: &Path) -> String {
    let mut text = format!(
        "global\n  maxconn 8000\n  stats socket {}/haproxy.sock mode 600 level admin expose-fd listeners\n\
         defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 10m\n  timeout server 10m\n\
         frontend edge\n  bind {bind}\n  default_backend controllers\n\
         backend controllers\n  option httpchk GET /health-checks/controller/raft\n  http-check expect status 200\n  \
         default-server check check-ssl verify none inter 250ms\n",
        folder.display()
    );
    for node in nodes {
        writeln!(text, "  server {} {}:{}", node.name, node.host, node.port)
            .expect("a string can be written");
    }
    text
}
