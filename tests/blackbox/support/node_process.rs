//! What runs inside a node's own process: this binary (the tests or a bench), started again with a marker
//! in its environment.
//!
//! It serves HTTPS with OpenZiti's leader endpoint, `/whoami`, four byte streams that a first line of plain
//! text selects, and conversations, these without TLS, too. It obeys the lines on its standard input and tells on its standard output, each line
//! after [`MARK`]: `ready DATA_PORT PROBE_PORT`, `done STAMP ORDER`, `probe ARRIVED ANSWERED STATUS`, `digest BYTES HEX`,
//! `handshakes NUMBER`, `answers NUMBER`, `talking NUMBER` (conversations at this moment), `fault SEED KIND WHY` (of one).

use std::cell::RefCell;
use std::io::{self, BufRead};
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::bulk;
use super::clock::Stamp;
use super::conversation::{OPENING, Resets, answer as answer_conversation};

/// The variable whose presence makes this process a node; it holds a [`Birth`].
pub(crate) const MARKER: &str = "TEST_NODE_BIRTH";
/// The test to run for that.
pub(crate) const ENTRY: &str = "support::node_process::node_process";
/// What a node's own lines begin with; the test harness prints others.
pub(crate) const MARK: &str = "node: ";
/// Where OpenZiti's controllers say whether they lead.
const LEADER_PATH: &str = "/health-checks/controller/raft";
/// OpenZiti's deadline for handshakes, and how long it keeps an idle connection.
const IDLE: Duration = Duration::from_secs(5);

/// What a node is born with.
#[derive(Deserialize, Serialize)]
pub(crate) struct Birth {
    pub(crate) name: String,
    /// The address that it listens on.
    pub(crate) host: Ipv4Addr,
    /// Its ports for clients and for probes; 0 is any.
    pub(crate) ports: [u16; 2],
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: String,
    pub(crate) first_order: String,
}

/// Nothing at all in a normal run of the tests; a node's life where the marker is set.
#[test]
fn node_process() {
    live_if_born();
}

/// A node's whole life where the marker is set, at the end of which the process ends; else nothing.
pub(crate) fn live_if_born() {
    let Ok(birth) = std::env::var(MARKER) else { return };
    let birth: Birth = serde_json::from_str(&birth).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, live(birth)).unwrap();
    // The harness would print a verdict; whoever closed our standard input wants no more of us.
    std::process::exit(0);
}

/// What the leader endpoint says.
#[derive(Clone, Copy)]
enum Says {
    Leader,
    Follower,
    Status(u16),
}

/// How connections are treated, the probes' and the clients' alike.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Answers,
    /// Each answer is the connection's last, and nobody is told before.
    ClosesEach,
    /// TLS is done, then nothing.
    SilentAfterTls,
    /// Accepted, then nothing, not even TLS; what was open before falls silent, too.
    Mute,
}

struct Node {
    name: String,
    acceptor: TlsAcceptor,
    says: Says,
    manner: Manner,
    /// How long each handshake keeps the whole node busy, as one does on a machine with little power.
    handshake: Duration,
    /// How many TLS handshakes have been completed.
    handshakes: u64,
    /// How often the leader endpoint has answered.
    answers: u64,
    /// How many conversations are going on.
    talking: u64,
    /// Whether each of its answers is told; else they are only counted.
    tells_probes: bool,
}

type Shared = Rc<RefCell<Node>>;

async fn live(birth: Birth) -> io::Result<()> {
    let node = Rc::new(RefCell::new(Node {
        acceptor: acceptor(&birth),
        name: birth.name,
        says: Says::Follower,
        manner: Manner::Answers,
        handshake: Duration::ZERO,
        handshakes: 0,
        answers: 0,
        talking: 0,
        tells_probes: true,
    }));
    let mut data = Some(TcpListener::bind((birth.host, birth.ports[0])).await?);
    let probes = TcpListener::bind((birth.host, birth.ports[1])).await?;
    let data_address = data.as_ref().map_or(probes.local_addr(), TcpListener::local_addr)?;
    obey(&birth.first_order, &node, &mut data);
    tell(&format!("ready {} {}", data_address.port(), probes.local_addr()?.port()));

    let mut orders = standard_input();
    loop {
        let stream = tokio::select! {
            order = orders.recv() => match order {
                None => return Ok(()),
                Some(order) => {
                    obey(&order, &node, &mut data);
                    tell(&format!("done {} {order}", Stamp::now()));
                    continue;
                }
            },
            Some(accepted) = accept(data.as_ref()) => accepted?,
            accepted = probes.accept() => accepted?.0,
        };
        let node = Rc::clone(&node);
        // A connection that fails is its client's matter.
        spawn_local(async move { drop(serve(stream, node).await) });
    }
}

/// Opens the data port that was closed, and what waits there is for the loop.
fn listen(address: &str) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

async fn accept(listener: Option<&TcpListener>) -> Option<io::Result<TcpStream>> {
    Some(listener?.accept().await.map(|(stream, _)| stream))
}

fn acceptor(birth: &Birth) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(birth.certificate_pem.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(birth.key_pem.as_bytes()).unwrap();
    let mut config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

fn obey(order: &str, node: &Shared, data: &mut Option<TcpListener>) {
    let mut node = node.borrow_mut();
    match order.split_once(' ').unwrap_or((order, "")) {
        ("lead", _) => node.says = Says::Leader,
        ("follow", _) => node.says = Says::Follower,
        ("status", code) => node.says = Says::Status(code.parse().expect("a status")),
        ("answer", _) => node.manner = Manner::Answers,
        ("close-each", _) => node.manner = Manner::ClosesEach,
        ("silent", _) => node.manner = Manner::SilentAfterTls,
        ("mute", _) => node.manner = Manner::Mute,
        ("slow", ms) => node.handshake = Duration::from_millis(ms.parse().expect("milliseconds")),
        ("refuse", _) => *data = None,
        ("listen", address) => *data = Some(listen(address).expect("the data port is free")),
        ("quiet", _) => node.tells_probes = false,
        ("count", _) => {
            tell(&format!("handshakes {}", node.handshakes));
            tell(&format!("answers {}", node.answers));
            tell(&format!("talking {}", node.talking));
        }
        _ => panic!("a node does not know the order `{order}`"),
    }
}

/// Lines from standard input; it has ended when the receiver has.
fn standard_input() -> mpsc::UnboundedReceiver<String> {
    let (sender, orders) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    orders
}

fn tell(what: &str) {
    println!("{MARK}{what}");
}

async fn serve(stream: TcpStream, node: Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    if node.borrow().manner == Manner::Mute {
        return hold(stream).await;
    }
    if is_conversation(&stream).await? {
        let mut stream = stream;
        let mut read = Vec::new();
        let Some(line) = take_through(&mut stream, &mut read, b"\n").await? else { return Ok(()) };
        converse(stream, &String::from_utf8_lossy(&line), &read, &node).await;
        return Ok(());
    }
    let (acceptor, handshake) = (node.borrow().acceptor.clone(), node.borrow().handshake);
    std::thread::sleep(handshake);
    let mut tls = timeout(IDLE, acceptor.accept(stream)).await??;
    node.borrow_mut().handshakes += 1;
    if node.borrow().manner == Manner::SilentAfterTls {
        return hold(tls).await;
    }
    let mut read = Vec::new();
    let Some(line) = take_through(&mut tls, &mut read, b"\n").await? else { return Ok(()) };
    let text = String::from_utf8_lossy(&line).into_owned();
    match text.trim_end().split_once(' ').unwrap_or((text.trim_end(), "")) {
        ("GET", _) => {
            read.splice(0..0, line);
            answer_requests(&mut tls, read, &node).await?;
        }
        ("ECHO", _) => {
            let (mut from, mut to) = tokio::io::split(tls);
            to.write_all(&read).await?;
            tokio::io::copy(&mut from, &mut to).await?;
            return to.shutdown().await;
        }
        ("SINK", _) => {
            let sum = bulk::receive(&mut tls, &read).await?;
            tls.write_all(format!("{} {}\n", sum.bytes, sum.digest).as_bytes()).await?;
        }
        (OPENING, _) => {
            converse(tls, &text, &read, &node).await;
            return Ok(());
        }
        ("SOURCE", bytes) => {
            bulk::send(&mut tls, 1, bytes.parse().expect("a number of bytes")).await?;
        }
        // The node ends first, by TCP alone: TLS's farewell would reach the client even if the gate did not pass ends on. What comes after is told on standard output.
        ("FAREWELL", _) => {
            tls.write_all(b"farewell\n").await?;
            tls.flush().await?;
            tls.get_mut().0.shutdown().await?;
            let sum = bulk::receive(&mut tls, &read).await?;
            tell(&format!("digest {} {}", sum.bytes, sum.digest));
            return Ok(());
        }
        _ => return Ok(()),
    }
    close(tls).await
}

/// Whether what a client says first, if that comes in time, is plain.
async fn is_conversation(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    let count = timeout(IDLE, stream.peek(&mut first)).await??;
    Ok(count == 1 && first[0] == OPENING.as_bytes()[0])
}

/// Plays the node's part of a conversation, and tells what was wrong with it.
async fn converse<S>(stream: S, line: &str, begun: &[u8], node: &Shared)
where
    S: AsyncRead + AsyncWrite + Unpin + Resets,
{
    let name = node.borrow().name.clone();
    let script = line.strip_prefix(OPENING).unwrap_or_default();
    node.borrow_mut().talking += 1;
    let answered = answer_conversation(stream, script, begun, &name).await;
    node.borrow_mut().talking -= 1;
    if let Err(fault) = answered {
        tell(&format!("fault {fault}"));
    }
}

/// Keeps the connection open and never looks at it again.
async fn hold<S>(stream: S) -> io::Result<()> {
    std::future::pending::<()>().await;
    drop(stream);
    Ok(())
}

/// Ends our side, then reads until the peer has ended its own: closing with unread bytes would be a reset.
async fn close(mut tls: TlsStream<TcpStream>) -> io::Result<()> {
    tls.shutdown().await?;
    let (mut raw, _) = tls.into_inner();
    timeout(IDLE, bulk::receive(&mut raw, &[])).await??;
    Ok(())
}

/// Reads until `end` and takes everything through it out of `read`; `None` if the peer ended before.
async fn take_through<S: AsyncRead + Unpin>(
    stream: &mut S,
    read: &mut Vec<u8>,
    end: &[u8],
) -> io::Result<Option<Vec<u8>>> {
    loop {
        if let Some(at) = read.windows(end.len()).position(|window| window == end) {
            return Ok(Some(read.drain(..at + end.len()).collect()));
        }
        if timeout(IDLE, stream.read_buf(read)).await?? == 0 {
            return Ok(None);
        }
    }
}

async fn answer_requests(tls: &mut TlsStream<TcpStream>, mut read: Vec<u8>, node: &Shared) -> io::Result<()> {
    while let Some(head) = take_through(tls, &mut read, b"\r\n\r\n").await? {
        let arrived = Stamp::now();
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let path = head.split(' ').nth(1).unwrap_or_default();
        let manner = node.borrow().manner;
        if matches!(manner, Manner::SilentAfterTls | Manner::Mute) {
            return std::future::pending().await;
        }
        let told_to_close = head.contains("\r\nconnection: close");
        let last = told_to_close || manner == Manner::ClosesEach;
        let (status, body) = answer(path, &node.borrow());
        tls.write_all(response(status, &body, told_to_close).as_bytes()).await?;
        tls.flush().await?;
        if path == LEADER_PATH {
            let mut node = node.borrow_mut();
            node.answers += 1;
            if node.tells_probes {
                tell(&format!("probe {arrived} {} {status}", Stamp::now()));
            }
        }
        if last {
            break;
        }
    }
    Ok(())
}

fn answer(path: &str, node: &Node) -> (u16, String) {
    let leads = matches!(node.says, Says::Leader);
    match path {
        LEADER_PATH => match node.says {
            Says::Leader => (200, raft_body(true)),
            Says::Follower => (429, raft_body(false)),
            Says::Status(status) => (status, "{}\n".to_owned()),
        },
        "/whoami" => (200, format!("{{\"node\":\"{}\",\"leads\":{leads}}}\n", node.name)),
        _ => (404, "{}\n".to_owned()),
    }
}

/// The body that OpenZiti's controllers answer with, indented as theirs is.
fn raft_body(leads: bool) -> String {
    format!(
        "{{\n    \"data\": {{\n        \"checks\": [\n            {{\n                \"healthy\": true,\n                \"id\": \"bolt.read\"\n            }}\n        ],\n        \"healthy\": true\n    }},\n    \"meta\": {{}},\n    \"raft\": {{\n        \"isLeader\": {leads},\n        \"isRaftEnabled\": true\n    }}\n}}\n"
    )
}

fn response(status: u16, body: &str, last: bool) -> String {
    let connection = if last { "Connection: close\r\n" } else { "" };
    format!(
        "HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{connection}\r\n{body}",
        body.len()
    )
}
