//! The commands that change what a running gate does: `drain`, `undrain`, `pin`, `unpin`, `cut`, `reload` and `upgrade` (L10, O2,
//! O3, O6).

use clap::Args;
use serde::Deserialize;

use super::socket::{self, ControlError, Where};
use super::table::harmless_lines;
use super::{Exit, complain, print};

/// Send no more clients to a node; it is still probed, and its sessions drain.
#[derive(Args, Debug)]
pub(super) struct Drain {
    #[command(flatten)]
    node: Node,
    /// Even if it leads: clients then wait until another node does.
    #[arg(long)]
    force: bool,
}

/// Let a drained node be the leader again.
#[derive(Args, Debug)]
pub(super) struct Undrain {
    #[command(flatten)]
    node: Node,
}

/// Send clients to a node whatever it says, until `unpin`.
#[derive(Args, Debug)]
pub(super) struct Pin {
    #[command(flatten)]
    node: Node,
}

/// Send clients to the leader again, instead of to a pinned node.
#[derive(Args, Debug)]
pub(super) struct Unpin {
    /// The cluster.
    #[arg(value_parser = name)]
    cluster: String,
    #[command(flatten)]
    place: Where,
}

/// Reset every session with a node now.
#[derive(Args, Debug)]
pub(super) struct Cut {
    #[command(flatten)]
    node: Node,
}

/// Have a gate read its configuration again. Sessions stay; a mistake in it changes nothing.
#[derive(Args, Debug)]
pub(super) struct Reload {
    #[command(flatten)]
    place: Where,
}

/// Start the binary anew and hand over to it: no client is lost, and sessions stay with the old process until they end.
#[derive(Args, Debug)]
pub(super) struct Upgrade {
    #[command(flatten)]
    place: Where,
}

#[derive(Args, Debug)]
struct Node {
    /// The node's cluster.
    #[arg(value_parser = name)]
    cluster: String,
    /// The node.
    #[arg(value_name = "NODE", value_parser = name)]
    name: String,
    #[command(flatten)]
    place: Where,
}

/// An order: what is posted, and to which gate.
pub(super) trait Order {
    fn place(&self) -> &Where;
    fn target(&self) -> String;
}

impl Node {
    fn target(&self, verb: &str) -> String {
        format!("/clusters/{}/nodes/{}/{verb}", self.cluster, self.name)
    }
}

impl Order for Drain {
    fn place(&self) -> &Where {
        &self.node.place
    }

    fn target(&self) -> String {
        self.node.target(if self.force { "drain?force=true" } else { "drain" })
    }
}

impl Order for Undrain {
    fn place(&self) -> &Where {
        &self.node.place
    }

    fn target(&self) -> String {
        self.node.target("undrain")
    }
}

impl Order for Pin {
    fn place(&self) -> &Where {
        &self.node.place
    }

    fn target(&self) -> String {
        self.node.target("pin")
    }
}

impl Order for Unpin {
    fn place(&self) -> &Where {
        &self.place
    }

    fn target(&self) -> String {
        format!("/clusters/{}/unpin", self.cluster)
    }
}

impl Order for Upgrade {
    fn place(&self) -> &Where {
        &self.place
    }

    fn target(&self) -> String {
        "/upgrade".to_owned()
    }
}

impl Order for Cut {
    fn place(&self) -> &Where {
        &self.node.place
    }

    fn target(&self) -> String {
        self.node.target("cut")
    }
}

impl Order for Reload {
    fn place(&self) -> &Where {
        &self.place
    }

    fn target(&self) -> String {
        "/reload".to_owned()
    }
}

#[derive(Deserialize)]
struct Done {
    done: String,
}

/// Has the gate carry an order out, and says what it says.
pub(super) fn give(order: &impl Order) -> Exit {
    let done = order.place().path().and_then(|path| {
        let body = socket::post(&path, &order.target())?;
        let done: Done = serde_json::from_slice(&body).map_err(|_| ControlError::NoAnswer { path })?;
        Ok(done.done)
    });
    match done {
        Ok(done) => print("the outcome", &format!("{}\n", harmless_lines(&done)), Exit::Done),
        Err(error) => {
            complain(format_args!("raftgate: {error}"));
            error.exit()
        }
    }
}

/// Anything else is no name in any configuration, and could mean another path.
pub(super) fn name(text: &str) -> Result<String, String> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if !text.is_empty() && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("names are letters, digits, dashes, dots and underscores".to_owned())
    }
}
