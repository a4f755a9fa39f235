//! L10: an operator's commands, carried out.

use super::*;
use crate::intent::{Command, CommandError, Refusal};
use crate::leader::NodeId;

fn drain(node: usize, force: bool) -> Command {
    Command::Drain { node: NodeId(node), force }
}

fn overrides(followed: &Followed) -> Vec<Option<&'static str>> {
    followed.board.status().nodes.iter().map(|node| node.overridden).collect()
}

async fn led_by_0(hold_then: HoldThen) -> Followed {
    let followed = Followed::start(hold_then, OnDemotion::Keep);
    followed.round([Leader, Follower, Follower]).await;
    assert_eq!(followed.leader(), Some(0));
    followed
}

#[tokio::test(start_paused = true)]
async fn l10_overrides_are_visible() {
    let followed = led_by_0(HoldThen::Refuse).await;
    let metric = |node, what| {
        followed.metric(&format!(
            "raftgate_node_override{{cluster=\"ctrl\",node=\"n{node}\",override=\"{what}\"}}"
        ))
    };
    assert!(is(metric(1, "drain"), 0.0) && is(metric(2, "pin"), 0.0));
    followed.inbox.command(drain(1, false)).await.unwrap();
    followed.inbox.command(Command::Pin(NodeId(2))).await.unwrap();
    assert_eq!(overrides(&followed), [None, Some("drain"), Some("pin")]);
    assert!(is(metric(1, "drain"), 1.0) && is(metric(1, "pin"), 0.0) && is(metric(2, "pin"), 1.0));
    assert_eq!(followed.board.status().alarms, ["override"]);
    followed.inbox.command(Command::Undrain(NodeId(1))).await.unwrap();
    followed.inbox.command(Command::Unpin).await.unwrap();
    assert_eq!(overrides(&followed), [None; 3]);
    assert!(is(metric(1, "drain"), 0.0) && is(metric(2, "pin"), 0.0));
}

#[tokio::test(start_paused = true)]
async fn l10_a_refusal_says_why_and_changes_nothing() {
    let followed = led_by_0(HoldThen::Refuse).await;
    let refusal = followed.inbox.command(drain(0, false)).await;
    assert_eq!(refusal, Err(CommandError::Refused(Refusal::Leads(NodeId(0)))));
    assert_eq!(refusal.unwrap_err().to_string(), Refusal::Leads(NodeId(0)).to_string());
    let unknown = followed.inbox.command(Command::Pin(NodeId(3))).await;
    assert_eq!(unknown, Err(CommandError::Refused(Refusal::UnknownNode(NodeId(3)))));
    assert_eq!((followed.leader(), overrides(&followed)), (Some(0), vec![None; 3]));
    let (inbox, _) = inbox();
    assert_eq!(inbox.command(Command::Unpin).await, Err(CommandError::Stopping));
}

#[tokio::test(start_paused = true)]
async fn s5_the_sessions_of_a_drained_leader_drain_whatever_it_says() {
    let followed = led_by_0(HoldThen::AnyReachable).await;
    let old = followed.tenure();
    followed.inbox.command(drain(0, true)).await.unwrap();
    assert_eq!((followed.leader(), old.fate()), (None, Fate::Drain));
    followed.round([Leader, Follower, Follower]).await;
    assert_eq!(followed.stand_in().map(|tenure| tenure.node), Some(NodeId(1)), "not the drained one");
    followed.inbox.command(Command::Undrain(NodeId(0))).await.unwrap();
    assert!(followed.orders[0].borrow().round > followed.orders[1].borrow().round);
    pass(Duration::from_millis(10)).await;
    followed.round([Leader, Follower, Follower]).await;
    assert_eq!((followed.leader(), old.fate()), (Some(0), Fate::Keep), "election again cancels a drain");
}

#[tokio::test(start_paused = true)]
async fn s5_the_sessions_of_a_stand_in_drain_with_it() {
    let followed = Followed::start(HoldThen::AnyReachable, OnDemotion::Keep);
    followed.round([Follower, Follower, SILENCE]).await;
    let stand_in = followed.stand_in().unwrap();
    assert_eq!(stand_in.node, NodeId(0));
    followed.inbox.command(drain(0, false)).await.unwrap();
    assert_eq!(stand_in.fate(), Fate::Drain);
    assert_eq!(followed.stand_in().map(|tenure| tenure.node), Some(NodeId(1)));
}

#[tokio::test(start_paused = true)]
async fn l10_clients_of_a_pinned_node_wait_for_no_word_of_it() {
    let followed = led_by_0(HoldThen::Refuse).await;
    let old = followed.tenure();
    followed.inbox.command(Command::Pin(NodeId(1))).await.unwrap();
    let pinned = followed.tenure();
    assert_eq!((pinned.node, pinned.rests_on_statements()), (NodeId(1), false));
    assert_eq!(old.fate(), Fate::Keep);
    let before = *followed.orders[1].borrow();
    followed.reader.want_confirmation(Instant::now());
    tokio::task::yield_now().await;
    assert_eq!(*followed.orders[1].borrow(), before);
    // The leader itself, once it is pinned, does not need its word either; without the pin it does again.
    for (command, rests) in [(Command::Pin(NodeId(0)), false), (Command::Unpin, true)] {
        followed.inbox.command(command).await.unwrap();
        let tenure = followed.tenure();
        assert_eq!((tenure.node, tenure.rests_on_statements()), (NodeId(0), rests));
    }
    let changes = followed.metric("raftgate_failover_duration_seconds_count{cluster=\"ctrl\"}");
    assert!(is(changes, 0.0), "no failover: {changes}");
}

#[tokio::test(start_paused = true)]
async fn l10_a_node_whose_name_has_no_address_yet_cannot_be_pinned() {
    let directory = Directory::default();
    let late = directory.add("n0.test");
    let addresses = vec![late.port(1000), address(1).into(), address(2).into()];
    let followed = Followed::start_at(HoldThen::Refuse, OnDemotion::Keep, directory, addresses, None);
    let pin = Command::Pin(NodeId(0));
    assert_eq!(followed.inbox.command(pin).await, Err(CommandError::NoAddress));
    assert_eq!(followed.leader(), None);
    super::addresses::stands_for(&late, &[10]).await;
    followed.inbox.command(pin).await.unwrap();
    assert_eq!(followed.leader(), Some(0), "though it was never heard of");
    // It moves, and stays pinned.
    super::addresses::stands_for(&late, &[20]).await;
    let tenure = followed.tenure();
    assert_eq!((tenure.address.ip(), tenure.rests_on_statements()), ([127, 0, 0, 20].into(), false));
}
