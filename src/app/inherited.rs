//! Listening sockets as they come to a gate, from whoever has passed them or else by binding them, and what it takes to pass
//! them on (O3).

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

use tracing::warn;

use super::gate::StartError;
use crate::config::DEFAULT_SOCKET;
use crate::sockets::{self, Adopted, BindError, Passed, SocketFile};

/// The name under which one gate passes the next a socket that somebody else had passed to itself, and keeps.
const KEPT_ELSEWHERE: &str = "passed";
/// The control socket's own.
const CONTROL: &str = "admin.socket";

/// What was passed to this process, and by whom.
#[derive(Debug, Default)]
pub(super) struct Inherited {
    passed: Passed,
    /// Whether it was a gate, which leaves what it has bound itself to this one.
    by_gate: bool,
}

/// The sockets of one address.
#[derive(Debug)]
pub(super) struct Opened {
    /// At least one.
    pub(super) sockets: Vec<TcpListener>,
    /// Whether somebody keeps them who is no gate: systemd.
    pub(super) shared: bool,
}

/// The control socket.
#[derive(Debug)]
pub(super) struct OpenedLocal {
    pub(super) socket: UnixListener,
    /// Its name in the file system, unless that is somebody else's.
    pub(super) file: Option<SocketFile>,
}

/// A listening socket that can be passed on.
#[derive(Debug)]
pub(super) struct Key {
    /// What it is known by to the next gate.
    pub(super) name: String,
    pub(super) socket: OwnedFd,
}

impl Inherited {
    pub(super) fn new(passed: Passed, by_gate: bool) -> Self {
        Inherited { passed, by_gate }
    }

    /// The sockets that were passed for an address. `key` is what they are known by where the port is any.
    pub(super) fn tcp(&mut self, key: &str, address: SocketAddr) -> Result<Option<Opened>, BindError> {
        let failed = |source| BindError::Other { address, source };
        let adopted = self.passed.take_tcp(key, address).map_err(failed)?;
        let shared = adopted.iter().any(|adopted| self.is_kept_elsewhere(adopted));
        let sockets: Vec<TcpListener> = adopted.into_iter().map(|adopted| adopted.socket).collect();
        Ok((!sockets.is_empty()).then_some(Opened { sockets, shared }))
    }

    /// The control socket. Who has not asked for one does without where there can be none.
    pub(super) fn local(&mut self, path: &Path) -> Result<Option<OpenedLocal>, StartError> {
        if let Some(adopted) = self.passed.take_local(path).map_err(StartError::BindSocket)? {
            let file = (!self.is_kept_elsewhere(&adopted)).then(|| SocketFile::of_another(path));
            return Ok(Some(OpenedLocal { socket: adopted.socket, file }));
        }
        match sockets::bind_local(path) {
            Ok((socket, file)) => Ok(Some(OpenedLocal { socket, file: Some(file) })),
            Err(error) if path == Path::new(DEFAULT_SOCKET) => {
                warn!(
                    %error,
                    "no control socket: `raftgate status`, `drain` and the like cannot reach this gate; admin.socket names \
                     another path, or is \"\" for none"
                );
                Ok(None)
            }
            Err(error) => Err(StartError::BindSocket(error)),
        }
    }

    /// Closes what nobody has taken, and warns of it.
    pub(super) fn close(self) {
        for complaint in self.passed.into_complaints() {
            warn!("{complaint}");
        }
    }

    fn is_kept_elsewhere<S>(&self, adopted: &Adopted<S>) -> bool {
        !self.by_gate || adopted.name == KEPT_ELSEWHERE
    }
}

impl Opened {
    /// Once more each of them, to be passed on.
    pub(super) fn duplicates(&self) -> io::Result<Vec<OwnedFd>> {
        self.sockets.iter().map(|socket| socket.as_fd().try_clone_to_owned()).collect()
    }
}

impl Key {
    /// One for the next gate, by the name that it is known by there.
    pub(super) fn new(name: String, shared: bool, socket: &impl AsFd) -> io::Result<Self> {
        let name = if shared { KEPT_ELSEWHERE.to_owned() } else { name };
        Ok(Key { name, socket: socket.as_fd().try_clone_to_owned()? })
    }

    /// Another one of the same socket.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(Key { name: self.name.clone(), socket: self.socket.try_clone()? })
    }

    /// The control socket's.
    pub(super) fn of_control(opened: &OpenedLocal) -> io::Result<Self> {
        Key::new(CONTROL.to_owned(), opened.file.is_none(), &opened.socket)
    }
}
