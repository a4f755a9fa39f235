//! O1, O2: another configuration while the gate serves: what changes, what stays, and what a mistake does: nothing.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use rustix::process::Signal;
use tokio::io::AsyncReadExt;

use crate::support::certs::Authority;
use crate::support::client::{assert_echo, say};
use crate::support::gate::Metrics;
use crate::support::node::Node;
use crate::support::reload::{free_port, is_refused, second, without};
use crate::support::scene::{Scene, Settings};
use crate::support::wait::{until, within_deadline};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_what_has_not_changed_goes_on_as_it_did() {
    let mut scene = Scene::start(&["lead", "follow"]).await;
    let mut session = scene.echo_session().await;
    let (epoch, handshakes) = (scene.epoch().await, scene.nodes[1].handshakes().await);
    let same = scene.text(Settings::default());
    assert!(scene.reload(&same).await.contains("as before"));
    scene.gate.signal(Signal::HUP);
    until("the second reload", async || {
        (scene.gate.log().lines_saying("configuration reloaded").len() == 2).then_some(())
    })
    .await;
    assert_echo(&mut session).await;
    assert_eq!(scene.epoch().await, epoch);
    let probed = crate::support::clock::Stamp::now();
    scene.nodes[1].known_since(probed).await;
    assert_eq!(scene.nodes[1].handshakes().await, handshakes, "a prober has begun anew");
    // What is said of clients alone leaves probes and claims alone, too.
    scene.reload(&scene.text(Settings { cluster: "hold.timeout = \"3s\"", ..Settings::default() })).await;
    assert_eq!(scene.epoch().await, epoch);
    let probed = crate::support::clock::Stamp::now();
    scene.nodes[1].known_since(probed).await;
    assert_eq!(scene.nodes[1].handshakes().await, handshakes, "a prober has begun anew");
    assert_echo(&mut session).await;
    drop(session);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o1_each_invalid_configuration_changes_nothing_and_says_why() {
    let scene = Scene::start(&["lead", "follow"]).await;
    let mut session = scene.echo_session().await;
    let epoch = scene.epoch().await;
    let shown = |metrics: Metrics| {
        let is_static = |name: &str| {
            ["node_state", "leader{", "connections_active"].iter().any(|part| name.contains(part))
        };
        metrics.into_iter().filter(|(name, _)| is_static(name)).collect::<Metrics>()
    };
    let before = shown(scene.gate.metrics().await.unwrap());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/blackbox/invalid");
    let mut tried = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        fs::copy(&path, scene.file()).unwrap();
        let (code, said) = scene.try_reload().await;
        assert_eq!(code, Some(1), "{}: {said}", path.display());
        assert!(said.contains("raftgate.toml"), "{}: {said}", path.display());
        tried += 1;
    }
    assert!(tried >= 40, "only {tried} files");
    assert!(scene.metric("raftgate_config_last_reload_successful").await < 0.5);
    assert_eq!(scene.gate.log().lines_saying("configuration reloaded").len(), 0);
    assert_eq!((scene.epoch().await, shown(scene.gate.metrics().await.unwrap())), (epoch, before));
    assert_echo(&mut session).await;
    scene.reload(&scene.text(Settings::default())).await;
    assert!(scene.metric("raftgate_config_last_reload_successful").await > 0.5);
    drop(session);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o1_what_only_shows_when_it_is_tried_changes_nothing_either() {
    let scene = Scene::start(&["lead"]).await;
    let text = scene.text(Settings::default());
    let keeper = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = keeper.local_addr().unwrap().to_string();
    // All else about it is sound, and comes first: none of it may be in force.
    let more = second(&scene.nodes[0], scene.folder.path(), &taken);
    let no_ca = "[clusters.controllers]\nprobe.tls.ca_file = \"/nowhere/ca.pem\"\n";
    let broken = text
        .replace(&format!("probe.tls.ca_file = \"{}\"", scene.folder.path().join("ca.pem").display()), "");
    let broken = broken.replace("[clusters.controllers]\n", no_ca);
    for (wrong, hint) in [(format!("{text}{more}"), "something already does"), (broken, "/nowhere/ca.pem")] {
        fs::write(scene.file(), wrong).unwrap();
        let (code, said) = scene.try_reload().await;
        assert!(code == Some(1) && said.contains(hint), "{said}");
        assert!(!scene.gate.get("/metrics").await.unwrap().1.contains("cluster=\"other\""));
    }
    assert!(scene.trust.visit(scene.gate.address).await.is_served_by("n1"));
    assert!(scene.reload(&text).await.contains("as before"), "some of it is in force");
    drop(keeper);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_a_listener_and_its_cluster_come_and_go_and_sessions_stay() {
    let mut scene = Scene::start(&["lead", "follow"]).await;
    let address = free_port();
    let text = scene.text(Settings::default());
    let more = second(&scene.nodes[0], scene.folder.path(), &address.to_string());
    let said = scene.reload(&format!("{text}{more}")).await;
    assert!(said.contains("added: cluster other, listener second"), "{said}");
    let (mut session, node) = within_deadline("a session", scene.trust.connect(address)).await.unwrap();
    assert_eq!(node, "n1");
    say(&mut session, "ECHO").await.unwrap();
    assert_echo(&mut session).await;

    let said = scene.reload(&text).await;
    assert!(said.contains("removed: cluster other, listener second"), "{said}");
    until("the port is closed", async || is_refused(address).await.then_some(())).await;
    assert_echo(&mut session).await;
    // It is followed as long as it has a session, so that its fate reaches that (S5).
    let status = scene.gate.get("/status").await.unwrap().1;
    assert!(status.contains("\"other\"") && status.contains("\"leaving\": true"), "{status}");
    scene.gate.counts("raftgate_cluster_leaving", "other", |leaving| leaving > 0.5).await;
    scene.gate.counts("raftgate_cluster_leaving", "controllers", |leaving| leaving < 0.5).await;
    scene.hand_over(0, 1).await;
    let end = within_deadline("the session's end", session.read(&mut [0])).await;
    assert!(end.is_err(), "not cut: {end:?}");
    until("the removed cluster is forgotten", async || {
        let metrics = scene.gate.get("/metrics").await?.1;
        (!metrics.contains("cluster=\"other\"")).then_some(())
    })
    .await;
    assert!(!scene.gate.get("/status").await.unwrap().1.contains("\"other\""));

    // And it can come back.
    scene
        .reload(&format!("{text}{}", second(&scene.nodes[1], scene.folder.path(), &address.to_string())))
        .await;
    assert!(scene.trust.visit(address).await.is_served_by("n2"));
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_a_cluster_that_was_removed_by_mistake_comes_back_with_its_sessions() {
    let mut scene = Scene::start(&["lead", "follow"]).await;
    let address = free_port();
    let text = scene.text(Settings::default());
    let both = format!("{text}{}", second(&scene.nodes[0], scene.folder.path(), &address.to_string()));
    scene.reload(&both).await;
    let (mut session, _) = within_deadline("a session", scene.trust.connect(address)).await.unwrap();
    say(&mut session, "ECHO").await.unwrap();
    assert_echo(&mut session).await;
    let epoch = async || {
        let status: serde_json::Value = serde_json::from_str(&scene.gate.get("/status").await?.1).ok()?;
        status["clusters"]["other"]["epoch"].as_u64()
    };
    let before = Some(until("the second cluster's leader", &epoch).await);
    scene.reload(&text).await;
    until("the port is closed", async || is_refused(address).await.then_some(())).await;
    scene.reload(&both).await;
    assert_eq!(epoch().await, before, "it has been followed all the time");
    assert_echo(&mut session).await;
    scene.hand_over(0, 1).await;
    let end = within_deadline("the session's end", session.read(&mut [0])).await;
    assert!(end.is_err(), "its fate does not reach it: {end:?}");
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_nodes_come_and_go_while_the_leader_leads() {
    let mut scene = Scene::start(&["lead", "follow", "follow"]).await;
    let epoch = scene.epoch().await;
    let mut session = scene.echo_session().await;
    let text = scene.text(Settings::default());
    let without_n3 = without(&text, "nodes.n3");
    let without_n1 = without(&text, "nodes.n1");
    scene.reload(&without_n3).await;
    assert_eq!(scene.epoch().await, epoch);
    until("the node is shown no more", async || {
        (!scene.gate.get("/metrics").await?.1.contains("node=\"n3\",state")).then_some(())
    })
    .await;
    scene.reload(&text).await;
    scene.gate.sees("n3", "follower").await;
    assert_eq!(scene.epoch().await, epoch);
    // The leader itself goes: no route, until another leads. Its session stays, as OpenZiti's do (S5).
    scene.reload(&without_n1).await;
    scene.gate.routes_to(None).await;
    scene.hand_over(0, 1).await;
    scene.gate.routes_to(Some("n2")).await;
    assert_echo(&mut session).await;
    drop(session);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_another_authority_is_trusted_after_a_reload_and_claims_stay() {
    let mut scene = Scene::start(&["lead", "follow"]).await;
    let epoch = scene.epoch().await;
    let new = Authority::new();
    // The second node moves, to where it has a certificate that the gate cannot know.
    scene.nodes[1] = Node::start(&new, "n2", "follow").await;
    scene.reload(&scene.text(Settings::default())).await;
    scene.gate.sees("n2", "unreachable").await;
    let ca = scene.folder.path().join("ca.pem");
    let both = format!("{}{}", fs::read_to_string(&ca).unwrap(), new.pem());
    fs::write(&ca, both).unwrap();
    scene.reload(&scene.text(Settings::default())).await;
    scene.gate.sees("n2", "follower").await;
    assert_eq!(scene.epoch().await, epoch);
    assert!(scene.trust.visit(scene.gate.address).await.is_served_by("n1"));
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_one_address_stands_aside_for_another_of_its_port() {
    let port = free_port().port();
    let bind = |ip: &str| format!("bind = \"{ip}:{port}\"");
    let scene = Scene::start(&["lead"]).await;
    let text = scene.text(Settings::default());
    let at = |ip: &str| text.replace("bind = \"127.0.0.1:0\"\ncluster", &format!("{}\ncluster", bind(ip)));
    for (ip, here) in [("0.0.0.0", true), ("127.0.0.1", true), ("0.0.0.0", true), ("127.0.0.2", false)] {
        scene.reload(&at(ip)).await;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if here {
            assert!(scene.trust.visit(address).await.is_served_by("n1"), "at {ip}");
        } else {
            until("the port is closed", async || is_refused(address).await.then_some(())).await;
        }
    }
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_bounds_and_the_logs_level_are_those_of_the_newest_file() {
    let scene = Scene::start(&["lead"]).await;
    let mut session = scene.echo_session().await;
    let text = scene.text(Settings {
        top: "log.level = \"debug\"",
        listener: "max_connections = 1",
        ..Settings::default()
    });
    scene.reload(&text).await;
    assert!(!scene.trust.visit(scene.gate.address).await.is_served_by("n1"), "the session counts, too");
    until("a line of that level", async || {
        (!scene.gate.log().lines_saying("client refused").is_empty()).then_some(())
    })
    .await;
    let more_workers = scene.text(Settings::default()).replace("workers = 2", "workers = 3");
    for _ in 0..2 {
        let said = scene.reload(&more_workers).await;
        assert!(said.contains("upgrade for it: workers"), "{said}");
    }
    assert!(scene.trust.visit(scene.gate.address).await.is_served_by("n1"));
    assert_echo(&mut session).await;
    drop(session);
    scene.gate.assert_books_balance().await;
}
