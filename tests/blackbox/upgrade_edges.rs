//! O3: what is asked of a gate while another process takes its place.

use std::fs;

use rustix::process::{Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::support::reload::free_port;
use crate::support::scene::{Scene, Settings};
use crate::support::wait::{until, within_deadline};

/// Upgrades the gate.
async fn upgrade(scene: &Scene) {
    let output = scene.command(&["upgrade"]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}\n{}", scene.gate.log().text());
}

/// Posts a command on a connection that stays; the answer.
async fn post(control: &mut UnixStream, target: &str) -> String {
    let request = format!("POST /clusters/controllers/{target} HTTP/1.1\r\nHost: gate\r\n\r\n");
    control.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let answering = async {
        while !answer.ends_with("}\n") {
            let mut more = [0; 4096];
            let count = control.read(&mut more).await.unwrap();
            assert!(count > 0, "the end of the connection, after {answer:?}");
            answer.push_str(std::str::from_utf8(&more[..count]).unwrap());
        }
    };
    within_deadline("an answer", answering).await;
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l10_o3_an_old_process_takes_no_order_that_the_new_one_would_not_know_of() {
    let scene = Scene::start(&["lead", "follow"]).await;
    let mut old = UnixStream::connect(scene.socket()).await.unwrap();
    assert!(post(&mut old, "nodes/n2/undrain").await.starts_with("HTTP/1.1 200"));
    upgrade(&scene).await;
    for target in ["nodes/n2/drain", "nodes/n2/pin", "nodes/n2/undrain", "unpin"] {
        let answer = post(&mut old, target).await;
        let expected = "an upgrade is under way: wait for its end";
        assert!(answer.starts_with("HTTP/1.1 409") && answer.contains(expected), "{target}: {answer}");
    }
    kill_process(scene.gate.heirs()[0], Signal::KILL).unwrap();
    let resumed = "upgrade: the new process has ended, this one takes clients again";
    until("the old process is back", async || scene.gate.log().lines_saying(resumed).pop()).await;
    assert!(post(&mut old, "nodes/n2/drain").await.starts_with("HTTP/1.1 200"));
    // A new process that does not come to serve has been told, too: it binds what is new only then.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let more =
        format!("[listeners.more]\nbind = \"{}\"\ncluster = \"controllers\"\n", taken.local_addr().unwrap());
    fs::write(scene.file(), format!("{}{more}", scene.text(Settings::default()))).unwrap();
    let output = scene.command(&["upgrade"]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("listener more: cannot listen"), "{said}");
    assert!(post(&mut old, "nodes/n2/undrain").await.starts_with("HTTP/1.1 200"));
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_a_gate_that_was_ready_is_so_whatever_an_upgrade_brings() {
    let scene = Scene::start(&["lead"]).await;
    // Who asks it is kept waiting.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = mute.local_addr().unwrap();
    let cluster = format!("probe.timeout = \"1h\"\nnodes.mute = \"{address}\"");
    let settings = Settings { cluster: &cluster, ..Settings::default() };
    let more = format!(
        "\n[listeners.second]\nbind = \"{}\"\ncluster = \"other\"\n[clusters.other]\n\
         probe.tls.verify = \"none\"\nprobe.timeout = \"1h\"\nnodes.mute = \"{address}\"\n",
        free_port(),
    );
    fs::write(scene.file(), format!("{}{more}", scene.text(settings))).unwrap();
    // Twice: of one that is ready for that reason, too.
    for _ in 0..2 {
        upgrade(&scene).await;
        assert!(scene.gate.get("/status").await.unwrap().1.contains("\"other\""));
        assert_eq!(scene.gate.get("/readyz").await.unwrap().0, 200);
    }
    assert!(scene.trust.visit(scene.gate.address).await.is_served_by("n1"));
    scene.gate.assert_books_balance().await;
}
