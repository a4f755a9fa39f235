//! A network of the bench's own, and in it one for each node that is to be cut off: packets that vanish are the only
//! fault that processes cannot have by themselves. They end with the processes in them.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::process::{Child, Command};

use crate::support::clock::Stamp;
use crate::support::node::Place;

/// Set inside the network of the bench's own.
const INSIDE: &str = "BENCH_INSIDE";
/// How to get there: root as itself, with all its rights; anybody else as the root of a world of its own.
const WAYS: [&[&str]; 2] = [&["--net", "--"], &["--user", "--map-root-user", "--net", "--"]];
/// What must work there before the bench moves in.
const TRIAL: &str = "ip link set lo up && ip link add trial type veth peer name other && nsenter --version";
/// A hardware address that nobody has: what is sent to it vanishes.
const NOBODY: &str = "02:00:00:00:00:01";

/// Starts this process again in a network of its own. Returns once it is there, or with the reason why it cannot be:
/// then the bench runs where it is.
pub(crate) fn enter() -> Result<(), String> {
    if std::env::var_os(INSIDE).is_some() {
        let up = std::process::Command::new("ip").args(["link", "set", "lo", "up"]).status();
        return if up.is_ok_and(|status| status.success()) { Ok(()) } else { Err("no loopback".to_owned()) };
    }
    let arguments = way_in()?;
    let itself = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut again = std::process::Command::new("unshare");
    again.args(arguments).arg(itself).args(std::env::args_os().skip(1)).env(INSIDE, "1");
    Err(format!("unshare cannot be run: {}", again.exec()))
}

fn way_in() -> Result<&'static [&'static str], String> {
    let mut objections = Vec::new();
    for way in WAYS {
        let tried = std::process::Command::new("unshare").args(way).args(["sh", "-c", TRIAL]).output();
        let tried = tried.map_err(|error| format!("unshare cannot be run: {error}"))?;
        if tried.status.success() {
            return Ok(way);
        }
        objections.push(String::from_utf8_lossy(&tried.stderr).trim().to_owned());
    }
    Err(objections.join("; "))
}

/// A network with one node in it, joined to the bench's by a cable.
pub(crate) struct Remote {
    /// Its first process, which keeps it; ends with its standard input.
    keeper: Child,
    /// The cable's end on the bench's side.
    cable: String,
    number: u8,
}

impl Remote {
    /// A fresh network.
    pub(crate) async fn new() -> Result<Self, String> {
        static NUMBERS: AtomicU8 = AtomicU8::new(0);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let mut command = Command::new("unshare");
        command.args(["--net", "--", "sh", "-c", "echo; exec cat"]).kill_on_drop(true);
        let mut keeper =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(|e| e.to_string())?;
        // Its first line says that it is there.
        let mut line = [0];
        let mut said = keeper.stdout.take().ok_or("no standard output")?;
        tokio::io::AsyncReadExt::read_exact(&mut said, &mut line).await.map_err(|e| e.to_string())?;
        let remote = Remote { keeper, cable: format!("node{number}"), number };
        remote.lay_cable().await?;
        Ok(remote)
    }

    /// Where a node in it lives.
    pub(crate) fn place(&self) -> Place {
        Place { host: self.address(2), enter: self.enter() }
    }

    /// From the moment returned no packet arrives in either direction, and nobody is told.
    pub(crate) async fn cut_off(&self) -> Result<Stamp, String> {
        let here =
            format!("ip neigh replace {} lladdr {NOBODY} dev {} nud permanent", self.address(2), self.cable);
        let there = format!("ip neigh replace {} lladdr {NOBODY} dev eth0 nud permanent", self.address(1));
        run(&[], &here).await?;
        run(&self.enter(), &there).await?;
        Ok(Stamp::now())
    }

    async fn lay_cable(&self) -> Result<(), String> {
        let (cable, id) = (&self.cable, self.id());
        // A cable may still have its last owner's name for a moment after that one's network has ended.
        drop(run(&[], &format!("ip link del {cable}")).await);
        run(&[], &format!("ip link add {cable} type veth peer name eth0 netns {id}")).await?;
        run(&[], &format!("ip addr add {}/30 dev {cable}", self.address(1))).await?;
        run(&[], &format!("ip link set {cable} up")).await?;
        run(&self.enter(), &format!("ip addr add {}/30 dev eth0", self.address(2))).await?;
        run(&self.enter(), "ip link set eth0 up").await
    }

    fn address(&self, end: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.number, end)
    }

    fn enter(&self) -> Vec<OsString> {
        ["nsenter", "--target", &self.id().to_string(), "--net", "--"].map(OsString::from).to_vec()
    }

    fn id(&self) -> u32 {
        self.keeper.id().expect("the keeper has not been waited for")
    }
}

/// Runs the words of `line`, after the command `enter`.
async fn run(enter: &[OsString], line: &str) -> Result<(), String> {
    let words: Vec<OsString> = enter.iter().cloned().chain(line.split(' ').map(OsString::from)).collect();
    let done = Command::new(&words[0]).args(&words[1..]).output().await;
    let done = done.map_err(|error| format!("{line}: {error}"))?;
    if done.status.success() {
        return Ok(());
    }
    Err(format!("{line}: {}", String::from_utf8_lossy(&done.stderr).trim()))
}
