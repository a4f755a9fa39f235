//! Sockets that whoever started this process has passed to it (O3), by systemd's protocol: `sd_listen_fds(3)`.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use listenfd::ListenFd;
use socket2::{Domain, SockRef, Socket, Type};

use super::local::LocalSocketError;
use super::quiesce::end_quiescence;
use super::reach::covers;
use super::system::is_listener;
use super::tune::tune;

/// The number of the first descriptor that is passed.
pub const FIRST_PASSED: usize = 3;
/// How many are taken. Nobody passes more by intent: the number is the environment's, and may be anything.
pub const MOST_PASSED: usize = 4096;

/// What was passed and nobody has taken yet.
#[derive(Debug, Default)]
pub struct Passed {
    sockets: Vec<PassedSocket>,
    /// What is wrong with those that were no use, in words.
    complaints: Vec<String>,
}

/// One passed socket.
#[derive(Debug)]
struct PassedSocket {
    name: String,
    socket: Socket,
}

/// A listening socket that was passed.
#[derive(Debug)]
pub struct Adopted<S> {
    /// The name that it was passed under (`LISTEN_FDNAMES`); empty if it has none.
    pub name: String,
    /// The socket: non-blocking, closed on exec.
    pub socket: S,
}

impl Passed {
    /// Takes what was passed to this process out of its environment. To be called once, before there is any other
    /// thread, since it changes the environment.
    pub fn from_environment() -> Self {
        let set = |name: &str| std::env::var(name).unwrap_or_default();
        // Without it they may be anybody's: it is only ever left out by others than systemd.
        if set("LISTEN_PID") != std::process::id().to_string() {
            return Passed::default();
        }
        let names = set("LISTEN_FDNAMES");
        let mut names = names.split(':');
        let mut descriptors = ListenFd::from_env();
        let mut passed =
            Passed { complaints: beyond(descriptors.len()).into_iter().collect(), ..Passed::default() };
        for place in 0..descriptors.len().min(MOST_PASSED) {
            let name = names.next().unwrap_or_default().to_owned();
            passed.take_in(place, name, &mut descriptors);
        }
        passed
    }

    fn take_in(&mut self, place: usize, name: String, descriptors: &mut ListenFd) {
        let kinds = [Domain::IPV4, Domain::UNIX];
        let taken = kinds.into_iter().find_map(|kind| {
            // The first kind stands for IPv6, too.
            descriptors.take_custom::<OwnedFd>(place, kind.into(), Type::STREAM.into(), "").ok().flatten()
        });
        match taken {
            Some(socket) => self.sockets.push(PassedSocket { name, socket: socket.into() }),
            None => self.complaints.push(format!(
                "descriptor {}{} was passed to the gate and is no stream socket: it is not used",
                FIRST_PASSED + place,
                in_brackets(&name)
            )),
        }
    }

    /// Whether nothing was passed, or all of it has been taken.
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// Takes the listening sockets that are bound to `address`: non-blocking, and with the options that connections of
    /// clients inherit. `[::]` means every address of the machine, as in [`bind`](super::bind), so it is also met by
    /// `0.0.0.0`, and port 0 any port of a socket that was passed under the name `key`.
    ///
    /// # Errors
    /// A socket that cannot be used.
    pub fn take_tcp(&mut self, key: &str, address: SocketAddr) -> io::Result<Vec<Adopted<TcpListener>>> {
        let taken = self.take(|passed| {
            passed
                .bound()
                .is_some_and(|bound| serves(bound, address) && (address.port() != 0 || passed.name == key))
        });
        taken.into_iter().map(PassedSocket::adopt).collect()
    }

    /// Takes the listening sockets that are bound to no more than `address` means, such as 127.0.0.1 where that is
    /// 0.0.0.0, of those with a name that is `wanted`; else as [`take_tcp`](Self::take_tcp).
    ///
    /// # Errors
    /// A socket that cannot be used.
    pub fn take_within(
        &mut self,
        address: SocketAddr,
        wanted: impl Fn(&str) -> bool,
    ) -> io::Result<Vec<Adopted<TcpListener>>> {
        let is_within = |passed: &PassedSocket| passed.bound().is_some_and(|bound| covers(address, bound));
        let taken = self.take(|passed| wanted(&passed.name) && is_within(passed));
        taken.into_iter().map(PassedSocket::adopt).collect()
    }

    /// What the listening sockets that nobody has taken are bound to, with the names that they were passed under.
    pub fn left(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        let listeners = self.sockets.iter().filter(|passed| is_listener(&passed.socket));
        listeners.filter_map(|passed| Some((passed.name.as_str(), passed.bound()?)))
    }

    /// Takes the listening socket that is bound to this path, non-blocking; not one whose file is gone, since nobody could
    /// reach it any more.
    ///
    /// # Errors
    /// Others than its owner may use it, and this process cannot change that (O6); or it cannot be used.
    pub fn take_local(&mut self, path: &Path) -> Result<Option<Adopted<UnixListener>>, LocalSocketError> {
        let mut taken = self.take(|passed| {
            passed.socket.local_addr().is_ok_and(|bound| bound.as_pathname().is_some_and(|it| it == path))
        });
        let Some(PassedSocket { name, socket }) = taken.pop() else { return Ok(None) };
        let failed = |source| LocalSocketError::Other { path: path.to_owned(), source };
        socket.set_nonblocking(true).map_err(failed)?;
        let mode = match std::fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.complaints.push(format!(
                    "the file of the control socket {} is gone: it is made anew, and the socket that was passed is closed",
                    path.display()
                ));
                return Ok(None);
            }
            found => found.map_err(failed)?.permissions().mode() & 0o777,
        };
        if mode & 0o077 != 0
            && std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode & 0o700)).is_err()
        {
            return Err(LocalSocketError::OpenToOthers { path: path.to_owned(), mode });
        }
        Ok(Some(Adopted { name, socket: socket.into() }))
    }

    /// Takes a connection that was passed under this name.
    pub fn take_connection(&mut self, name: &str) -> Option<UnixStream> {
        let place = self.sockets.iter().position(|passed| {
            passed.name == name && is_local(&passed.socket) && !is_listener(&passed.socket)
        })?;
        Some(self.sockets.swap_remove(place).socket.into())
    }

    /// Closes what nobody has taken, but for listening sockets with a name that is to be `kept`. Each of it is told in a
    /// line, and so is what was taken and is not as it should be.
    pub fn settle(&mut self, kept: impl Fn(&str) -> bool) -> Vec<String> {
        let mut complaints = std::mem::take(&mut self.complaints);
        for passed in std::mem::take(&mut self.sockets) {
            let name = in_brackets(&passed.name);
            if !is_listener(&passed.socket) {
                let descriptor = passed.socket.as_raw_fd();
                complaints.push(format!(
                    "descriptor {descriptor}{name} was passed to the gate and does not listen: it is closed"
                ));
            } else if kept(&passed.name) {
                complaints.push(format!(
                    "the socket {}{name} was passed to the gate, but no `bind`, `admin.bind` or `admin.socket` of the \
                     configuration is this address: nobody is served there; make the two agree, and reload (for \
                     `admin`: upgrade)",
                    bound_to(&passed.socket)
                ));
                self.sockets.push(passed);
            } else {
                complaints.push(format!(
                    "the socket {}, which the process before had, is no address of the configuration: it is closed",
                    bound_to(&passed.socket)
                ));
            }
        }
        complaints
    }

    /// Once more each that nobody has taken.
    ///
    /// # Errors
    /// There are no descriptors for them.
    pub fn try_clone(&self) -> io::Result<Self> {
        let once_more = |passed: &PassedSocket| {
            Ok(PassedSocket { name: passed.name.clone(), socket: passed.socket.try_clone()? })
        };
        let sockets = self.sockets.iter().map(once_more).collect::<io::Result<_>>()?;
        Ok(Passed { sockets, complaints: Vec::new() })
    }

    /// Takes back one that was taken.
    pub fn put(&mut self, socket: OwnedFd) {
        self.sockets.push(PassedSocket { name: String::new(), socket: socket.into() });
    }

    /// Each that nobody has taken.
    pub fn sockets(&self) -> impl Iterator<Item = &impl AsFd> {
        self.sockets.iter().map(|passed| &passed.socket)
    }

    /// The listening sockets that are as wanted, in the order in which they were passed.
    fn take(&mut self, wanted: impl Fn(&PassedSocket) -> bool) -> Vec<PassedSocket> {
        let all = std::mem::take(&mut self.sockets);
        let (taken, left) = all.into_iter().partition(|passed| is_listener(&passed.socket) && wanted(passed));
        self.sockets = left;
        taken
    }
}

impl PassedSocket {
    fn bound(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()?.as_socket()
    }

    fn adopt(self) -> io::Result<Adopted<TcpListener>> {
        let PassedSocket { name, socket } = self;
        socket.set_nonblocking(true)?;
        tune(&socket)?;
        // Whoever had it before may have died while it stopped.
        end_quiescence(&socket);
        Ok(Adopted { name, socket: socket.into() })
    }
}

/// Whether a socket that is bound there is what a configured address means.
fn serves(bound: SocketAddr, wanted: SocketAddr) -> bool {
    let (bound_ip, wanted_ip) = (bound.ip().to_canonical(), wanted.ip().to_canonical());
    let same_ip = bound_ip == wanted_ip
        || (wanted.is_ipv6() && wanted_ip.is_unspecified() && bound_ip.is_unspecified());
    same_ip && (wanted.port() == bound.port() || wanted.port() == 0)
}

/// What is said where so many were passed.
fn beyond(count: usize) -> Option<String> {
    (count > MOST_PASSED).then(|| {
        format!(
            "{count} descriptors were passed to the gate, which takes {MOST_PASSED}: the others are not used, and whoever \
             connects there finds nobody; pass fewer"
        )
    })
}

/// Who finds nobody where these sockets are all that there is for an address, in words; `None` if everybody is served.
pub fn who_is_lost(address: SocketAddr, sockets: &[&TcpListener]) -> Option<String> {
    let is_everywhere = address.is_ipv6() && address.ip().is_unspecified();
    let is_ipv6 = |socket: &TcpListener| socket.local_addr().is_ok_and(|bound| bound.is_ipv6());
    let is_ipv6_alone = |socket| is_ipv6(socket) && SockRef::from(socket).only_v6().unwrap_or(false);
    let port = address.port();
    if !is_everywhere {
        None
    } else if sockets.iter().all(|socket| is_ipv6_alone(socket)) {
        Some(format!(
            "the socket for {address} takes IPv6 alone, so that IPv4 clients find nobody: let the socket unit have \
             BindIPv6Only=both, or a second ListenStream=0.0.0.0:{port}"
        ))
    } else if !sockets.iter().any(|socket| is_ipv6(socket)) {
        Some(format!(
            "the socket for {address} takes IPv4 alone, so that IPv6 clients find nobody: let the socket unit have \
             ListenStream={port} and BindIPv6Only=both, or `bind` be \"0.0.0.0:{port}\" if it is to be so"
        ))
    } else {
        None
    }
}

fn is_local(socket: &Socket) -> bool {
    socket.local_addr().is_ok_and(|bound| bound.is_unix())
}

fn bound_to(socket: &Socket) -> String {
    let Ok(bound) = socket.local_addr() else { return "of an unknown address".to_owned() };
    match (bound.as_socket(), bound.as_pathname()) {
        (Some(address), _) => address.to_string(),
        (None, Some(path)) => path.display().to_string(),
        (None, None) => "without a name".to_owned(),
    }
}

fn in_brackets(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!(" ({name})") }
}

#[cfg(test)]
mod tests;
