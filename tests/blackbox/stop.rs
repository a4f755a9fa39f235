//! O4: stopping. Clients in the queue are served, sessions drain, the exit code says how it went.

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::client::{Outcome, assert_echo};
use crate::support::clock::Stamp;
use crate::support::scene::{Scene, Settings};
use crate::support::wait::{until, within_deadline};

/// How many clients wait in the kernel's queue.
const QUEUED: usize = 1000;

/// Terminates the gate and waits until it has noticed.
async fn terminate(scene: &Scene) {
    scene.gate.signal(Signal::TERM);
    until("the gate has heard the signal", async || {
        scene.gate.log().lines_saying("signal received").first().map(|_| ())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o4_sigterm_under_load_fails_nobody_who_was_accepted() {
    let mut scene =
        Scene::with(&["lead", "follow"], Settings { top: "shutdown.drain = \"1h\"", ..Settings::default() })
            .await;
    let mut session = scene.echo_session().await;
    let begin = Stamp::now();
    let crowd = scene.crowd();
    crowd.served_by("n1", 30, begin).await;
    let asked = Stamp::now();
    terminate(&scene).await;
    until("the gate is not ready any more", async || match scene.gate.get("/readyz").await {
        Some((200, _)) => None,
        _ => Some(()),
    })
    .await;
    until("new clients are refused", async || {
        let visit = scene.trust.visit(scene.gate.address).await;
        matches!(visit.outcome, Outcome::Failed(error) if error.contains("refused")).then_some(())
    })
    .await;
    for visit in crowd.leave().await {
        match &visit.outcome {
            Outcome::Served { .. } => {}
            Outcome::Failed(error) if error.contains("refused") && visit.ended > asked => {}
            _ => panic!("a client that was accepted has failed: {visit:?}"),
        }
    }
    // The session outlives all that, and the gate outlives the session by nothing.
    assert_echo(&mut session).await;
    session.shutdown().await.unwrap();
    assert_eq!(session.read(&mut [0]).await.unwrap(), 0);
    drop(session);
    assert_eq!(scene.gate.exits().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o4_clients_in_the_kernels_queue_when_the_gate_stops_are_served() {
    let settings = Settings { top: "shutdown.drain = \"1h\"", ..Settings::default() };
    let mut scene = Scene::with(&["lead"], settings).await;
    // While the gate stands still the kernel takes clients in on its behalf, and the signal waits with them.
    scene.gate.signal(Signal::STOP);
    let mut queued = Vec::new();
    for _ in 0..QUEUED {
        queued.push(within_deadline("a connect", TcpStream::connect(scene.gate.address)).await.unwrap());
    }
    scene.gate.signal(Signal::TERM);
    scene.gate.signal(Signal::CONT);
    for stream in queued {
        let (_, node) = within_deadline("a handshake", scene.trust.greet(stream)).await.unwrap();
        assert_eq!(node, "n1");
    }
    assert_eq!(scene.gate.exits().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o4_a_draining_gate_still_follows_its_leaders() {
    let mut scene =
        Scene::with(&["lead", "follow"], Settings { top: "shutdown.drain = \"1h\"", ..Settings::default() })
            .await;
    let mut session = scene.echo_session().await;
    terminate(&scene).await;
    scene.hand_over(0, 1).await;
    scene.gate.routes_to(Some("n2")).await;
    // OpenZiti's sessions stay where they are when their node merely follows (S5).
    assert_echo(&mut session).await;
    drop(session);
    assert_eq!(scene.gate.exits().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o4_clients_that_are_held_when_the_gate_stops_are_still_served() {
    let settings =
        Settings { top: "shutdown.drain = \"1h\"", cluster: "hold.timeout = \"30s\"", ..Settings::default() };
    let mut scene = Scene::with(&["follow", "follow"], settings).await;
    let crowd = scene.crowd();
    scene.gate.counts("raftgate_held_connections", "", |held| held >= 10.0).await;
    terminate(&scene).await;
    let claimed = scene.nodes[1].order("lead").await;
    assert_eq!(scene.gate.exits().await.code(), Some(0));
    let visits = crowd.leave().await;
    let held: Vec<_> = visits.iter().take(10).collect();
    assert!(held.iter().all(|visit| visit.started < claimed && visit.is_served_by("n2")), "{held:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o4_what_has_not_drained_in_time_is_cut() {
    let mut scene =
        Scene::with(&["lead"], Settings { top: "shutdown.drain = \"200ms\"", ..Settings::default() }).await;
    let mut session = scene.echo_session().await;
    terminate(&scene).await;
    assert_eq!(scene.gate.exits().await.code(), Some(0));
    let end = within_deadline("the session's end", session.read(&mut [0])).await;
    assert!(end.is_err(), "cut, not closed: {end:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o4_a_second_sigterm_ends_at_once() {
    let mut scene =
        Scene::with(&["lead"], Settings { top: "shutdown.drain = \"1h\"", ..Settings::default() }).await;
    let mut session = scene.echo_session().await;
    terminate(&scene).await;
    assert_echo(&mut session).await;
    scene.gate.signal(Signal::TERM);
    let status = scene.gate.exits().await;
    assert_eq!(status.code(), Some(1), "sessions were cut, and the exit code says so");
    assert!(within_deadline("the session's end", session.read(&mut [0])).await.is_err());
}
