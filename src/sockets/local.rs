//! Binds a Unix socket that its owner alone may use (O6), in the place of a dead process's but never of a living one's.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

/// Read and write for the owner: connecting takes the right to write.
const OWNER_ONLY: u32 = 0o600;
/// How many connections may wait to be accepted.
const BACKLOG: i32 = 64;
/// How often, and how long after one another, the folder's lock is tried; another gate needs it for a moment.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// Why a Unix socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LocalSocketError {
    /// A living process listens on it.
    #[error("{}: another process serves it, perhaps another raftgate; stop that one or name another path", path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// What is there is no socket.
    #[error("{}: there is something that is no socket; remove it or name another path", path.display())]
    NoSocket {
        /// The path.
        path: PathBuf,
    },
    /// The folder is not there.
    #[error("{}: there is no such folder; make it (systemd: RuntimeDirectory=raftgate) or name another path", folder.display())]
    NoFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// This user may not make it.
    #[error(
        "{}: this user may not make a socket here; let it write to the folder, or name a path where it may",
        path.display()
    )]
    PermissionDenied {
        /// The path.
        path: PathBuf,
    },
    /// It was passed, and others than its owner may use it.
    #[error(
        "{}: others may use the socket that was passed (its mode is {mode:03o}), and this user may not change that; \
         let the socket unit have SocketMode=0600, and SocketUser= the user that runs the gate",
        path.display()
    )]
    OpenToOthers {
        /// The path.
        path: PathBuf,
        /// What its mode is.
        mode: u32,
    },
    /// Anything else.
    #[error("{}: {source}", path.display())]
    Other {
        /// The path.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// The name of a socket in the file system. Dropped, it goes, unless it has become another socket's.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    identity: Option<(u64, u64)>,
    /// The identity under which it was left to another process.
    left: Option<(u64, u64)>,
}

impl SocketFile {
    /// The name of a socket that another process has, too: it stays when this is dropped, unless it is
    /// [`taken over`](Self::take_over).
    pub fn of_another(path: &Path) -> Self {
        SocketFile { path: path.to_owned(), identity: None, left: None }
    }

    /// It is this process's from now on, and goes with it.
    pub fn take_over(&mut self) {
        self.identity = identity(&self.path);
    }

    /// It is another process's from now on: it stays when this is dropped.
    pub fn leave(&mut self) {
        self.left = self.identity.take().or(self.left);
    }

    /// It is this process's again, if it still is the one that was left. Returns whether it is.
    pub fn restore(&mut self) -> bool {
        let found = identity(&self.path);
        if found.is_some() && found == self.left {
            self.identity = self.left.take();
        }
        self.identity.is_some() && found == self.identity
    }

    /// Removes it from the file system, as long as it is this process's.
    pub fn remove(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            // What stays is replaced by the next gate.
            let _ = fs::remove_file(&self.path);
        }
        (self.identity, self.left) = (None, None);
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Listens on `path`, non-blocking. Nobody but its owner can ever connect: it listens only once its mode is 0600. What
/// a process that is gone has left there is replaced. Waits for up to a second for another process that binds in the
/// same folder.
///
/// # Errors
/// [`LocalSocketError`]; what is there stays as it is.
pub fn bind_local(path: &Path) -> Result<(UnixListener, SocketFile), LocalSocketError> {
    let failed = |error: io::Error| LocalSocketError::new(path, error);
    // Two that find the same dead socket must not both replace it. It is let go at the end.
    let _alone = path.parent().and_then(lock);
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    let address = SockAddr::unix(path).map_err(failed)?;
    if let Err(error) = socket.bind(&address) {
        if error.kind() != ErrorKind::AddrInUse {
            return Err(failed(error));
        }
        remove_dead(path, &address)?;
        socket.bind(&address).map_err(failed)?;
    }
    let file = SocketFile { path: path.to_owned(), identity: identity(path), left: None };
    fs::set_permissions(path, Permissions::from_mode(OWNER_ONLY)).map_err(failed)?;
    socket.listen(BACKLOG).map_err(failed)?;
    Ok((socket.into(), file))
}

/// Keeps others who would bind in this folder out. It is help against accidents: where the lock cannot be had, because
/// somebody holds it for ever or the file system has none, it goes on without.
fn lock(folder: &Path) -> Option<File> {
    let folder = File::open(folder).ok()?;
    for _ in 0..TRIES {
        match folder.try_lock() {
            Err(fs::TryLockError::WouldBlock) => thread::sleep(PAUSE),
            Ok(()) | Err(fs::TryLockError::Error(_)) => break,
        }
    }
    Some(folder)
}

fn remove_dead(path: &Path, address: &SockAddr) -> Result<(), LocalSocketError> {
    let failed = |error: io::Error| LocalSocketError::new(path, error);
    let found = fs::symlink_metadata(path).map_err(failed)?;
    if !found.file_type().is_socket() {
        return Err(LocalSocketError::NoSocket { path: path.to_owned() });
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
    // A full queue must not keep a gate from starting; it is a sign of life.
    probe.set_nonblocking(true).map_err(failed)?;
    match probe.connect(address) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(failed),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(failed(error)),
        Ok(()) | Err(_) => Err(LocalSocketError::InUse { path: path.to_owned() }),
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let found = fs::symlink_metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

impl LocalSocketError {
    fn new(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            ErrorKind::NotFound => {
                LocalSocketError::NoFolder { folder: path.parent().unwrap_or(&path).to_owned() }
            }
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                LocalSocketError::PermissionDenied { path }
            }
            _ => LocalSocketError::Other { path, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use tokio::time::Instant;

    use super::*;

    fn place() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        (folder, path)
    }

    #[test]
    fn o6_only_its_owner_may_use_it_and_it_goes_with_its_process() {
        let (_folder, path) = place();
        let (listener, file) = bind_local(&path).unwrap();
        let mode = fs::symlink_metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        UnixStream::connect(&path).unwrap();
        drop((listener, file));
        assert!(!path.exists());
    }

    #[test]
    fn o3_the_name_goes_with_the_last_process_that_has_the_socket() {
        let (_folder, path) = place();
        let (listener, mut file) = bind_local(&path).unwrap();
        let mut heirs = SocketFile::of_another(&path);
        drop(SocketFile::of_another(&path));
        assert!(path.exists(), "an heir that came to nothing has taken it along");
        file.leave();
        drop(file);
        assert!(path.exists(), "who has left it has taken it along");
        heirs.take_over();
        drop((listener, heirs));
        assert!(!path.exists());
    }

    #[test]
    fn o3_a_name_that_was_left_is_restored_unless_it_is_another() {
        let (_folder, path) = place();
        let (listener, mut file) = bind_local(&path).unwrap();
        file.leave();
        assert!(file.restore() && file.restore(), "nobody has taken it");
        file.leave();
        fs::remove_file(&path).unwrap();
        assert!(!file.restore(), "it is gone");
        fs::write(&path, "another").unwrap();
        assert!(!file.restore(), "it is another one");
        drop((listener, file));
        assert!(path.exists());
    }

    #[test]
    fn o6_a_living_processs_socket_is_not_taken() {
        let (_folder, path) = place();
        let (_listener, file) = bind_local(&path).unwrap();
        let error = bind_local(&path).unwrap_err();
        assert!(matches!(error, LocalSocketError::InUse { .. }), "{error}");
        UnixStream::connect(&path).unwrap();
        drop(file);
    }

    #[test]
    fn o6_a_dead_processs_socket_is_replaced_and_nothing_else() {
        let (_folder, path) = place();
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let (listener, file) = bind_local(&path).unwrap();
        UnixStream::connect(&path).unwrap();
        // Somebody else's by now: it is not this one's to remove.
        fs::remove_file(&path).unwrap();
        let heir = UnixListener::bind(&path).unwrap();
        drop((listener, file));
        assert!(path.exists());
        drop(heir);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        let error = bind_local(&path).unwrap_err();
        assert!(matches!(error, LocalSocketError::NoSocket { .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn o6_of_two_that_find_a_dead_socket_one_replaces_it() {
        for _ in 0..50 {
            let (_folder, path) = place();
            drop(UnixListener::bind(&path).unwrap());
            let others: Vec<_> = (0..4)
                .map(|_| {
                    let path = path.clone();
                    thread::spawn(move || bind_local(&path))
                })
                .collect();
            let outcomes: Vec<_> = others.into_iter().map(|other| other.join().unwrap()).collect();
            assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
        }
    }

    #[test]
    fn o6_whoever_binds_in_the_same_folder_is_waited_for_but_not_for_ever() {
        let (folder, path) = place();
        let other = lock(folder.path());
        let began = Instant::now();
        let bound = bind_local(&path);
        assert!(began.elapsed() >= PAUSE * TRIES, "it has not waited");
        assert!(other.is_some() && bound.is_ok());
    }

    #[test]
    fn what_is_missing_is_said() {
        let (folder, _) = place();
        let error = bind_local(&folder.path().join("nowhere/control.sock")).unwrap_err();
        assert!(
            matches!(&error, LocalSocketError::NoFolder { folder } if folder.ends_with("nowhere")),
            "{error}"
        );
    }
}
