//! O6: a crowd of idle connections does not silence the admin listener or the control socket. Each connection that is
//! turned away comes again.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::support::scene::Scene;
use crate::support::wait::until;

/// More idle connections than the admin listener has places, by far.
const IDLE: usize = 500;
/// As many as it has places: each asks often enough to be kept alive.
const ASKING: usize = 64;
/// The same at the control socket, which has fewer places.
const IDLE_AT_SOCKET: usize = 48;
const ASKING_AT_SOCKET: usize = 16;
/// How long those wait before they ask again, and how long each waits before it comes again.
const EVERY: Duration = Duration::from_secs(3);
const AGAIN: Duration = Duration::from_millis(200);
/// How long a dripping one waits before each byte.
const BYTE: Duration = Duration::from_secs(1);
/// How often one asks at once that reads nothing.
const MANY: usize = 64;
/// So many answers are to come meanwhile.
const ANSWERS: usize = 8;

const ASK: &[u8] = b"GET /livez HTTP/1.1\r\nHost: gate\r\n\r\n";

/// What a connection does.
#[derive(Clone, Copy, Debug)]
enum Idler {
    /// Says nothing.
    Silent,
    /// Asks once, and stays.
    KeptAlive,
    /// Sends the head of a request byte by byte.
    Dripping,
    /// Asks [`MANY`] times at once, and reads nothing.
    NeverReads,
    /// Asks again and again.
    Asking,
}

/// Where a crowd goes.
#[derive(Clone, Debug)]
enum Door {
    Listener(SocketAddr),
    Socket(PathBuf),
}

/// So many of a kind, until this is dropped.
fn crowd(crowd: &mut JoinSet<()>, door: &Door, idler: Idler, count: usize) {
    for _ in 0..count {
        let door = door.clone();
        crowd.spawn(async move {
            loop {
                // It is over when the gate has closed the connection.
                let _ = match &door {
                    Door::Listener(address) => match TcpStream::connect(address).await {
                        Ok(stream) => idle(stream, idler).await,
                        Err(error) => Err(error),
                    },
                    Door::Socket(path) => match UnixStream::connect(path).await {
                        Ok(stream) => idle(stream, idler).await,
                        Err(error) => Err(error),
                    },
                };
                sleep(AGAIN).await;
            }
        });
    }
}

/// Does as its kind does, until the gate closes the connection.
async fn idle(mut stream: impl AsyncRead + AsyncWrite + Unpin, idler: Idler) -> io::Result<()> {
    match idler {
        Idler::Silent => read_to_end(&mut stream).await,
        Idler::KeptAlive => {
            stream.write_all(ASK).await?;
            read_to_end(&mut stream).await
        }
        Idler::Dripping => {
            for byte in ASK.chunks(1).cycle() {
                stream.write_all(byte).await?;
                sleep(BYTE).await;
            }
            Ok(())
        }
        Idler::NeverReads => {
            stream.write_all(&b"GET /metrics HTTP/1.1\r\nHost: gate\r\n\r\n".repeat(MANY)).await?;
            sleep(EVERY).await;
            Ok(())
        }
        Idler::Asking => loop {
            stream.write_all(ASK).await?;
            if stream.read(&mut [0; 4096]).await? == 0 {
                return Ok(());
            }
            sleep(EVERY).await;
        },
    }
}

async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.map(drop)
}

/// How many connections to this port of this machine are there.
fn established(address: SocketAddr) -> usize {
    const ESTABLISHED: &str = "01";
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = format!(":{:04X}", address.port());
    let rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.len() > 3 && row[1].ends_with(&port) && row[3] == ESTABLISHED).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o6_health_answers_while_500_connections_idle() {
    let scene = Scene::start(&["lead"]).await;
    scene.gate.is_ready().await;
    let admin = scene.gate.admin_address();
    let (door, mut idlers) = (Door::Listener(admin), JoinSet::new());
    crowd(&mut idlers, &door, Idler::Asking, ASKING);
    until("those that ask are there", async || (established(admin) >= ASKING / 2).then_some(())).await;
    for idler in [Idler::Silent, Idler::KeptAlive, Idler::Dripping, Idler::NeverReads] {
        crowd(&mut idlers, &door, idler, IDLE / 4);
    }
    for answer in 0..ANSWERS {
        for path in ["/livez", "/readyz", "/metrics"] {
            // On a busy machine the crowd may be quicker than one request, but not than all of them.
            let what = format!("{path} answers, {answer}");
            let answered = until(&what, async || scene.gate.get(path).await).await;
            assert_eq!(answered.0, 200, "{path}");
        }
    }
    idlers.shutdown().await;
    scene.gate.assert_books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o6_commands_work_while_the_socket_is_crowded() {
    let scene = Scene::start(&["lead"]).await;
    scene.gate.is_ready().await;
    let socket = scene.socket();
    let mut idlers = JoinSet::new();
    for (idler, count) in [
        (Idler::Asking, ASKING_AT_SOCKET),
        (Idler::Silent, IDLE_AT_SOCKET),
        (Idler::KeptAlive, IDLE_AT_SOCKET),
    ] {
        crowd(&mut idlers, &Door::Socket(socket.clone()), idler, count);
    }
    until("the socket is crowded", async || (connections(&socket) >= ASKING_AT_SOCKET).then_some(())).await;
    for answer in 0..ANSWERS {
        let output = scene.command(&["status"]).await;
        assert!(output.status.success(), "{answer}: {output:?}");
    }
    idlers.shutdown().await;
    scene.gate.assert_books_balance().await;
}

/// How many connections to this socket are there.
fn connections(socket: &Path) -> usize {
    let table = std::fs::read_to_string("/proc/net/unix").unwrap();
    // One line is the listening socket's.
    table.lines().filter(|line| line.ends_with(socket.to_str().unwrap())).count().saturating_sub(1)
}
