//! O1, O2 where it is close: what is removed and back at once, nodes that trade places, what has clients and what has
//! none, files that are none.

use std::fs;

use rustix::process::Signal;
use tokio::net::TcpStream;

use crate::support::client::{assert_echo, say};
use crate::support::clock::Stamp;
use crate::support::crowd::assert_nobody_failed;
use crate::support::reload::{free_port, second, without};
use crate::support::scene::{Scene, Settings};
use crate::support::wait::{until, within_deadline};

/// Waits until a cluster is shown nowhere any more.
async fn is_forgotten(scene: &Scene, cluster: &str) {
    until(&format!("{cluster} is forgotten"), async || {
        let metrics = scene.gate.get("/metrics").await?.1;
        let status = scene.gate.get("/status").await?.1;
        let shown =
            metrics.contains(&format!("cluster=\"{cluster}\"")) || status.contains(&format!("\"{cluster}\""));
        (!shown).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_a_removed_cluster_ends_with_its_own_sessions_and_not_with_anybody_elses() {
    let routes = "hello_timeout = \"100ms\"\nroutes = [{ server_names = [\"nobody.test\"], reject = true }]";
    for listener in ["", routes] {
        let settings = Settings { listener, ..Settings::default() };
        let scene = Scene::with(&["lead", "follow"], settings).await;
        let (text, address) = (scene.text(settings), free_port());
        let more = second(&scene.nodes[0], scene.folder.path(), &address.to_string());
        scene.reload(&format!("{text}{more}")).await;
        assert!(scene.trust.visit(address).await.is_served_by("n1"));
        // Both came while there were two clusters: one has a session with the first, one has not said a word yet.
        let mut session = scene.echo_session().await;
        let silent = TcpStream::connect(scene.gate.address).await.unwrap();
        scene.gate.counts("raftgate_connections_active", "edge", |active| active > 1.5).await;
        scene.reload(&text).await;
        is_forgotten(&scene, "other").await;
        assert_echo(&mut session).await;
        drop((session, silent));
        scene.gate.assert_books_balance().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_a_gate_that_was_ready_is_so_while_what_is_new_is_not_known_yet() {
    let scene = Scene::start(&["lead"]).await;
    // Who asks it is kept waiting.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let more = format!(
        "\n[listeners.second]\nbind = \"{}\"\ncluster = \"other\"\n[clusters.other]\n\
         probe.tls.verify = \"none\"\nprobe.timeout = \"1h\"\nnodes.mute = \"{}\"\n",
        free_port(),
        mute.local_addr().unwrap()
    );
    scene.reload(&format!("{}{more}", scene.text(Settings::default()))).await;
    assert!(scene.gate.get("/status").await.unwrap().1.contains("\"other\""));
    assert_eq!(scene.gate.get("/readyz").await.unwrap().0, 200);
    scene.gate.assert_books_balance().await;
}

/// The text with the addresses of the first two nodes exchanged; each proves itself as before.
fn exchanged(scene: &Scene) -> String {
    let text = scene.text(Settings::default());
    text.replace("nodes.n1 ", "nodes.was_n1 ")
        .replace("nodes.n2 ", "nodes.n1 ")
        .replace("nodes.was_n1 ", "nodes.n2 ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_nobody_is_sent_where_nobody_has_said_that_he_leads_though_nodes_trade_places() {
    let scene = Scene::start(&["lead", "follow"]).await;
    let crowd = scene.crowd();
    let texts = [exchanged(&scene), scene.text(Settings::default())];
    for (turn, name) in ["n2", "n1", "n2", "n1", "n2", "n1"].into_iter().enumerate() {
        scene.reload(&texts[turn % 2]).await;
        scene.gate.routes_to(Some(name)).await;
    }
    crowd.served_by("n1", 10, Stamp::now()).await;
    let visits = crowd.leave().await;
    assert_nobody_failed(&visits, None);
    let elsewhere = visits.iter().filter(|visit| !visit.is_served_by("n1")).count();
    assert_eq!(elsewhere, 0, "clients of {} have reached a follower", visits.len());
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_a_listener_that_is_removed_by_mistake_can_be_back_at_once() {
    let scene = Scene::start(&["lead"]).await;
    let text = scene.text(Settings::default());
    let address = free_port();
    let both = format!("{text}\n[listeners.more]\nbind = \"{address}\"\ncluster = \"controllers\"\n");
    scene.reload(&both).await;
    for _ in 0..5 {
        scene.reload(&text).await;
        scene.reload(&both).await;
        assert!(scene.trust.visit(address).await.is_served_by("n1"));
    }
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_listeners_whose_ports_the_system_chooses_keep_them_each_its_own() {
    let scene = Scene::start(&["lead"]).await;
    let text = scene.text(Settings::default());
    let more = format!("{text}\n[listeners.more]\nbind = \"127.0.0.1:0\"\ncluster = \"controllers\"\n");
    scene.reload(&more).await;
    until("the log says where", async || {
        (scene.gate.log().lines_saying("listening").len() > 1).then_some(())
    })
    .await;
    let addresses = [scene.gate.address, scene.gate.listener("more")];
    assert_ne!(addresses[0], addresses[1]);
    scene
        .reload(&more.replace("[clusters.controllers]", "[clusters.controllers]\nhold.timeout = \"3s\""))
        .await;
    for address in addresses {
        assert!(scene.trust.visit(address).await.is_served_by("n1"), "at {address}");
    }
    for name in ["edge", "more"] {
        let count = format!("raftgate_connections_total{{listener=\"{name}\"}}");
        assert!(scene.gate.metrics().await.unwrap()[&count] > 0.5, "{name} has had no client");
    }
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_sessions_are_counted_by_node_whoever_came_when_and_nodes_that_are_gone_are_not_shown() {
    let mut scene = Scene::start(&["follow", "follow"]).await;
    let text = scene.text(Settings::default()).replace("nodes.n2 ", "nodes.new ");
    scene.reload(&without(&text, "nodes.new")).await;
    // Held since before the second node was there.
    let (trust, address) = (scene.trust.clone(), scene.gate.address);
    let held = tokio::spawn(async move { trust.connect(address).await });
    scene.gate.counts("raftgate_held_connections", "", |held| held > 0.5).await;
    scene.reload(&text).await;
    scene.gate.sees("new", "follower").await;
    scene.nodes[1].order("lead").await;
    let (mut session, node) = within_deadline("the session", held).await.unwrap().unwrap();
    assert_eq!(node, "n2");
    say(&mut session, "ECHO").await.unwrap();
    assert_echo(&mut session).await;
    let of_new = "cluster=\"controllers\",node=\"new\"";
    scene.gate.counts("raftgate_sessions_active", of_new, |sessions| sessions > 0.5).await;
    // A node that is gone is counted as long as it has sessions, and shown no longer.
    scene.reload(&without(&text, "nodes.new")).await;
    scene.gate.counts("raftgate_sessions_active", of_new, |sessions| sessions > 0.5).await;
    drop(session);
    until("nothing is shown of the node", async || {
        (!scene.gate.get("/metrics").await?.1.contains("node=\"new\"")).then_some(())
    })
    .await;
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o1_a_file_that_cannot_be_read_changes_nothing_and_holds_nobody_up() {
    let scene = Scene::start(&["lead"]).await;
    let file = scene.file();
    let away = file.with_extension("away");
    fs::rename(&file, &away).unwrap();
    let refused = async |hint: &str| {
        let (code, said) = scene.try_reload().await;
        assert!(code == Some(1) && said.contains("raftgate.toml") && said.contains(hint), "{said}");
    };
    refused("No such file").await;
    fs::create_dir(&file).unwrap();
    refused("directory").await;
    fs::remove_dir(&file).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
    refused("not a file").await;
    fs::remove_file(&file).unwrap();
    fs::File::create(&file).unwrap().set_len(1 << 30).unwrap();
    refused("too large").await;
    fs::remove_file(&file).unwrap();
    fs::rename(&away, &file).unwrap();
    assert!(scene.try_reload().await.1.contains("as before"));
    assert!(scene.trust.visit(scene.gate.address).await.is_served_by("n1"));
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o4_a_gate_that_is_about_to_stop_reads_nothing_again() {
    let mut scene = Scene::start(&["lead"]).await;
    let mut session = scene.echo_session().await;
    scene.gate.signal(Signal::TERM);
    until("it is about to stop", async || {
        (!scene.gate.log().lines_saying("stopping: no new connections, sessions drain").is_empty())
            .then_some(())
    })
    .await;
    scene.gate.signal(Signal::HUP);
    let (code, said) = scene.try_reload().await;
    assert!(code == Some(1) && said.contains("about to stop"), "{said}");
    assert_echo(&mut session).await;
    assert!(scene.gate.log().lines_saying("configuration reloaded").is_empty());
    drop(session);
    scene.gate.exits().await;
}
