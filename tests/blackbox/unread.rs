//! O5: a log that nobody reads is in nobody's way. Standard error is a full pipe here: whoever wrote to it would
//! wait for ever.

use rustix::process::Signal;
use tokio::net::TcpStream;

use crate::support::client::{Stream, hear, say};
use crate::support::clock::Stamp;
use crate::support::crowd::assert_nobody_failed;
use crate::support::gate::sum;
use crate::support::scene::{Scene, Settings};
use crate::support::wait::{DEADLINE, until_after, within_deadline};

const DROPPED: &str = "raftgate_log_lines_dropped_total";
/// How many come and go between two looks at the metrics.
const AT_ONCE: usize = 200;

/// A scene whose gate has more to say than fits the pipe and its own memory: lines are dropped already.
async fn scene_with_a_full_pipe() -> Scene {
    let settings = Settings { top: "shutdown.drain = \"1h\"", ..Settings::default() };
    let scene = Scene::with(&["lead", "follow"], settings).await;
    scene.gate.log().leave_unread();
    until_after(DEADLINE * 2, "lines are dropped", async || {
        for _ in 0..AT_ONCE {
            let stream = TcpStream::connect(scene.gate.address).await.unwrap();
            // Without it, the ports of this machine would be used up by connections that linger.
            stream.set_zero_linger().unwrap();
        }
        (dropped(&scene).await > 0.0).then_some(())
    })
    .await;
    scene
}

async fn dropped(scene: &Scene) -> f64 {
    let metrics = within_deadline("the metrics", scene.gate.metrics()).await.expect("the gate answers");
    sum(&metrics, DROPPED, "")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o5_a_log_that_nobody_reads_loses_lines_and_no_client() {
    let mut scene = scene_with_a_full_pipe().await;
    let before = dropped(&scene).await;
    let (begin, crowd) = (Stamp::now(), scene.crowd());
    crowd.served_by("n1", 50, begin).await;
    scene.hand_over(0, 1).await;
    scene.gate.routes_to(Some("n2")).await;
    crowd.served_by("n2", 50, Stamp::now()).await;
    assert_nobody_failed(&crowd.leave().await, None);
    scene.gate.counts(DROPPED, "", |now| now >= before + 100.0).await;
    scene.gate.assert_books_balance().await;
    scene.gate.signal(Signal::TERM);
    assert_eq!(scene.gate.exits().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o5_a_second_signal_ends_a_gate_whose_log_nobody_reads() {
    let mut scene = scene_with_a_full_pipe().await;
    let mut session: Stream = scene.trust.connect(scene.gate.address).await.unwrap().0;
    say(&mut session, "ECHO").await.unwrap();
    scene.gate.signal(Signal::TERM);
    until_after(DEADLINE, "the gate is not ready any more", async || match scene.gate.get("/readyz").await {
        Some((200, _)) => None,
        _ => Some(()),
    })
    .await;
    say(&mut session, "draining").await.unwrap();
    assert_eq!(within_deadline("the echo", hear(&mut session)).await.unwrap(), "draining");
    scene.gate.signal(Signal::TERM);
    assert_eq!(scene.gate.exits().await.code(), Some(1));
}
