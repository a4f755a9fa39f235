//! A leader whose port for clients is dead while its probes are well.

use super::*;
use crate::board::Happened;
use crate::tenure::Unserved;

const SPAN: Duration = Duration::from_millis(2100);

/// The leader says that it leads, and has taken nobody for a while.
async fn dead_port(hold_then: HoldThen, cause: Unserved) -> Followed {
    let followed = Followed::start(hold_then, OnDemotion::Keep);
    followed.round([Leader, Follower, Follower]).await;
    for _ in 0..2 {
        followed.tenure().note_unserved(Instant::now(), cause);
    }
    pass(SPAN).await;
    followed.tenure().note_unserved(Instant::now(), cause);
    assert_eq!(alarms(&followed), Vec::<&str>::new(), "it may have died");
    followed.round([Leader, Follower, Follower]).await;
    followed
}

fn alarms(followed: &Followed) -> Vec<&'static str> {
    followed.board.status().alarms.clone()
}

#[tokio::test(start_paused = true)]
async fn l8_a_leader_that_takes_no_clients_is_told_of_with_the_reason() {
    const METRIC: &str = "raftgate_leader_not_serving{cluster=\"ctrl\"}";
    for (cause, words) in [
        (Unserved::Refused, "n0 takes no clients at 127.0.0.1:1000: connection refused"),
        (Unserved::NoPort, "n0 takes no clients at 127.0.0.1:1000: this machine has no port left"),
    ] {
        let followed = dead_port(HoldThen::Refuse, cause).await;
        assert_eq!((followed.leader(), alarms(&followed)), (Some(0), vec!["not_serving"]));
        assert!(followed.board.status().not_serving.as_ref().unwrap().starts_with(words));
        assert!(is(followed.metric(METRIC), 1.0));
        {
            let history = followed.board.history();
            let told = |what: &Happened| matches!(what, Happened::NotServing { node, .. } if &**node == "n0");
            assert!(history.events_after(0).any(|event| told(&event.what)));
        }
        followed.tenure().note_served();
        followed.says(0, Leader).await;
        assert_eq!((alarms(&followed), followed.board.status().not_serving.clone()), (vec![], None));
        assert!(is(followed.metric(METRIC), 0.0));
    }
}

#[tokio::test(start_paused = true)]
async fn l8_a_port_that_accepts_and_closes_takes_no_clients_either() {
    let followed = dead_port(HoldThen::Refuse, Unserved::ClosedEarly).await;
    followed.tenure().note_accepted();
    followed.says(0, Leader).await;
    assert_eq!(alarms(&followed), ["not_serving"]);
    followed.tenure().note_served();
    followed.says(0, Leader).await;
    assert_eq!(alarms(&followed), Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn l8_without_clients_nothing_is_known_of_the_port() {
    let followed = dead_port(HoldThen::Refuse, Unserved::Timeout).await;
    for _ in 0..62 {
        assert_eq!(followed.leader(), Some(0));
        pass(Duration::from_secs(1)).await;
        followed.says(0, Leader).await;
    }
    assert_eq!(alarms(&followed), Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn s2_hold_then_gives_another_node_while_the_leader_takes_nobody() {
    let followed = dead_port(HoldThen::AnyReachable, Unserved::Refused).await;
    let tenure = followed.tenure();
    let instead = tenure.instead().expect("a node that answers");
    assert_eq!((instead.node, instead.is_stand_in()), (NodeId(1), true));
    assert_eq!(followed.board.status().stand_in.as_deref(), Some("n1"));
    followed.says(0, Leader).await;
    assert!(Arc::ptr_eq(&tenure.instead().unwrap(), &instead), "it stays the same");
    tenure.note_served();
    followed.says(0, Leader).await;
    assert!(tenure.instead().is_none() && followed.board.status().stand_in.is_none());
    assert_eq!(instead.fate(), Fate::Drain);
    for then in [HoldThen::Refuse, HoldThen::LastLeader] {
        assert!(dead_port(then, Unserved::Refused).await.tenure().instead().is_none(), "{then:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn s2_who_stands_in_for_a_leader_stands_in_when_it_is_lost() {
    let followed = dead_port(HoldThen::AnyReachable, Unserved::Refused).await;
    followed.round([Follower, Follower, Follower]).await;
    assert_eq!((followed.leader(), alarms(&followed)), (None, vec!["leaderless"]));
    assert!(followed.stand_in().is_some());
}
