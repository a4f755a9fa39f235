//! A TLS node as its own process, so that it can be killed, frozen and woken as a real one.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use super::bulk::Sum;
use super::certs::{Authority, Identity};
use super::clock::Stamp;
use super::node_process::{Birth, ENTRY, MARK, MARKER};
use super::wait::{until, within_deadline};

/// A node's process; it is killed when this is dropped.
pub(crate) struct Node {
    /// Its name in the gate's configuration.
    pub(crate) name: String,
    /// The address that it listens on.
    pub(crate) host: Ipv4Addr,
    /// Where clients' bytes go.
    pub(crate) port: u16,
    /// A second port with the same service, for set-ups in which the probes' path is another one.
    pub(crate) probe_port: u16,
    /// What it proves itself with.
    pub(crate) identity: Identity,
    enter: Vec<OsString>,
    child: Child,
    orders: ChildStdin,
    told: Arc<Mutex<Vec<String>>>,
}

/// Where a node lives.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The address that it listens on.
    pub(crate) host: Ipv4Addr,
    /// A command that runs the one given after it, in the same process, where that address is; may be empty.
    pub(crate) enter: Vec<OsString>,
}

impl Default for Place {
    /// Here, on the loopback address.
    fn default() -> Self {
        Place { host: Ipv4Addr::LOCALHOST, enter: Vec::new() }
    }
}

/// One answer of the leader endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    /// When its request had arrived.
    pub(crate) arrived: Stamp,
    /// When its answer had been written.
    pub(crate) answered: Stamp,
    /// The answer's status.
    pub(crate) status: u16,
}

impl Node {
    /// Starts a node; `first_order` says what it is from the first moment on.
    pub(crate) async fn start(authority: &Authority, name: &str, first_order: &str) -> Self {
        Self::with_identity(authority.issue(name), name, first_order).await
    }

    /// The same with a certificate of its own kind.
    pub(crate) async fn with_identity(identity: Identity, name: &str, first_order: &str) -> Self {
        Self::at(&Place::default(), identity, name, first_order).await
    }

    /// The same in a place of its own.
    pub(crate) async fn at(place: &Place, identity: Identity, name: &str, first_order: &str) -> Self {
        Self::born(place, [0, 0], identity, name, first_order).await
    }

    /// Starts it anew, after its end: another process at the same ports, with a certificate of its own kind.
    pub(crate) async fn start_again(&mut self, identity: Identity, first_order: &str) {
        let place = Place { host: self.host, enter: self.enter.clone() };
        *self =
            Self::born(&place, [self.port, self.probe_port], identity, &self.name.clone(), first_order).await;
    }

    async fn born(place: &Place, ports: [u16; 2], identity: Identity, name: &str, first_order: &str) -> Self {
        let birth = Birth {
            name: name.to_owned(),
            host: place.host,
            ports,
            certificate_pem: identity.certificate_pem.clone(),
            key_pem: identity.key_pem.clone(),
            first_order: first_order.to_owned(),
        };
        let mut command = place.enter.clone();
        command.push(std::env::current_exe().unwrap().into_os_string());
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .args(["--exact", ENTRY, "--nocapture", "--test-threads=1"])
            .env(MARKER, serde_json::to_string(&birth).unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let listener = Arc::clone(&told);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                // The harness may have begun the line with words of its own.
                if let Some((_, told)) = line.split_once(MARK) {
                    listener.lock().unwrap().push(told.to_owned());
                }
            }
        });
        let orders = child.stdin.take().unwrap();
        let (name, host) = (name.to_owned(), place.host);
        let enter = place.enter.clone();
        let mut node = Node { name, host, port: 0, probe_port: 0, identity, enter, child, orders, told };
        let ready = node.hears("ready ", 0).await;
        let (data, probes) = ready.split_once(' ').unwrap();
        (node.port, node.probe_port) = (data.parse().unwrap(), probes.parse().unwrap());
        node
    }

    /// Starts nodes of which the first leads. They do not tell of each probe: under load there would be too much of it.
    pub(crate) async fn start_quiet(authority: &Authority, names: &[&str]) -> Vec<Self> {
        let mut nodes = Vec::new();
        for (place, name) in names.iter().enumerate() {
            let order = if place == 0 { "lead" } else { "follow" };
            let mut node = Self::start(authority, name, order).await;
            node.order("quiet").await;
            nodes.push(node);
        }
        nodes
    }

    /// Orders the node to change; see `node_process` for what it understands. The answer is the moment of the change:
    /// everything that arrives later is treated the new way.
    pub(crate) async fn order(&mut self, order: &str) -> Stamp {
        let heard = self.told.lock().unwrap().len();
        self.orders.write_all(format!("{order}\n").as_bytes()).await.unwrap();
        let done = self.hears("done ", heard).await;
        done.split_once(' ').unwrap().0.parse().unwrap()
    }

    /// Ends it as a crash or an out-of-memory kill does; since the moment returned it sends nothing.
    pub(crate) async fn kill(&mut self) -> Stamp {
        self.child.start_kill().unwrap();
        within_deadline("a killed node's end", self.child.wait()).await.unwrap();
        Stamp::now()
    }

    /// Stops it where it stands: its sockets stay open, its kernel still accepts. Since the moment returned it sends nothing.
    pub(crate) async fn freeze(&self) -> Stamp {
        self.signal(Signal::STOP);
        let stat = format!("/proc/{}/stat", self.id().as_raw_nonzero());
        until(&format!("{} has stopped", self.name), async || {
            std::fs::read_to_string(&stat).ok()?.contains(") T ").then_some(())
        })
        .await;
        Stamp::now()
    }

    /// Lets a frozen node go on as if nothing had happened.
    pub(crate) fn wake(&self) -> Stamp {
        let before = Stamp::now();
        self.signal(Signal::CONT);
        before
    }

    /// Every answer of its leader endpoint so far.
    pub(crate) fn probes(&self) -> Vec<Probe> {
        self.told.lock().unwrap().iter().filter_map(|line| parse_probe(line)).collect()
    }

    /// The first probe that arrived after `moment`.
    pub(crate) async fn probed_after(&self, moment: Stamp) -> Probe {
        until(&format!("{} is probed", self.name), async || {
            self.probes().into_iter().find(|probe| probe.arrived > moment)
        })
        .await
    }

    /// A moment from which on the gate must have acted upon what the node says since `change`.
    ///
    /// The gate asks a node one thing at a time: when the next probe arrives, the gate has had the answer to the one before.
    pub(crate) async fn known_since(&self, change: Stamp) -> Stamp {
        let first = self.probed_after(change).await;
        self.probed_after(first.answered).await.arrived
    }

    /// How many TLS handshakes it has completed, its clients' and its probes'.
    pub(crate) async fn handshakes(&mut self) -> u64 {
        self.count("handshakes").await
    }

    /// One of its counts: `handshakes`, `answers` of its leader endpoint, which is all that a node tells of its probes
    /// that is `quiet`, or conversations that are going on (`talking`).
    pub(crate) async fn count(&mut self, what: &str) -> u64 {
        let heard = self.told.lock().unwrap().len();
        self.order("count").await;
        self.hears(&format!("{what} "), heard).await.parse().unwrap()
    }

    /// What was wrong with its conversations so far: the seed of each, what kind of fault, and why.
    pub(crate) fn faults(&self) -> Vec<String> {
        let told = self.told.lock().unwrap();
        told.iter().filter_map(|line| line.strip_prefix("fault ")).map(str::to_owned).collect()
    }

    /// What the client of a `FAREWELL` had sent by its end.
    pub(crate) async fn farewell_sum(&self) -> Sum {
        let told = self.hears("digest ", 0).await;
        let (bytes, digest) = told.split_once(' ').unwrap();
        Sum { bytes: bytes.parse().unwrap(), digest: digest.to_owned() }
    }

    /// The rest of the first line that begins with `what`, of those told after the first `heard`.
    async fn hears(&self, what: &str, heard: usize) -> String {
        until(&format!("{} tells `{what}`", self.name), async || {
            let told = self.told.lock().unwrap();
            told[heard..].iter().find_map(|line| line.strip_prefix(what)).map(str::to_owned)
        })
        .await
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.id(), signal).unwrap();
    }

    /// Its process, which has not been waited for yet.
    pub(crate) fn id(&self) -> Pid {
        let id = self.child.id().expect("the node's process has not been waited for");
        Pid::from_raw(i32::try_from(id).unwrap()).unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let told = self.told.lock().unwrap();
            eprintln!("--- node {} (port {}), its last words:", self.name, self.port);
            for line in &told[told.len().saturating_sub(20)..] {
                eprintln!("{line}");
            }
        }
    }
}

fn parse_probe(line: &str) -> Option<Probe> {
    let mut words = line.strip_prefix("probe ")?.split(' ');
    let arrived = words.next()?.parse().ok()?;
    let answered = words.next()?.parse().ok()?;
    let status = words.next()?.parse().ok()?;
    Some(Probe { arrived, answered, status })
}
