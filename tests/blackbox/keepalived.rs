//! Two gates side by side, as `config/keepalived` has them: when the one that has the floating address dies, new clients
//! are served by the other.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;
use tokio::process::Child;
use tokio::time::Instant;

use crate::support::certs::{Authority, own_name};
use crate::support::gate::Gate;
use crate::support::network::Network;
use crate::support::node::{Node, Place};
use crate::support::wait::until;
use crate::support::{require_tool, skip};

const FIRST: &str = include_str!("../../config/keepalived/first.conf");
const SECOND: &str = include_str!("../../config/keepalived/second.conf");

/// The node, the floating address and the two machines, in the network of the configurations' own example.
const NODE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const FLOATING: &str = "192.0.2.10";
const MACHINES: [&str; 2] = ["192.0.2.11", "192.0.2.12"];

/// The file with keepalived's log.
const LOG: &str = "keepalived.log";

/// A machine with a gate and keepalived beside it.
struct Machine {
    network: Network,
    gate: Gate,
    keepalived: Child,
    /// It has keepalived's log, too.
    folder: TempDir,
}

impl Machine {
    async fn start(world: &Network, address: &str, cable: &str, configuration: &str, nodes: &str) -> Self {
        let network = world.beside(cable).await;
        world.run(&format!("ip link set {cable} master cables")).await;
        network.run(&format!("ip addr add {address}/24 dev eth0")).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("raftgate.toml");
        std::fs::write(&file, nodes).unwrap();
        let gate = Gate::start_in(&network.enter(), &file).await;
        let keepalived = keepalived(&network, folder.path(), configuration);
        Machine { network, gate, keepalived, folder }
    }

    /// What keepalived has said so far.
    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join(LOG)).unwrap()
    }

    /// Whether the floating address is here.
    async fn has_it(&self) -> bool {
        self.network.run("ip -o addr show dev eth0").await.contains(&format!(" {FLOATING}/24 "))
    }

    /// How many clients it has served.
    fn served(&self) -> usize {
        self.gate.log().lines_saying("connection closed").len()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Its children end with it, but not by being killed.
        if let Some(id) = self.keepalived.id() {
            let group = Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
            kill_process_group(group, Signal::TERM).ok();
        }
        if std::thread::panicking() {
            eprintln!("--- keepalived's log:\n{}", self.log());
        }
    }
}

/// Keepalived with this configuration, in a group of its own: it signals its whole group when it ends.
fn keepalived(network: &Network, folder: &Path, configuration: &str) -> Child {
    let file = folder.join("keepalived.conf");
    let script_user = if network.has_own_users() { "script_user root" } else { "script_user nobody" };
    std::fs::write(&file, configuration.replace("script_user nobody", script_user)).unwrap();
    let mut command = network.command("keepalived");
    command.args(["--vrrp", "--dont-fork", "--log-console", "--no-syslog", "--use-file"]).arg(&file);
    command.arg("--pid").arg(folder.join("pid")).arg("--vrrp_pid").arg(folder.join("vrrp_pid"));
    let log = File::create(folder.join(LOG)).unwrap();
    command.stdout(log.try_clone().unwrap()).stderr(log);
    command.stdin(Stdio::null()).process_group(0).spawn().unwrap()
}

/// One visit of a new client to the floating address.
async fn is_served(world: &Network) -> bool {
    let mut curl = world.command("curl");
    curl.args(["--silent", "--insecure", "--connect-timeout", "0.2", "--max-time", "5"]);
    let output = curl.arg(format!("https://{FLOATING}/whoami")).output().await.unwrap();
    output.status.success() && String::from_utf8_lossy(&output.stdout).contains("\"node\":\"n1\"")
}

#[test]
fn the_two_of_a_pair_differ_in_name_and_priority_alone() {
    let settings = |text: &'static str| {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.collect::<Vec<_>>()
    };
    let pairs = settings(FIRST).into_iter().zip(settings(SECOND));
    let different: Vec<_> = pairs.filter(|(first, second)| first != second).collect();
    assert_eq!(
        different,
        [("router_id raftgate-first", "router_id raftgate-second"), ("priority 150", "priority 100")]
    );
    assert_eq!(settings(FIRST).len(), settings(SECOND).len());
    for text in [FIRST, SECOND] {
        assert!(text.contains("state BACKUP\n    nopreempt\n"), "it takes the address back");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_gate_with_the_floating_address_dies_new_clients_are_served_by_the_other() {
    let what = "two gates with keepalived";
    if !["keepalived", "unshare", "nsenter", "ip", "curl"].iter().all(|tool| require_tool(tool, what)) {
        return;
    }
    let world = match Network::new().await {
        Ok(network) => network,
        Err(why) => return skip(&format!("{what}: no network of its own: {why}")),
    };
    world.run("ip link add cables type bridge mcast_snooping 0").await;
    world.run("ip link set cables up").await;
    world.run(&format!("ip addr add {NODE}/24 dev cables")).await;
    let authority = Authority::new();
    let roots = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(roots.path(), authority.pem()).unwrap();
    let place = Place { host: NODE, enter: world.enter() };
    let node = Node::at(&place, authority.issue("n1"), "n1", "lead").await;
    let configuration = format!(
        "workers = 1\nlog.format = \"json\"\nlisteners.edge = {{ bind = \":443\", cluster = \"controllers\" }}\n\
         [clusters.controllers]\npreset = \"openziti\"\nprobe.tls.ca_file = \"{}\"\n\
         nodes.n1 = {{ address = \"{NODE}:{}\", server_name = \"{}\" }}\n",
        roots.path().display(),
        node.port,
        own_name("n1"),
    );
    let first = Machine::start(&world, MACHINES[0], "first", FIRST, &configuration).await;
    until("the first has the floating address", async || first.has_it().await.then_some(())).await;
    let mut second = Machine::start(&world, MACHINES[1], "second", SECOND, &configuration).await;
    until("a client is served", async || is_served(&world).await.then_some(())).await;
    until("by the first", async || (first.served() > 0).then_some(())).await;
    // Its keepalived has found a gate that is ready.
    until("the second is in reserve", async || second.log().contains("Entering BACKUP STATE").then_some(()))
        .await;
    assert_eq!(second.served(), 0);

    let killed = Instant::now();
    first.gate.signal(Signal::KILL);
    first.gate.close_books();
    until("a new client is served", async || is_served(&world).await.then_some(())).await;
    eprintln!("keepalived: new clients are served again after {:?}", killed.elapsed());
    until("by the second", async || (second.served() > 0).then_some(())).await;
    assert!(second.has_it().await && !first.has_it().await);

    second.gate.signal(Signal::TERM);
    assert_eq!(second.gate.exits().await.code(), Some(0));
    drop(node);
}
