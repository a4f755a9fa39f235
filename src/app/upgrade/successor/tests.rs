//! Programs that come to serve, and programs that do not.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::*;

/// A script in place of a binary; it is called with `stage` and what this process was called with.
fn program(script: &str) -> (tempfile::TempDir, Program) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    let arguments = vec!["run".into(), "-c".into(), "a b".into()];
    (folder, Program { path, arguments })
}

async fn start(program: &Program, keys: Vec<Key>) -> Result<Successor, String> {
    let mut successor = Successor::spawn(program, keys).map_err(|error| error.to_string())?;
    match successor.serves(async || Letter::new(7, [].into())).await {
        Ok(()) => Ok(successor),
        Err(error) => {
            successor.end().await;
            Err(error.to_string())
        }
    }
}

#[tokio::test]
async fn o3_a_new_process_gets_the_sockets_and_the_letter() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let key = Key { name: "listeners.edge.bind.0".to_owned(), socket: listener.into() };
    // The connection is the first descriptor: however many there are, it is among those that are taken.
    let (_folder, program) = program(
        "[ \"$1 $2 $3 $4\" = 'stage run -c a b' ] || exit 3\n\
         [ \"$LISTEN_FDS $LISTEN_FDNAMES\" = '2 raftgate-upgrade:listeners.edge.bind.0' ] || exit 4\n\
         [ -z \"$LISTEN_PID\" ] || exit 5\n\
         echo '\"asks\"' >&3; read -r letter <&3\n\
         case \"$letter\" in *'\"epochs\":7'*) ;; *) exit 6;; esac\n\
         [ -S /proc/self/fd/4 ] || exit 7\n\
         echo '\"ready\"' >&3; read -r nothing <&3",
    );
    let mut successor = start(&program, vec![key]).await.unwrap();
    successor.end().await;
    assert!(matches!(successor.news().await, News::Died(_)));
}

#[tokio::test]
async fn o3_who_does_not_come_to_serve_is_told_why() {
    let (folder, broken) = program("exit 9");
    let path = broken.path.display().to_string();
    let said = start(&broken, Vec::new()).await.unwrap_err();
    assert_eq!(
        said,
        format!(
            "{path}: the new process ended (exit status: 9) before it served; what it had to say is in the log"
        )
    );
    let (_folder, gives_up) = program("echo '{\"gives_up\":\"no port\"}' >&3; exec sleep 60");
    assert!(start(&gives_up, Vec::new()).await.unwrap_err().ends_with("the new process gave up: no port"));
    let (_folder, babbles) = program("echo what >&3; exec sleep 60");
    assert!(start(&babbles, Vec::new()).await.unwrap_err().contains("cannot be talked to"));
    fs::remove_file(&broken.path).unwrap();
    let said = start(&broken, Vec::new()).await.unwrap_err();
    assert!(said.starts_with(&format!("{path}: cannot be started: No such file")), "{said}");
    drop(folder);
}

#[tokio::test]
async fn o3_a_version_that_does_not_know_orders_is_refused() {
    let orders = || [("c".to_owned(), [("n1".to_owned(), crate::leader::Override::Drain)].into())].into();
    for (word, with_orders, expected) in [
        ("\"ready\"", true, Some("does not know which nodes are drained or pinned")),
        ("\"ready\"", false, None),
        ("{\"serves\":{\"more\":1}}", true, None),
    ] {
        let script = format!("echo '\"asks\"' >&3; read -r letter <&3; echo '{word}' >&3; exec sleep 60");
        let (_folder, program) = program(&script);
        let mut successor = Successor::spawn(&program, Vec::new()).unwrap();
        let letter =
            async || Letter::new(7, [].into()).with_orders(if with_orders { orders() } else { [].into() });
        let served = successor.serves(letter).await.map_err(|error| error.to_string());
        successor.end().await;
        match expected {
            Some(why) => assert!(served.unwrap_err().contains(why)),
            None => assert_eq!(served, Ok(())),
        }
    }
}

#[tokio::test]
async fn o3_a_process_that_ends_on_purpose_has_not_died() {
    for (script, dies) in [
        ("exit 0", false),
        ("exit 1", true),
        ("kill -KILL $$", true),
        ("echo '\"leaves\"' >&3; kill -KILL $$", false),
        ("echo '{\"listens\":[]}' >&3; kill -KILL $$", true),
    ] {
        let (_folder, program) = program(&format!("echo '\"ready\"' >&3; {script}"));
        let mut successor = start(&program, Vec::new()).await.unwrap();
        let mut news = successor.news().await;
        if let News::Listens(_) = news {
            news = successor.news().await;
        }
        assert_eq!(matches!(news, News::Died(_)), dies, "{script}: {news:?}");
    }
}

#[tokio::test]
async fn o3_what_is_no_program_is_told_however_many_sockets_there_are() {
    let (_folder, program) = program("");
    fs::set_permissions(&program.path, Permissions::from_mode(0o644)).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let key = || Key { name: "a".to_owned(), socket: listener.try_clone().unwrap().into() };
    let keys: Vec<Key> = (0..40).map(|_| key()).collect();
    let said = start(&program, keys).await.unwrap_err();
    assert!(said.contains("cannot be started: Permission denied"), "{said}");
}

#[tokio::test]
async fn o3_more_sockets_than_a_new_process_takes_are_told_before_it_is_started() {
    // With the connection they would be one too many.
    assert!(can_be_passed(MOST_PASSED - 1) && !can_be_passed(MOST_PASSED));
    // Nor do names fit that are longer than the longest variable may be.
    let (_folder, program) = program("exit 9");
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap().into();
    let said = start(&program, vec![Key { name: "a".repeat(1 << 20), socket }]).await.unwrap_err();
    assert!(said.contains("is not started: 1 sockets are more than can be passed on"), "{said}");
}
