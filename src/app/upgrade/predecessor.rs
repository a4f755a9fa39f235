//! The old process, as the new one sees it: who has passed it its sockets, remembers what was, and goes on if it fails.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::letter::{CONNECTION, LONGEST_LETTER, LONGEST_WORD, Letter, Serving, Word, line, read_word};
use crate::app::inherited::Inherited;
use crate::sockets::Passed;

/// How long the old process may take to answer: it has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take to hear something, or to leave everything to this process.
const FAREWELL: Duration = Duration::from_secs(2);

/// What this process was given when it was started: sockets, and perhaps somebody whom it replaces.
#[derive(Debug, Default)]
pub(in crate::app) struct Arrival {
    passed: Passed,
    predecessor: Option<UnixStream>,
}

/// The process that this one replaces, if it replaces one.
#[derive(Debug)]
pub(in crate::app) struct Predecessor {
    connection: Option<UnixStream>,
    /// Whether its letter had orders in a part of their own: it understands what it is told of them.
    understands: bool,
    /// What of its letter could not be read, in words.
    lost: Vec<String>,
}

/// The process that this one has replaced. It takes this one's place if this one dies.
#[derive(Debug)]
pub(in crate::app) struct Guardian {
    connection: tokio::io::BufReader<tokio::net::UnixStream>,
    heard: Vec<u8>,
    /// Whether it knows more words than those of the first moments.
    listens: bool,
}

/// What a guardian does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum GuardianNews {
    /// Everything is this process's from now on; the guardian still looks after it.
    Settled,
    /// The same, and there is no guardian any more.
    Gone,
}

impl Arrival {
    /// Takes it out of the environment. To be called once, before there is any other thread.
    pub(in crate::app) fn from_environment() -> Self {
        let mut passed = Passed::from_environment();
        let predecessor = passed.take_connection(CONNECTION);
        Arrival { passed, predecessor }
    }

    /// This process will not serve, for this reason: whom it should have replaced is told.
    pub(in crate::app) fn give_up(self, why: &str) {
        Predecessor::new(self.predecessor).give_up(&in_one_line(why));
    }

    pub(in crate::app) fn open(self) -> (Inherited, Predecessor) {
        let by_gate = self.predecessor.is_some();
        (Inherited::new(self.passed, by_gate), Predecessor::new(self.predecessor))
    }
}

impl Predecessor {
    fn new(connection: Option<UnixStream>) -> Self {
        Predecessor { connection, understands: false, lost: Vec::new() }
    }

    /// Asks for what it remembers, and returns when it was asked: all that it tells of has been at least as long ago as
    /// it says, seen from then. `None` if there is nobody to ask.
    pub(in crate::app) fn ask(&mut self) -> Option<Result<(Instant, Letter), String>> {
        let connection = self.connection.as_mut()?;
        let asked = Instant::now();
        let answer = ask(connection).map_err(|error| format!("it did not come: {error}"));
        let read = answer.and_then(|text| {
            let (letter, lost) = Letter::read(&text)?;
            (self.understands, self.lost) = (Letter::is_in_parts(&text), lost);
            Ok((asked, letter))
        });
        Some(read)
    }

    /// What of its letter could not be read, in words.
    pub(in crate::app) fn lost(&self) -> &[String] {
        &self.lost
    }

    /// Says that this process serves, and where. `None` if it has replaced nobody.
    ///
    /// # Errors
    /// Whoever it should have replaced is not there any more.
    pub(in crate::app) fn relieve(
        &mut self,
        addresses: Vec<SocketAddr>,
        socket: Option<PathBuf>,
    ) -> io::Result<Option<Guardian>> {
        let Some(mut connection) = self.connection.take() else { return Ok(None) };
        let serving = Serving { lost: std::mem::take(&mut self.lost), addresses, socket };
        let word = if self.understands { Word::Serves(serving) } else { Word::Ready };
        connection.write_all(&line(&word))?;
        connection.set_nonblocking(true)?;
        let connection = tokio::io::BufReader::new(tokio::net::UnixStream::from_std(connection)?);
        Ok(Some(Guardian { connection, heard: Vec::new(), listens: self.understands }))
    }

    /// Says why this process does not serve, unless it has served.
    pub(in crate::app) fn give_up(&mut self, why: &str) {
        if let Some(mut connection) = self.connection.take() {
            // If it is gone, nobody wants to know.
            let _ = connection.write_all(&line(&Word::GivesUp(why.to_owned())));
        }
    }
}

/// Without the lines of the file that are shown below what is wrong with them.
fn in_one_line(words: &str) -> String {
    words.lines().filter(|line| !line.starts_with(' ')).collect::<Vec<_>>().join("; ")
}

fn ask(connection: &mut UnixStream) -> io::Result<String> {
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.write_all(&line(&Word::Asks))?;
    let mut text = String::new();
    BufReader::new(connection.take(LONGEST_LETTER)).read_line(&mut text)?;
    Ok(text)
}

impl Guardian {
    /// Waits until everything is this process's, or the guardian has ended.
    pub(in crate::app) async fn news(&mut self) -> GuardianNews {
        loop {
            let read = (&mut self.connection).take(LONGEST_WORD).read_until(b'\n', &mut self.heard).await;
            // An error is its end, too.
            if !matches!(read, Ok(1..)) {
                return GuardianNews::Gone;
            }
            let word = read_word(&std::mem::take(&mut self.heard));
            if matches!(word, Ok(Some(Word::Settled))) {
                return GuardianNews::Settled;
            }
        }
    }

    /// Tells it something. If it cannot be told, it is gone.
    pub(in crate::app) async fn tell(&mut self, word: &Word) {
        if self.listens {
            let _ = timeout(FAREWELL, self.connection.get_mut().write_all(&line(word))).await;
        }
    }

    /// Shows it that this process is well, since it is asked to hand over in its turn.
    pub(in crate::app) async fn settle(&mut self) -> GuardianNews {
        let settled = line(&Word::Settled);
        // If it cannot be told, it is gone.
        let _ = timeout(FAREWELL, self.connection.get_mut().write_all(&settled)).await;
        timeout(FAREWELL, self.news()).await.unwrap_or(GuardianNews::Settled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Predecessor, BufReader<UnixStream>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Predecessor::new(Some(ours)), BufReader::new(theirs))
    }

    fn heard(from: &mut BufReader<UnixStream>) -> Word {
        let mut text = String::new();
        from.read_line(&mut text).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn o3_who_asks_is_answered_and_who_replaces_nobody_asks_nobody() {
        let (mut predecessor, mut old) = pair();
        let letter = Letter::new(5, [].into());
        old.get_mut().write_all(&letter.line()).unwrap();
        assert_eq!(predecessor.ask().unwrap().unwrap().1, letter);
        assert_eq!(heard(&mut old), Word::Asks);
        assert!(Predecessor::new(None).ask().is_none());
    }

    #[test]
    fn mistakes_are_told_without_the_lines_that_show_them() {
        let words = "f:1: a: wrong\n  1 | a\n    | ^\nf:2: b: wrong, too\n  2 | b\n    | ^";
        assert_eq!(in_one_line(words), "f:1: a: wrong; f:2: b: wrong, too");
    }

    #[test]
    fn o3_an_answer_that_does_not_come_is_told() {
        let (mut predecessor, old) = pair();
        drop(old);
        let why = predecessor.ask().unwrap().unwrap_err();
        assert!(why.contains("it did not come"), "{why}");
    }

    #[tokio::test]
    async fn o3_only_who_has_not_served_gives_up() {
        let (mut predecessor, mut old) = pair();
        predecessor.give_up("no port");
        assert_eq!(heard(&mut old), Word::GivesUp("no port".to_owned()));

        let (mut predecessor, mut old) = pair();
        let guardian = predecessor.relieve(Vec::new(), None).unwrap().expect("it has replaced somebody");
        predecessor.give_up("too late");
        drop(guardian);
        assert_eq!(heard(&mut old), Word::Ready);
        assert_eq!(old.read_line(&mut String::new()).unwrap(), 0, "it has said more");
    }
}
