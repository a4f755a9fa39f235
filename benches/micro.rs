//! What the gate does once a client (reads the route, looks at a ClientHello) and once a probe (judges the answer, takes
//! a step of the tracker), each by itself: `cargo bench --bench micro`. All of it is pure but for the route, which is
//! read while nobody writes it.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use raftgate::leader::{NodeId, Observation, Policy, ProbeId, Tracker, Verdict};
use raftgate::probe::judge::{Condition, Rules};
use raftgate::tenure::{self, Epochs};
use raftgate::wire::hello::{Opening, classify};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use serde_json::json;
use tokio::time::Instant;

/// What OpenZiti's leader answers.
const BODY: &[u8] = br#"{
    "data": {
        "checks": [
            {
                "healthy": true,
                "id": "bolt.read"
            }
        ],
        "healthy": true
    },
    "meta": {},
    "raft": {
        "isLeader": true,
        "isRaftEnabled": true
    }
}
"#;

fn read_route(criterion: &mut Criterion) {
    let now = Instant::now();
    let (mut writer, reader) = tenure::channel(now, Arc::new(Epochs::default()));
    writer.lead(NodeId(0), "n1".into(), ([127, 0, 0, 1], 1280).into(), now);
    criterion.bench_function("route: read", |bencher| bencher.iter(|| black_box(&reader).leader()));
}

fn classify_hello(criterion: &mut Criterion) {
    let hello = hello();
    assert_eq!(classify(&hello), Opening::Replayable, "a whole hello");
    criterion.bench_function(&format!("ClientHello of {} bytes: classify", hello.len()), |bencher| {
        bencher.iter(|| classify(black_box(&hello)));
    });
}

fn judge_answer(criterion: &mut Criterion) {
    let leads = |pointer: &str, value| Condition {
        status: vec![200..=200],
        json: vec![(pointer.to_owned(), json!(value))],
    };
    let rules = Rules {
        leader: vec![leads("/raft/isLeader", true), leads("/raft/isRaftEnabled", false)],
        follower: vec![Condition { status: vec![429..=429], json: Vec::new() }],
        health: Some("/data/healthy"),
    };
    assert_eq!(rules.judge(200, BODY).verdict, Verdict::Leader, "the leader's answer");
    criterion.bench_function("answer: judge", |bencher| bencher.iter(|| rules.judge(200, black_box(BODY))));
}

/// A steady cluster of three: each probe confirms what is known.
fn step_tracker(criterion: &mut Criterion) {
    let policy = Policy::default();
    let mut moment = Instant::now().into_std();
    let mut tracker = Tracker::new(moment, &[0, 0, 0], policy);
    let mut probe = 0;
    criterion.bench_function("tracker: step", |bencher| {
        bencher.iter(|| {
            let node = NodeId(usize::try_from(probe % 3).expect("one of three"));
            probe += 1;
            let began = moment;
            moment += policy.interval / 3;
            let verdict = if node.0 == 0 { Verdict::Leader } else { Verdict::Follower };
            let observation = Observation { node, probe: ProbeId(probe), began, verdict };
            tracker.handle_observation(moment, black_box(observation));
            while let Some(event) = tracker.poll_event() {
                black_box(event);
            }
            (tracker.pace(), tracker.poll_timeout())
        });
    });
}

/// A real client's first flight.
fn hello() -> Vec<u8> {
    let mut config =
        ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    config.alpn_protocols = vec![b"ziti-edge".to_vec(), b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from("ctrl.example.org").expect("a name");
    let mut client = ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut hello = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut hello).expect("a vector can be written");
    }
    hello
}

criterion_group! {
    name = micro;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = read_route, classify_hello, judge_answer, step_tracker
}
criterion_main!(micro);
