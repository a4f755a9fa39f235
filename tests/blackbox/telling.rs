//! Promise 5: it says what it does, on the log, on `/metrics` and on `/status`.

use serde_json::Value;

use crate::support::client::{hear, say};
use crate::support::gate::fields;
use crate::support::scene::Scene;
use crate::support::wait::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_log_line_is_json_and_a_session_leaves_one_that_tells_all() {
    let mut scene = Scene::start(&["lead", "follow"]).await;
    let (mut stream, _) = scene.trust.connect(scene.gate.address).await.unwrap();
    let client = stream.get_ref().0.local_addr().to_string();
    say(&mut stream, "ECHO").await.unwrap();
    say(&mut stream, "word").await.unwrap();
    assert_eq!(hear(&mut stream).await.unwrap(), "word");
    // Without a farewell in TLS, which the node would answer with an end of its own: the client is the first to close.
    drop(stream);
    scene.hand_over(0, 1).await;
    scene.gate.routes_to(Some("n2")).await;

    let session = until("the session has its line", async || {
        scene
            .gate
            .log()
            .lines_saying("connection closed")
            .into_iter()
            .find(|line| line["client"] == client.as_str())
    })
    .await;
    assert_eq!(session["node"], "n1");
    assert_eq!(session["listener"], "edge");
    assert_eq!(session["cluster"], "controllers");
    assert_eq!(session["reason"], "client");
    for number in ["local_port", "to_node", "to_client"] {
        assert!(session[number].as_u64().is_some_and(|n| n > 0), "{number}: {session}");
    }
    for duration in ["hold_ms", "connect_ms", "duration_ms"] {
        assert!(session[duration].as_f64().is_some_and(|ms| ms >= 0.0), "{duration}: {session}");
    }

    let elected = until("the change of the leader has its line", async || {
        scene.gate.log().lines_saying("leader elected").into_iter().find(|line| line["node"] == "n2")
    })
    .await;
    assert_eq!(elected["cluster"], "controllers");
    assert!(elected["epoch"].as_u64().is_some_and(|epoch| epoch >= 2), "{elected}");
    for line in scene.gate.log().lines() {
        let parsed: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(parsed["level"].is_string() && fields(parsed)["message"].is_string(), "{line}");
    }
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn admin_pages_tell_who_leads() {
    let mut scene = Scene::start(&["lead", "follow"]).await;
    assert_eq!(scene.gate.get("/livez").await.unwrap().0, 200);
    assert_eq!(scene.gate.get("/readyz?cluster=controllers").await.unwrap().0, 200);
    let status: Value = serde_json::from_str(&scene.gate.get("/status").await.unwrap().1).unwrap();
    let cluster = &status["clusters"]["controllers"];
    assert_eq!(cluster["leader"], "n1", "{status}");
    let nodes = cluster["nodes"].as_array().unwrap();
    assert_eq!(nodes.iter().map(|node| &node["state"]).collect::<Vec<_>>(), ["leader", "follower"]);
    scene.nodes[0].order("follow").await;
    scene.gate.routes_to(None).await;
    assert_eq!(scene.gate.get("/readyz?cluster=controllers").await.unwrap().0, 503);
    assert_eq!(scene.gate.get("/readyz").await.unwrap().0, 200, "ready, though nobody leads");
    assert_eq!(scene.gate.get("/no-such-page").await.unwrap().0, 404);
    scene.gate.assert_books_balance().await;
}
