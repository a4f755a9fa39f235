//! Networks of a test's own, each with its own addresses and ports, joined by cables. They end with the processes in them.

use std::ffi::OsString;
use std::process::Stdio;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdout, Command};

use super::wait::within_deadline;

/// How to make the first: root as itself, anybody else as the root of a world of its own.
const WAYS: [&[&str]; 2] = [&["--net"], &["--user", "--map-root-user", "--net"]];
/// What must work there.
const TRIAL: &str = "ip link set lo up && ip link add trial type veth peer name other && nsenter --version";

/// One network.
pub(crate) struct Network {
    /// Its first process, which keeps it; ends with its standard input.
    keeper: Child,
    /// Whether root is so in there alone.
    own_users: bool,
}

impl Network {
    /// A fresh one, or the reason why this machine lets nobody have one.
    pub(crate) async fn new() -> Result<Self, String> {
        let mut objections = Vec::new();
        for way in WAYS {
            let tried = Command::new("unshare").args(way).args(["--", "sh", "-c", TRIAL]).output().await;
            let tried = tried.map_err(|error| format!("unshare cannot be run: {error}"))?;
            if tried.status.success() {
                let mut command = Command::new("unshare");
                command.args(way);
                return Ok(Self::kept_by(command, way.contains(&"--user")).await);
            }
            objections.push(String::from_utf8_lossy(&tried.stderr).trim().to_owned());
        }
        Err(objections.join("; "))
    }

    /// Another one, with a cable to this one: its end here is named `cable`, the one over there `eth0`.
    pub(crate) async fn beside(&self, cable: &str) -> Self {
        let mut command = self.command("unshare");
        command.arg("--net");
        let other = Self::kept_by(command, self.own_users).await;
        self.run(&format!("ip link add {cable} type veth peer name eth0 netns {}", other.id())).await;
        self.run(&format!("ip link set {cable} up")).await;
        other.run("ip link set eth0 up").await;
        other
    }

    async fn kept_by(mut command: Command, own_users: bool) -> Self {
        command.args(["--", "sh", "-c", "echo; exec cat"]).kill_on_drop(true);
        let mut keeper = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said: ChildStdout = keeper.stdout.take().expect("it is piped");
        within_deadline("a network", said.read_exact(&mut [0])).await.expect("it says that it is there");
        let network = Network { keeper, own_users };
        network.run("ip link set lo up").await;
        network
    }

    /// The command that runs the one given after it, in the same process, in this network.
    pub(crate) fn enter(&self) -> Vec<OsString> {
        let id = self.id().to_string();
        let mut words = vec!["nsenter", "--target", &id, "--net"];
        if self.own_users {
            words.push("--user");
        }
        words.push("--");
        words.into_iter().map(OsString::from).collect()
    }

    /// A command in this network.
    pub(crate) fn command(&self, program: &str) -> Command {
        let words = self.enter();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(program).kill_on_drop(true);
        command
    }

    /// Runs the words of `line` in it, which must work; what they print.
    pub(crate) async fn run(&self, line: &str) -> String {
        let (program, arguments) = line.split_once(' ').unwrap_or((line, ""));
        let output = self.command(program).args(arguments.split(' ')).output();
        let output = within_deadline(line, output).await.unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Whether root is so in there alone, and nobody else is there.
    pub(crate) fn has_own_users(&self) -> bool {
        self.own_users
    }

    fn id(&self) -> u32 {
        self.keeper.id().expect("the keeper has not been waited for")
    }
}
