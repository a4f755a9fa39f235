//! What an old process and a new one say to each other: a line each, as JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::app::control::Memory;
use crate::memory::ClusterMemory;

/// The name under which the new process is passed its connection to the old one.
pub(super) const CONNECTION: &str = "raftgate-upgrade";
/// Grows whenever a letter says something else than before.
const VERSION: u32 = 1;
/// The longest letter, in bytes: some ten thousand nodes.
pub(super) const LONGEST_LETTER: u64 = 16 << 20;

/// How much is said of what is wrong with one, in characters.
const WORDS_SHOWN: usize = 300;
/// A process cannot give out so many epochs.
const MOST_EPOCHS: u64 = u64::MAX / 2;

/// What the new process says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Word {
    /// It is about to serve, and wants to know what the old one remembers.
    Asks,
    /// It serves.
    Ready,
    /// It will not serve, for this reason.
    GivesUp(String),
    /// It is asked to hand over in its turn, so there is no need to guard it any longer.
    Settled,
}

/// What the old process remembers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::app) struct Letter {
    version: u32,
    /// Whether it was ready to be sent clients.
    ready: bool,
    /// The last epoch that was given out (S1).
    epochs: u64,
    /// The clusters, by name.
    clusters: BTreeMap<String, ClusterMemory>,
}

impl Letter {
    pub(in crate::app) fn new(epochs: u64, clusters: BTreeMap<String, ClusterMemory>) -> Self {
        Letter { version: VERSION, ready: false, epochs, clusters }
    }

    /// The same, of a process that is ready to be sent clients, or is not.
    pub(in crate::app) fn of_one_ready(self, ready: bool) -> Self {
        Letter { ready, ..self }
    }

    /// What it tells, seen from when it was asked for: all of it has been at least as long ago as it says.
    pub(in crate::app) fn into_memory(self, asked: Instant) -> Memory {
        let clusters = self.clusters.into_iter().map(|(name, cluster)| (name, (asked, cluster)));
        Memory { ready: self.ready, epochs: self.epochs, clusters: clusters.collect() }
    }

    /// Reads a letter, or says why it is of no use.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let unreadable = |error: serde_json::Error| format!("it cannot be read: {}", in_words(&error));
        let Versioned { version } = serde_json::from_str(text).map_err(unreadable)?;
        if version != VERSION {
            return Err(format!("it is of version {version}, and this process knows version {VERSION}"));
        }
        let letter: Self = serde_json::from_str(text).map_err(unreadable)?;
        letter.contradiction().map_or(Ok(letter), Err)
    }

    /// What cannot be: epochs would not only grow with whoever went on by that (S1).
    fn contradiction(&self) -> Option<String> {
        let epochs = self.clusters.values().filter_map(|cluster| Some(cluster.route.as_ref()?.epoch));
        let latest = epochs.max().unwrap_or(0);
        if latest > self.epochs {
            return Some(format!("it tells of epoch {latest}, but {} was the last", self.epochs));
        }
        (self.epochs > MOST_EPOCHS)
            .then(|| format!("it tells of epoch {}, which nobody can have reached", self.epochs))
    }
}

/// What is wrong, for the log: one line, not too long, whatever words of the letter it repeats.
fn in_words(error: &serde_json::Error) -> String {
    let letters = error.to_string();
    let shown = letters.chars().take(WORDS_SHOWN);
    shown.map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// A line.
pub(super) fn line(what: &impl Serialize) -> Vec<u8> {
    // All of it is texts, numbers, lists and tables with texts for keys: there is nothing that JSON could not hold.
    let mut line = serde_json::to_vec(what).unwrap_or_default();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::RouteMemory;

    #[test]
    fn o3_another_versions_letter_is_no_error_but_of_no_use() {
        let letter = Letter::new(7, [("c".to_owned(), ClusterMemory::default())].into()).of_one_ready(true);
        let text = String::from_utf8(line(&letter)).unwrap();
        assert_eq!(Letter::read(&text), Ok(letter));
        let newer = text.replace("\"version\":1", "\"version\":2,\"more\":[]");
        assert_eq!(Letter::read(&newer).unwrap_err(), "it is of version 2, and this process knows version 1");
        for other in [text.replace("\"epochs\"", "\"epoch\""), text.replace("{\"c\"", "{\"c"), String::new()]
        {
            assert!(Letter::read(&other).is_err(), "{other}");
        }
    }

    #[test]
    fn s1_a_letter_by_which_epochs_would_not_only_grow_is_of_no_use() {
        let read = |epochs: u64, epoch: u64| {
            let route = Some(RouteMemory { node: "n1".to_owned(), epoch });
            let cluster = ClusterMemory { route, ..ClusterMemory::default() };
            let letter = Letter::new(epochs, [("c".to_owned(), cluster)].into());
            Letter::read(&String::from_utf8(line(&letter)).unwrap())
        };
        assert!(read(7, 7).is_ok() && read(u64::MAX / 2, 7).is_ok());
        assert_eq!(read(7, 8).unwrap_err(), "it tells of epoch 8, but 7 was the last");
        let why = read(u64::MAX, 7).unwrap_err();
        assert_eq!(why, "it tells of epoch 18446744073709551615, which nobody can have reached");
    }

    #[test]
    fn what_cannot_be_read_is_told_in_one_short_line() {
        for name in ["a\nb\u{1b}[31m".to_owned(), "long".repeat(1000)] {
            let text =
                serde_json::json!({"version": VERSION, "ready": true, "epochs": 1, "clusters": {}, (name): 1}).to_string();
            let why = Letter::read(&text).unwrap_err();
            assert!(why.starts_with("it cannot be read: unknown field"), "{why}");
            assert!(!why.contains(char::is_control) && why.len() < 400, "{why}");
        }
    }

    #[test]
    fn words_read_back_the_same() {
        for word in [Word::Asks, Word::Ready, Word::GivesUp("a\nb".to_owned()), Word::Settled] {
            let said = line(&word);
            assert_eq!(said.iter().position(|byte| *byte == b'\n'), Some(said.len() - 1), "more than a line");
            assert_eq!(serde_json::from_slice::<Word>(&said).unwrap(), word);
        }
    }
}
