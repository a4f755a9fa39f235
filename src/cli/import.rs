//! `raftgate import`: the TOML that a `haproxy.cfg` amounts to, and what is to be known about it.

use std::path::PathBuf;

use clap::Args;

use super::{Exit, complain, print};
use crate::config;

/// Print the TOML that a `haproxy.cfg` amounts to, and say on standard error what is not the same.
///
/// `run` and `check` take the file as it is, too: this is for whoever wants to go on in TOML.
#[derive(Args, Debug)]
pub(super) struct Options {
    /// The `haproxy.cfg`.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn run(options: &Options) -> Exit {
    match config::import(&options.file) {
        Ok(imported) => {
            let warnings = imported.warnings.iter().map(|warning| format!("warning: {warning}"));
            for line in imported.remarks.into_iter().chain(warnings) {
                complain(line);
            }
            print("the configuration", &imported.toml, Exit::Done)
        }
        Err(error) => {
            complain(error);
            Exit::Configuration
        }
    }
}
