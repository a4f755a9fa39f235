//! The thread of the admin listener and of the control socket (O6).

use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use super::gate::{StartError, refused};
use crate::admin::{self, Controls, State};
use crate::config::{Config, DEFAULT_SOCKET};
use crate::sockets::{self, SocketFile};
use crate::supervise::supervised;

/// What it was that the operating system refused.
const WHAT: &str = "the admin listener";

/// The places where people are heard, before anybody is.
pub(super) struct Doors {
    tcp: Option<(StdTcpListener, SocketAddr)>,
    socket: Option<(StdUnixListener, SocketFile, PathBuf)>,
}

/// The running thread. Dropping it closes the listener and removes the socket.
pub(super) struct AdminThread {
    /// Where it listens, if it does.
    pub(super) address: Option<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
    _socket: Option<SocketFile>,
}

impl Doors {
    /// Binds what the configuration names.
    pub(super) fn bind(config: &Config) -> Result<Self, StartError> {
        let tcp = config.admin_bind.map(bind_tcp).transpose()?;
        let socket = config.admin_socket.as_deref().map(bind_socket).transpose()?.flatten();
        Ok(Doors { tcp, socket })
    }

    /// Starts to serve at them; `None` if there are none.
    pub(super) fn open(
        self,
        state: Arc<State>,
        controls: Controls,
    ) -> Result<Option<AdminThread>, StartError> {
        if self.tcp.is_none() && self.socket.is_none() {
            return Ok(None);
        }
        let (listener, address) = self.tcp.unzip();
        let (socket, file, path) = match self.socket {
            Some((socket, file, path)) => (Some(socket), Some(file), Some(path)),
            None => (None, None, None),
        };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(refused(WHAT))?;
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("admin".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, Arc::clone(&state)) => {}
                    () = serve_control(socket, state, controls) => {}
                    _ = stopped => {}
                }
            });
        });
        let thread = thread.map_err(refused(WHAT))?;
        if let Some(address) = address {
            info!(%address, "admin listening");
        }
        if let Some(path) = path {
            info!(path = %path.display(), "control socket listening");
        }
        Ok(Some(AdminThread { address, stop: Some(stop), thread: Some(thread), _socket: file }))
    }
}

fn bind_tcp(address: SocketAddr) -> Result<(StdTcpListener, SocketAddr), StartError> {
    let listener = sockets::bind(address, 1).map_err(StartError::BindAdmin)?.swap_remove(0);
    let address = listener.local_addr().map_err(refused(WHAT))?;
    Ok((listener, address))
}

/// Who has not asked for a socket does without where there can be none.
fn bind_socket(path: &Path) -> Result<Option<(StdUnixListener, SocketFile, PathBuf)>, StartError> {
    match sockets::bind_local(path) {
        Ok((listener, file)) => Ok(Some((listener, file, path.to_owned()))),
        Err(error) if path == Path::new(DEFAULT_SOCKET) => {
            warn!(
                %error,
                "no control socket: `raftgate status`, `drain` and the like cannot reach this gate; admin.socket names \
                 another path, or is \"\" for none"
            );
            Ok(None)
        }
        Err(error) => Err(StartError::BindSocket(error)),
    }
}

/// Without a listener it waits for ever.
async fn serve(listener: Option<StdTcpListener>, state: Arc<State>) {
    match listener.map(TcpListener::from_std) {
        Some(Ok(listener)) => {
            let listener = Arc::new(listener);
            let serve = || admin::serve(Arc::clone(&listener), Arc::clone(&state));
            return supervised("admin listener", serve).await;
        }
        Some(Err(error)) => error!(%error, "admin listener cannot be served"),
        None => {}
    }
    std::future::pending::<()>().await;
}

/// Without a socket it waits for ever.
async fn serve_control(socket: Option<StdUnixListener>, state: Arc<State>, controls: Controls) {
    match socket.map(UnixListener::from_std) {
        Some(Ok(socket)) => {
            let socket = Arc::new(socket);
            let serve = || admin::serve_control(Arc::clone(&socket), Arc::clone(&state), controls.clone());
            return supervised("control socket", serve).await;
        }
        Some(Err(error)) => error!(%error, "control socket cannot be served"),
        None => {}
    }
    std::future::pending::<()>().await;
}

impl Drop for AdminThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The thread only serves; if it panicked, the hook has said so.
            let _ = thread.join();
        }
    }
}
