//! The soak bench: its arithmetic, its verdicts, that it finds what a broken gate would do, and a soak of seconds.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::process::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::AS_ON_LINUX;
use crate::support::certs::Authority;
use crate::support::client::Trust;
use crate::support::clock::Stamp;
use crate::support::conversation::End;
use crate::support::node::Node;
use crate::support::wait::until;

#[path = "../../benches/soak/clients.rs"]
mod clients;
#[path = "../../benches/soak/gate.rs"]
mod gate;
#[path = "../../benches/soak/judge.rs"]
mod judge;
#[path = "../../benches/soak/kinds.rs"]
mod kinds;
#[path = "../../benches/soak/ledger.rs"]
mod ledger;
#[path = "../../benches/soak/load.rs"]
mod load;
#[path = "../../benches/soak/report.rs"]
mod report;
#[path = "../../benches/soak/slope.rs"]
mod slope;
#[path = "../../benches/soak/soak.rs"]
mod soak;
#[path = "../../benches/soak/stage.rs"]
mod stage;
#[path = "../../benches/soak/succession.rs"]
mod succession;
#[path = "../../benches/soak/watch.rs"]
mod watch;

use gate::{Books, Holdings};
use judge::{Fault, Finding, Session, Strike, Verdict, under_way};
use kinds::Kind;
use ledger::Book;
use load::Plan;
use slope::Slope;
use soak::Outcome;
use watch::{Sample, Samples};

/// A moment, in milliseconds.
fn at(ms: u64) -> Stamp {
    (ms * 1_000_000).to_string().parse().unwrap()
}

#[test]
fn a_slope_is_that_of_the_line_and_its_error_that_of_what_is_beside_it() {
    assert_eq!(Slope::of(&[(0.0, 1.0), (1.0, 2.0)]), None);
    assert_eq!(Slope::of(&[(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]), None);
    let line = Slope::of(&[(0.0, 7.0), (30.0, 8.0), (60.0, 9.0)]).unwrap();
    assert!((line.per_minute - 2.0).abs() < 1e-9 && line.error < 1e-9, "{line:?}");
    // By hand: the line rises by 1 a second, what is left is 0.5, -1, 0.5, and sqrt(1.5 / 1 / 2) = 0.866.
    let rough = Slope::of(&[(0.0, 0.5), (1.0, 0.0), (2.0, 2.5)]).unwrap();
    assert!((rough.per_minute - 60.0).abs() < 1e-9, "{rough:?}");
    assert!((rough.error - 60.0 * 0.75_f64.sqrt()).abs() < 1e-9, "{rough:?}");
    // It is at least 7 a minute, 14 in all.
    let slope = Slope { per_minute: 10.0, error: 1.0, minutes: 2.0 };
    assert!(slope.is_growth(6.9, 13.9) && !slope.is_growth(7.1, 0.0) && !slope.is_growth(0.0, 14.1));
    assert!((line.minutes - 1.0).abs() < 1e-9, "{line:?}");
}

fn strike(fault: Fault, node: Option<&str>, from: u64, until: Option<u64>) -> Strike {
    Strike { fault, node: node.map(str::to_owned), from: at(from), until: until.map(at) }
}

fn session(kind: Kind, node: Option<&str>, answered: bool, end: End) -> Session {
    let node = node.map(str::to_owned);
    Session { kind, seed: 0, started: at(100), ended: at(200), node, answered, bytes: 0, end }
}

#[test]
fn who_has_had_a_byte_of_a_node_that_is_struck_goes_down_with_it_and_nobody_else_does() {
    let reset = || End::Reset("reset".to_owned());
    let complete = || End::LooksComplete("early".to_owned());
    let kill = [strike(Fault::Kill, Some("n1"), 150, Some(180))];
    let freeze = [strike(Fault::Freeze, Some("n1"), 150, Some(180))];
    let hand_over = [strike(Fault::HandOver, None, 150, Some(180))];
    let of = |node: &str, end: End| session(Kind::Short, Some(node), true, end);
    for (session, strikes, verdict) in [
        (of("n1", End::AsAgreed), &kill, Verdict::Fine),
        (of("n1", reset()), &kill, Verdict::CutOff),
        (of("n1", complete()), &kill, Verdict::CutOff),
        (of("n2", reset()), &kill, Verdict::Found(Finding::AgainstTheRules)),
        (of("n2", complete()), &kill, Verdict::Found(Finding::LooksComplete)),
        (of("n1", reset()), &freeze, Verdict::CutOff),
        // A frozen node's kernel ends nothing.
        (of("n1", complete()), &freeze, Verdict::Found(Finding::LooksComplete)),
        (of("n1", reset()), &hand_over, Verdict::Found(Finding::AgainstTheRules)),
        // Nothing excuses these.
        (of("n1", End::Wrong("byte 3".to_owned())), &kill, Verdict::Found(Finding::WrongBytes)),
        (of("n1", End::Stuck("20s".to_owned())), &freeze, Verdict::Found(Finding::Stuck)),
    ] {
        assert_eq!(session.verdict(strikes), verdict, "{session:?} {strikes:?}");
    }
}

#[test]
fn s4_who_has_had_no_byte_may_fail_only_if_what_it_said_can_be_said_but_once() {
    let unanswered = |kind| session(kind, None, false, End::Reset("reset".to_owned()));
    let before = [strike(Fault::Freeze, Some("n1"), 90, Some(150))];
    let over = [strike(Fault::Freeze, Some("n1"), 50, Some(99))];
    let later = [strike(Fault::Kill, Some("n1"), 201, None)];
    let failed = Verdict::Found(Finding::FailedClient);
    for (kind, strikes, verdict) in [
        (Kind::Short, &before, failed),
        (Kind::ShortPlain, &before, Verdict::CutOff),
        (Kind::ShortPlain, &over, failed),
        (Kind::ShortPlain, &later, failed),
    ] {
        assert_eq!(unanswered(kind).verdict(strikes), verdict, "{kind:?} {strikes:?}");
    }
    // In the middle of its handshake it cannot know whose it was; after the fault nobody comes to that node any more.
    let mut interrupted = session(Kind::Short, None, true, End::Reset("reset".to_owned()));
    assert_eq!(interrupted.verdict(&[strike(Fault::Kill, Some("n1"), 150, None)]), Verdict::CutOff);
    interrupted.started = at(160);
    let found = interrupted.verdict(&[strike(Fault::Kill, Some("n1"), 150, None)]);
    assert_eq!(found, Verdict::Found(Finding::AgainstTheRules));
}

#[test]
fn the_fault_under_way_is_the_youngest_that_is_not_over() {
    let strikes = [
        strike(Fault::Kill, None, 100, Some(200)),
        strike(Fault::Freeze, None, 150, Some(160)),
        strike(Fault::HandOver, None, 300, None),
    ];
    for (moment, fault) in [
        (99, None),
        (100, Some(Fault::Kill)),
        (155, Some(Fault::Freeze)),
        (170, Some(Fault::Kill)),
        (201, None),
        (999, Some(Fault::HandOver)),
    ] {
        assert_eq!(under_way(&strikes, at(moment)), fault, "{moment}");
    }
}

/// What a broken gate does to the bytes on their way to the client.
#[derive(Clone, Copy, Debug)]
enum Harm {
    None,
    /// One bit of the byte at this place.
    Flips(u64),
    /// That byte is not there.
    Drops(u64),
    /// That byte is there twice.
    Doubles(u64),
    /// The stream ends there in good order.
    EndsAt(u64),
    /// A reset becomes an end in good order.
    Softens,
}

/// A gate that passes bytes on, but for one harm; where it listens.
async fn broken_gate(node: SocketAddr, harm: Harm) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(async move { drop(relay(client, node, harm).await) });
        }
    });
    address
}

async fn relay(mut client: TcpStream, node: SocketAddr, harm: Harm) -> io::Result<()> {
    let mut node = TcpStream::connect(node).await?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_node, mut to_node) = node.split();
    let up = async {
        tokio::io::copy(&mut from_client, &mut to_node).await?;
        to_node.shutdown().await
    };
    let down = async {
        let (mut at, mut buffer) = (0, vec![0; 16 * 1024]);
        loop {
            let count = match from_node.read(&mut buffer).await {
                Ok(0) => return to_client.shutdown().await,
                Ok(count) => count,
                Err(error) if !matches!(harm, Harm::Softens) => return Err(error),
                Err(_) => return to_client.shutdown().await,
            };
            let mut piece = buffer[..count].to_vec();
            let within = |place: u64| (at..at + count as u64).contains(&place).then(|| place - at);
            let index = match harm {
                Harm::Flips(place) | Harm::Drops(place) | Harm::Doubles(place) | Harm::EndsAt(place) => {
                    within(place).map(|index| usize::try_from(index).expect("a piece is short"))
                }
                Harm::None | Harm::Softens => None,
            };
            match (harm, index) {
                (Harm::Flips(_), Some(index)) => piece[index] ^= 1,
                (Harm::Drops(_), Some(index)) => _ = piece.remove(index),
                (Harm::Doubles(_), Some(index)) => piece.insert(index, piece[index]),
                (Harm::EndsAt(_), Some(index)) => {
                    to_client.write_all(&piece[..index]).await?;
                    return to_client.shutdown().await;
                }
                _ => {}
            }
            to_client.write_all(&piece).await?;
            at += count as u64;
        }
    };
    let ended = tokio::try_join!(up, down);
    if ended.is_err() && !matches!(harm, Harm::Softens) {
        client.set_zero_linger()?;
        node.set_zero_linger()?;
    }
    ended.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s6_s7_a_gate_that_harms_one_byte_or_one_end_is_found_out() {
    let authority = Authority::new();
    let node = Node::start(&authority, "n1", "lead").await;
    let nodes = [node];
    let trust = Trust::new(&authority, &nodes);
    let wrong = Verdict::Found(Finding::WrongBytes);
    let complete = Verdict::Found(Finding::LooksComplete);
    for (kind, harm, expected) in [
        (Kind::Short, Harm::None, Verdict::Fine),
        (Kind::Short, Harm::Flips(2_000), wrong),
        (Kind::BulkDown, Harm::None, Verdict::Fine),
        (Kind::BulkDown, Harm::Flips(5_000_000), wrong),
        (Kind::BulkDown, Harm::Drops(5_000_000), wrong),
        (Kind::BulkDown, Harm::Doubles(5_000_000), wrong),
        (Kind::BulkDown, Harm::EndsAt(5_000_000), complete),
        (Kind::NodeResets, Harm::None, Verdict::Fine),
        (Kind::NodeResets, Harm::Softens, complete),
        (Kind::ClientResets, Harm::None, Verdict::Fine),
        (Kind::SlowReader, Harm::EndsAt(100), complete),
        (Kind::NodeEndsFirst, Harm::None, Verdict::Fine),
        (Kind::ClientEndsFirst, Harm::Drops(100), wrong),
    ] {
        let gate = broken_gate((nodes[0].host, nodes[0].port).into(), harm).await;
        let session = clients::visit(&trust, gate, kind, 7, 1).await;
        assert_eq!(session.verdict(&[]), expected, "{kind:?} {harm:?}: {session:?}");
    }
    // But for what its clients have told it, the node has heard all as it was sent.
    let faults = nodes[0].faults().into_iter().filter(|fault| !fault.contains("received fatal alert"));
    assert_eq!(faults.collect::<Vec<_>>(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s6_a_node_tells_of_a_client_whose_reset_became_an_end() {
    let authority = Authority::new();
    let node = Node::start(&authority, "n1", "lead").await;
    let mut stream = TcpStream::connect((node.host, node.port)).await.unwrap();
    let mut script = Kind::ClientResets.script(9, 1);
    script.up.bytes = 0;
    let line = format!("CONVERSE {}\n", serde_json::to_string(&script).unwrap());
    stream.write_all(line.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    // All of it is read, so that the end is in good order.
    drop(stream.read_to_end(&mut Vec::new()).await);
    until("the node tells", async || {
        node.faults().into_iter().find(|fault| fault.contains("9 LooksComplete"))
    })
    .await;
}

/// A soak in which nothing was wrong.
fn clean() -> Outcome {
    let idle = Holdings { kib: 20_000, threads: 6, descriptors: 40, pipes: 1 };
    let sample = |second: u32| Sample {
        at: f64::from(second),
        process: Pid::INIT,
        holdings: Holdings { descriptors: 400 + u64::from(second % 7), ..idle },
        books: Books { accepted: 10.0, closed: 9.0, active: 1.0, ..Books::default() },
    };
    let samples = Samples((0..180).map(sample).collect());
    Outcome { book: Book::default(), samples, idle: [idle; 2], books: Books::default() }
}

#[test]
fn whatever_should_be_zero_and_is_not_is_no_clean_soak() {
    type Soil = fn(&mut Outcome);
    let soils: [(&str, Soil); 6] = [
        ("a finding", |soak| _ = soak.book.findings.insert((Finding::Stuck, None), 1)),
        ("a defect", |soak| _ = soak.book.defects.insert("panics".to_owned(), 1)),
        ("a descriptor", |soak| soak.idle[1].descriptors += 1),
        ("memory", |soak| grow(soak, |holdings, second| holdings.kib += 10 * second)),
        ("descriptors", |soak| grow(soak, |holdings, second| holdings.descriptors += second / 10)),
        ("pipes", |soak| grow(soak, |holdings, second| holdings.pipes += second / 10)),
    ];
    assert!(report::is_clean(&clean()));
    for (what, soil) in soils {
        let mut soak = clean();
        soil(&mut soak);
        assert!(!report::is_clean(&soak), "{what}");
    }
}

fn grow(soak: &mut Outcome, more: fn(&mut Holdings, u64)) {
    for (sample, second) in soak.samples.0.iter_mut().zip(0..) {
        more(&mut sample.holdings, second);
    }
}

#[test]
fn a_new_process_is_not_taken_for_growth_until_it_has_its_sessions() {
    let mut soak = clean();
    let init = soak.samples.slope(|holdings| holdings.kib).unwrap();
    assert!(init.per_minute.abs() < 1e-9);
    for (sample, second) in soak.samples.0.iter_mut().zip(0..).skip(60) {
        sample.process = Pid::from_raw(2).unwrap();
        // It fills for a minute, and then it does not.
        sample.holdings.descriptors = 40 + (second - 60_u64).min(60);
    }
    assert!(report::is_clean(&soak));
    soak.samples.0.truncate(122);
    assert_eq!(soak.samples.slope(|holdings| holdings.descriptors), None, "too short to tell");
}

#[test]
fn the_table_goes_between_its_comments_in_readme_and_nowhere_else() {
    let readme = include_str!("../../README.md");
    assert!(report::MARKS.iter().all(|mark| readme.matches(mark).count() == 1), "README has no place for it");
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(report::write_readme(file.path(), "x", "y").is_err(), "there is no place for it");
    let text = "before\n<!-- soak: begin -->\nold\n<!-- soak: end -->\nafter\n";
    std::fs::write(file.path(), text).unwrap();
    for table in ["| one |\n", "| two |\n"] {
        report::write_readme(file.path(), table, "cargo").unwrap();
        let written = std::fs::read_to_string(file.path()).unwrap();
        let expected =
            format!("before\n<!-- soak: begin -->\n{table}\nMade by `cargo`.\n<!-- soak: end -->\nafter\n");
        assert_eq!(written, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_soak_of_seconds_finds_nothing() {
    let plan = Plan { rate: 20, long: 10, slow: 1, bulk: 1 };
    let faults = [Fault::ResetStorm, Fault::HandOver, Fault::ReloadChanged];
    let outcome = soak::run(None, Duration::from_secs(18), plan, &faults).await;
    let text = report::text(&outcome, "this test", 0.2, "");
    assert!(outcome.book.findings.is_empty() && outcome.book.defects.is_empty(), "{text}");
    assert_eq!(report::leaked(&outcome), 0, "{text}");
    for kind in Kind::ALL {
        assert!(outcome.book.sessions.contains_key(&kind), "no session of the kind {kind:?}:\n{text}");
    }
    // On a slow machine there is no time for the third.
    for fault in &faults[..2] {
        assert!(outcome.book.struck(*fault) > 0, "no {fault:?}:\n{text}");
    }
    assert!(report::is_clean(&outcome), "{text}");
    assert_eq!(outcome.samples.csv().lines().count(), outcome.samples.0.len() + 1);
    assert!(outcome.book.bytes > 1_000_000, "{text}");
    assert!(
        !AS_ON_LINUX || outcome.samples.most(|holdings| holdings.pipes) > 2,
        "nothing was spliced: {text}"
    );
}
