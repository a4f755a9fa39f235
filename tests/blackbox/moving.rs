//! S4 at its hardest: a client whose leader froze before the first byte is served by the next one; a session that has
//! had a byte stays where it is, whatever becomes of its node. So does the client if there is no next one.

use tokio::io::AsyncReadExt;
use tokio::task::JoinHandle;

use crate::support::client::{Outcome, Stream, Visit, hear, say};
use crate::support::scene::{Scene, Settings};
use crate::support::wait::within_deadline;

/// A session that has had bytes of `n1`.
async fn session(scene: &Scene) -> Stream {
    let (mut session, node) = scene.trust.connect(scene.gate.address).await.unwrap();
    assert_eq!(node, "n1");
    say(&mut session, "ECHO").await.unwrap();
    assert_echo(&mut session, "before").await;
    session
}

async fn assert_echo(session: &mut Stream, word: &str) {
    say(session, word).await.unwrap();
    assert_eq!(within_deadline("the echo", hear(session)).await.unwrap(), word);
}

/// A client that waits for a frozen `n1`, whose kernel still accepts, so that it is not merely held; with it, `n1` has
/// this many sessions.
async fn unanswered_client(scene: &Scene, sessions: f64) -> JoinHandle<Visit> {
    let (trust, gate) = (scene.trust.clone(), scene.gate.address);
    let client = tokio::spawn(async move { trust.visit(gate).await });
    scene.gate.counts("raftgate_sessions_active", "node=\"n1\"", |active| active >= sessions).await;
    client
}

async fn moved(scene: &Scene) -> f64 {
    scene.gate.counts("raftgate_connections_moved_total", "", |_| true).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s4_of_a_frozen_leaders_clients_the_unanswered_are_moved_and_the_others_never_are() {
    // So that the session outlives the silence, and could be moved if anything could.
    let settings = Settings { cluster: "sessions.on_unreachable = \"keep\"", ..Settings::default() };
    let mut scene = Scene::with(&["lead", "follow", "follow"], settings).await;
    let mut session = session(&scene).await;
    scene.nodes[0].freeze().await;
    let client = unanswered_client(&scene, 2.0).await;
    scene.nodes[1].order("lead").await;
    let visit = within_deadline("the client", client).await.unwrap();
    assert_eq!((visit.node.as_deref(), &visit.outcome), (Some("n2"), &Outcome::Served { leads: true }));
    assert!((moved(&scene).await - 1.0).abs() < 0.5, "one client was to be moved");

    scene.nodes[0].wake();
    assert_echo(&mut session, "after").await;
    assert!((moved(&scene).await - 1.0).abs() < 0.5, "a session was moved");
    drop(session);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s4_without_a_successor_a_frozen_leaders_client_waits_for_it() {
    // So that nothing ends the wait but the node itself, however busy the machine.
    let settings = Settings { cluster: "sessions.on_unreachable = \"keep\"", ..Settings::default() };
    let scene = Scene::with(&["lead", "follow", "follow"], settings).await;
    scene.nodes[0].freeze().await;
    let client = unanswered_client(&scene, 1.0).await;
    scene.gate.routes_to(None).await;
    scene.nodes[0].wake();
    let visit = within_deadline("the client", client).await.unwrap();
    assert!(visit.is_served_by("n1"), "{visit:?}");
    assert!(moved(&scene).await < 0.5, "there was nowhere to move it to");
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s4_a_session_whose_node_dies_ends_and_goes_nowhere_else() {
    let mut scene = Scene::start(&["lead", "follow"]).await;
    let mut session = session(&scene).await;
    scene.nodes[0].kill().await;
    scene.nodes[1].order("lead").await;
    let end = within_deadline("the session's end", session.read(&mut [0])).await;
    // As its node's kernel says it, or by a cut: which is first is all the same.
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    drop(session);
    scene.gate.routes_to(Some("n2")).await;
    assert!(moved(&scene).await < 0.5, "a session was moved");
    scene.gate.assert_books_balance().await;
}
