//! Three real OpenZiti controllers in a folder of their own, each a process that can be killed.
//!
//! `ziti run quickstart cluster` founds the cluster; then each controller gets the health checks that the gate
//! probes, the loopback address alone, and the gate's address as its public one, and runs by itself.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::certs::client_config;
use super::client::Trust;
use super::wait::{until_after, within_deadline};

/// Three nodes with a key pair, a raft log and a router each are founded one after the other.
const FOUNDING: Duration = Duration::from_mins(5);
/// How long a founder may take to stop its nodes.
const STOPPING: Duration = Duration::from_mins(1);
/// How many controllers.
const SIZE: u16 = 3;
/// The name that clients use, and that `quickstart` puts into each controller's own certificate.
const PUBLIC_NAME: &str = "localhost";

/// Which certificate covers the public name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PublicName {
    /// Each controller's own, so that clients can tell the controllers apart.
    Own,
    /// One that all controllers share, and no other.
    Shared,
}

/// A `ziti` binary with a home of its own.
pub(crate) struct Ziti {
    binary: PathBuf,
    home: TempDir,
    /// The port that the gate is to listen on: what controllers say in their public address.
    pub(crate) gate_port: u16,
    /// The controllers, in the order of their names.
    pub(crate) controllers: Vec<Controller>,
}

/// One controller's process; it is killed when this is dropped.
pub(crate) struct Controller {
    /// Its name in the cluster.
    pub(crate) name: String,
    /// Its one port.
    pub(crate) port: u16,
    process: Child,
}

/// Stops the founder in good order even when a test fails: its nodes are in process groups of their own and would stay.
struct Founder(Child);

impl Ziti {
    /// Founds a cluster and starts its controllers.
    pub(crate) async fn found(binary: PathBuf, public_name: PublicName) -> Self {
        let home = tempfile::tempdir().unwrap();
        let ports = free_ports(2 * SIZE + 1);
        let mut ziti = Ziti { binary, home, gate_port: ports + 2 * SIZE, controllers: Vec::new() };
        ziti.run_quickstart(ports, ports + SIZE).await;
        if public_name == PublicName::Shared {
            ziti.issue_server_certificate("instance-1", "public", &["--dns", PUBLIC_NAME]).await;
        }
        for port in ports..ports + SIZE {
            let name = format!("instance-{}", port - ports + 1);
            ziti.prepare(&name, port);
            if public_name == PublicName::Shared {
                ziti.share_public_certificate(&name).await;
            }
            let process = ziti.start(&name);
            ziti.controllers.push(Controller { name, port, process });
        }
        ziti
    }

    /// The certificate that all controllers' certificates come from.
    pub(crate) fn root_certificate(&self) -> PathBuf {
        self.path("pki/root-ca/certs/root-ca.cert")
    }

    /// What clients know that ask the controllers, by way of the gate, whether they lead.
    pub(crate) fn trust(&self) -> Trust {
        let certificate = |controller: &Controller| {
            let name = &controller.name;
            let file = self.path(&format!("pki/intermediate-ca-{name}/certs/server.chain.pem"));
            (name.clone(), CertificateDer::from_pem_file(file).unwrap())
        };
        Trust {
            config: client_config(CertificateDer::from_pem_file(self.root_certificate()).unwrap()),
            name: PUBLIC_NAME,
            path: "/health-checks/controller/raft",
            nodes: Arc::new(self.controllers.iter().map(certificate).collect()),
        }
    }

    /// A path below the cluster's home.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.home.path().join(below)
    }

    /// Runs one command of `ziti` to its end; its standard output if it succeeds.
    pub(crate) async fn run(&self, arguments: &[&str]) -> String {
        let output = within_deadline("ziti", self.command().args(arguments).output()).await.unwrap();
        let Output { status, stdout, stderr } = &output;
        let (stdout, stderr) = (String::from_utf8_lossy(stdout), String::from_utf8_lossy(stderr));
        assert!(status.success(), "ziti {arguments:?}: {status}\n{stdout}\n{stderr}");
        stdout.into_owned()
    }

    /// Makes `to` the leader, by way of any controller that lives.
    pub(crate) async fn transfer_leadership(&self, to: &str) {
        let process = self.controllers.iter().find_map(|controller| controller.process.id());
        let process = process.expect("a controller lives").to_string();
        println!("{}", self.run(&["agent", "cluster", "transfer-leadership", to, "--pid", &process]).await);
    }

    /// Kills a controller as a crash does.
    pub(crate) async fn kill(&mut self, name: &str) {
        let controller = self.controllers.iter_mut().find(|controller| controller.name == name).unwrap();
        controller.process.start_kill().unwrap();
        within_deadline("a killed controller's end", controller.process.wait()).await.unwrap();
    }

    async fn run_quickstart(&self, controller_port: u16, router_port: u16) {
        let log = self.path("quickstart.log");
        let output = std::fs::File::create(&log).unwrap();
        let founder = self
            .command()
            .args([
                "run",
                "quickstart",
                "cluster",
                "--yes",
                "--ctrl-address",
                "localhost",
                "--router-address",
            ])
            .args(["localhost", "--size", &SIZE.to_string(), "--home"])
            .arg(self.home.path())
            .args(["--ctrl-port", &controller_port.to_string(), "--router-port", &router_port.to_string()])
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let mut founder = Founder(founder);
        let started = format!("cluster of {SIZE} nodes started");
        until_after(FOUNDING, "the cluster is founded", async || {
            let said = std::fs::read_to_string(&log).unwrap();
            let ended = founder.0.try_wait().unwrap();
            assert!(ended.is_none(), "quickstart ended too early: {ended:?}\n{said}");
            said.contains(&started).then_some(())
        })
        .await;
        founder.ask_to_stop();
        until_after(STOPPING, "quickstart has stopped its nodes", async || founder.0.try_wait().unwrap())
            .await;
    }

    /// Turns quickstart's configuration of one controller into ours.
    fn prepare(&self, name: &str, port: u16) {
        let file = self.controller_file(name);
        let text = std::fs::read_to_string(&file).unwrap();
        let own = format!("address: localhost:{port}");
        let public = format!("address: localhost:{}", self.gate_port);
        let health_checks =
            "      - binding: health-checks\n        options: { }\n      - binding: edge-management\n";
        let ours = text
            .replace("0.0.0.0:", "127.0.0.1:")
            .replace(&own, &public)
            .replace("      - binding: edge-management\n", health_checks);
        assert!(
            ours.contains(health_checks) && ours.contains(&public),
            "{name}: another configuration:\n{text}"
        );
        std::fs::write(file, ours).unwrap();
    }

    /// Issues a certificate by the authority of one controller; with `--key-file` for a key that is there.
    async fn issue_server_certificate(&self, authority: &str, file: &str, arguments: &[&str]) {
        let (root, authority) = (self.path("pki"), format!("intermediate-ca-{authority}"));
        let mut command = vec!["pki", "create", "server", "--pki-root", root.to_str().unwrap()];
        command.extend(["--ca-name", &authority, "--server-name", file, "--server-file", file]);
        command.extend(arguments);
        self.run(&command).await;
    }

    /// Has a controller prove the public name by the shared certificate, and its own name by one without the public name.
    async fn share_public_certificate(&self, name: &str) {
        let own = ["--key-file", "server", "--dns", &own_name(name), "--ip", "127.0.0.1"];
        self.issue_server_certificate(name, "web", &own).await;
        let own = self.path(&format!("pki/intermediate-ca-{name}/certs/web.chain.pem"));
        let shared = self.path("pki/intermediate-ca-instance-1");
        let file = self.controller_file(name);
        let text = std::fs::read_to_string(&file).unwrap();
        // The identity of the section `web`; the root's identity is indented less.
        let line = text.lines().find(|line| line.starts_with("      server_cert:"));
        let line = line.unwrap_or_else(|| panic!("{name}: another configuration:\n{text}"));
        let ours = format!(
            "      server_cert: \"{}\"\n      alt_server_certs:\n      - server_cert: \"{}\"\n        server_key: \"{}\"",
            own.display(),
            shared.join("certs/public.chain.pem").display(),
            shared.join("keys/public.key").display(),
        );
        std::fs::write(file, text.replacen(line, &ours, 1)).unwrap();
    }

    fn start(&self, name: &str) -> Child {
        let log = std::fs::File::create(self.path(&format!("{name}.log"))).unwrap();
        self.command()
            .args(["controller", "run"])
            .arg(self.controller_file(name))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    fn controller_file(&self, name: &str) -> PathBuf {
        self.path(&format!("{name}/ctrl.yaml"))
    }

    /// The binary, with its settings and logins kept in the cluster's home.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.env("ZITI_CONFIG_DIR", self.path("cli")).env("HOME", self.home.path());
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }
}

impl Founder {
    fn ask_to_stop(&self) {
        if let Some(id) = self.0.id() {
            // It may have ended by itself between the two.
            let _ = kill_process(Pid::from_raw(i32::try_from(id).unwrap()).unwrap(), Signal::INT);
        }
    }
}

impl Drop for Founder {
    fn drop(&mut self) {
        self.ask_to_stop();
        for _ in 0..STOPPING.as_millis() / 100 {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The name that a controller's own certificate covers where the public name is shared.
pub(crate) fn own_name(controller: &str) -> String {
    format!("{controller}.test")
}

/// The first of `count` neighbouring ports that nobody has on the loopback address at this moment.
fn free_ports(count: u16) -> u16 {
    let is_free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    let mut tries = std::iter::repeat_with(|| fastrand::u16(20_000..32_000)).take(1_000);
    tries.find(|first| (*first..*first + count).all(is_free)).expect("some ports are free")
}

/// The end of a file, for reports of failures.
pub(crate) fn tail(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

impl Drop for Ziti {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for controller in &self.controllers {
                let log = self.path(&format!("{}.log", controller.name));
                eprintln!("--- {}'s log ends:\n{}", controller.name, tail(&log));
            }
        }
    }
}
