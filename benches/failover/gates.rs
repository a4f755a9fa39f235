//! What is compared, and how each is configured.

use std::path::Path;

use clap::ValueEnum;

use crate::haproxy::Haproxy;
use crate::support::gate::{Gate, raftgate};
use crate::support::node::Node;
use crate::support::scene::{Settings, configuration};

/// HAProxy's checks in the common recipe: its default timing.
const RECIPE: &str = "";
/// HAProxy's checks as fast as they are advised.
const TUNED: &str =
    " inter 100ms fastinter 50ms downinter 50ms rise 1 fall 1 on-marked-down shutdown-sessions";

/// What stands before the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Raftgate as it comes.
    Raftgate,
    /// Raftgate, probing every 50 ms.
    #[value(name = "raftgate-50ms")]
    Raftgate50ms,
    /// Raftgate, each of whose clients waits for a probe begun after it came.
    RaftgateMaxAge,
    /// HAProxy with the common recipe.
    HaproxyRecipe,
    /// HAProxy with fast checks.
    HaproxyTuned,
    /// HAProxy with the common recipe once more: what differs from the other is noise.
    HaproxyRecipeAgain,
}

/// A running one; it ends when this is dropped.
pub(crate) enum Running {
    /// Raftgate.
    Raftgate(Box<Gate>),
    /// HAProxy.
    Haproxy(Box<Haproxy>),
}

impl Kind {
    /// All of them, in the order of the report.
    pub(crate) const ALL: [Self; 6] = [
        Self::Raftgate,
        Self::Raftgate50ms,
        Self::RaftgateMaxAge,
        Self::HaproxyRecipe,
        Self::HaproxyTuned,
        Self::HaproxyRecipeAgain,
    ];

    /// Its name in arguments and tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Raftgate => "raftgate",
            Self::Raftgate50ms => "raftgate-50ms",
            Self::RaftgateMaxAge => "raftgate-max-age",
            Self::HaproxyRecipe => "haproxy-recipe",
            Self::HaproxyTuned => "haproxy-tuned",
            Self::HaproxyRecipeAgain => "haproxy-recipe-again",
        }
    }

    /// What it adds to the least configuration that works.
    pub(crate) fn addition(self) -> &'static str {
        match self {
            Self::Raftgate => "",
            Self::Raftgate50ms => "probe.interval = \"50ms\"",
            Self::RaftgateMaxAge => "max_age = \"0s\"",
            Self::HaproxyRecipe | Self::HaproxyRecipeAgain => RECIPE,
            Self::HaproxyTuned => TUNED,
        }
    }

    /// Whether it is Raftgate.
    pub(crate) fn is_raftgate(self) -> bool {
        matches!(self, Self::Raftgate | Self::Raftgate50ms | Self::RaftgateMaxAge)
    }

    /// Why it cannot be run here, if it cannot: it is not installed, or does not know its configuration.
    pub(crate) async fn objection(self, nodes: &[Node], folder: &Path) -> Option<String> {
        let checked = if self.is_raftgate() {
            raftgate().args(["check", "-c"]).arg(self.write_settings(nodes, folder)).output().await
        } else {
            Haproxy::check(nodes, folder, self.addition()).await
        };
        match checked {
            Err(error) => Some(error.to_string()),
            Ok(done) if done.status.success() => None,
            Ok(done) => {
                let said =
                    String::from_utf8_lossy(&done.stderr).replace(&format!("{}/", folder.display()), "");
                Some(said.split_whitespace().collect::<Vec<_>>().join(" "))
            }
        }
    }

    /// Starts it before these nodes; `folder` has the authority's certificate in `ca.pem`.
    pub(crate) async fn start(self, nodes: &[Node], folder: &Path) -> Running {
        if self.is_raftgate() {
            let gate = Gate::start(&self.write_settings(nodes, folder)).await;
            // They are looked at by `Running::end`, which an interrupted bench does not reach.
            gate.close_books();
            gate.is_ready().await;
            Running::Raftgate(Box::new(gate))
        } else {
            Running::Haproxy(Box::new(Haproxy::start(nodes, folder, self.addition()).await))
        }
    }

    fn write_settings(self, nodes: &[Node], folder: &Path) -> std::path::PathBuf {
        let file = folder.join("raftgate.toml");
        let settings = Settings { cluster: self.addition(), ..Settings::default() };
        std::fs::write(&file, configuration(nodes, folder, settings)).expect("the folder can be written");
        file
    }
}

impl Running {
    /// Where clients connect.
    pub(crate) fn address(&self) -> std::net::SocketAddr {
        match self {
            Self::Raftgate(gate) => gate.address,
            Self::Haproxy(haproxy) => haproxy.address,
        }
    }

    /// Ends it once its last client is gone; Raftgate's books must balance.
    pub(crate) async fn end(self) {
        if let Self::Raftgate(gate) = self {
            gate.assert_books_balance().await;
        }
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        match self {
            Self::Raftgate(gate) => gate.log().text(),
            Self::Haproxy(haproxy) => haproxy.log(),
        }
    }
}
