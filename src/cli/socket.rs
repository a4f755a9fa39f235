//! A running gate's control socket, seen from a command: where it is, and one request to it.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use thiserror::Error;
use tokio::net::UnixStream;
use tokio::runtime::Builder;
use tokio::time::timeout;

use super::Exit;
use super::table::harmless_lines;
use crate::config::{self, ConfigError, DEFAULT_SOCKET, SOCKET_VARIABLE};

/// How long an answer may take; a gate gives up on a command earlier, and says so.
const PATIENCE: Duration = Duration::from_secs(40);
/// The longest answer, in bytes: some 100,000 sessions.
const LONGEST_ANSWER: usize = 64 << 20;

/// Which gate is meant.
#[derive(Args, Debug)]
pub(super) struct Where {
    /// The gate's control socket, its `admin.socket`
    /// [default: `$RAFTGATE_ADMIN__SOCKET`, or what `-c` FILE names, or /run/raftgate/raftgate.sock].
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The gate's configuration, to find its socket by; a mistake elsewhere in it does not matter.
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Why a gate did not do what it was asked for.
#[derive(Debug, Error)]
pub(super) enum ControlError {
    /// The gate's configuration is wrong, or not there.
    #[error("{0}")]
    Configuration(#[from] ConfigError),
    /// There is no socket to ask.
    #[error(
        "the control socket is off (admin.socket = \"\"): set it and restart the gate, or name one by --socket PATH"
    )]
    Off,
    /// There is no socket.
    #[error(
        "{}: there is no such socket; does a gate run on this machine? Name its socket by --socket PATH, or its \
         configuration by -c FILE",
        path.display()
    )]
    Absent {
        /// The path.
        path: PathBuf,
    },
    /// There is a socket and nobody behind it.
    #[error("{}: nobody listens; the gate that made this socket is gone: start it again", path.display())]
    Dead {
        /// The path.
        path: PathBuf,
    },
    /// This user may not.
    #[error("{}: permission denied; only the user that runs the gate may control it, and root: try sudo", path.display())]
    Denied {
        /// The path.
        path: PathBuf,
    },
    /// Something else is wrong with the socket.
    #[error("{}: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What.
        source: io::Error,
    },
    /// What came back is no answer of a gate.
    #[error("{}: there was no answer that makes sense; is it a raftgate of version {}?", path.display(), env!("CARGO_PKG_VERSION"))]
    NoAnswer {
        /// The path.
        path: PathBuf,
    },
    /// It did not answer in time.
    #[error("{}: no answer within {}s; is the gate stopped or overloaded?", path.display(), PATIENCE.as_secs())]
    Late {
        /// The path.
        path: PathBuf,
    },
    /// The gate says no.
    #[error("{0}")]
    Refused(String),
}

impl ControlError {
    pub(super) fn exit(&self) -> Exit {
        match self {
            ControlError::Configuration(_) => Exit::Configuration,
            _ => Exit::Failed,
        }
    }

    fn connect(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            ErrorKind::NotFound => ControlError::Absent { path },
            ErrorKind::ConnectionRefused => ControlError::Dead { path },
            ErrorKind::PermissionDenied => ControlError::Denied { path },
            _ => ControlError::Io { path, source },
        }
    }
}

impl Where {
    /// The socket's path: named here, else by the environment, else by the configuration, else the default.
    pub(super) fn path(&self) -> Result<PathBuf, ControlError> {
        self.path_in(std::env::var_os(SOCKET_VARIABLE).map(PathBuf::from))
    }

    fn path_in(&self, variable: Option<PathBuf>) -> Result<PathBuf, ControlError> {
        let named = match (&self.socket, variable, &self.config) {
            (Some(path), ..) => Some(path.clone()),
            (None, Some(path), _) => Some(path),
            (None, None, Some(file)) => config::socket_path(file)?,
            (None, None, None) => Some(DEFAULT_SOCKET.into()),
        };
        named.filter(|path| !path.as_os_str().is_empty()).ok_or(ControlError::Off)
    }
}

/// Reads something.
pub(super) fn get(path: &Path, target: &str) -> Result<Bytes, ControlError> {
    ask(path, Method::GET, target)
}

/// Has something done.
pub(super) fn post(path: &Path, target: &str) -> Result<Bytes, ControlError> {
    ask(path, Method::POST, target)
}

fn ask(path: &Path, method: Method, target: &str) -> Result<Bytes, ControlError> {
    let failed = |source| ControlError::Io { path: path.to_owned(), source };
    let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (status, body) = runtime
        .block_on(async { timeout(PATIENCE, exchange(path, method, target)).await })
        .map_err(|_| ControlError::Late { path: path.to_owned() })??;
    if status.is_success() { Ok(body) } else { Err(ControlError::Refused(words_of(&body))) }
}

async fn exchange(path: &Path, method: Method, target: &str) -> Result<(StatusCode, Bytes), ControlError> {
    let stream = UnixStream::connect(path).await.map_err(|error| ControlError::connect(path, error))?;
    let no_answer = || ControlError::NoAnswer { path: path.to_owned() };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| no_answer())?;
    let request =
        Request::builder().method(method).uri(target).header(HOST, "gate").body(Empty::<Bytes>::new());
    let request = request.map_err(|_| no_answer())?;
    // The connection ends with the one request, since its sender ends here.
    let answer = async move {
        let response = sender.send_request(request).await.ok()?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await.ok()?;
        Some((status, body.to_bytes()))
    };
    let (_, answer) = tokio::join!(connection, answer);
    answer.ok_or_else(no_answer)
}

#[derive(Deserialize)]
struct Failure {
    error: String,
}

/// Why the gate has refused, in its own words.
pub(super) fn words_of(body: &[u8]) -> String {
    match serde_json::from_slice(body) {
        Ok(Failure { error }) => harmless_lines(&error),
        Err(_) => harmless_lines(String::from_utf8_lossy(body).trim()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(
        socket: Option<&str>,
        variable: Option<&str>,
        config: Option<&Path>,
    ) -> Result<PathBuf, ControlError> {
        let place = Where { socket: socket.map(Into::into), config: config.map(Into::into) };
        place.path_in(variable.map(Into::into))
    }

    #[test]
    fn o6_the_flag_wins_over_the_variable_and_that_over_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("raftgate.toml");
        let text = "admin.socket = \"/file\"\nlisteners.e = { bind = \":1\", cluster = \"c\" }\n\
                    clusters.c.nodes.a = \"127.0.0.1:2\"\n";
        std::fs::write(&file, text).unwrap();
        assert_eq!(path(Some("/flag"), Some("/variable"), Some(&file)).unwrap(), Path::new("/flag"));
        assert_eq!(path(None, Some("/variable"), Some(&file)).unwrap(), Path::new("/variable"));
        assert_eq!(path(None, None, Some(&file)).unwrap(), Path::new("/file"));
        assert_eq!(path(None, None, None).unwrap(), Path::new(DEFAULT_SOCKET));
        assert!(matches!(path(None, Some(""), None), Err(ControlError::Off)));
        std::fs::write(&file, text.replace("/file", "")).unwrap();
        assert!(matches!(path(None, None, Some(&file)), Err(ControlError::Off)));
        let nowhere = path(None, None, Some(Path::new("/nonexistent/raftgate.toml")));
        assert_eq!(nowhere.unwrap_err().exit(), Exit::Configuration);
    }

    #[test]
    fn a_refusal_is_told_in_the_gates_words() {
        assert_eq!(words_of(br#"{"error":"n1 leads"}"#), "n1 leads");
        assert_eq!(words_of(b"not found\n"), "not found");
        assert_eq!(words_of(b"\x1b[2J"), "\u{fffd}[2J");
        assert_eq!(words_of(br#"{"error":"a:1: x\n  1 | y\u001b[m"}"#), "a:1: x\n  1 | y\u{fffd}[m");
    }
}
