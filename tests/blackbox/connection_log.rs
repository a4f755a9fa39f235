//! Which connections have a line in the log.

use tokio::net::TcpStream;

use crate::support::scene::{Scene, Settings};
use crate::support::wait::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn useful_connections_alone_are_logged_and_all_are_counted() {
    let settings = Settings { top: "log.connections = \"useful\"", ..Settings::default() };
    let scene = Scene::with(&["lead", "follow"], settings).await;
    drop(TcpStream::connect(scene.gate.address).await.unwrap());
    scene.gate.counts("raftgate_connections_closed_total", "reason=\"client\"", |closed| closed >= 1.0).await;
    assert!(scene.trust.visit(scene.gate.address).await.is_served_by("n1"));
    scene.gate.counts("raftgate_connections_closed_total", "", |closed| closed >= 2.0).await;
    // The log is written in order: a line of the check would come before.
    let lines = until("the client has its line", async || {
        let lines = scene.gate.log().lines_saying("connection closed");
        (!lines.is_empty()).then_some(lines)
    })
    .await;
    assert!(lines.iter().all(|line| line["to_node"] != 0), "{lines:?}");
    scene.gate.assert_books_balance().await;
}
