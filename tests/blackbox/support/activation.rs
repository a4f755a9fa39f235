//! Starts a gate as a service manager does: with sockets that were opened before it.

use std::fs;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use command_fds::{CommandFdExt, FdMapping};
use socket2::{Domain, Socket, Type};
use tokio::process::Command;

use super::certs::Authority;
use super::client::Trust;
use super::gate::raftgate;
use super::node::Node;
use super::scene::{Settings, configuration};
use super::wait::within_deadline;

/// The binary.
const BINARY: &str = env!("CARGO_BIN_EXE_raftgate");

/// A node that leads, and the configuration of a gate before it.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    pub(crate) trust: Trust,
    node: [Node; 1],
}

impl Place {
    /// The gate is to listen at this address, and to be watched at that one, or at any.
    pub(crate) async fn new(edge: &str, admin: Option<&str>) -> Self {
        let authority = Authority::new();
        let node = [Node::start(&authority, "n1", "lead").await];
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        let trust = Trust::new(&authority, &node);
        let place = Place { folder, trust, node };
        place.configure(edge, admin, "");
        place
    }

    /// From now on this is configured, and these lines.
    pub(crate) fn configure(&self, edge: &str, admin: Option<&str>, more: &str) {
        let text = configuration(&self.node, self.folder.path(), Settings::default());
        let text = text.replacen("\nbind = \"127.0.0.1:0\"", &format!("\nbind = \"{edge}\""), 1);
        let admin = format!("admin.bind = \"{}\"", admin.unwrap_or("127.0.0.1:0"));
        let text = text.replacen("admin.bind = \"127.0.0.1:0\"", &admin, 1);
        fs::write(self.file(), text + more).unwrap();
    }

    /// The configuration's file.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("raftgate.toml")
    }

    /// Where a gate is controlled.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    /// Runs a command against the gate.
    pub(crate) async fn command(&self, word: &str) -> Output {
        let output = raftgate().args([word, "--socket"]).arg(self.socket()).output();
        within_deadline(word, output).await.unwrap()
    }

    /// Whether whoever connects there gets to the node.
    pub(crate) async fn serves(&self, address: SocketAddr) -> bool {
        self.trust.visit(address).await.is_served_by("n1")
    }
}

/// The binary with these sockets, as a service manager starts it: it knows its own number only once it is there.
pub(crate) fn passing(sockets: Vec<OwnedFd>, pid: &str) -> Command {
    let mut command = std::process::Command::new("sh");
    let script = format!("export LISTEN_PID={pid}; exec \"$0\" \"$@\"");
    command.args(["-c", &script, BINARY]);
    command
        .env("LISTEN_FDS", sockets.len().to_string())
        .env("LISTEN_FDNAMES", vec!["unit"; sockets.len()].join(":"));
    let mappings = (3..).zip(sockets).map(|(child_fd, parent_fd)| FdMapping { parent_fd, child_fd });
    command.fd_mappings(mappings.collect()).unwrap();
    let mut command = Command::from(command);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// A port of both families, each with a socket of its own: for IPv4, and for IPv6 alone.
pub(crate) fn pair() -> ([Socket; 2], u16) {
    let listen = |domain, address: SocketAddr| {
        let socket = Socket::new(domain, Type::STREAM, None)?;
        if domain == Domain::IPV6 {
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;
        socket.listen(128)?;
        std::io::Result::Ok(socket)
    };
    // The port that is free for the one may be taken for the other.
    let both = |_| {
        let six = listen(Domain::IPV6, "[::]:0".parse().unwrap()).unwrap();
        let port = six.local_addr().unwrap().as_socket().unwrap().port();
        Some(([listen(Domain::IPV4, ([0, 0, 0, 0], port).into()).ok()?, six], port))
    };
    (0..100).find_map(both).expect("some port is free for both")
}
