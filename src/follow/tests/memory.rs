//! What is known of a cluster when another process goes on following it (O3).

use super::*;

/// The cluster of the tests with its nodes at these ports, as another process goes on with what is remembered of it.
fn go_on(hold_then: HoldThen, ports: [u16; 3], memory: &ClusterMemory) -> Followed {
    let addresses = ports.map(|port| address(port).into()).to_vec();
    Followed::start_at(hold_then, OnDemotion::Keep, Directory::default(), addresses, Some(memory))
}

#[tokio::test(start_paused = true)]
async fn o3_s2_who_led_last_stands_in_for_the_next_process_too_unless_it_is_elsewhere_now() {
    let before = Followed::start(HoldThen::LastLeader, OnDemotion::Keep);
    before.round([Leader, Follower, Follower]).await;
    before.round([Follower, Follower, Follower]).await;
    let memory = before.inbox.remember().await.unwrap();
    let stand_in = |ports| {
        let after = go_on(HoldThen::LastLeader, ports, &memory);
        after.stand_in().map(|tenure| tenure.node)
    };
    assert_eq!(stand_in([1000, 1001, 1002]), Some(NodeId(0)));
    assert_eq!(stand_in([1000, 1001, 2002]), Some(NodeId(0)), "another node's address is another matter");
    assert_eq!(stand_in([2000, 1001, 1002]), None, "it has led elsewhere");
}

#[tokio::test(start_paused = true)]
async fn o3_s2_a_pinned_node_stands_in_for_the_next_process_no_more_than_for_this_one() {
    let before = Followed::start(HoldThen::LastLeader, OnDemotion::Keep);
    before.round([Follower, Follower, Follower]).await;
    before.inbox.command(Command::Pin(NodeId(1))).await.unwrap();
    let after = go_on(HoldThen::LastLeader, [1000, 1001, 1002], &before.inbox.remember().await.unwrap());
    assert_eq!(after.leader(), Some(1));
    for followed in [before, after] {
        followed.inbox.command(Command::Unpin).await.unwrap();
        assert!(followed.leader().is_none() && followed.stand_in().is_none(), "it has never led");
    }
}

#[tokio::test(start_paused = true)]
async fn o3_what_was_said_at_another_probe_address_counts_no_more() {
    let before = Followed::start(HoldThen::LastLeader, OnDemotion::Keep);
    before.round([Leader, Follower, Follower]).await;
    before.inbox.command(Command::Drain { node: NodeId(1), force: false }).await.unwrap();
    let mut memory = before.inbox.remember().await.unwrap();
    let ports = [1000, 1001, 1002];
    assert_eq!(go_on(HoldThen::LastLeader, ports, &memory).leader(), Some(0));
    // The one before asked two of them elsewhere.
    for name in ["n0", "n1"] {
        memory.nodes.get_mut(name).unwrap().address.push_str(" 127.0.0.1:8008");
    }
    let after = go_on(HoldThen::LastLeader, ports, &memory);
    assert!(after.leader().is_none() && after.stand_in().is_none());
    let drained = after.board.status().nodes.iter().filter(|node| node.overridden.is_some()).count();
    assert_eq!(drained, 1, "an order is about the name");
}
