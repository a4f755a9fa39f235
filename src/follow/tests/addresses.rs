//! Nodes with names: what a new address means for routes and sessions.

use std::net::IpAddr;

use super::*;
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
