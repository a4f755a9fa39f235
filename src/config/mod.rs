//! From what users write to what the program needs, checked whole before anything uses it (O1).
//!
//! ```text
//! import     what kind of file it is; haproxy: the TOML that a haproxy.cfg amounts to
//! layers     file, environment, flags: who wins; origins: where each key was written
//! raw        what users write: the names and nesting of keys; spelling, address, words: single values
//! extract    layers -> raw, every misspelled or mistyped key reported at once
//! check      raw -> model, every other mistake reported at once; presets, limits: what is filled in
//! vault_health  which nodes of Vault answer a question as its active node does
//! findings   the mistakes, with their places; quote: the line that each is in
//! model      what the program needs; nothing later checks it again
//! settings   model -> each role's own `Settings`
//! effective  model -> TOML, for people
//! socket_path  the control socket alone, for commands: the rest of the file may be wrong
//! ```

mod address;
mod check;
mod effective;
mod extract;
mod findings;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod haproxy;
mod import;
mod layers;
mod limits;
mod model;
mod origins;
mod presets;
mod quote;
mod raw;
mod settings;
mod socket_path;
mod spelling;
mod vault_health;
mod words;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::{fs, io};

pub use address::HostPort;
pub use import::{Imported, import, import_text};
pub use layers::Flags;
pub use limits::{DescriptorBudget, DescriptorLimit, raise_descriptor_limit};
pub use model::{
    Cluster, Config, Connect, Hold, Listener, LogFormat, LogSettings, Node, Probe, Timeouts, Tls,
};
pub use presets::Preset;
pub use settings::NodeAddresses;
pub use socket_path::socket_path;

use crate::nearest;
use layers::Layers;

/// The file that is read if neither a file nor flags say what to do.
pub const DEFAULT_FILE: &str = "/etc/raftgate/raftgate.toml";

/// The Unix socket on which a gate is controlled unless `admin.socket` names another. Where it cannot be had, the gate
/// does without; one that somebody has named is an error then.
pub const DEFAULT_SOCKET: &str = "/run/raftgate/raftgate.sock";

/// The variable that names the socket, for a gate and for the commands that control one.
pub const SOCKET_VARIABLE: &str = "RAFTGATE_ADMIN__SOCKET";

/// No configuration is larger, in bytes: what is was named by mistake, and must not fill the memory.
const LARGEST_FILE: u64 = 64 << 20;

/// Where a configuration comes from, besides the environment.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file; without one, the flags if they say what to listen on, else [`DEFAULT_FILE`].
    pub file: Option<PathBuf>,
    /// What the command line says; it wins over the environment, which wins over the file.
    pub flags: Flags,
}

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the program needs.
    pub config: Config,
    /// What is allowed, but probably not meant; one line each.
    pub warnings: Vec<String>,
}

/// Why there is no configuration. Messages are complete: what was found where, what is expected, what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file that somebody named cannot be read.
    #[error("{}: cannot be read: {error}; name the file with -c FILE", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Nobody named a file, and the default one is not there.
    #[error(
        "there is no {DEFAULT_FILE}; write one, name another with -c FILE, \
         or do without: raftgate run --listen :443 --preset openziti --node ctrl1=10.0.0.1:1280"
    )]
    NoFile,
    /// What was read is not a configuration: each mistake in a line, below it the line of the file that it is in.
    #[error("{}", .0.join("\n"))]
    Invalid(Vec<String>),
}

/// Reads the file, the process's environment and the flags, and checks what they say together.
///
/// # Errors
///
/// The file cannot be read, or something in it is wrong; then all mistakes are told at once.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    load_from(sources, environment())
}

/// The same for a gate that is under way, which must not wait for the other end of a pipe: it may have been started by
/// one, but there is nothing more to be read from that.
///
/// # Errors
///
/// As [`load`].
pub fn load_again(sources: &Sources) -> Result<Loaded, ConfigError> {
    if let Some(file) = &sources.file
        && fs::metadata(file).is_ok_and(|about| !about.is_file() && !about.is_dir())
    {
        let error = io::Error::other("it is not a file, so there is nothing to be read again");
        return Err(ConfigError::Unreadable { file: file.clone(), error });
    }
    load(sources)
}

fn environment() -> Vec<(String, String)> {
    // A variable that is not Unicode cannot be one of ours: every name and value of ours is.
    let unicode =
        |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    std::env::vars_os().filter_map(unicode).collect()
}

/// Checks one text alone: no environment, no flags, and no look at the files and addresses that it names.
///
/// # Errors
///
/// Something in the text is wrong; then all mistakes are told at once, with `name` as the file's.
pub fn load_text(name: &str, toml: &str) -> Result<Loaded, ConfigError> {
    let file = import::toml(name, toml);
    Layers { file: Some(file), ..Layers::default() }.assemble()
}

fn load_from(sources: &Sources, environment: Vec<(String, String)>) -> Result<Loaded, ConfigError> {
    let file = match &sources.file {
        Some(path) => Some(import::text(&path.display().to_string(), read(path)?, &environment)?),
        None if sources.flags.suffice() => None,
        None => Some(import::toml_bytes(DEFAULT_FILE, read_default()?)?),
    };
    Layers { file, environment, flags: sources.flags.clone(), look_at_machine: true }.assemble()
}

fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    read_file(path).map_err(|error| ConfigError::Unreadable { file: path.to_owned(), error })
}

/// Reads no more than a configuration can be.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    fs::File::open(path)?.take(LARGEST_FILE + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LARGEST_FILE {
        return Err(io::Error::other(format!("it is too large, beyond {} MiB", LARGEST_FILE >> 20)));
    }
    Ok(text)
}

fn read_default() -> Result<Vec<u8>, ConfigError> {
    match read(Path::new(DEFAULT_FILE)) {
        Err(ConfigError::Unreadable { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
            Err(ConfigError::NoFile)
        }
        other => other,
    }
}
