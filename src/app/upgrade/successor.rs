//! The new process, as the old one sees it: started, waited for, and given up if it does not come to serve.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use rustix::io::Errno;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::letter::{CONNECTION, Letter, Word, line};
use super::program::Program;
use crate::app::inherited::Key;
use crate::sockets::{FIRST_PASSED, MOST_PASSED};

/// How long the new process may take until it serves.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest line that it may say, in bytes.
const LONGEST_WORD: u64 = 64 * 1024;

/// A new process.
#[derive(Debug)]
pub(super) struct Successor {
    pub(super) pid: u32,
    program: String,
    process: Child,
    connection: BufReader<UnixStream>,
}

/// Why there is no new process that serves; the old one goes on.
#[derive(Debug, Error)]
pub(super) enum UpgradeError {
    #[error("{program}: cannot be started: {source}; put a binary there that runs, and try again")]
    Start { program: String, source: io::Error },
    #[error(
        "{program}: is not started: {count} sockets are more than can be passed on, which is {} at most, and fewer if \
         listeners have long names; let there be fewer addresses, or restart with fewer `workers`",
        MOST_PASSED - 1
    )]
    TooMany { program: String, count: usize },
    #[error("{program}: the new process gave up: {why}")]
    GaveUp { program: String, why: String },
    #[error("{program}: the new process ended ({status}) before it served; what it had to say is in the log")]
    Ended { program: String, status: ExitStatus },
    #[error(
        "{program}: the new process did not serve within {}s and was ended; the log says how far it came",
        PATIENCE.as_secs()
    )]
    Late { program: String },
    #[error("{program}: the new process cannot be talked to: {source}")]
    Lost { program: String, source: io::Error },
}

impl UpgradeError {
    pub(super) fn new(program: &Program, source: io::Error) -> Self {
        UpgradeError::Start { program: program.path.display().to_string(), source }
    }
}

impl Successor {
    /// Starts a new process with these sockets.
    pub(super) fn spawn(program: &Program, keys: Vec<Key>) -> Result<Self, UpgradeError> {
        let count = keys.len();
        let too_many = || UpgradeError::TooMany { program: program.path.display().to_string(), count };
        if !can_be_passed(count) {
            return Err(too_many());
        }
        let successor = spawn(program, keys).map_err(|source| match Errno::from_io_error(&source) {
            // Their names do not fit into the environment.
            Some(Errno::TOOBIG) => too_many(),
            _ => UpgradeError::new(program, source),
        })?;
        tracing::info!(pid = successor.pid, program = %successor.program, "upgrade: a new process is started");
        Ok(successor)
    }

    /// Waits until it serves. `letter` makes what it is told when it asks. On an error it may still be there.
    pub(super) async fn serves(&mut self, letter: impl AsyncFn() -> Letter) -> Result<(), UpgradeError> {
        let served = timeout(PATIENCE, self.come_to_serve(letter)).await;
        let program = self.program.clone();
        match served {
            Ok(Ok(None)) => Ok(()),
            Ok(Ok(Some(why))) => Err(UpgradeError::GaveUp { program, why }),
            Ok(Err(source)) if source.kind() == io::ErrorKind::UnexpectedEof => {
                match timeout(PATIENCE, self.process.wait()).await {
                    Ok(Ok(status)) => Err(UpgradeError::Ended { program, status }),
                    _ => Err(UpgradeError::Lost { program, source }),
                }
            }
            Ok(Err(source)) => Err(UpgradeError::Lost { program, source }),
            Err(_) => Err(UpgradeError::Late { program }),
        }
    }

    /// Why it gave up, if it did.
    async fn come_to_serve(&mut self, letter: impl AsyncFn() -> Letter) -> io::Result<Option<String>> {
        loop {
            match self.next().await?.ok_or(io::ErrorKind::UnexpectedEof)? {
                Word::Asks => self.connection.get_mut().write_all(&line(&letter().await)).await?,
                Word::Ready => return Ok(None),
                Word::GivesUp(why) => return Ok(Some(why)),
                // It has nothing to settle yet.
                Word::Settled => {}
            }
        }
    }

    /// Waits until it is settled, or has ended: returns which.
    pub(super) async fn settles(&mut self) -> bool {
        loop {
            match self.next().await {
                Ok(Some(Word::Settled)) => return true,
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return false,
            }
        }
    }

    /// Ends it, if it has not ended.
    pub(super) async fn end(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.process.start_kill();
        let _ = self.process.wait().await;
    }

    /// How it ended; it is ended if it has not.
    pub(super) async fn last(mut self) -> String {
        if !matches!(timeout(Duration::from_secs(1), self.process.wait()).await, Ok(Ok(_))) {
            self.end().await;
        }
        match self.process.try_wait() {
            Ok(Some(status)) => status.to_string(),
            _ => "nobody knows how".to_owned(),
        }
    }

    /// The next word; `None` if there will be none.
    async fn next(&mut self) -> io::Result<Option<Word>> {
        let mut said = Vec::new();
        let length = (&mut self.connection).take(LONGEST_WORD).read_until(b'\n', &mut said).await?;
        if length == 0 { Ok(None) } else { Ok(Some(serde_json::from_slice(&said)?)) }
    }
}

fn spawn(program: &Program, keys: Vec<Key>) -> io::Result<Successor> {
    let (ours, theirs) = StdUnixStream::pair()?;
    ours.set_nonblocking(true)?;
    // First comes what it cannot do without.
    let connection = Key { name: CONNECTION.to_owned(), socket: theirs.into() };
    let keys = std::iter::once(connection).chain(keys);
    let (names, sockets): (Vec<String>, Vec<OwnedFd>) = keys.map(|key| (key.name, key.socket)).unzip();
    let mut command = std::process::Command::new(&program.path);
    command.arg("stage").args(&program.arguments).stdin(Stdio::null());
    command.env_remove("LISTEN_PID").env("LISTEN_FDS", sockets.len().to_string());
    command.env("LISTEN_FDNAMES", names.join(":"));
    let _occupied = occupy(FIRST_PASSED + sockets.len())?;
    let numbered = (FIRST_PASSED..).zip(sockets);
    let mappings = numbered.map(|(number, parent_fd)| {
        let child_fd = i32::try_from(number).map_err(io::Error::other)?;
        Ok(FdMapping { parent_fd, child_fd })
    });
    command.fd_mappings(mappings.collect::<io::Result<_>>()?).map_err(io::Error::other)?;
    // The end of its connection is seen only once this end of it is closed here: with the command.
    let process = Command::from(command).spawn()?;
    let pid = process.id().unwrap_or_default();
    let program = program.path.display().to_string();
    Ok(Successor { pid, program, process, connection: BufReader::new(UnixStream::from_std(ours)?) })
}

/// Whether a new process takes so many sockets, and the connection to this one.
fn can_be_passed(count: usize) -> bool {
    count < MOST_PASSED
}

/// Takes every number below this for a descriptor: what the standard library opens to hear whether the program could be
/// run must not get one that a socket is to have.
fn occupy(below: usize) -> io::Result<Vec<OwnedFd>> {
    let mut taken: Vec<OwnedFd> = vec![std::fs::File::open("/dev/null")?.into()];
    while usize::try_from(taken[taken.len() - 1].as_raw_fd()).is_ok_and(|number| number < below) {
        taken.push(taken[0].try_clone()?);
    }
    Ok(taken)
}

#[cfg(test)]
mod tests;
