//! This binary, started again as a process of its own: the node that serves, or the load.
//!
//! It says what it has to say in lines on its standard output, and lives until its standard input ends.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::cores::stay_on;
use crate::load;
use crate::load::Order;
use crate::service;

/// The variable whose presence makes this process one of these; it holds a [`Birth`].
const MARKER: &str = "PEERS_BENCH_BIRTH";

/// What a process is to be.
#[derive(Deserialize, Serialize)]
pub(crate) enum Role {
    /// The node that the load ends at.
    Service,
    /// Clients.
    Load(Order),
}

#[derive(Deserialize, Serialize)]
struct Birth {
    role: Role,
    /// The only core that it may have.
    core: Option<usize>,
}

/// A running one; it is killed when this is dropped.
pub(crate) struct OwnProcess {
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

/// The process's whole life where the marker is set; else nothing.
pub(crate) fn live_if_born() {
    let Ok(birth) = std::env::var(MARKER) else { return };
    let birth: Birth = serde_json::from_str(&birth).expect("the bench has written it");
    if let Some(core) = birth.core {
        stay_on(core).expect("the core is there");
    }
    match birth.role {
        Role::Service => service::live(),
        Role::Load(order) => load::live(&order),
    }
    // Whoever started us holds the other end, and says no word.
    drop(io::copy(&mut io::stdin().lock(), &mut io::sink()));
    std::process::exit(0);
}

impl OwnProcess {
    /// Starts one, on one core if it is given.
    pub(crate) fn start(role: Role, core: Option<usize>) -> Result<Self, String> {
        let birth = serde_json::to_string(&Birth { role, core }).map_err(|error| error.to_string())?;
        let itself = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(itself);
        command.env(MARKER, birth).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let said = child.stdout.take().ok_or("no standard output")?;
        Ok(OwnProcess { lines: BufReader::new(said).lines(), _child: child })
    }

    /// The next line that begins with `word`, without it.
    pub(crate) async fn hears(&mut self, word: &str, patience: Duration) -> Result<String, String> {
        let next = timeout(patience, self.lines.next_line()).await;
        let next = next.map_err(|_| format!("no `{word}` within {patience:?}"))?;
        let line =
            next.map_err(|error| error.to_string())?.ok_or_else(|| format!("ended before `{word}`"))?;
        let rest = line.strip_prefix(word).ok_or_else(|| format!("`{line}` instead of `{word}`"))?;
        Ok(rest.trim_start().to_owned())
    }
}
