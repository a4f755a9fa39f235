//! The gate before three real OpenZiti controllers, with real clients: login, listing, enrollment.
//!
//! ```text
//! RAFTGATE_ZITI=/path/to/ziti cargo test openziti -- --nocapture
//! ```
//!
//! with a `ziti` of the 2.x line. It takes one to three minutes and prints how long each failover took. While the cluster
//! is founded, `ziti run quickstart` listens on all addresses; where that matters, run it in a network of its own, in
//! which only the loopback interface is up: `unshare -rn sh -c 'ip link set lo up; cargo test openziti -- --nocapture'`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::support::clock::Stamp;
use crate::support::crowd::{Crowd, assert_nobody_failed};
use crate::support::gate::Gate;
use crate::support::not_run;
use crate::support::wait::until_after;
use crate::support::ziti::{PublicName, Ziti, own_name};

/// An election takes seconds, a start of three controllers on a loaded machine longer.
const ELECTION: Duration = Duration::from_mins(2);
/// How often a client arrives that asks whoever answers whether it leads: in an election hundreds gather, which real
/// controllers with their RSA keys cannot serve all at once (S2).
const EVERY: Duration = Duration::from_millis(25);
/// How many clients have to be served by each leader.
const ENOUGH: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openziti_commands_work_through_hand_over_and_crash() {
    let Some(binary) = std::env::var_os("RAFTGATE_ZITI") else {
        return not_run("real OpenZiti controllers: RAFTGATE_ZITI does not name a `ziti`");
    };
    let mut ziti = Ziti::found(PathBuf::from(binary), PublicName::Own).await;
    let file = ziti.path("raftgate.toml");
    std::fs::write(&file, configuration(&ziti, |_| "localhost".to_owned())).unwrap();
    let mut gate = Gate::start(&file).await;
    let first = leader_other_than(&gate, None).await;
    println!("{first} leads");

    log_in(&ziti).await;
    enroll(&ziti, "before").await;
    let crowd = Crowd::arrive_every(EVERY, &ziti.trust(), gate.address);
    crowd.served_by(&first, ENOUGH, Stamp::now()).await;

    // In good order: the leadership is transferred.
    let second = ziti.controllers.iter().map(|controller| &controller.name).find(|name| **name != first);
    let second = second.unwrap().clone();
    let asked = Stamp::now();
    ziti.transfer_leadership(&second).await;
    let led = leader_other_than(&gate, Some(&first)).await;
    println!("the gate routes to {led} {:?} after the transfer was asked for", Stamp::now().since(asked));
    assert_eq!(led, second);
    crowd.served_by(&second, ENOUGH, Stamp::now()).await;
    enroll(&ziti, "transferred").await;

    // By a crash: this command begins while nobody leads, and is held until somebody does.
    ziti.kill(&second).await;
    let killed = Stamp::now();
    log_in(&ziti).await;
    println!("a login begun at the crash of the leader was done {:?} later", Stamp::now().since(killed));
    let third = leader_other_than(&gate, Some(&second)).await;
    println!("{third} leads");
    enroll(&ziti, "after").await;
    crowd.served_by(&third, ENOUGH, Stamp::now()).await;

    let visits = crowd.leave().await;
    assert_nobody_failed(&visits, Some((&second, killed)));
    let longest = visits.iter().map(|visit| visit.ended.since(visit.started)).max();
    println!("{} clients came meanwhile, none was refused; the longest waited {longest:?}", visits.len());

    for line in gate.log().lines_saying("leader elected") {
        println!("{line}");
    }
    gate.assert_books_balance().await;
    gate.signal(rustix::process::Signal::TERM);
    assert_eq!(gate.exits().await.code(), Some(0));
}

/// A token is signed with the key that serves the public name, so all controllers have to share that key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openziti_tokens_enroll_under_the_next_leader() {
    let Some(binary) = std::env::var_os("RAFTGATE_ZITI") else {
        return not_run("real OpenZiti controllers: RAFTGATE_ZITI does not name a `ziti`");
    };
    let ziti = Ziti::found(PathBuf::from(binary), PublicName::Shared).await;
    let file = ziti.path("raftgate.toml");
    std::fs::write(&file, configuration(&ziti, own_name)).unwrap();
    let mut gate = Gate::start(&file).await;
    let first = leader_other_than(&gate, None).await;
    log_in(&ziti).await;
    enroll(&ziti, "at-once").await;
    create_identity(&ziti, "later").await;

    let second = ziti.controllers.iter().map(|controller| &controller.name).find(|name| **name != first);
    let second = second.unwrap().clone();
    ziti.transfer_leadership(&second).await;
    assert_eq!(leader_other_than(&gate, Some(&first)).await, second);
    enroll_identity(&ziti, "later").await;

    gate.assert_books_balance().await;
    gate.signal(rustix::process::Signal::TERM);
    assert_eq!(gate.exits().await.code(), Some(0));
}

/// The gate's configuration; `server_name` is the name in a controller's own certificate.
fn configuration(ziti: &Ziti, server_name: impl Fn(&str) -> String) -> String {
    let mut text = format!(
        "log.format = \"json\"\nadmin.bind = \"127.0.0.1:0\"\n\n\
         [listeners.edge]\nbind = \"127.0.0.1:{}\"\ncluster = \"controllers\"\n\n\
         [clusters.controllers]\npreset = \"openziti\"\nhold.timeout = \"25s\"\nprobe.tls.ca_file = \"{}\"\n",
        ziti.gate_port,
        ziti.root_certificate().display(),
    );
    for controller in &ziti.controllers {
        writeln!(
            text,
            "nodes.{} = {{ address = \"127.0.0.1:{}\", server_name = \"{}\" }}",
            controller.name,
            controller.port,
            server_name(&controller.name),
        )
        .expect("writing to a string does not fail");
    }
    text
}

async fn leader_other_than(gate: &Gate, previous: Option<&str>) -> String {
    until_after(ELECTION, &format!("a controller other than {previous:?} leads"), async || {
        gate.leader().await.filter(|leader| Some(leader.as_str()) != previous)
    })
    .await
}

async fn log_in(ziti: &Ziti) {
    let url = format!("https://localhost:{}", ziti.gate_port);
    let root = ziti.root_certificate();
    let root = root.to_str().unwrap();
    ziti.run(&[
        "edge",
        "login",
        &url,
        "-u",
        "admin",
        "-p",
        "admin",
        "--ca",
        root,
        "--yes",
        "--timeout",
        "25",
    ])
    .await;
}

/// Creates an identity, enrolls it and finds it listed. The first is a write, which only a leader takes; the second is what
/// fails at followers.
async fn enroll(ziti: &Ziti, identity: &str) {
    create_identity(ziti, identity).await;
    enroll_identity(ziti, identity).await;
}

/// Creates an identity and keeps its token.
async fn create_identity(ziti: &Ziti, identity: &str) {
    let token = token(ziti, identity);
    ziti.run(&["edge", "create", "identity", identity, "--jwt-output-file", token.to_str().unwrap()]).await;
}

/// Enrolls an identity by the token that was kept, and finds the identity listed.
async fn enroll_identity(ziti: &Ziti, identity: &str) {
    let token = token(ziti, identity);
    let result = ziti.path(&format!("{identity}.json"));
    ziti.run(&["edge", "enroll", "--jwt", token.to_str().unwrap(), "--out", result.to_str().unwrap()]).await;
    let enrolled = std::fs::read_to_string(result).unwrap();
    assert!(enrolled.contains(&format!("localhost:{}", ziti.gate_port)), "enrolled elsewhere: {enrolled}");
    let listed = ziti.run(&["edge", "list", "identities"]).await;
    assert!(listed.contains(identity), "{listed}");
    println!("{identity}: enrolled, listed");
}

fn token(ziti: &Ziti, identity: &str) -> PathBuf {
    ziti.path(&format!("{identity}.jwt"))
}
