//! Asks each node, again and again, whether it leads.
//!
//! A [`Prober`] runs for each node: it waits for its turn (`pace`), asks over the one connection that it keeps
//! (`link`, `exchange`, `dial`, `tls`), judges what came back (`judge`) or says why nothing did (`failure`), and reports
//! that to `follow`, whose orders it takes. Where nobody follows, a node is asked `once`.

mod dial;
mod exchange;
mod failure;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod hedge;
pub mod judge;
mod link;
mod metrics;
mod once;
mod pace;
mod prober;
mod request;
mod scout;
mod settings;
#[cfg(test)]
mod testing;
pub mod tls;

pub use dial::{Dial, Dialling, Stream, Tcp};
pub use metrics::{MetricFamilies, Metrics};
pub use once::{Answer, Shown, ask_once, connect_once, look_once};
pub use prober::{Prober, ProberSetupError, SetupCause, longest_turn};
pub use request::RequestError;
pub use settings::{ClientFiles, Request, Roots, Settings, TlsSettings, Verify};
