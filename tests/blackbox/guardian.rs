//! O3: the old process of an upgrade guards the new one for as long as it has sessions.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::support::client::assert_echo;
use crate::support::reload::free_port;
use crate::support::scene::{Scene, Settings};
use crate::support::wait::{until, within_deadline};

const DONE: &str = "upgrade: done, the sessions of this process drain";
const DIED: &str = "upgrade: the new process has died, this one takes clients again";

/// Upgrades the gate, and waits until its first moments are over; the process that serves then.
async fn upgrade(scene: &Scene) -> Pid {
    let before = scene.gate.log().lines_saying(DONE).len();
    let output = scene.command(&["upgrade"]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}\n{}", scene.gate.log().text());
    let done = async || (scene.gate.log().lines_saying(DONE).len() > before).then_some(());
    until("the old process has handed over", done).await;
    *scene.gate.heirs().last().unwrap()
}

/// Waits until a client is served.
async fn serves(scene: &Scene) {
    let served = async || scene.trust.visit(scene.gate.address).await.is_served_by("n1").then_some(());
    until("a client is served", served).await;
}

/// The order in force for each node.
async fn overrides(scene: &Scene) -> Vec<Value> {
    let (_, body) = within_deadline("the status", scene.gate.get("/status")).await.unwrap();
    let status: Value = serde_json::from_str(&body).unwrap();
    let nodes = status["clusters"]["controllers"]["nodes"].as_array().unwrap().clone();
    nodes.iter().map(|node| node["override"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_a_new_process_that_dies_late_is_replaced() {
    let scene = Scene::start(&["lead", "follow"]).await;
    let mut session = scene.echo_session().await;
    for _ in 0..2 {
        let heir = upgrade(&scene).await;
        assert_eq!(scene.command(&["drain", "controllers", "n2"]).await.status.code(), Some(0));
        let deaths = scene.gate.log().lines_saying(DIED).len();
        kill_process(heir, Signal::KILL).unwrap();
        serves(&scene).await;
        let log = scene.gate.log();
        let died = async || (log.lines_saying(DIED).len() > deaths).then(|| log.lines_saying(DIED).pop());
        let said = until("its death is told", died).await.unwrap();
        assert!(said["status"].as_str().unwrap().contains("SIGKILL"), "{said}");
        // All is as it was there: admin, control, and what was ordered.
        until("the admin listener answers", async || scene.gate.get("/livez").await).await;
        assert_eq!(overrides(&scene).await, [Value::Null, Value::from("drain")]);
        let undrain = async || scene.command(&["undrain", "controllers", "n2"]).await.status.code();
        until("the control socket answers", async || (undrain().await == Some(0)).then_some(())).await;
        assert_echo(&mut session).await;
    }
    drop(session);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_orders_of_a_new_process_that_dies_at_once_stay() {
    let scene = Scene::start(&["lead", "follow"]).await;
    let output = scene.command(&["upgrade"]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(scene.command(&["drain", "controllers", "n2"]).await.status.code(), Some(0));
    kill_process(scene.gate.heirs()[0], Signal::KILL).unwrap();
    let resumed = "upgrade: the new process has ended, this one takes clients again";
    until("the old process is back", async || scene.gate.log().lines_saying(resumed).pop()).await;
    assert_eq!(overrides(&scene).await, [Value::Null, Value::from("drain")]);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_a_guardian_stays_quiet_when_its_heir_has_handed_over() {
    let mut scene = Scene::start(&["lead"]).await;
    let mut first = scene.echo_session().await;
    let middle = upgrade(&scene).await;
    let second = scene.echo_session().await;
    upgrade(&scene).await;
    let needs_none = "upgrade: the new process needs no guardian any more";
    until("the first one is dismissed", async || scene.gate.log().lines_saying(needs_none).pop()).await;
    drop(second);
    let ended = async || rustix::process::test_kill_process(middle).is_err().then_some(());
    until("the middle one has ended", ended).await;
    serves(&scene).await;
    assert_echo(&mut first).await;
    assert_eq!(scene.gate.log().lines_saying(DIED), Vec::<Value>::new());
    drop(first);
    assert_eq!(scene.gate.exits().await.code(), Some(0));
    serves(&scene).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_a_guardian_stays_quiet_when_its_heir_is_told_to_end() {
    let mut scene = Scene::start(&["lead"]).await;
    let session = scene.echo_session().await;
    let heir = upgrade(&scene).await;
    kill_process(heir, Signal::TERM).unwrap();
    let needs_none = "upgrade: the new process needs no guardian any more";
    until("the old one is dismissed", async || scene.gate.log().lines_saying(needs_none).pop()).await;
    let refused = async || TcpStream::connect(scene.gate.address).await.is_err().then_some(());
    until("nobody listens", refused).await;
    drop(session);
    assert_eq!(scene.gate.exits().await.code(), Some(0));
    assert_eq!(scene.gate.log().lines_saying(DIED), Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_a_guardian_keeps_no_address_that_its_heir_has_closed() {
    let scene = Scene::start(&["lead"]).await;
    let session = scene.echo_session().await;
    let (one, other) = (free_port(), free_port());
    let text = scene.text(Settings::default());
    let more = |name: &str, address| {
        format!("\n[listeners.{name}]\nbind = \"{address}\"\ncluster = \"controllers\"\n")
    };
    scene.reload(&format!("{text}{}{}", more("one", one), more("other", other))).await;
    let is_refused = async |address: std::net::SocketAddr| {
        until("nobody listens", async || TcpStream::connect(address).await.is_err().then_some(())).await;
    };
    // One is closed by the upgrade, the other by a reload after it, which a later one takes back.
    fs::write(scene.file(), format!("{text}{}", more("other", other))).unwrap();
    upgrade(&scene).await;
    is_refused(one).await;
    scene.reload(&text).await;
    is_refused(other).await;
    scene.reload(&format!("{text}{}", more("other", other))).await;
    assert!(scene.trust.visit(other).await.is_served_by("n1"));
    drop(session);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_a_control_socket_that_moves_leaves_nothing_behind() {
    let scene = Scene::start(&["lead"]).await;
    let session = scene.echo_session().await;
    let before = scene.socket();
    let after = scene.folder.path().join("other.sock");
    let text = scene.text(Settings::default());
    fs::write(scene.file(), text.replace(before.to_str().unwrap(), after.to_str().unwrap())).unwrap();
    let output = scene.command(&["upgrade"]).await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains(&format!("the control socket is another one: it is {}", after.display())),
        "{said}"
    );
    until("the old file is gone", async || (!before.exists()).then_some(())).await;
    kill_process(scene.gate.heirs()[0], Signal::KILL).unwrap();
    // The old process serves again, by the file as it is now, but for what only a start reads.
    until("the old socket is back", async || before.exists().then_some(())).await;
    serves(&scene).await;
    drop(session);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l10_an_order_outlives_the_absence_of_its_node() {
    let scene = Scene::start(&["lead", "follow"]).await;
    assert_eq!(scene.command(&["drain", "controllers", "n2"]).await.status.code(), Some(0));
    let text = scene.text(Settings::default());
    let without: Vec<&str> = text.lines().filter(|line| !line.starts_with("nodes.n2")).collect();
    let without = without.join("\n");
    scene.reload(&without).await;
    assert_eq!(overrides(&scene).await, [Value::Null]);
    // Not even an upgrade in between has it forgotten.
    upgrade(&scene).await;
    scene.reload(&text).await;
    let drained = async || (overrides(&scene).await == [Value::Null, Value::from("drain")]).then_some(());
    until("the node is drained again", drained).await;
    let (_, body) = within_deadline("the status", scene.gate.get("/status")).await.unwrap();
    assert!(body.contains("n2 is drained, by a reload") && !body.contains("operator's command"), "{body}");
    assert_eq!(scene.command(&["undrain", "controllers", "n2"]).await.status.code(), Some(0));
    scene.reload(&without).await;
    scene.reload(&text).await;
    assert_eq!(overrides(&scene).await, [Value::Null, Value::Null]);
    scene.gate.assert_books_balance().await;
}
