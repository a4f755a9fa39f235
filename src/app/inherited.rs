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
use crate::sockets::{self, BindError, Passed, SocketFile, covers, overlap};

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
    /// What is wrong with what was taken, in words.
    complaints: Vec<String>,
}

/// Sockets that are bound to one address.
#[derive(Debug)]
pub(super) struct Opened {
    /// That address, which is another than the configured one where the system has chosen the port, or where several
    /// stand for all of the machine: 0.0.0.0 and [::].
    pub(super) bound: SocketAddr,
    /// At least one.
    pub(super) sockets: Vec<TcpListener>,
    /// Whether somebody keeps them who is no gate: systemd.
    pub(super) shared: bool,
}

/// What new addresses are bound to, and beside what.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// How many sockets each gets.
    pub(super) count: usize,
    /// Whether it is the gate itself that has a socket where such an address would be. It can only be one that is about
    /// to be closed: those of one configuration are in nobody's way.
    pub(super) is_own: &'a dyn Fn(SocketAddr) -> bool,
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
        Inherited { passed, by_gate, complaints: Vec::new() }
    }

    /// What serves an address: the sockets that were passed for it, and if they are not all of it, as many as `wanted` says,
    /// bound. `key` is what they are known by where the port is any.
    ///
    /// What a gate passes that is a part of it, 127.0.0.1 where it is 0.0.0.0, say, is served on, since the kernel goes on
    /// sending clients there as long as the old process has it.
    ///
    /// # Errors
    /// It cannot be listened on; nothing stays bound.
    pub(super) fn open(
        &mut self,
        key: &str,
        address: SocketAddr,
        wanted: Wanted<'_>,
    ) -> Result<Vec<Opened>, BindError> {
        let failed = |source| BindError::Other { address, source };
        let mut opened = self.take(key, address).map_err(failed)?;
        if let Some(missing) = missing(address, &opened) {
            // The gate's own: 0.0.0.0 stands aside for 127.0.0.1, say, or what was removed a moment ago is back.
            let beside = (wanted.is_own)(missing) || self.has_predecessor_at(missing, &opened);
            let sockets = bind(missing, wanted.count, beside).map_err(|error| self.explain(error))?;
            let bound = sockets[0].local_addr().map_err(failed)?;
            opened.push(Opened { bound, sockets, shared: false });
        }
        let sockets: Vec<&TcpListener> = opened.iter().flat_map(|opened| &opened.sockets).collect();
        self.complaints.extend(sockets::who_is_lost(address, &sockets));
        Ok(opened)
    }

    /// Whether a gate has passed sockets, be they taken already, that would be in the way of this address.
    fn has_predecessor_at(&self, address: SocketAddr, taken: &[Opened]) -> bool {
        self.by_gate && (!taken.is_empty() || self.passed.left().any(|(_, bound)| overlap(bound, address)))
    }

    /// The error, with who it is that has the address, if that is known.
    fn explain(&self, error: BindError) -> BindError {
        let BindError::InUse { address } = error else { return error };
        let in_the_way =
            |(name, bound): &(&str, SocketAddr)| overlap(*bound, address) && self.is_kept_elsewhere(name);
        match self.passed.left().find(in_the_way) {
            Some((_, held)) => BindError::HeldElsewhere { address, held },
            None => error,
        }
    }

    /// The sockets that were passed for an address, by what they are bound to.
    fn take(&mut self, key: &str, address: SocketAddr) -> io::Result<Vec<Opened>> {
        let mut opened: Vec<Opened> = Vec::new();
        let mut all = self.passed.take_tcp(key, address)?;
        if self.by_gate {
            all.extend(self.passed.take_within(address, |name| name != KEPT_ELSEWHERE)?);
        }
        for adopted in all {
            let (bound, shared) = (adopted.socket.local_addr()?, self.is_kept_elsewhere(&adopted.name));
            match opened.iter_mut().find(|known| (known.bound, known.shared) == (bound, shared)) {
                Some(known) => known.sockets.push(adopted.socket),
                None => opened.push(Opened { bound, sockets: vec![adopted.socket], shared }),
            }
        }
        Ok(opened)
    }

    /// The control socket. Who has not asked for one does without where there can be none.
    pub(super) fn local(&mut self, path: &Path) -> Result<Option<OpenedLocal>, StartError> {
        if let Some(adopted) = self.passed.take_local(path).map_err(StartError::BindSocket)? {
            let file = (!self.is_kept_elsewhere(&adopted.name)).then(|| SocketFile::of_another(path));
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

    /// Warns of what nobody has taken. Somebody who is no gate keeps his sockets open anyway: they are kept here, too, for a
    /// configuration that is still to come. What a gate has bound for itself is closed.
    pub(super) fn settle(mut self) -> Self {
        let by_gate = self.by_gate;
        let complaints = self.passed.settle(|name| !by_gate || name == KEPT_ELSEWHERE);
        for complaint in self.complaints.into_iter().chain(complaints) {
            warn!("{complaint}");
        }
        Inherited { passed: self.passed, ..Inherited::default() }
    }

    /// What is left of it, and with it these sockets, which somebody keeps who is no gate.
    pub(super) fn with(&self, more: Vec<OwnedFd>) -> io::Result<Self> {
        let mut passed = self.passed.try_clone()?;
        for socket in more {
            passed.put(socket);
        }
        Ok(Inherited { passed, ..Inherited::default() })
    }

    /// What is left of it, to be passed on.
    pub(super) fn keys(&self) -> io::Result<Vec<Key>> {
        self.passed.sockets().map(|socket| Key::new(String::new(), true, socket)).collect()
    }

    fn is_kept_elsewhere(&self, name: &str) -> bool {
        !self.by_gate || name == KEPT_ELSEWHERE
    }
}

/// What is still to be bound for an address where this is open: all of it, unless it is covered. Somebody who is no gate
/// lets nothing be bound beside what is his.
fn missing(address: SocketAddr, open: &[Opened]) -> Option<SocketAddr> {
    // The system may have chosen the port.
    let port = open.first().map_or(address.port(), |opened| opened.bound.port());
    let address = SocketAddr::new(address.ip(), port);
    let is_served = open.iter().any(|opened| opened.shared || covers(opened.bound, address));
    (!is_served).then_some(address)
}

fn bind(address: SocketAddr, count: usize, beside: bool) -> Result<Vec<TcpListener>, BindError> {
    sockets::bind(address, count).or_else(|error| match error {
        BindError::InUse { .. } if beside => sockets::bind_beside(address, count),
        error => Err(error),
    })
}

impl Opened {
    /// The same sockets once more.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        let sockets = self.sockets.iter().map(TcpListener::try_clone).collect::<io::Result<_>>()?;
        Ok(Opened { bound: self.bound, sockets, shared: self.shared })
    }

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

    /// The control socket's.
    pub(super) fn of_control(opened: &OpenedLocal) -> io::Result<Self> {
        Key::new(CONTROL.to_owned(), opened.file.is_none(), &opened.socket)
    }
}
