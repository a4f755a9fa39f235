//! `raftgate check`: says what is wrong with a configuration, or what it amounts to; with `--probe`, what its nodes say.

mod report;

use clap::Args;

use super::{ConfigFile, Exit, complain, print};
use crate::app::{self, SurveyError};
use crate::board::wall_clock;
use crate::config::{self, Config, Flags, Sources};

/// Check the configuration, and print it with every default filled in and secrets hidden.
#[derive(Args, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    file: ConfigFile,
    /// Instead of printing it, ask each node once: who leads, which certificates are there, until when, and whether
    /// they cover the listeners' `public_names`. Exits with 1 if anything is wrong.
    #[arg(long)]
    probe: bool,
}

pub(super) fn run(options: Options) -> Exit {
    // As `run` does: the bound of connections follows from it.
    config::raise_descriptor_limit();
    match config::load(&Sources { file: options.file.config, flags: Flags::default() }) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                complain(format_args!("warning: {warning}"));
            }
            if options.probe {
                probe(&loaded.config)
            } else {
                print("the effective configuration", &loaded.config.effective_toml(), Exit::Done)
            }
        }
        Err(error) => {
            complain(error);
            Exit::Configuration
        }
    }
}

fn probe(config: &Config) -> Exit {
    match app::survey(config) {
        Ok(survey) => {
            let report = report::report(&survey, seconds_since_epoch());
            let exit = if report.errors == 0 { Exit::Done } else { Exit::Failed };
            print("what the nodes say", &report.text, exit)
        }
        Err(error) => {
            complain(format_args!("raftgate: {error}"));
            if matches!(error, SurveyError::Runtime(_)) { Exit::Failed } else { Exit::Configuration }
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a cast from a float keeps within bounds; no clock is near them"
)]
fn seconds_since_epoch() -> i64 {
    wall_clock() as i64
}
