//! What is told of the sessions, and who is cut by an operator's order (O6).

use tokio::sync::Mutex;

use super::*;
use crate::census::{Filter, Question, Session, State, census};

/// Joined to `a` and to `b`, held, and on its way.
struct Table {
    sessions: Rc<Sessions>,
    slots: Vec<Slot>,
    writer: TenureWriter,
    entrance: Rc<Entrance>,
}

impl Table {
    fn new() -> Self {
        let (worker, entrance) = bare_worker();
        let (writer, _) = channel(Instant::now(), Arc::default());
        let sessions = Rc::clone(&worker.sessions);
        let slots = (0..4).map(|_| admit(&sessions, &entrance)).collect();
        let mut table = Table { sessions, slots, writer, entrance };
        for node in ["a", "b"] {
            let tenure = table.lead(node);
            table.sessions.join(table.slots[tenure.node.0].key(), tenure);
        }
        table.sessions.set_held(table.slots[2].key(), true);
        table
    }

    fn lead(&mut self, node: &str) -> Arc<Tenure> {
        let id = NodeId(usize::from(node == "b"));
        self.writer.lead(id, node.into(), ([127, 0, 0, 1], 1).into(), Instant::now())
    }

    fn is_cut(&self, place: usize) -> bool {
        let call = self.slots[place].poll_call(&Context::from_waker(Waker::noop()));
        call == Poll::Ready(Call::End(Outcome::Cut))
    }
}

fn of_node(node: &str) -> Filter {
    Filter { cluster: Some("raft".into()), node: Some(node.into()) }
}

#[tokio::test(start_paused = true)]
async fn o6_each_session_is_told_with_who_it_is_and_how_far() {
    let mut table = Table::new();
    let old = table.lead("a");
    table.sessions.join(table.slots[0].key(), Arc::clone(&old));
    table.writer.set_fate(&old, Fate::Drain);
    table.sessions.apply_fates(&cluster_of(&table.entrance)).await;
    table.sessions.entries.borrow()[table.slots[1].key().0].meter.to_node.set(7);
    tokio::time::advance(Duration::from_secs(5)).await;
    let listing = table.sessions.list(&Filter::default(), 10).await;
    assert_eq!(listing.total, 4);
    let told: Vec<_> =
        listing.sessions.iter().map(|s| (s.node.as_deref(), s.epoch, s.state, s.to_node)).collect();
    let expected = [
        (Some("a"), Some(3), State::Draining, 0),
        (Some("b"), Some(2), State::Joined, 7),
        (None, None, State::Held, 0),
        (None, None, State::Arriving, 0),
    ];
    assert_eq!(told, expected);
    let Session { listener, client, cluster, age, .. } = listing.sessions[0].clone();
    assert_eq!(
        (&*listener, client.to_string().as_str(), cluster),
        ("edge", "192.0.2.1:7", Some("raft".into()))
    );
    assert!(age >= Duration::from_secs(5) && age < Duration::from_secs(6), "{age:?}");
}

#[tokio::test(start_paused = true)]
async fn o6_a_list_is_bounded_and_says_how_many_there_are() {
    let table = Table::new();
    for (filter, limit, expected) in [
        (Filter::default(), 2, (4, 2)),
        (of_node("b"), 10, (1, 1)),
        (of_node("c"), 10, (0, 0)),
        (Filter { cluster: Some("other".into()), node: None }, 10, (0, 0)),
    ] {
        let listing = table.sessions.list(&filter, limit).await;
        assert_eq!((listing.total, listing.sessions.len()), expected, "{filter:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn o6_a_cut_ends_the_nodes_sessions_of_all_tenures_and_no_others() {
    let mut table = Table::new();
    let again = table.lead("a");
    table.slots.push(admit(&table.sessions, &table.entrance));
    table.sessions.join(table.slots[4].key(), again);
    assert_eq!(table.sessions.cut_by_order(&of_node("a")).await, 2);
    assert_eq!([0, 1, 2, 3, 4].map(|place| table.is_cut(place)), [true, false, false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn o6_a_cut_comes_in_waves_and_spares_who_comes_after_it() {
    let (sessions, entrance, mut slots, mut writer, _) = crowd();
    let filter = of_node("a");
    let mut cutting = pin!(sessions.cut_by_order(&filter));
    while ended(&sessions) == 0 {
        assert!(std::future::poll_fn(|cx| Poll::Ready(cutting.as_mut().poll(cx).is_pending())).await);
    }
    assert_eq!(ended(&sessions), WAVE);
    drop(slots.pop());
    tokio::time::advance(Duration::from_millis(1)).await;
    let heir = admit(&sessions, &entrance);
    let tenure = writer.lead(NodeId(0), "a".into(), ([127, 0, 0, 1], 1).into(), Instant::now());
    sessions.join(heir.key(), tenure);
    assert_eq!(cutting.await, WAVES * WAVE - 1);
    assert!(heir.poll_call(&Context::from_waker(Waker::noop())).is_pending());
}

#[tokio::test]
async fn o6_all_workers_are_asked_and_one_that_has_ended_is_not_waited_for() {
    let (asker, mut workers) = census(3);
    drop(workers.pop());
    let answering = async {
        for (number, worker) in workers.iter_mut().enumerate() {
            match worker.recv().await {
                Some(Question::Cut(filter, reply)) => {
                    assert_eq!(filter, of_node("a"));
                    // One ends in the middle of it.
                    if number > 0 {
                        reply.send(5).unwrap();
                    }
                }
                other => panic!("no order but {other:?}"),
            }
        }
    };
    let filter = of_node("a");
    let (count, ()) = tokio::join!(asker.cut(&filter), answering);
    assert_eq!(count, 5);
}

#[tokio::test]
async fn o6_a_workers_answers_are_joined_up_to_the_limit() {
    let tables = [Table::new(), Table::new()];
    let (asker, workers) = census(2);
    let answering = tables
        .iter()
        .zip(workers)
        .map(|(table, questions)| Rc::clone(&table.sessions).answer(Rc::new(Mutex::new(questions))))
        .collect::<Vec<_>>();
    let asking = async {
        let listing = asker.list(&Filter::default(), 6).await;
        drop(asker);
        listing
    };
    let [first, second] = <[_; 2]>::try_from(answering).unwrap_or_else(|_| panic!("two"));
    let (listing, (), ()) = tokio::join!(asking, first, second);
    assert_eq!((listing.total, listing.sessions.len()), (8, 6));
}
