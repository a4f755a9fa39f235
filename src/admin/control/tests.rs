//! The control socket itself: what it answers, to whom, and what it has done.

use std::path::PathBuf;
use std::pin::pin;

use hyper::Method;
use hyper::header::CONTENT_TYPE;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::*;
use crate::board::{Board, ClusterStatus, Happened, NodeStatus};
use crate::census::{Filter, Listing, Question, Session, census};
use crate::intent::{Command, CommandError, Inboxes, Input, NodeId, Refusal, inbox};
use crate::metrics;

/// Far beyond what anything here takes.
const DEADLINE: Duration = Duration::from_secs(20);

/// A control socket with the clusters `east` and `west`, each with the nodes `n1` and `n2`.
struct Stage {
    path: PathBuf,
    _folder: TempDir,
    inboxes: Vec<mpsc::Receiver<Input>>,
    workers: Vec<mpsc::Receiver<Question>>,
    requests: mpsc::Receiver<Request>,
    orders: Orders,
    state: Arc<State>,
}

fn node(id: usize, name: &str) -> NodeStatus {
    NodeStatus {
        id: NodeId(id),
        name: name.into(),
        address: "h:1".into(),
        state: "follower",
        overridden: None,
        detail: "".into(),
        latency_ms: None,
        last_verdict: None,
        certificate: None,
    }
}

impl Stage {
    fn new() -> Self {
        let board = Arc::new(Board::new(["east".into(), "west".into()]));
        for (_, cluster) in board.clusters() {
            let nodes = vec![node(0, "n1"), node(1, "n2")];
            cluster.publish(ClusterStatus { nodes, ..ClusterStatus::default() });
        }
        let state = Arc::new(State::new(metrics::registry().unwrap(), board, || 0).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let (senders, inboxes): (Vec<_>, _) = (0..2).map(|_| inbox()).unzip();
        let (asker, workers) = census(1);
        let listener = UnixListener::bind(&path).unwrap();
        let named = Inboxes::default();
        named.set(["east", "west"].map(Arc::from).into_iter().zip(senders).collect());
        let (asking, requests) = mpsc::channel(1);
        let orders = Orders::default();
        let controls = Controls { inboxes: named, orders: orders.clone(), census: asker, requests: asking };
        tokio::spawn(serve_control(Arc::new(listener), Arc::clone(&state), controls));
        tokio::spawn(crate::admin::tell(Arc::clone(&state)));
        Stage { path, _folder: folder, inboxes, workers, requests, orders, state }
    }

    /// Sends a request's bytes; status and body of the answer.
    async fn send(path: PathBuf, request: String) -> (u16, String) {
        let mut stream = UnixStream::connect(path).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    fn ask(&self, method: &Method, target: &str) -> impl Future<Output = (u16, String)> + use<> {
        let request = format!("{method} {target} HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n\r\n");
        Self::send(self.path.clone(), request)
    }

    /// Posts a command to `east`, on which `follow` answers like this.
    async fn command(&mut self, target: &str, reply: Result<(), CommandError>) -> (Command, u16, Value) {
        let asked = self.ask(&Method::POST, &format!("/clusters/east/{target}"));
        let following = async {
            match self.inboxes[0].recv().await {
                Some(Input::Command(command, answer)) => {
                    answer.send(reply).unwrap();
                    command
                }
                other => panic!("no command but {other:?}"),
            }
        };
        let both = async { tokio::join!(asked, following) };
        let both = timeout(DEADLINE, both).await;
        let ((status, body), command) = both.expect("the command reaches its cluster");
        (command, status, serde_json::from_str(&body).unwrap())
    }
}

#[tokio::test]
async fn l10_commands_reach_the_cluster_that_they_are_for() {
    let mut stage = Stage::new();
    let n2 = NodeId(1);
    for (target, expected) in [
        ("nodes/n2/drain", Command::Drain { node: n2, force: false }),
        ("nodes/n2/drain?force=true", Command::Drain { node: n2, force: true }),
        ("nodes/n2/undrain", Command::Undrain(n2)),
        ("nodes/n2/pin", Command::Pin(n2)),
        ("unpin", Command::Unpin),
    ] {
        let (command, status, answer) = stage.command(target, Ok(())).await;
        assert_eq!((command, status), (expected, 200), "{target}");
        assert!(answer["done"].as_str().is_some_and(|done| !done.is_empty()), "{answer}");
    }
    assert!(stage.inboxes[1].try_recv().is_err(), "the other cluster has heard of it");
}

#[tokio::test]
async fn l10_a_refusal_is_a_conflict_that_says_what_to_do() {
    let mut stage = Stage::new();
    for (error, hint) in [
        (CommandError::Refused(Refusal::Leads(NodeId(0))), "--force"),
        (CommandError::Refused(Refusal::Pinned(NodeId(0))), "unpin it first"),
        (CommandError::NoAddress, "no address"),
    ] {
        let (_, status, answer) = stage.command("nodes/n1/drain", Err(error)).await;
        assert_eq!(status, 409, "{answer}");
        let message = answer["error"].as_str().unwrap();
        assert!(message.contains("n1") && message.contains(hint), "{message}");
    }
    let (_, status, _) = stage.command("nodes/n1/drain", Err(CommandError::Stopping)).await;
    assert_eq!(status, 503);
}

#[tokio::test]
async fn l10_o3_no_order_is_taken_that_the_next_process_would_not_know_of() {
    let mut stage = Stage::new();
    let ask = |stage: &Stage| tokio::spawn(stage.ask(&Method::POST, "/clusters/east/nodes/n1/drain"));
    let first = ask(&stage);
    let Some(Input::Command(_, reply)) = stage.inboxes[0].recv().await else { panic!("no command") };
    let orders = stage.orders.clone();
    let mut closing = pin!(orders.close());
    // Polled once: from now on it is closed, but for the one that is under way.
    assert!(timeout(Duration::ZERO, &mut closing).await.is_err(), "what is under way is not waited for");
    let second = ask(&stage);
    reply.send(Ok(())).unwrap();
    timeout(DEADLINE, closing).await.expect("nothing is under way any more");
    assert_eq!(first.await.unwrap().0, 200);
    let (status, body) = second.await.unwrap();
    assert!(status == 409 && body.contains("an upgrade is under way: wait for its end"), "{status} {body}");
    assert_eq!(stage.ask(&Method::POST, "/clusters/east/unpin").await.0, 409);
    assert!(stage.inboxes[0].try_recv().is_err(), "an order was passed on");
    orders.open();
    assert_eq!(stage.command("unpin", Ok(())).await.1, 200);
}

/// A worker that has so many sessions with a node `n3`, and none with any other.
async fn work(mut questions: mpsc::Receiver<Question>, sessions: usize) {
    let of = |filter: &Filter| if filter.node.as_deref() == Some("n3") { sessions } else { 0 };
    while let Some(question) = questions.recv().await {
        match question {
            Question::List(filter, _, reply) => {
                reply.send(Listing { total: of(&filter), sessions: Vec::new() }).unwrap();
            }
            Question::Cut(filter, reply) => reply.send(of(&filter)).unwrap(),
            Question::Works(reply) => reply.send(()).unwrap(),
        }
    }
}

#[tokio::test]
async fn o6_sessions_of_a_node_that_is_gone_are_found_by_its_name() {
    let mut stage = Stage::new();
    tokio::spawn(work(stage.workers.remove(0), 2));
    for (method, target, count) in [
        (Method::GET, "/sessions?node=n3", "total"),
        (Method::GET, "/sessions?node=n3&cluster=east", "total"),
        (Method::POST, "/clusters/east/nodes/n3/cut", "sessions"),
    ] {
        let (status, body) = stage.ask(&method, target).await;
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &answer[count]), (200, &2.into()), "{target}: {body}");
    }
    for target in ["n3/drain", "n3/pin", "n4/cut"] {
        let (status, body) = stage.ask(&Method::POST, &format!("/clusters/east/nodes/{target}")).await;
        assert_eq!(status, 404, "{target}: {body}");
    }
}

#[tokio::test]
async fn unknown_names_are_told_the_nearest() {
    let mut stage = Stage::new();
    tokio::spawn(work(stage.workers.remove(0), 0));
    for (method, target, hint) in [
        (Method::POST, "/clusters/esat/unpin", "did you mean \\\"east\\\"?"),
        (Method::POST, "/clusters/north/nodes/n1/pin", "there are east, west"),
        (Method::POST, "/clusters/east/nodes/n3/cut", "no node of east"),
        (Method::GET, "/sessions?cluster=wset", "did you mean \\\"west\\\"?"),
        (Method::GET, "/sessions?node=n22", "did you mean \\\"n2\\\"?"),
    ] {
        let (status, body) = stage.ask(&method, target).await;
        assert_eq!(status, 404, "{target}: {body}");
        assert!(body.contains(hint), "{target}: {body}");
    }
}

#[tokio::test]
async fn o6_a_cut_says_how_many_and_is_noted() {
    let mut stage = Stage::new();
    let asked = stage.ask(&Method::POST, "/clusters/west/nodes/n1/cut");
    let answering = async {
        match stage.workers[0].recv().await {
            Some(Question::Cut(filter, reply)) => {
                reply.send(3).unwrap();
                filter
            }
            other => panic!("no order but {other:?}"),
        }
    };
    let ((status, body), filter) = tokio::join!(asked, answering);
    assert_eq!(filter, Filter { cluster: Some("west".into()), node: Some("n1".into()) });
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &answer["sessions"]), (200, &3.into()));
    let noted = stage.state.board.cluster("west").unwrap().history().events.pop_back().unwrap();
    assert!(noted.what.to_string().contains("3 sessions with n1 were cut"), "{noted:?}");
}

#[tokio::test]
async fn o6_sessions_are_listed_with_the_names_that_people_know() {
    let mut stage = Stage::new();
    let asked = stage.ask(&Method::GET, "/sessions?cluster=west&limit=7");
    let session = Session {
        listener: "edge".into(),
        client: ([192, 0, 2, 1], 7).into(),
        cluster: Some("west".into()),
        node: Some("n1".into()),
        epoch: Some(4),
        age: Duration::from_secs(100),
        to_node: 1,
        to_client: 2,
        state: crate::census::State::Joined,
    };
    let answering = async {
        match stage.workers[0].recv().await {
            Some(Question::List(filter, limit, reply)) => {
                assert_eq!((filter, limit), (Filter { cluster: Some("west".into()), node: None }, 7));
                reply.send(Listing { total: 9, sessions: vec![session] }).unwrap();
            }
            other => panic!("no question but {other:?}"),
        }
    };
    let ((status, body), ()) = tokio::join!(asked, answering);
    assert_eq!(status, 200);
    let answer: Value = serde_json::from_str(&body).unwrap();
    let told = &answer["sessions"][0];
    assert_eq!(
        (&answer["total"], &told["cluster"], &told["state"]),
        (&9.into(), &"west".into(), &"joined".into())
    );
    assert_eq!(
        (&told["client"], &told["node"], &told["epoch"]),
        (&"192.0.2.1:7".into(), &"n1".into(), &4.into())
    );
    let age = answer["now"].as_f64().unwrap() - told["since"].as_f64().unwrap();
    assert!((age - 100.0).abs() < 0.001, "{age}");
}

#[tokio::test]
async fn o3_who_asks_for_an_upgrade_is_told_what_came_of_it() {
    let mut stage = Stage::new();
    for (outcome, expected) in [(Ok("done so"), (200, "done")), (Err("no binary"), (409, "error"))] {
        let outcome = outcome.map(str::to_owned).map_err(str::to_owned);
        let asked = stage.ask(&Method::POST, "/upgrade");
        let answering = async {
            match stage.requests.recv().await {
                Some(Request::Upgrade(reply)) => reply.say(outcome.clone()),
                other => panic!("no request but {other:?}"),
            }
        };
        let ((status, body), ()) = tokio::join!(asked, answering);
        let answer: Value = serde_json::from_str(&body).unwrap();
        let words = outcome.unwrap_or_else(|why| why);
        assert_eq!((status, answer[expected.1].as_str()), (expected.0, Some(&*words)), "{answer}");
    }
}

#[tokio::test]
async fn o6_all_that_the_listener_answers_is_here_too() {
    let stage = Stage::new();
    for (path, status) in
        [("/livez", 200), ("/status", 200), ("/metrics", 200), ("/readyz", 503), ("/no", 404)]
    {
        assert_eq!(stage.ask(&Method::GET, path).await.0, status, "{path}");
    }
    assert_eq!(stage.ask(&Method::POST, "/status").await.0, 405);
}

#[tokio::test]
async fn o6_events_are_told_here_too() {
    let stage = Stage::new();
    let mut stream = UnixStream::connect(&stage.path).await.unwrap();
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: gate\r\n\r\n").await.unwrap();
    let mut heard = String::new();
    let mut hear_of = async |what: &str| {
        while !heard.contains(what) {
            let mut more = [0; 4096];
            let count = timeout(DEADLINE, stream.read(&mut more)).await.unwrap().unwrap();
            assert!(count > 0, "the end, but not {what:?}: {heard}");
            heard.push_str(std::str::from_utf8(&more[..count]).unwrap());
        }
    };
    hear_of("event: status").await;
    let cluster = stage.state.board.cluster("east").unwrap();
    cluster.note(Happened::AlarmRaised { alarm: "conflict" });
    cluster.publish(ClusterStatus::default());
    hear_of("alarm_raised").await;
    // It has left its place to others, but may not keep all of them from being heard.
    assert_eq!(stage.ask(&Method::GET, "/livez").await.0, 200);
}

#[tokio::test]
async fn s8_a_head_that_is_too_long_is_turned_away() {
    let stage = Stage::new();
    let padding = "x".repeat(2 * LONGEST_HEAD);
    let request = format!("GET /livez HTTP/1.1\r\nHost: gate\r\nX: {padding}\r\n\r\n");
    let mut stream = UnixStream::connect(&stage.path).await.unwrap();
    // It may have hung up before all was sent.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[test]
fn answers_are_json() {
    let answer = reply(Answer::error(StatusCode::CONFLICT, "why").into_page());
    assert_eq!(answer.headers()[CONTENT_TYPE], "application/json");
}
