//! Nodes with names: what a new address means for routes and sessions.

use std::net::IpAddr;

use super::*;
use crate::board::Happened;
use crate::names::{Host, look_up_once};

/// Three nodes, each known by a name that stands for its own address: the leader `n0` for 127.0.0.10.
async fn named() -> (Followed, Vec<Host>) {
    let directory = Directory::default();
    let hosts: Vec<Host> = (0..3).map(|id| directory.add(&format!("n{id}.test"))).collect();
    let addresses = hosts.iter().map(|host| host.port(1000)).collect();
    let followed = Followed::start_at(HoldThen::Refuse, OnDemotion::Keep, directory, addresses, None);
    for (host, last) in hosts.iter().zip(10..) {
        stands_for(host, &[last]).await;
    }
    followed.round([Leader, Follower, Follower]).await;
    (followed, hosts)
}

pub(super) async fn stands_for(host: &Host, last: &[u8]) {
    let found = last.iter().map(|last| IpAddr::from([127, 0, 0, *last])).collect();
    look_up_once(host.clone(), async |_| Ok(found)).await;
    tokio::task::yield_now().await;
}

fn at(last: u8) -> SocketAddr {
    ([127, 0, 0, last], 1000).into()
}

#[tokio::test(start_paused = true)]
async fn s5_a_readdressed_leader_begins_a_new_tenure_and_the_old_ones_sessions_drain() {
    let (followed, hosts) = named().await;
    let old = followed.tenure();
    assert_eq!((old.node, old.address), (NodeId(0), at(10)));
    stands_for(&hosts[0], &[20]).await;
    let new = followed.tenure();
    assert_eq!((new.node, new.address, new.epoch), (NodeId(0), at(20), old.epoch + 1));
    assert_eq!((new.fate(), old.fate()), (Fate::Keep, Fate::Drain));
    assert!(
        is(followed.metric("raftgate_leader_changes_total{cluster=\"ctrl\"}"), 1.0),
        "it leads as before"
    );
    assert_eq!(&*followed.board.status().nodes[0].address, "127.0.0.20:1000");

    stands_for(&hosts[0], &[10]).await;
    assert_eq!((followed.tenure().epoch, old.fate()), (new.epoch + 1, Fate::Keep), "back where it was");
    assert_eq!(new.fate(), Fate::Drain);
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_leaves_the_leader_where_it_is_changes_nothing() {
    let (followed, hosts) = named().await;
    let (tenure, mut reader) = (followed.tenure(), followed.reader.clone());
    reader.mark_seen();
    stands_for(&hosts[0], &[30, 10]).await;
    stands_for(&hosts[1], &[40]).await;
    assert!(Arc::ptr_eq(&tenure, &followed.tenure()));
    assert!(tokio::time::timeout(Duration::from_secs(1), reader.changed()).await.is_err(), "nobody is woken");
}

#[tokio::test(start_paused = true)]
async fn a_leader_reached_at_another_of_its_addresses_goes_on_there_and_keeps_its_sessions() {
    let (followed, hosts) = named().await;
    stands_for(&hosts[0], &[10, 20]).await;
    let old = followed.tenure();
    hosts[0].port(1000).note_reached(at(20));
    tokio::task::yield_now().await;
    assert_eq!((followed.tenure().address, old.fate()), (at(20), Fate::Keep));
}

#[tokio::test(start_paused = true)]
async fn l3_a_statement_elsewhere_forgets_what_was_said_here() {
    for (says, leads_on) in [(Leader, true), (Follower, false), (SILENCE, true), (UNFIT, true)] {
        let (followed, hosts) = named().await;
        followed.says_at(0, at(10), Leader).await;
        let old = followed.tenure();
        stands_for(&hosts[0], &[20]).await;
        let asked = Instant::now();
        followed.says_at(0, at(20), says).await;
        if !matches!(says, Leader | Follower) {
            assert!(Arc::ptr_eq(&old, &followed.tenure()), "{says:?} says nothing of the node's address");
            continue;
        }
        assert_eq!(followed.leader().is_some(), leads_on, "{says:?}");
        if leads_on {
            let new = followed.tenure();
            assert_eq!((new.address, new.confirmed_at(), old.fate()), (at(20), asked, Fate::Drain));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn l3_what_was_said_elsewhere_gives_a_claim_no_order() {
    for (elsewhere, leads) in [(at(10), 0), (at(20), 1)] {
        let (followed, _hosts) = named().await;
        followed.round([Follower, Leader, Follower]).await;
        followed.says_at(0, at(10), Follower).await;
        assert_eq!(followed.leader(), Some(1));
        followed.says_at(0, elsewhere, Leader).await;
        assert_eq!(followed.leader(), Some(leads), "asked at {elsewhere}");
    }
}

#[tokio::test(start_paused = true)]
async fn l3_no_tenure_begins_where_the_node_has_not_said_that_it_leads() {
    let (followed, hosts) = named().await;
    followed.says_at(0, at(10), Leader).await;
    stands_for(&hosts[0], &[20]).await;
    followed.says_at(0, at(20), Follower).await;
    let history = followed.board.history();
    let kinds: Vec<_> = history.events_after(0).map(|event| &event.what).collect();
    assert!(kinds.iter().any(|kind| matches!(kind, Happened::LeaderLost { .. })), "{kinds:?}");
    assert!(kinds.iter().all(|kind| !matches!(kind, Happened::LeaderMoved { .. })), "{kinds:?}");
}

/// Nodes with a name for clients and another one for probes, as another process goes on with what is remembered of them.
async fn apart(memory: Option<&ClusterMemory>) -> (Followed, Host) {
    let directory = Directory::default();
    let served = directory.add("public.test");
    let probed = directory.add("mgmt.test").port(2000);
    let nodes = vec![
        (served.port(1000), probed),
        (address(1).into(), address(1).into()),
        (address(2).into(), address(2).into()),
    ];
    let followed = Followed::start_apart(HoldThen::Refuse, OnDemotion::Keep, directory, nodes, memory);
    // It has to follow already to notice a change.
    tokio::task::yield_now().await;
    (followed, served)
}

#[tokio::test(start_paused = true)]
async fn o3_a_host_that_no_probe_reaches_moves_after_an_upgrade_too() {
    let (before, served) = apart(None).await;
    stands_for(&served, &[10]).await;
    before.says_at(0, ([127, 0, 0, 99], 2000).into(), Leader).await;
    before.round([Leader, Follower, Follower]).await;
    let mut memory = before.inbox.remember().await.unwrap();
    assert_eq!(memory.nodes["n0"].current, None, "no probe has reached it");
    for older in [false, true] {
        if older {
            // So an older version writes it down.
            memory.nodes.get_mut("n0").unwrap().current = Some([127, 0, 0, 10].into());
        }
        let (after, served) = apart(Some(&memory)).await;
        assert_eq!(after.tenure().address, at(10));
        stands_for(&served, &[20]).await;
        assert_eq!(after.tenure().address, at(20));
    }
}

#[tokio::test(start_paused = true)]
async fn o3_where_a_node_was_reached_is_handed_over() {
    let (before, hosts) = named().await;
    before.says_at(0, at(10), Leader).await;
    stands_for(&hosts[0], &[20]).await;
    let memory = before.inbox.remember().await.unwrap();
    let after = || {
        let directory = Directory::default();
        let addresses = (0..3).map(|id| directory.add(&format!("n{id}.test")).port(1000)).collect();
        Followed::start_at(HoldThen::Refuse, OnDemotion::Keep, directory, addresses, Some(&memory))
    };
    let (leads, follows) = (after(), after());
    assert_eq!(leads.tenure().address, at(10));
    leads.says_at(0, at(20), Leader).await;
    assert_eq!(leads.tenure().address, at(20));
    follows.says_at(0, at(20), Follower).await;
    assert_eq!(follows.leader(), None);
}

#[tokio::test(start_paused = true)]
async fn s3_the_clients_addresses_are_tried_in_turn_where_no_probe_goes() {
    let (followed, served) = apart(None).await;
    stands_for(&served, &[10, 20]).await;
    followed.round([Leader, Follower, Follower]).await;
    assert_eq!(followed.tenure().address, at(10));
    let fails = async || {
        for suspicion in [Suspicion::ConnectRefused, Suspicion::ConnectTimeout] {
            followed.inbox.signal(NodeId(0), suspicion);
        }
        tokio::task::yield_now().await;
        followed.tenure().address
    };
    assert_eq!(fails().await, at(20), "and not once for each client that has failed");
    assert_eq!(fails().await, at(20), "what was under way meanwhile says nothing of the next address");
    pass(Duration::from_millis(900)).await;
    followed.says(0, Leader).await;
    pass(Duration::from_millis(200)).await;
    assert_eq!(fails().await, at(10));
}

#[tokio::test(start_paused = true)]
async fn a_node_without_an_address_for_clients_is_no_leader_until_it_has_one() {
    let directory = Directory::default();
    let late = directory.add("n0.test");
    let addresses = vec![late.port(1000), address(1).into(), address(2).into()];
    let followed = Followed::start_at(HoldThen::AnyReachable, OnDemotion::Keep, directory, addresses, None);
    followed.round([Leader, SILENCE, SILENCE]).await;
    followed.round([Leader, SILENCE, SILENCE]).await;
    assert_eq!(followed.leader(), None);
    assert!(followed.stand_in().is_none());
    let node = followed.board.status().nodes[0].clone();
    assert_eq!((node.state, &*node.address), ("unreachable", "n0.test:1000"));
    assert!(node.detail.contains("n0.test:1000 has no address for clients"), "{}", node.detail);
    stands_for(&late, &[10]).await;
    followed.round([Leader, SILENCE, SILENCE]).await;
    assert_eq!(followed.tenure().address, at(10));
}

#[tokio::test(start_paused = true)]
async fn l8_a_node_without_an_address_for_clients_is_not_healthy() {
    let directory = Directory::default();
    let hosts: Vec<Host> = (0..3).map(|id| directory.add(&format!("n{id}.test"))).collect();
    let addresses = hosts.iter().map(|host| host.port(1000)).collect();
    let followed = Followed::start_at(HoldThen::Refuse, OnDemotion::Keep, directory, addresses, None);
    stands_for(&hosts[1], &[11]).await;
    followed.round([Leader, Follower, Follower]).await;
    let healthy =
        |node| followed.metric(&format!("raftgate_node_healthy{{cluster=\"ctrl\",node=\"{node}\"}}"));
    assert!(is(healthy("n0"), 0.0) && is(healthy("n1"), 1.0));
}
