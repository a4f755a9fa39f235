//! What the service manager hears of a gate, in which order.

use std::path::Path;
use std::sync::{Arc, Mutex};

use rustix::process::{Signal, kill_process};
use tokio::net::UnixDatagram;

use crate::support::client::assert_echo;
use crate::support::scene::{Scene, Settings};
use crate::support::wait::until;

/// A service manager that only listens.
struct Manager(Arc<Mutex<Vec<String>>>);

impl Manager {
    fn listen(path: &Path) -> Self {
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let (socket, lines) = (UnixDatagram::bind(path).unwrap(), Arc::clone(&heard));
        tokio::spawn(async move {
            let mut message = [0; 4096];
            while let Ok(length) = socket.recv(&mut message).await {
                let text = String::from_utf8(message[..length].to_vec()).unwrap();
                lines.lock().unwrap().push(text);
            }
        });
        Manager(heard)
    }

    fn heard(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// All but what is told again and again.
    fn turns(&self) -> Vec<String> {
        let again = ["STATUS=", "WATCHDOG="];
        self.heard().into_iter().filter(|line| !again.iter().any(|it| line.starts_with(it))).collect()
    }

    async fn hears(&self, wanted: &str) {
        let what = format!("the service manager hears {wanted}");
        until(&what, async || self.heard().iter().any(|line| line.contains(wanted)).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_the_service_manager_hears_of_a_gates_turns_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = Manager::listen(&path);
    let variables = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "400000")];
    let settings = Settings { variables: &variables, ..Settings::default() };
    let mut scene = Scene::with(&["lead"], settings).await;
    assert_eq!(manager.heard().first().map(String::as_str), Some("READY=1"));
    manager.hears("STATUS=controllers: n1 leads; 0 sessions").await;
    let session = scene.echo_session().await;
    manager.hears("STATUS=controllers: n1 leads; 1 session").await;
    manager.hears("WATCHDOG=1").await;

    assert!(scene.command(&["upgrade"]).await.status.success());
    let heir = scene.gate.heirs()[0];
    let main_pid = format!("MAINPID={}", heir.as_raw_nonzero());
    manager.hears(&main_pid).await;
    drop(session);
    assert_eq!(scene.gate.exits().await.code(), Some(0));
    // The old one has gone without a word; the new one gives signs of life in its place.
    let signs = || manager.heard().iter().filter(|line| *line == "WATCHDOG=1").count();
    let before = signs();
    until("the new process gives a sign of life", async || (signs() > before + 1).then_some(())).await;
    // It is listened to only once it is the main one; what people see is told anew then.
    let shown = manager.heard().into_iter().rev().find(|line| line.starts_with("STATUS=")).unwrap();
    assert_eq!(shown, "STATUS=controllers: n1 leads; 0 sessions");
    assert!(scene.command(&["reload"]).await.status.success());
    kill_process(heir, Signal::TERM).unwrap();
    manager.hears("STOPPING=1").await;
    let turns = manager.turns();
    let [ready, main, of_age, reloading, reloaded, stopping] = turns.as_slice() else { panic!("{turns:?}") };
    assert_eq!([ready, main, of_age], ["READY=1", &main_pid, "READY=1"]);
    let (word, moment) = reloading.split_once("\nMONOTONIC_USEC=").expect("two words");
    assert_eq!((word, moment.parse::<u64>().is_ok()), ("RELOADING=1", true));
    assert_eq!([reloaded, stopping], ["READY=1", "STOPPING=1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_of_a_new_process_that_dies_at_once_the_service_manager_never_hears() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = Manager::listen(&path);
    let variables = [("NOTIFY_SOCKET", path.to_str().unwrap())];
    let scene = Scene::with(&["lead"], Settings { variables: &variables, ..Settings::default() }).await;
    scene.gate.signal(Signal::USR2);
    let serves = "upgrade: the new process serves, this one takes no clients any more";
    until("the new process serves", async || scene.gate.log().lines_saying(serves).pop()).await;
    kill_process(scene.gate.heirs()[0], Signal::KILL).unwrap();
    let resumed = "upgrade: the new process has ended, this one takes clients again";
    until("the old process is back", async || scene.gate.log().lines_saying(resumed).pop()).await;
    assert_eq!(manager.turns(), ["READY=1"]);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_a_guardian_that_serves_again_is_the_main_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = Manager::listen(&path);
    let variables = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "400000")];
    let scene = Scene::with(&["lead"], Settings { variables: &variables, ..Settings::default() }).await;
    let session = scene.echo_session().await;
    assert!(scene.command(&["upgrade"]).await.status.success());
    let heir = scene.gate.heirs()[0];
    let done = "upgrade: done, the sessions of this process drain";
    let done = until("the upgrade is done", async || scene.gate.log().lines_saying(done).pop()).await;
    manager.hears(&format!("MAINPID={}", heir.as_raw_nonzero())).await;
    kill_process(heir, Signal::KILL).unwrap();
    let main_pid = format!("MAINPID={}", done["pid"]);
    manager.hears(&main_pid).await;
    let since = async || {
        let heard = manager.heard();
        let since = heard.iter().position(|line| *line == main_pid)?;
        heard[since..].iter().any(|line| line == "WATCHDOG=1").then_some(())
    };
    until("it gives signs of life again", since).await;
    drop(session);
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o4_a_gate_that_drains_gives_signs_of_life_for_as_long_as_it_takes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = Manager::listen(&path);
    let variables = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "6000000")];
    // Of two workers one has no session, and ends at once.
    let settings = Settings { top: "shutdown.drain = \"1h\"", variables: &variables, ..Settings::default() };
    let mut scene = Scene::with(&["lead"], settings).await;
    let mut session = scene.echo_session().await;
    scene.gate.signal(Signal::TERM);
    manager.hears("STOPPING=1").await;
    let since = manager.heard().len();
    // The first may have been given before that one has ended.
    until("two signs of life", async || {
        let signs = manager.heard().iter().skip(since).filter(|line| *line == "WATCHDOG=1").count();
        (signs >= 2).then_some(())
    })
    .await;
    assert_echo(&mut session).await;
    drop(session);
    assert_eq!(scene.gate.exits().await.code(), Some(0));
    let missed = "a thread does not answer: the service manager is not told that the gate is alive";
    assert_eq!(scene.gate.log().lines_saying(missed), Vec::<serde_json::Value>::new());
}
