//! The new process, as the old one sees it: started, waited for, and given up if it does not come to serve.

use std::io;
use std::net::SocketAddr;
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

use super::letter::{CONNECTION, LONGEST_WORD, Letter, Serving, Word, line, read_word};
use super::program::Program;
use crate::app::inherited::Key;
use crate::memory::orders::WrittenOrders;
use crate::sockets::{FIRST_PASSED, MOST_PASSED};

/// How long the new process may take until it serves.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a process that has ended may take to be heard to its end.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// A new process.
#[derive(Debug)]
pub(in crate::app) struct Successor {
    pub(super) pid: u32,
    program: String,
    process: Child,
    connection: BufReader<UnixStream>,
    /// What has come of a word.
    heard: Vec<u8>,
    /// What it has taken over; `None` as long as it has not said so, which some versions cannot.
    pub(super) serving: Option<Serving>,
}

/// News of a new process that serves.
#[derive(Debug)]
pub(super) enum News {
    /// It is well, and has been asked to hand over in its turn.
    Settled,
    /// These orders are in force there.
    Orders(WrittenOrders),
    /// It listens there and nowhere else.
    Listens(Vec<SocketAddr>),
    /// It ends on purpose, or has handed over: it needs no guardian.
    Leaves,
    /// It has died.
    Died(String),
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
    #[error(
        "{program}: the new process does not know which nodes are drained or pinned, since it is of another version; \
         undrain and unpin them, or restart instead"
    )]
    WithoutOrders { program: String },
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
            Ok(Ok(served)) => served,
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

    /// Why it does not serve, if it does not.
    async fn come_to_serve(
        &mut self,
        letter: impl AsyncFn() -> Letter,
    ) -> io::Result<Result<(), UpgradeError>> {
        let mut has_orders = false;
        loop {
            match next_word(&mut self.connection, &mut self.heard)
                .await?
                .ok_or(io::ErrorKind::UnexpectedEof)?
            {
                Word::Asks => {
                    let letter = letter().await;
                    has_orders = letter.has_orders();
                    self.connection.get_mut().write_all(&letter.line()).await?;
                }
                Word::Ready if has_orders => {
                    return Ok(Err(UpgradeError::WithoutOrders { program: self.program.clone() }));
                }
                Word::Ready => return Ok(Ok(())),
                Word::Serves(serving) => {
                    self.serving = Some(serving);
                    return Ok(Ok(()));
                }
                Word::GivesUp(why) => {
                    return Ok(Err(UpgradeError::GaveUp { program: self.program.clone(), why }));
                }
                // There is nothing to settle yet.
                _ => {}
            }
        }
    }

    /// The next that is heard of it. Can be dropped and called again without loss.
    pub(super) async fn news(&mut self) -> News {
        loop {
            let word = tokio::select! {
                biased;
                word = next_word(&mut self.connection, &mut self.heard) => word,
                status = self.process.wait() => {
                    let status = status.map_or_else(|_| "nobody knows how".to_owned(), |status| status.to_string());
                    return self.last_words().await.unwrap_or(News::Died(status));
                }
            };
            let Ok(Some(word)) = word else {
                // Its end of the connection is closed: it is about to end, or is of a version that closes it.
                let ended = self.process.wait().await;
                let status =
                    ended.map_or_else(|_| "nobody knows how".to_owned(), |status| status.to_string());
                return if self.ended_well() { News::Leaves } else { News::Died(status) };
            };
            if let Some(news) = News::of(word) {
                return news;
            }
        }
    }

    /// What it had said before it ended, if that was more than nothing; a process that ends with 0 ends on purpose.
    async fn last_words(&mut self) -> Option<News> {
        if self.ended_well() {
            return Some(News::Leaves);
        }
        match timeout(LAST_WORDS, next_word(&mut self.connection, &mut self.heard)).await {
            Ok(Ok(Some(word))) => News::of(word),
            _ => None,
        }
    }

    fn ended_well(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(Some(status)) if status.success())
    }

    /// Leaves everything to it. A version that understands no more hears it from the end of the connection.
    pub(super) async fn settle(&mut self) {
        if self.serving.is_some() {
            // If it cannot be told, it has ended, and is heard of.
            let _ = timeout(LAST_WORDS, self.connection.get_mut().write_all(&line(&Word::Settled))).await;
        } else {
            let _ = self.connection.get_mut().shutdown().await;
        }
    }

    /// Ends it, if it has not ended.
    pub(super) async fn end(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.process.start_kill();
        let _ = self.process.wait().await;
    }
}

/// The next word; `None` if there will be none. Can be dropped and called again without loss: `heard` keeps what has come.
async fn next_word(connection: &mut BufReader<UnixStream>, heard: &mut Vec<u8>) -> io::Result<Option<Word>> {
    loop {
        let length = (&mut *connection).take(LONGEST_WORD).read_until(b'\n', heard).await?;
        if length == 0 {
            return Ok(None);
        }
        if let Some(word) = read_word(&std::mem::take(heard))? {
            return Ok(Some(word));
        }
    }
}

impl News {
    /// What a word means of a process that serves; `None`: nothing.
    fn of(word: Word) -> Option<Self> {
        match word {
            Word::Settled => Some(News::Settled),
            Word::Orders(orders) => Some(News::Orders(orders)),
            Word::Listens(addresses) => Some(News::Listens(addresses)),
            Word::Leaves => Some(News::Leaves),
            Word::Asks | Word::Ready | Word::Serves(_) | Word::GivesUp(_) => None,
        }
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
    let connection = BufReader::new(UnixStream::from_std(ours)?);
    Ok(Successor { pid, program, process, connection, heard: Vec::new(), serving: None })
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
