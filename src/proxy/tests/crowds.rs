//! A crowd of held or moved clients and the node that it is let go to (S2).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

use super::harness::*;
use super::holds::black_hole;

/// A node that answers openings one after the other, and knows how many wait for that.
struct Queue {
    unanswered: AtomicUsize,
    most: AtomicUsize,
    busy: Mutex<()>,
    opening: Duration,
}

impl Queue {
    /// Answers a connection's first `hello` after its turn, which takes `opening`.
    async fn start(opening: Duration) -> (Arc<Self>, std::net::SocketAddr) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (unanswered, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let queue = Arc::new(Queue { unanswered, most, busy: Mutex::new(()), opening });
        tokio::spawn({
            let queue = Arc::clone(&queue);
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let unanswered = queue.unanswered.fetch_add(1, Ordering::Relaxed) + 1;
                    queue.most.fetch_max(unanswered, Ordering::Relaxed);
                    tokio::spawn(Arc::clone(&queue).answer(stream));
                }
            }
        });
        (queue, address)
    }

    async fn answer(self: Arc<Self>, mut stream: TcpStream) {
        let mut said = vec![0; hello().len()];
        if stream.read_exact(&mut said).await.is_ok() {
            let busy = self.busy.lock().await;
            if !self.opening.is_zero() {
                tokio::time::sleep(self.opening).await;
            }
            drop(busy);
            // Before the gate can hear of it, so that the count is never too high.
            self.unanswered.fetch_sub(1, Ordering::Relaxed);
            let _ = stream.write_all(b"!").await;
            let _ = stream.read(&mut [0]).await;
        }
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }
}

async fn crowd(gate: &Gate, size: usize) -> Vec<TcpStream> {
    let mut clients = Vec::new();
    for _ in 0..size {
        clients.push(gate.client_saying(&hello()).await);
    }
    gate.until("held_connections", &["raft"], size as u64).await;
    clients
}

async fn assert_answered(clients: &mut [TcpStream]) {
    for client in clients {
        assert_eq!(hear(client, 1).await, b"!");
    }
}

#[tokio::test]
async fn s2_a_slow_leader_gets_a_crowd_by_and_by() {
    let mut gate = Gate::start(|_| {});
    let (node, address) = Queue::start(Duration::from_millis(5)).await;
    let mut clients = crowd(&gate, 300).await;
    gate.lead(0, address);
    assert_answered(&mut clients).await;
    // About 28 by the rules; more where a busy machine makes the gate lose patience.
    assert!(node.most() < 100, "{} of 300 at once", node.most());
    assert_eq!(gate.metric("held_connections", &[]), 0);
    gate.end().await;
}

#[tokio::test]
async fn s2_a_fast_leader_gets_a_large_crowd_at_once() {
    let mut gate = Gate::start(|settings| settings.max_connections = 2000);
    let (_, address) = Queue::start(Duration::ZERO).await;
    let mut clients = crowd(&gate, 1000).await;
    gate.lead(0, address);
    assert_answered(&mut clients).await;
    gate.end().await;
}

#[tokio::test]
async fn s2_moved_clients_are_a_crowd_too() {
    let (mut gate, silent) = (Gate::start(|_| {}), Node::start().await);
    let (node, address) = Queue::start(Duration::from_millis(5)).await;
    gate.lead(0, silent.address);
    let (mut clients, mut unanswered) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        clients.push(gate.client_saying(&hello()).await);
        unanswered.push(silent.accept_hearing(&hello()).await);
    }
    gate.lead(1, address);
    assert_answered(&mut clients).await;
    assert!(node.most() < 100, "{} of 200 at once", node.most());
    assert_eq!(gate.metric("connections_moved_total", &["raft"]), 200);
    gate.end().await;
}

#[tokio::test]
async fn s2_nobody_is_moved_into_a_refusal() {
    let (mut gate, silent) = (Gate::with(|cluster| cluster.hold_limit = 0), Node::start().await);
    let (_, address) = Queue::start(Duration::ZERO).await;
    gate.lead(0, silent.address);
    let (mut clients, mut unanswered) = (Vec::new(), Vec::new());
    for _ in 0..60 {
        clients.push(gate.client_saying(&hello()).await);
        unanswered.push(silent.accept_hearing(&hello()).await);
    }
    gate.lead(1, address);
    assert_answered(&mut clients).await;
    gate.end().await;
}

#[tokio::test]
async fn s2_a_crowd_that_speaks_no_tls_is_paced_by_answers_too() {
    // Joined as soon as they have come to the node, they have no answer yet all the same.
    let mut gate = Gate::start(|_| {});
    let question = vec![b'?'; hello().len()];
    let (queue, address) = Queue::start(Duration::from_millis(5)).await;
    let mut clients = Vec::new();
    for _ in 0..300 {
        clients.push(gate.client_saying(&question).await);
    }
    gate.until("held_connections", &["raft"], 300).await;
    gate.lead(0, address);
    assert_answered(&mut clients).await;
    // The bound is the slow leader's above.
    assert!(queue.most() < 100, "{} of 300 at once", queue.most());
    gate.end().await;
}

#[tokio::test]
async fn s2_a_crowd_that_says_nothing_is_not_kept_for_ever() {
    let (mut gate, node) = (Gate::start(|_| {}), Node::start().await);
    let mut clients = Vec::new();
    for _ in 0..40 {
        clients.push(gate.client().await);
    }
    gate.until("held_connections", &["raft"], 40).await;
    gate.lead(0, node.address);
    let mut nodes = Vec::new();
    for _ in 0..40 {
        nodes.push(node.accept().await);
    }
    // Nor does anybody who comes later wait behind it.
    let mut late = gate.client_saying(b"question").await;
    let mut stream = node.accept_hearing(b"question").await;
    assert_joined(&mut late, &mut stream).await;
    gate.end().await;
}

#[tokio::test]
async fn s2_clients_overtaken_while_they_were_dialling_are_a_crowd_too() {
    let mut gate = Gate::start(|_| {});
    let (_kept, nowhere) = black_hole().await;
    let (node, address) = Queue::start(Duration::from_millis(5)).await;
    gate.lead(0, nowhere);
    let mut clients = Vec::new();
    for _ in 0..200 {
        clients.push(gate.client_saying(&hello()).await);
    }
    until("all are there", || gate.proxy.active() == 200).await;
    gate.lead(1, address);
    assert_answered(&mut clients).await;
    assert!(node.most() < 100, "{} of 200 at once", node.most());
    gate.end().await;
}

#[tokio::test]
async fn s2_a_crowd_of_readers_is_let_go_to_each_node_at_its_pace() {
    let mut gate = Gate::for_readers();
    let (a, a_address) = Queue::start(Duration::from_millis(5)).await;
    let (b, b_address) = Queue::start(Duration::from_millis(5)).await;
    let mut clients = crowd(&gate, 400).await;
    gate.spread(&[(0, a_address), (1, b_address)]);
    assert_answered(&mut clients).await;
    for node in [a, b] {
        assert!(node.most() < 100, "{} of about 200 at once", node.most());
    }
    let count = gate.metric("sessions_active", &["a"]);
    assert!((190..=210).contains(&count), "{count} of 400 were given one of two nodes");
    gate.end().await;
}
