//! S8: how many connections there may be follows from the limit of descriptors, which the gate raises as far as it may, and
//! from what the gate itself needs.

use std::ffi::OsString;

use serde_json::Value;
use tokio::net::TcpStream;

use crate::support::gate::{Gate, raftgate};
use crate::support::reload::free_port;
use crate::support::scene::{Scene, Settings};
use crate::support::wait::{until, within_deadline};

/// The soft limit of many shells and containers.
const SOFT: u32 = 1024;
/// A hard limit that is enough for all clients.
const HARD: u32 = 4096;
/// More clients than the soft limit is enough for.
const CLIENTS: usize = 600;

/// A command that has the one after it run with these limits.
fn limited(soft: u32, hard: u32) -> Vec<OsString> {
    let script = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" \"$@\"");
    ["sh", "-c", &script].map(OsString::from).into()
}

/// A scene whose gate leaves its file to a second one, which has no control socket.
async fn scene(orders: &[&str]) -> Scene {
    let scene = Scene::start(orders).await;
    scene.gate.assert_books_balance().await;
    let settings = Settings { without_socket: true, ..Settings::default() };
    std::fs::write(scene.file(), scene.text(settings)).unwrap();
    scene
}

/// What the gate says at its start of how many connections there may be.
async fn logged_bound(gate: &Gate) -> Value {
    until("the bound is logged", async || gate.log().lines_saying("connections are bounded").pop()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s8_soft_limit_is_raised_and_clients_beyond_it_served() {
    let scene = scene(&["lead", "follow"]).await;
    let gate = Gate::start_in(&limited(SOFT, HARD), &scene.file()).await;
    gate.is_ready().await;
    let bound = logged_bound(&gate).await;
    let number = |key: &str| bound[key].as_u64().unwrap();
    assert_eq!((number("raised_from"), number("descriptors")), (SOFT.into(), HARD.into()), "{bound}");
    assert_eq!(number("max_connections"), (number("descriptors") - number("kept_back")) / 2, "{bound}");
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(within_deadline("the gate accepts", TcpStream::connect(gate.address)).await.unwrap());
    }
    gate.counts("raftgate_connections_active", "", |active| active >= 599.5).await;
    gate.counts("raftgate_connections_refused_total", "", |refused| refused < 0.5).await;
    drop(clients);
    gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s8_check_and_run_find_the_same_bound() {
    let scene = scene(&["lead"]).await;
    let enter = limited(SOFT, HARD);
    let gate = Gate::start_in(&enter, &scene.file()).await;
    let bound = logged_bound(&gate).await;
    let mut check = tokio::process::Command::new(&enter[0]);
    check.args(&enter[1..]).arg(raftgate().as_std().get_program()).args(["check", "-c"]).arg(scene.file());
    let checked = within_deadline("the check", check.output()).await.unwrap();
    let said = String::from_utf8(checked.stdout).unwrap();
    let line = format!("max_connections = {}", bound["max_connections"]);
    assert!(said.lines().any(|found| found == line), "{line} is not in\n{said}");
    gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s8_what_the_gate_uses_itself_is_kept_back() {
    let scene = scene(&["lead", "follow", "follow"]).await;
    let listener = |number: usize| {
        format!("\n[listeners.more{number}]\nbind = \"{}\"\ncluster = \"controllers\"\n", free_port())
    };
    let more = (0..4).map(listener).collect::<Vec<_>>().concat();
    let text = std::fs::read_to_string(scene.file()).unwrap().replace("workers = 2", "workers = 16");
    std::fs::write(scene.file(), format!("{text}{more}")).unwrap();
    let gate = Gate::start_in(&limited(SOFT, SOFT), &scene.file()).await;
    gate.is_ready().await;
    let bound = logged_bound(&gate).await;
    let kept_back = usize::try_from(bound["kept_back"].as_u64().unwrap()).unwrap();
    assert!(gate.descriptors() <= kept_back, "{} of {kept_back} are in use", gate.descriptors());
    // As many clients as there may be, and the gate can still do its own work.
    let most = usize::try_from(bound["max_connections"].as_u64().unwrap()).unwrap();
    let mut clients = Vec::new();
    for _ in 0..most {
        clients.push(scene.trust.connect(gate.address).await.unwrap());
    }
    gate.counts("raftgate_accept_pauses_total", "", |pauses| pauses < 0.5).await;
    // The reset may be there before the connect is seen to be done.
    let beyond = TcpStream::connect(gate.address).await;
    let warning = "clients are refused: max_connections is reached";
    let warned = async || gate.log().lines().into_iter().find(|line| line.contains(warning));
    let line = until("a refusal is warned of", warned).await;
    assert!(line.contains("\"WARN\"") && line.contains("\"edge\""), "{line}");
    drop((clients, beyond));
    gate.assert_books_balance().await;
}
