//! What an old process and a new one say to each other: a line each, as JSON.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use crate::app::control::Memory;
use crate::memory::ClusterMemory;
use crate::memory::orders::{self, OrdersInForce, WrittenOrder, WrittenOrders};

/// The name under which the new process is passed its connection to the old one.
pub(super) const CONNECTION: &str = "raftgate-upgrade";
/// Grows whenever the part of a letter that is read strictly says something else than before.
const VERSION: u32 = 2;
/// The longest letter, in bytes: some ten thousand nodes.
pub(super) const LONGEST_LETTER: u64 = 16 << 20;

/// The longest word, in bytes: orders for some thousand nodes.
pub(super) const LONGEST_WORD: u64 = 1 << 20;

/// How much is said of what is wrong with one, in characters.
const WORDS_SHOWN: usize = 300;
/// A process cannot give out so many epochs.
const MOST_EPOCHS: u64 = u64::MAX / 2;

/// What one process says to the other. A word of a later version is ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::app) enum Word {
    /// The new process is about to serve, and wants to know what the old one remembers.
    Asks,
    /// The new process serves, but does not say that it has understood the orders.
    Ready,
    /// The new process serves, and operators' orders are in force there.
    Serves(Serving),
    /// The new process will not serve, for this reason.
    GivesUp(String),
    /// The new process has shown that it is well; from the old one: everything is the new one's now.
    Settled,
    /// The new process has these orders in force from now on.
    Orders(WrittenOrders),
    /// The new process listens at these addresses and no others from now on.
    Listens(Vec<SocketAddr>),
    /// The new process ends on purpose, or has handed over in its turn: nothing is left to guard.
    Leaves,
}

/// What a new process has and has not taken over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::app) struct Serving {
    /// What it could not read, in words.
    #[serde(default)]
    pub(super) lost: Vec<String>,
    /// Where it listens for clients.
    #[serde(default)]
    pub(super) addresses: Vec<SocketAddr>,
    /// Its control socket.
    #[serde(default)]
    pub(super) socket: Option<PathBuf>,
}

/// What the old process remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::app) struct Letter {
    /// Whether it was ready to be sent clients.
    ready: bool,
    /// The last epoch that was given out (S1).
    epochs: u64,
    /// What operators have ordered (L10).
    orders: OrdersInForce,
    /// The clusters, by name.
    clusters: BTreeMap<String, ClusterMemory>,
}

/// A letter as it is written down. Every version reads `ready`, `epochs` and `orders`, and ignores fields that it does not
/// know. `clusters` is read by writers' own version alone, each cluster as a whole.
#[derive(Serialize, Deserialize)]
struct Written<C> {
    version: u32,
    #[serde(default)]
    ready: bool,
    #[serde(default)]
    epochs: u64,
    orders: Option<WrittenOrders>,
    #[serde(default)]
    clusters: C,
}

impl Letter {
    pub(in crate::app) fn new(epochs: u64, clusters: BTreeMap<String, ClusterMemory>) -> Self {
        Letter { ready: false, epochs, orders: OrdersInForce::new(), clusters }
    }

    /// The same, with what operators have ordered.
    pub(in crate::app) fn with_orders(self, orders: OrdersInForce) -> Self {
        Letter { orders, ..self }
    }

    /// The same, of a process that is ready to be sent clients, or is not.
    pub(in crate::app) fn of_one_ready(self, ready: bool) -> Self {
        Letter { ready, ..self }
    }

    /// Whether some order is in force.
    pub(super) fn has_orders(&self) -> bool {
        !self.orders.is_empty()
    }

    /// What it tells, seen from when it was asked for: all of it has been at least as long ago as it says.
    pub(in crate::app) fn into_memory(self, asked: Instant) -> Memory {
        let clusters = self.clusters.into_iter().map(|(name, cluster)| (name, (asked, cluster)));
        Memory { ready: self.ready, epochs: self.epochs, orders: self.orders, clusters: clusters.collect() }
    }

    /// A line.
    pub(super) fn line(&self) -> Vec<u8> {
        line(&Written {
            version: VERSION,
            ready: self.ready,
            epochs: self.epochs,
            orders: Some(orders::write(&self.orders)),
            clusters: &self.clusters,
        })
    }

    /// Reads a letter; beside it stands in words what of it is of no use here.
    ///
    /// # Errors
    /// Why it does not say which orders are in force.
    pub(super) fn read(text: &str) -> Result<(Self, Vec<String>), String> {
        let unreadable = |error: serde_json::Error| format!("it cannot be read: {}", in_words(&error));
        let written: Written<Value> = serde_json::from_str(text).map_err(unreadable)?;
        let orders = match &written.orders {
            Some(orders) => orders::read(orders).map_err(|why| plain(&why))?,
            None if written.version == 1 => orders_of_version_1(&written.clusters)?,
            None => return Err("it does not say which nodes are drained or pinned".to_owned()),
        };
        let mut letter =
            Letter { ready: written.ready, epochs: written.epochs, orders, clusters: BTreeMap::new() };
        let mut lost = Vec::new();
        if written.version == VERSION {
            lost = letter.read_clusters(written.clusters);
        } else {
            let version = written.version;
            lost.push(format!(
                "what is known of nodes is of version {version}, and this process knows version {VERSION}"
            ));
        }
        lost.extend(letter.contradiction());
        if letter.contradiction().is_some() {
            letter.forget_clusters();
        }
        Ok((letter, lost))
    }

    /// Whether orders have a part of their own in it.
    pub(super) fn is_in_parts(text: &str) -> bool {
        serde_json::from_str::<Value>(text).is_ok_and(|letter| letter["orders"].is_object())
    }

    /// Takes the clusters that can be read; those that cannot be are returned in words.
    fn read_clusters(&mut self, written: Value) -> Vec<String> {
        let mut lost = Vec::new();
        let Value::Object(clusters) = written else { return vec!["it tells of no clusters".to_owned()] };
        for (name, cluster) in clusters {
            match serde_json::from_value(cluster) {
                Ok(cluster) => drop(self.clusters.insert(name, cluster)),
                Err(error) => lost.push(format!("cluster {}: {}", plain(&name), in_words(&error))),
            }
        }
        lost
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

    /// Forgets what is known of clusters, and goes on with epochs as far as they can be.
    fn forget_clusters(&mut self) {
        self.clusters.clear();
        if self.epochs > MOST_EPOCHS {
            self.epochs = 0;
        }
    }
}

/// The orders of a letter that has them among what is known of nodes.
fn orders_of_version_1(clusters: &Value) -> Result<OrdersInForce, String> {
    let mut written = WrittenOrders::new();
    for (cluster, memory) in clusters.as_object().into_iter().flatten() {
        for (node, memory) in memory["nodes"].as_object().into_iter().flatten() {
            if let Some(order) = memory["tracked"]["overridden"].as_str() {
                let order = WrittenOrder { order: order.to_owned() };
                written.entry(cluster.clone()).or_default().insert(node.clone(), order);
            }
        }
    }
    orders::read(&written).map_err(|why| plain(&why))
}

/// Reads a word; `None` if it is of a later version.
///
/// # Errors
/// It is no JSON.
pub(super) fn read_word(said: &[u8]) -> serde_json::Result<Option<Word>> {
    serde_json::from_slice::<Value>(said).map(|value| serde_json::from_value(value).ok())
}

/// What is wrong, for the log: one line, not too long, whatever words of the letter it repeats.
fn in_words(error: &serde_json::Error) -> String {
    plain(&error.to_string())
}

/// The same of any words.
fn plain(words: &str) -> String {
    let shown = words.chars().take(WORDS_SHOWN);
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
    use crate::leader::Override;
    use crate::memory::RouteMemory;

    fn letter() -> Letter {
        let orders = [("c".to_owned(), [("n1".to_owned(), Override::Drain)].into())].into();
        let clusters =
            [("c".to_owned(), ClusterMemory::default()), ("d".to_owned(), ClusterMemory::default())];
        Letter::new(7, clusters.into()).of_one_ready(true).with_orders(orders)
    }

    fn text(letter: &Letter) -> String {
        String::from_utf8(letter.line()).unwrap()
    }

    #[test]
    fn o3_another_versions_letter_keeps_orders_and_epochs() {
        let letter = letter();
        let text = text(&letter);
        assert_eq!(Letter::read(&text), Ok((letter.clone(), Vec::new())));
        let bare = Letter { clusters: BTreeMap::new(), ..letter.clone() };
        let newer = text.replace("\"version\":2", "\"version\":3,\"more\":[]");
        let lost = "what is known of nodes is of version 3, and this process knows version 2";
        assert_eq!(Letter::read(&newer), Ok((bare.clone(), vec![lost.to_owned()])));
        let older = text.replace("\"version\":2,\"ready\":true", "\"version\":1,\"ready\":true");
        assert_eq!(Letter::read(&older).unwrap().0, bare);
        // One cluster that cannot be read is no reason to forget the other.
        let (read, lost) = Letter::read(&text.replacen("\"last_ordinal\":0", "\"last_rank\":0", 1)).unwrap();
        assert_eq!((read.clusters.len(), read.orders, read.epochs), (1, letter.orders.clone(), 7));
        assert!(lost.len() == 1 && lost[0].starts_with("cluster c: unknown field `last_rank`"), "{lost:?}");
    }

    #[test]
    fn o3_a_letter_without_readable_orders_is_an_error() {
        let text = text(&letter());
        for (from, to) in [
            ("\"orders\"", "\"commands\""),
            ("\"drain\"", "\"avoid\""),
            ("{\"order\":\"drain\"}", "[]"),
            ("{\"c\"", "{\"c"),
        ] {
            let other = text.replacen(from, to, 1);
            assert_ne!(other, text, "{from}");
            assert!(Letter::read(&other).is_err(), "{other}");
        }
        assert!(Letter::read("").is_err());
    }

    #[test]
    fn s1_a_letter_by_which_epochs_would_not_only_grow_is_of_no_use() {
        let read = |epochs: u64, epoch: u64| {
            let route = Some(RouteMemory { node: "n1".to_owned(), epoch });
            let cluster = ClusterMemory { route, ..ClusterMemory::default() };
            let letter = Letter::new(epochs, [("c".to_owned(), cluster)].into());
            let (letter, lost) = Letter::read(&text(&letter)).unwrap();
            (letter.epochs, letter.clusters.len(), lost.join("; "))
        };
        assert_eq!(read(7, 7), (7, 1, String::new()));
        assert_eq!(read(u64::MAX / 2, 7), (u64::MAX / 2, 1, String::new()));
        assert_eq!(read(7, 8), (7, 0, "it tells of epoch 8, but 7 was the last".to_owned()));
        let why = "it tells of epoch 18446744073709551615, which nobody can have reached";
        assert_eq!(read(u64::MAX, 7), (0, 0, why.to_owned()));
    }

    #[test]
    fn what_cannot_be_read_is_told_in_one_short_line() {
        for name in ["a\nb\u{1b}[31m".to_owned(), "long".repeat(1000)] {
            let text =
                serde_json::json!({"version": VERSION, "orders": {}, "clusters": {(name.clone()): {}}});
            let (_, lost) = Letter::read(&text.to_string()).unwrap();
            let text =
                serde_json::json!({"orders": {"c": {(name): {"order": "x"}}}, "version": 1, "clusters": {}});
            let why = Letter::read(&text.to_string()).unwrap_err();
            for why in [&lost[0], &why] {
                assert!(!why.contains(char::is_control) && why.len() < 700, "{why}");
            }
        }
    }

    #[test]
    fn words_read_back_the_same_and_later_ones_are_ignored() {
        let serving = Serving { lost: vec!["c".to_owned()], ..Serving::default() };
        for word in [
            Word::Asks,
            Word::Ready,
            Word::Serves(serving),
            Word::GivesUp("a\nb".to_owned()),
            Word::Settled,
            Word::Orders(orders::write(&letter().orders)),
            Word::Listens(vec![([127, 0, 0, 1], 1).into()]),
            Word::Leaves,
        ] {
            let said = line(&word);
            assert_eq!(said.iter().position(|byte| *byte == b'\n'), Some(said.len() - 1), "more than a line");
            assert_eq!(read_word(&said).unwrap(), Some(word));
        }
        assert_eq!(read_word(b"{\"dances\":1}\n").unwrap(), None);
        assert!(read_word(b"dances\n").is_err());
        let more = read_word(b"{\"serves\":{\"more\":1}}").unwrap();
        assert_eq!(more, Some(Word::Serves(Serving::default())));
    }
}
