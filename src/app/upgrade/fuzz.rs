//! What the readers of letters and words, and whoever goes on by a letter, hold for any bytes.

use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, watch};
use tokio::task::yield_now;
use tokio::time::Instant;

use super::letter::{Letter, Word, line};
use crate::app::control::Memory;
use crate::board::ClusterBoard;
use crate::follow::{self, FateSettings, Follow, HoldThen, Links, NodeSettings, OnDemotion, OnUnreachable};
use crate::intent::{Inbox, ProbeIds, ProbeOrder, ProbeReport, inbox};
use crate::leader::{NodeId, Observation, Override, Policy, ProbeFailure, Verdict};
use crate::memory::ClusterMemory;
use crate::names::{Address, Directory};
use crate::tenure::{self, Epochs, OfReaders, TenureReader, To};

/// No more clusters of a letter are gone on with, and no more nodes of each.
const MOST: usize = 6;

/// A letter: what is taken of it reads back the same, and who goes on by it keeps to the rules, whatever the nodes say
/// afterwards.
///
/// The bytes are a line, which is a letter or a word, and then what the nodes say, a byte each.
pub fn letter(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
    let (text, said) = bytes.split_at(end);
    let Ok(text) = str::from_utf8(text) else { return };
    if let Ok(word) = serde_json::from_str::<Word>(text) {
        assert_eq!(serde_json::from_str::<Word>(&one_line(line(&word))).expect("a word"), word);
    }
    let letter = match Letter::read(text) {
        Ok((letter, lost)) => {
            assert!(!lost.iter().any(|why| why.contains(char::is_control)), "{lost:?}");
            letter
        }
        Err(why) => {
            assert!(!why.contains(char::is_control), "{why:?}");
            assert!(why.chars().count() < 400, "{} bytes of words", why.len());
            return;
        }
    };
    assert_eq!(Letter::read(&one_line(letter.line())), Ok((letter.clone(), Vec::new())));
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime without IO");
    runtime.block_on(async {
        let Memory { epochs, clusters, .. } = letter.into_memory(Instant::now());
        for (name, (asked, memory)) in clusters.into_iter().take(MOST) {
            go_on(epochs, &name, asked, memory, said).await;
        }
    });
}

/// As it is sent: one line.
fn one_line(said: Vec<u8>) -> String {
    let said = String::from_utf8(said).expect("JSON is text");
    assert_eq!(said.find('\n'), Some(said.len() - 1), "more than a line: {said:?}");
    said
}

/// One cluster, as it is followed by the heir.
struct Heir {
    inbox: Inbox,
    reader: TenureReader,
    epochs: Arc<Epochs>,
    ids: ProbeIds,
}

async fn go_on(epochs: u64, name: &str, asked: Instant, mut memory: ClusterMemory, said: &[u8]) {
    while memory.nodes.len() > MOST {
        memory.nodes.pop_last();
    }
    let nodes = nodes(&memory);
    let count = nodes.len();
    let last = Arc::<Epochs>::default();
    last.go_on_after(epochs);
    let heir = begin(last, name, asked, &memory, nodes);
    let first = heir.remember().await;
    judge_beginning(epochs, &memory, &first, &heir);
    heir.judge_letter(name, first);
    let mut newest = heir.reader.leader().map_or(epochs, |tenure| tenure.epoch.max(epochs));
    for byte in said.iter().take(64) {
        let before = heir.reader.leader();
        heir.hear(usize::from(*byte) / 4 % count, VERDICTS[usize::from(*byte) % 4]).await;
        let leader = heir.reader.leader();
        if let Some(tenure) = leader.filter(|now| before.is_none_or(|before| !Arc::ptr_eq(&before, now))) {
            assert!(tenure.epoch > newest, "epoch {} after {newest} (S1)", tenure.epoch);
            newest = tenure.epoch;
        }
    }
    let told = heir.remember().await;
    // Whoever has panicked on the way has forgotten it.
    assert!(told.last_ordinal >= memory.last_ordinal, "ordinals go back: {told:?}");
    heir.judge_letter(name, told);
}

const VERDICTS: [Verdict; 4] = [
    Verdict::Leader,
    Verdict::Follower,
    Verdict::Unfit { status: 503 },
    Verdict::Unreachable { failure: ProbeFailure::Timeout },
];

/// Those that the letter tells of, where it says that they are if that can be said, and one that is new.
fn nodes(memory: &ClusterMemory) -> Vec<NodeSettings> {
    let directory = Directory::default();
    let address = |text: &str| -> Option<Address> {
        let (host, port) = text.rsplit_once(':')?;
        Some(directory.add(host).port(port.parse().ok()?))
    };
    let elsewhere = || directory.add("10.0.0.9").port(1);
    let known = memory.nodes.iter().map(|(name, node)| (name.as_str(), address(&node.address)));
    let new = (!memory.nodes.contains_key("new")).then_some(("new", None));
    let node = |(name, address): (&str, Option<Address>)| {
        let address = address.unwrap_or_else(elsewhere);
        NodeSettings { name: name.into(), probe_address: address.clone(), address, priority: 0 }
    };
    known.chain(new).map(node).collect()
}

fn begin(
    epochs: Arc<Epochs>,
    name: &str,
    asked: Instant,
    memory: &ClusterMemory,
    nodes: Vec<NodeSettings>,
) -> Heir {
    let channel = || tenure::channel(asked, Arc::clone(&epochs));
    let (writer, reader) = channel();
    let readers = OfReaders::new(&To::READERS, |_| channel().0);
    let (inbox, inputs) = inbox();
    let orders = nodes.iter().map(|_| watch::channel(ProbeOrder::default()).0).collect();
    let settings = follow::Settings {
        cluster: name.into(),
        nodes,
        policy: Policy::default(),
        hold_then: HoldThen::LastLeader,
        fates: FateSettings {
            on_demotion: OnDemotion::Drain,
            on_unreachable: OnUnreachable::Cut,
            unreachable_after: Duration::from_secs(10),
        },
    };
    let links = Links {
        writer,
        readers,
        inbox: inputs,
        orders,
        directory: Directory::default(),
        shapes: mpsc::unbounded_channel().1,
        board: Arc::<ClusterBoard>::default(),
    };
    let metrics = follow::Metrics::register(&Registry::new()).expect("a new registry");
    let mut follow = Follow::recalling(settings, links, &metrics, asked, Some(memory));
    tokio::spawn(async move { follow.run().await });
    Heir { inbox, reader, epochs, ids: ProbeIds::default() }
}

/// What the heir begins with is what it was left, and only as far as that holds.
fn judge_beginning(epochs: u64, memory: &ClusterMemory, told: &ClusterMemory, heir: &Heir) {
    for (name, node) in &memory.nodes {
        let [was, is] = [node, &told.nodes[name]].map(|node| node.tracked.overridden);
        let drains = |it| it == Some(Override::Drain);
        assert_eq!(drains(was), drains(is), "{name}: the order {was:?} became {is:?} (L10)");
    }
    let Some(tenure) = heir.reader.leader() else { return };
    let left = memory.nodes.get(&*tenure.name).expect("a node that nobody has told of leads");
    if left.tracked.overridden == Some(Override::Pin) {
        return;
    }
    // Either it led before, or of those that still claim to lead it is the next.
    let led = memory.route.as_ref().is_some_and(|route| *route.node == *tenure.name);
    let epoch = memory.route.as_ref().map_or(0, |route| route.epoch);
    assert!(
        if tenure.epoch > epochs { tenure.epoch > epoch } else { led && tenure.epoch == epoch },
        "{tenure:?}, after {epochs} and {:?} (S1)",
        memory.route
    );
    let lease = Policy::default().lease();
    let claim = left.tracked.claim.expect("a leader without a claim");
    assert!(left.tracked.overridden.is_none() && claim.last_good < lease, "{left:?} still leads (L7)");
}

impl Heir {
    /// All that it knows, once it has taken in what it was told.
    async fn remember(&self) -> ClusterMemory {
        self.inbox.remember().await.expect("it still follows")
    }

    async fn hear(&self, node: usize, verdict: Verdict) {
        let began = Instant::now().into_std();
        let observation = Observation { node: NodeId(node), probe: self.ids.next(), began, verdict };
        let report = ProbeReport {
            observation,
            latency: Duration::from_millis(1),
            healthy: true,
            detail: "fuzzed".into(),
            at: None,
            certificate: None,
        };
        self.inbox.report(report).await;
        // The tasks of one thread take turns: the follower's is now.
        yield_now().await;
    }

    /// The next process understands what it would be told.
    fn judge_letter(&self, name: &str, memory: ClusterMemory) {
        let letter = Letter::new(self.epochs.last(), [(name.to_owned(), memory)].into());
        assert_eq!(Letter::read(&one_line(letter.line())), Ok((letter, Vec::new())));
    }
}
