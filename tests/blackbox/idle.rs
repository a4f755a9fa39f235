//! Promise 3: a session that is idle owns no buffer and no pipe, however much it has moved before.

use tokio::io::AsyncReadExt;

use crate::support::client::{Stream, assert_echo, say};
use crate::support::scene::Scene;
use crate::support::wait::within_deadline;

/// How many are idle.
const SESSIONS: usize = 300;
/// What each has moved before: enough to be spliced.
const BULK: usize = 4_000_000;
/// Those that have.
const BUSY: usize = 20;
/// What one may cost, in bytes, with room for an allocator: a sixteenth of a buffer of 64 KiB.
const EACH: usize = 4 * 1024;
/// Pipes that the gate may keep for the next bulk, two descriptors each: far fewer than sessions that had one.
const KEPT_PIPES: usize = 4;

async fn idle_session(scene: &Scene) -> Stream {
    let mut session = scene.echo_session().await;
    assert_echo(&mut session).await;
    session
}

/// A session that has had its bulk and whose node has more of it: what there is waits in the kernel.
async fn session_after_bulk(scene: &Scene) -> Stream {
    let (mut stream, _) = scene.trust.connect(scene.gate.address).await.unwrap();
    say(&mut stream, &format!("SOURCE {BULK}")).await.unwrap();
    let mut bulk = vec![0; BULK];
    within_deadline("the bulk", stream.read_exact(&mut bulk)).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_3_idle_sessions_own_neither_buffers_nor_pipes() {
    let scene = Scene::start(&["lead", "follow"]).await;
    let mut sessions = Vec::new();
    // Once round before anything is measured, so that everything has been used.
    for _ in 0..SESSIONS / 10 {
        sessions.push(idle_session(&scene).await);
    }
    let (memory, descriptors) = (scene.gate.resident_memory(), scene.gate.descriptors());
    for _ in 0..SESSIONS {
        sessions.push(idle_session(&scene).await);
    }
    let grown = scene.gate.resident_memory().saturating_sub(memory);
    assert!(grown < SESSIONS * EACH, "{grown} bytes for {SESSIONS} sessions");
    assert_eq!(scene.gate.descriptors() - descriptors, 2 * SESSIONS, "a client and a node each");
    drop(sessions);

    let mut busy = Vec::new();
    for _ in 0..BUSY {
        busy.push(session_after_bulk(&scene).await);
    }
    let pipes = scene.gate.pipes();
    assert!(pipes <= 2 * KEPT_PIPES, "{pipes} descriptors of pipes are there for {BUSY} idle sessions");
    drop(busy);
    scene.gate.assert_books_balance().await;
}
