//! `raftgate run`: serves clients until it is told to stop.

use std::path::PathBuf;

use clap::Args;

use super::{ConfigFile, Exit, complain};
use crate::app;
use crate::config::{self, Flags, Sources};

/// Follow the leader and serve clients until told to stop.
///
/// Flags win over the environment (`RAFTGATE_` and the key, with `__` between levels), which wins over the file.
#[derive(Args, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    file: ConfigFile,
    /// Without a file: the address to listen on, such as `:443`.
    #[arg(long, value_name = "ADDR", conflicts_with = "config", requires = "nodes")]
    listen: Option<String>,
    /// Without a file: the kind of cluster: `none`, `openziti`, `vault` or `patroni`.
    #[arg(long, requires = "listen")]
    preset: Option<String>,
    /// Without a file: a node; once for each.
    #[arg(long = "node", value_name = "NAME=HOST:PORT", value_parser = name_and_address, requires = "listen")]
    nodes: Vec<(String, String)>,
    /// Without a file: the PEM file with the root certificates that nodes are verified by [default: the system's].
    #[arg(long, value_name = "FILE", requires = "listen")]
    ca_file: Option<PathBuf>,
    /// Where metrics, health and status are served.
    #[arg(long, value_name = "ADDR")]
    admin: Option<String>,
    /// `text` for people, `json` for machines.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// The least important level that is logged: `error`, `warn`, `info`, `debug` or `trace`.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

pub(super) fn run(options: Options) -> Exit {
    let launch = match app::Launch::begin() {
        Ok(launch) => launch,
        Err(error) => {
            complain(format_args!("raftgate: {error}"));
            return Exit::Failed;
        }
    };
    let sources = options.into_sources();
    let loaded = match config::load(&sources) {
        Ok(loaded) => loaded,
        Err(error) => {
            launch.give_up(&error.to_string());
            complain(error);
            return Exit::Configuration;
        }
    };
    match app::run(&sources, &loaded, launch) {
        Ok(()) => Exit::Done,
        Err(error) => {
            complain(format_args!("raftgate: {error}"));
            if error.is_configuration() { Exit::Configuration } else { Exit::Failed }
        }
    }
}

impl Options {
    pub(super) fn into_sources(self) -> Sources {
        Sources {
            file: self.file.config,
            flags: Flags {
                listen: self.listen,
                preset: self.preset,
                nodes: self.nodes,
                ca_file: self.ca_file,
                admin: self.admin,
                log_format: self.log_format,
                log_level: self.log_level,
            },
        }
    }
}

fn name_and_address(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, address)) => Ok((name.to_owned(), address.to_owned())),
        None => Err("expected NAME=HOST:PORT, such as ctrl1=10.0.0.1:1280".to_owned()),
    }
}
