//! Streams of events on paused time, read as their clients would.

use std::task::Poll;

use http_body_util::BodyExt;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::advance;

use super::*;
use crate::board::Happened;

/// A board with two clusters, and the events of it.
struct Stage {
    board: Arc<Board>,
    events: Arc<Events>,
}

/// One who listens: what is written for it, and the task that writes.
struct Listener {
    body: Channel<Bytes>,
    feeding: JoinHandle<()>,
}

/// What one of them hears: an event's name, its id and its data.
#[derive(Debug)]
struct Heard {
    event: String,
    id: Option<String>,
    data: Value,
}

impl Stage {
    fn set() -> Self {
        let board = Arc::new(Board::new(["a".into(), "b".into()]));
        let events = Arc::new(Events::of(Arc::clone(&board)));
        let telling = Arc::clone(&events);
        tokio::spawn(async move { telling.tell().await });
        Stage { board, events }
    }

    /// Something happens, and shows in the status.
    fn happens(&self, cluster: &str, alarm: &'static str) {
        let cluster = self.board.cluster(cluster).unwrap();
        cluster.note(Happened::AlarmRaised { alarm });
        cluster.publish(ClusterStatus { alarms: vec![alarm], ..ClusterStatus::default() });
    }

    fn listen(&self, last_event_id: Option<&str>) -> Listener {
        let (subscription, body) = self.events.subscribe(last_event_id).expect("there is a place");
        Listener { body, feeding: tokio::spawn(subscription.feed()) }
    }
}

impl Listener {
    /// The next piece of the stream; time passes until it is there.
    async fn piece(&mut self) -> String {
        let frame = timeout(HEARTBEAT * 3, self.body.frame()).await.expect("something is told");
        let frame = frame.expect("the stream goes on").unwrap();
        String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
    }

    /// The next event; what is no event is passed over.
    async fn hear(&mut self) -> Heard {
        // Signs of life never end.
        for _ in 0..100 {
            let piece = self.piece().await;
            if piece.starts_with("event: ") {
                let field =
                    |name: &str| piece.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                let data = serde_json::from_str(&field("data: ").unwrap()).unwrap();
                return Heard { event: field("event: ").unwrap(), id: field("id: "), data };
            }
        }
        panic!("nothing but signs of life");
    }

    /// The alarms of so many changes, as they come.
    async fn hear_changes(&mut self, count: usize) -> Vec<String> {
        let mut alarms = Vec::new();
        while alarms.len() < count {
            let heard = self.hear().await;
            if heard.event == "change" {
                alarms.push(heard.data["alarm"].as_str().unwrap().to_owned());
            }
        }
        alarms
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_is_told_everything_and_then_what_changes() {
    let stage = Stage::set();
    stage.happens("a", "before");
    let mut listener = stage.listen(None);
    assert_eq!(listener.piece().await, "retry: 1000\n\n");
    let whole = listener.hear().await;
    assert_eq!((&*whole.event, &whole.data["complete"]), ("status", &Value::Bool(true)));
    assert_eq!(whole.data["clusters"]["a"]["events"][0]["message"], "alarm: before");
    assert!(whole.data["clusters"]["b"].is_object());
    // The first figures follow at once; then nothing is left to tell.
    assert_eq!(listener.hear().await.data["complete"], false);

    stage.happens("b", "conflict");
    let change = listener.hear().await;
    assert_eq!((&*change.event, &change.data["cluster"]), ("change", &"b".into()));
    assert_eq!((&change.data["kind"], &change.data["alarm"]), (&"alarm_raised".into(), &"conflict".into()));
    assert!(change.id.is_some() && change.id > whole.id, "{change:?}");
    let status = listener.hear().await;
    assert_eq!(status.data["clusters"]["b"]["alarms"][0], "conflict", "the status shows it, too");
    assert!(status.data["clusters"]["a"].is_null(), "nothing has changed there");
    assert!(status.data["clusters"]["b"]["events"].is_null(), "changes tell the history");
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_again_goes_on_where_it_was() {
    let stage = Stage::set();
    stage.happens("a", "first");
    let id = stage.listen(None).hear().await.id.unwrap();
    for alarm in ["second", "third"] {
        stage.happens("b", alarm);
    }
    assert_eq!(stage.listen(Some(&id)).hear_changes(2).await, ["second", "third"]);
    // Of another process's events none are known here: all of this one's are news.
    assert_eq!(stage.listen(Some("abc-7")).hear_changes(3).await, ["first", "second", "third"]);
    // It knows everything, or has never been here.
    let newest = id.replace("-1", "-3");
    let ahead = id.replace("-1", "-999");
    for last in [Some(&*newest), Some(&*ahead), Some("nonsense"), Some("-"), None] {
        let mut listener = stage.listen(last);
        stage.happens("a", "after");
        assert_eq!(listener.hear_changes(1).await, ["after"], "{last:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn s8_places_are_bounded_and_free_again_once_somebody_goes() {
    let stage = Stage::set();
    let mut listeners: Vec<_> = (0..MAX_SUBSCRIBERS).map(|_| stage.listen(None)).collect();
    assert!(stage.events.subscribe(None).is_none());
    let Listener { body, feeding } = listeners.pop().unwrap();
    drop(body);
    feeding.await.unwrap();
    assert!(stage.events.subscribe(None).is_some());
}

#[tokio::test(start_paused = true)]
async fn s8_whoever_falls_behind_is_told_everything_anew_and_misses_no_change() {
    let stage = Stage::set();
    let mut listener = stage.listen(None);
    listener.hear().await;
    // Each in a round of its own, and more rounds than are kept.
    for alarm in ["1", "2", "3", "4", "5", "6", "7", "8", "9"] {
        stage.happens("a", alarm);
        advance(GAP * 2).await;
        tokio::task::yield_now().await;
    }
    stage.happens("b", "10");
    let (mut told, mut anew) = (Vec::new(), false);
    while told.last().is_none_or(|last| last != "11") {
        if told.last().is_some_and(|last| last == "10") {
            stage.happens("b", "11");
        }
        let heard = listener.hear().await;
        match &*heard.event {
            "change" => told.push(heard.data["alarm"].as_str().unwrap().to_owned()),
            _ => anew |= heard.data["complete"] == true,
        }
    }
    let all: Vec<String> = (1..=11).map(|alarm: u32| alarm.to_string()).collect();
    assert_eq!(told, all, "each once, in order");
    assert!(anew);
}

#[tokio::test(start_paused = true)]
async fn s8_whoever_takes_nothing_is_let_go() {
    let stage = Stage::set();
    let Listener { body, feeding } = stage.listen(None);
    let begin = Instant::now();
    feeding.await.unwrap();
    assert_eq!(begin.elapsed().as_secs(), PATIENCE.as_secs());
    assert_eq!(stage.events.places.available_permits(), MAX_SUBSCRIBERS);
    drop(body);
}

#[tokio::test(start_paused = true)]
async fn there_is_a_sign_of_life_when_there_is_nothing_to_tell() {
    let stage = Stage::set();
    let mut listener = stage.listen(None);
    let begin = Instant::now();
    let mut signs = Vec::new();
    while signs.len() < 2 && begin.elapsed() < HEARTBEAT * 4 {
        if listener.piece().await == ": still here\n\n" {
            signs.push(begin.elapsed().as_secs());
        }
    }
    assert_eq!(signs, [HEARTBEAT.as_secs(), 2 * HEARTBEAT.as_secs()]);
}

#[tokio::test(start_paused = true)]
async fn figures_are_told_every_second_only_of_clusters_that_were_published_anew() {
    let stage = Stage::set();
    let mut listener = stage.listen(None);
    listener.hear().await;
    listener.hear().await;
    stage.board.cluster("b").unwrap().publish(ClusterStatus { claims: 1, ..ClusterStatus::default() });
    let status = listener.hear().await;
    let clusters = status.data["clusters"].as_object().unwrap();
    assert_eq!(clusters.keys().collect::<Vec<_>>(), ["b"]);
    assert_eq!(clusters["b"]["claims"], 1);
}

#[tokio::test(start_paused = true)]
async fn what_happens_while_the_first_listener_is_told_what_there_was_is_told_next() {
    let stage = Stage::set();
    // Nobody listens, and so the teller sleeps.
    advance(PERIOD * 2).await;
    let (subscription, body) = stage.events.subscribe(None).expect("there is a place");
    let mut feeding = Box::pin(subscription.feed());
    // It has looked at what there was before the teller has woken up.
    let looks = std::future::poll_fn(|cx| Poll::Ready(feeding.as_mut().poll(cx).is_pending()));
    assert!(looks.await, "it waits to be heard");
    stage.happens("a", "conflict");
    let mut first = Listener { body, feeding: tokio::spawn(feeding) };
    assert_eq!(first.hear().await.event, "status");
    assert_eq!(first.hear().await.event, "change");
}

#[tokio::test(start_paused = true)]
async fn whoever_listens_is_told_of_clusters_that_come_and_go() {
    let stage = Stage::set();
    let mut listener = stage.listen(None);
    let clusters = |heard: &Heard| {
        let names = heard.data["clusters"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        (heard.data["complete"].as_bool().unwrap(), names.join(" "))
    };
    assert_eq!(clusters(&listener.hear().await), (true, "a b".to_owned()));
    assert_eq!(clusters(&listener.hear().await), (false, "a b".to_owned()), "all are news at first");
    stage.board.set_clusters(["a".into(), "c".into()]);
    assert_eq!(clusters(&listener.hear().await), (true, "a c".to_owned()));
    stage.board.set_clusters(["a".into(), "c".into(), "b".into()]);
    assert_eq!(clusters(&listener.hear().await), (false, "b".to_owned()), "it is another one");
}
