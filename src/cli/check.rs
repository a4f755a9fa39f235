//! `raftgate check`: says what is wrong with a configuration, or what it amounts to.

use std::io::{self, Write as _};

use clap::Args;

use super::{ConfigFile, Exit, complain};
use crate::config::{self, Flags, Sources};

/// Check the configuration, and print it with every default filled in and secrets hidden.
#[derive(Args, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    file: ConfigFile,
}

pub(super) fn run(options: Options) -> Exit {
    match config::load(&Sources { file: options.file.config, flags: Flags::default() }) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                complain(format_args!("warning: {warning}"));
            }
            match io::stdout().write_all(loaded.config.effective_toml().as_bytes()) {
                Ok(()) => Exit::Done,
                // `raftgate check | head` has read enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
                Err(error) => {
                    complain(format_args!("raftgate: cannot write the effective configuration: {error}"));
                    Exit::Failed
                }
            }
        }
        Err(error) => {
            complain(error);
            Exit::Configuration
        }
    }
}
