//! O2 under load: a hundred reloads, a client every few milliseconds, and sessions that outlive every limit.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::client::assert_echo;
use crate::support::clock::Stamp;
use crate::support::crowd::assert_nobody_failed;
use crate::support::scene::{Scene, Settings, configuration};
use crate::support::wait::until;

const RELOADS: usize = 100;
const SESSIONS: usize = 200;
/// Between two probes, as configured.
const INTERVAL: Duration = Duration::from_millis(250);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_a_hundred_reloads_lose_no_client_no_session_and_no_probe() {
    let scene = Scene::with(
        &["lead", "follow", "follow"],
        Settings {
            cluster: "sessions.drain = \"50ms\"\ntimeouts.half_closed = \"50ms\"",
            ..Settings::default()
        },
    )
    .await;
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        sessions.push(scene.echo_session().await);
    }
    let crowd = scene.crowd();
    let begin = Stamp::now();
    crowd.served_by("n1", 30, begin).await;
    let file = scene.folder.path().join("raftgate.toml");
    let text = |settings| configuration(&scene.nodes, scene.folder.path(), settings);
    // In turn: nothing; how clients are treated; how probes ask; another listener; a file that is wrong.
    let same = text(Settings::default());
    let clients =
        text(Settings { cluster: "hold.timeout = \"3s\"\nconnect.timeout = \"1s\"", ..Settings::default() });
    let probes = text(Settings { cluster: "probe.headers = { X-Round = \"1\" }", ..Settings::default() });
    let listener = format!("{same}[listeners.more]\nbind = \"127.0.0.1:0\"\ncluster = \"controllers\"\n");
    let wrong = same.replace("cluster = \"controllers\"", "cluster = \"controller\"");
    let turns = [&same, &clients, &probes, &listener, &wrong];
    let reloads = |message: &str| scene.gate.log().lines_saying(message).len();
    for number in 0..RELOADS {
        fs::write(&file, turns[number % turns.len()]).unwrap();
        scene.gate.signal(Signal::HUP);
        until("the reload", async || {
            let refused =
                scene.gate.log().lines().iter().filter(|line| line.contains("reload refused")).count();
            (reloads("configuration reloaded") + refused > number).then_some(())
        })
        .await;
    }
    let end = Stamp::now();
    assert_eq!(reloads("configuration reloaded"), RELOADS / turns.len() * (turns.len() - 1));
    crowd.served_by("n1", 30, end).await;
    let visits = crowd.leave().await;
    assert_nobody_failed(&visits, None);
    for session in &mut sessions {
        assert_echo(session).await;
    }
    // By so much the machine itself was late: clients have nothing to do with probes.
    let slack = visits.iter().map(|visit| visit.ended.since(visit.started)).max().unwrap();
    for node in &scene.nodes {
        let arrived: Vec<Stamp> =
            node.probes().iter().map(|probe| probe.arrived).filter(|at| *at > begin && end > *at).collect();
        let longest = arrived.windows(2).map(|pair| pair[1].since(pair[0])).max().unwrap();
        assert!(longest <= 2 * INTERVAL + slack, "{} was not probed for {longest:?}", node.name);
    }
    drop(sessions);
    scene.gate.assert_books_balance().await;
}
