//! The decisions of an opening (S4), each route and each close by script.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream as Blocking};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::task::{LocalSet, yield_now};
use tokio::time::Instant;

use super::super::choice::{Fault, Setback};
use super::super::outcome::{Ending, Refusal};
use super::super::tests::harness::{Bare, bare_journey, within};
use super::super::unjoined::Unjoined;
use super::decision::{AfterClose, Opening, Standing, standing};
use super::{Exchange, Happened, Opened, PATIENCE, SCRATCH, open};
use crate::leader::NodeId;
use crate::tenure::{Fate, Tenure, TenureReader, TenureWriter, channel};
use crate::wire::hello::{OPENING_LIMIT, Opening as Judgement};

fn cluster() -> (TenureWriter, TenureReader) {
    channel(Instant::now(), Arc::default())
}

fn lead(writer: &mut TenureWriter, node: usize) -> Arc<Tenure> {
    writer.lead(
        NodeId(node),
        "n".into(),
        ([127, 0, 0, 1], 100 + u16::try_from(node).unwrap()).into(),
        Instant::now(),
    )
}

fn is_stay(standing: &Standing) -> bool {
    matches!(standing, Standing::Stay)
}

#[test]
fn s4_only_a_successor_makes_a_client_leave_its_node() {
    let (mut writer, route) = cluster();
    let tenure = lead(&mut writer, 0);
    assert!(is_stay(&standing(&tenure, &route.load())));
    writer.leaderless(Instant::now(), None);
    assert!(is_stay(&standing(&tenure, &route.load())), "a frozen leader may only be slow");
    for fate in [Fate::Drain, Fate::Keep] {
        writer.set_fate(&tenure, fate);
        assert!(is_stay(&standing(&tenure, &route.load())));
    }
    lead(&mut writer, 1);
    assert!(matches!(standing(&tenure, &route.load()), Standing::Leave));
}

#[test]
fn s4_a_client_stays_with_the_node_that_serves_for_the_leader() {
    let (mut writer, route) = cluster();
    let leader = lead(&mut writer, 0);
    let address = ([127, 0, 0, 1], 101).into();
    let instead = writer.stand_in(NodeId(1), "m".into(), address, Instant::now());
    writer.set_instead(&leader, Some(Arc::clone(&instead)));
    assert!(is_stay(&standing(&instead, &route.load())));
    writer.set_instead(&leader, None);
    assert!(matches!(standing(&instead, &route.load()), Standing::Leave));
}

#[test]
fn s4_a_readdressed_node_is_another_one() {
    let (mut writer, route) = cluster();
    let tenure = lead(&mut writer, 0);
    writer.lead(NodeId(0), "n".into(), ([127, 0, 0, 1], 999).into(), Instant::now());
    assert!(matches!(standing(&tenure, &route.load()), Standing::Leave));
}

#[test]
fn s4_a_node_elected_again_keeps_its_clients_under_the_new_tenure() {
    let (mut writer, route) = cluster();
    let old = lead(&mut writer, 0);
    let new = lead(&mut writer, 0);
    writer.set_fate(&old, Fate::Cut);
    let Standing::Adopt(adopted) = standing(&old, &route.load()) else { panic!("not adopted") };
    assert_eq!(adopted.epoch, new.epoch);
}

#[test]
fn s4_a_reader_keeps_its_node_while_that_is_one_of_several() {
    let (mut writer, route) = cluster();
    let reader = |writer: &TenureWriter, node: u16| {
        let address = ([127, 0, 0, 1], 100 + node).into();
        writer.reader(NodeId(node.into()), "n".into(), address, Instant::now())
    };
    let (other, own) = (reader(&writer, 0), reader(&writer, 1));
    writer.spread([&other, &own].map(Arc::clone));
    assert!(is_stay(&standing(&own, &route.load())));
    let again = reader(&writer, 1);
    writer.spread([&other, &again].map(Arc::clone));
    let Standing::Adopt(adopted) = standing(&own, &route.load()) else { panic!("not adopted") };
    assert_eq!(adopted.epoch, again.epoch);
    writer.spread([other]);
    assert!(matches!(standing(&own, &route.load()), Standing::Leave));
}

#[test]
fn s4_a_cut_without_a_successor_lets_the_client_wait_for_one() {
    let (mut writer, route) = cluster();
    let tenure = lead(&mut writer, 0);
    writer.leaderless(Instant::now(), None);
    writer.set_fate(&tenure, Fate::Cut);
    assert!(matches!(standing(&tenure, &route.load()), Standing::Leave));
}

#[test]
fn s4_closing_early_is_borne_once_and_only_once() {
    let (mut writer, route) = cluster();
    let tenure = lead(&mut writer, 0);
    let mut opening = Opening::default();
    opening.add(&[22]);
    for orderly in [true, false] {
        let note = |before, fault| Setback::note(before, &tenure, fault, Instant::now(), 0.5);
        let after = |setback| opening.after_close(orderly, setback, &tenure, &route.load());
        assert_eq!(after(None), AfterClose::Move);
        let refused = note(None, Fault::Node);
        assert_eq!(after(Some(&refused)), AfterClose::Move, "a refusal is no close");
        let closed = note(Some(&refused), Fault::ClosedEarly);
        assert_eq!(after(Some(&closed)), AfterClose::PassOn);
    }
}

#[test]
fn s4_what_another_tenure_did_does_not_count() {
    let (mut writer, route) = cluster();
    let old = lead(&mut writer, 0);
    let closed = Setback::note(None, &old, Fault::ClosedEarly, Instant::now(), 0.5);
    let opening = Opening::default();
    writer.leaderless(Instant::now(), None);
    let after = opening.after_close(true, Some(&closed), &old, &route.load());
    assert_eq!(after, AfterClose::Move, "who leads no more has nothing to insist on");
    let new = lead(&mut writer, 1);
    assert_eq!(opening.after_close(true, Some(&closed), &new, &route.load()), AfterClose::Move);
}

#[test]
fn s4_a_close_that_answers_a_close_is_passed_on() {
    let (mut writer, route) = cluster();
    let tenure = lead(&mut writer, 0);
    let mut opening = Opening::default();
    opening.finish();
    assert_eq!(opening.after_close(true, None, &tenure, &route.load()), AfterClose::PassOn);
    assert_eq!(opening.after_close(false, None, &tenure, &route.load()), AfterClose::Move);
    opening.add(&[22]);
    assert_eq!(opening.after_close(true, None, &tenure, &route.load()), AfterClose::Move);
}

#[test]
fn s8_no_more_is_kept_than_the_limit() {
    let mut opening = Opening::default();
    // A record whose length is beyond what has come: replayable until it is too much.
    let mut judgement = opening.add(&[22, 3, 1]);
    while judgement == Judgement::Replayable && opening.kept().len() <= OPENING_LIMIT {
        judgement = opening.add(&[0x40]);
    }
    assert_eq!(judgement, Judgement::Committed);
    assert!(opening.kept().len() <= OPENING_LIMIT + 1);
}

#[test]
fn s4_what_a_node_has_not_got_yet_is_the_rest() {
    let mut opening = Opening::default();
    opening.add(b"abc");
    assert_eq!(opening.into_unsent(1), b"bc");
}

#[test]
fn s4_what_was_kept_is_freed_once_the_node_has_it() {
    let mut opening = Opening::default();
    opening.add(&[22; 5000]);
    assert_eq!(opening.into_unsent(5000).capacity(), 0, "a session would own it for all its life");
}

/// The two ends of a connection, the first one for the gate.
fn connection() -> (Unjoined, Blocking) {
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let ours = Blocking::connect(port.local_addr().unwrap()).unwrap();
    ours.set_nonblocking(true).unwrap();
    (Unjoined::new(TcpStream::from_std(ours).unwrap()), port.accept().unwrap().0)
}

#[tokio::test]
async fn s4_a_byte_of_the_node_that_is_there_before_its_successor_ends_the_opening() {
    let ((client, _client), (ours, mut node)) = (connection(), connection());
    let Bare { mut journey, mut writer, slot: _slot, .. } = bare_journey(client.join(), &[]);
    let tenure = lead(&mut writer, 0);
    let opening = async move { open(&mut journey, Opening::default(), tenure, ours, None).await };
    LocalSet::new()
        .run_until(async {
            let opening = tokio::task::spawn_local(opening);
            yield_now().await;
            // Nothing is awaited between the two: the runtime hears of the successor first.
            node.write_all(b"!").unwrap();
            lead(&mut writer, 1);
            match within("the opening ends", opening).await.unwrap() {
                Ok(Opened::Joined { tenure, first, .. }) => {
                    assert_eq!((tenure.node, &*first), (NodeId(0), &b"!"[..]));
                }
                Ok(Opened::Moved { .. }) => panic!("its node had spoken, and it was moved"),
                Err(ending) => panic!("ended: {}", ending.as_str()),
            }
        })
        .await;
}

#[tokio::test]
async fn a_node_that_has_spoken_before_it_was_told_of_its_client_is_told_all_the_same() {
    for kept in [&b""[..], &[22, 3, 1]] {
        let ((client, _client), (ours, mut node)) = (connection(), connection());
        let Bare { mut journey, mut writer, slot: _slot, .. } = bare_journey(client.join(), &[]);
        let tenure = lead(&mut writer, 0);
        node.write_all(b"220 ready").unwrap();
        let mut opening = Opening::default();
        opening.add(kept);
        let mut exchange = Exchange::new(opening, ours, b"PROXY UNKNOWN\r\n".to_vec(), false);
        let scratch = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
        let happened = exchange.next(&mut journey.client, &journey.meter, &scratch);
        assert!(matches!(within("its word", happened).await, Happened::NodeSpoke(_)));
        let Opened::Joined { unsent, .. } = exchange.joined(&journey, tenure, Vec::new()) else {
            panic!("not joined")
        };
        assert_eq!((unsent.len(), journey.meter.to_node.get()), (0, kept.len() as u64), "in one go");
        let mut told = vec![0; 15 + kept.len()];
        node.read_exact(&mut told).unwrap();
        assert_eq!(told, [b"PROXY UNKNOWN\r\n", kept].concat());
    }
}

#[tokio::test]
async fn s4_nobody_is_joined_to_a_node_that_has_not_been_told() {
    let ((_ours, _), (ours, mut node)) = (connection(), connection());
    node.write_all(b"!").unwrap();
    let exchange = Exchange::new(Opening::default(), ours, b"PROXY UNKNOWN\r\n".to_vec(), false);
    let scratch = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
    assert_eq!(exchange.read_node_once_more(&scratch), None);
}

#[tokio::test]
async fn s4_the_last_look_sees_what_the_runtime_has_not_heard_of() {
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let ours = std::net::TcpStream::connect(port.local_addr().unwrap()).unwrap();
    ours.set_nonblocking(true).unwrap();
    let (mut node, _) = port.accept().unwrap();
    let exchange = Exchange::new(
        Opening::default(),
        Unjoined::new(TcpStream::from_std(ours).unwrap()),
        Vec::new(),
        false,
    );
    let scratch = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
    assert_eq!(exchange.read_node_once_more(&scratch), None);
    node.write_all(b"!").unwrap();
    // Nothing was awaited since: the runtime still takes the socket for empty.
    assert!(exchange.node.try_read(&mut [0]).is_err());
    assert_eq!(exchange.read_node_once_more(&scratch), Some(b"!".to_vec()));
}

/// An opening of a client that says `words` and nothing more, whom no proxy vouches for; what the node gets, and how it
/// ends. Time passes at once where everybody waits.
async fn opening_of_a_stranger(words: &[u8], ends: bool) -> (Result<Opened, Ending>, Blocking) {
    let ((client, mut saying), (ours, node)) = (connection(), connection());
    let Bare { mut journey, mut writer, slot: _slot, .. } = bare_journey(client.join(), &["10.0.0.0/8"]);
    let tenure = lead(&mut writer, 0);
    saying.write_all(words).unwrap();
    if ends {
        saying.shutdown(std::net::Shutdown::Write).unwrap();
    }
    let opening = open(&mut journey, Opening::default(), tenure, ours, None);
    let opened = within("the opening ends", opening).await;
    node.set_nonblocking(true).unwrap();
    (opened, node)
}

#[tokio::test(start_paused = true)]
async fn s8_what_could_still_become_a_forged_header_is_not_waited_for_without_end() {
    for words in [&b"P"[..], b"PROXY", b"\r\n", b"\r\n\r\n\0\r\nQUIT"] {
        let before = Instant::now();
        let (opened, mut node) = opening_of_a_stranger(words, false).await;
        assert!(matches!(opened, Err(Ending::Refused(Refusal::ProxyHeader))), "{words:?}");
        assert!(before.elapsed() >= PATIENCE && before.elapsed() < 2 * PATIENCE);
        assert!(node.read(&mut [0]).is_err(), "nothing of it was for the node");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_ends_with_what_could_have_become_a_header_is_passed_on() {
    let before = Instant::now();
    let (opened, _node) = opening_of_a_stranger(b"PROXY", true).await;
    let Ok(Opened::Joined { unsent, finished, .. }) = opened else { panic!("not joined") };
    assert_eq!((&*unsent, finished, before.elapsed()), (&b"PROXY"[..], true, std::time::Duration::ZERO));
}
