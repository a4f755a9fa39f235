//! The thread of the admin listener and of the control socket (O6).

use std::future::pending;
use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::sync::Arc;
use std::thread;

use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};
use tracing::{error, info};

use super::gate::{StartError, refused};
use super::inherited::{Inherited, Key, Opened, OpenedLocal, Wanted};
use crate::admin::{self, Controls, State};
use crate::config::Config;
use crate::sockets::{self, SocketFile};
use crate::supervise::supervised;

/// What it was that the operating system refused.
const WHAT: &str = "the admin listener";
/// What the admin listener is known by to the next gate.
const ADMIN: &str = "admin.bind";

/// The running thread. Dropping it closes the listener and removes the socket.
pub(super) struct AdminThread {
    open: watch::Sender<bool>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
    /// Its sockets once more, to be passed on or opened again.
    doors: Doors,
}

/// The places where people are heard, before anybody is, or while another process serves there.
#[derive(Default)]
pub(super) struct Doors {
    tcp: Vec<Opened>,
    control: Option<OpenedLocal>,
}

impl Doors {
    /// Takes what was passed for the places that the configuration names, else binds them.
    pub(super) fn bind(config: &Config, inherited: &mut Inherited) -> Result<Self, StartError> {
        let wanted = Wanted { count: 1, is_own: &|_| false };
        let tcp = config.admin_bind.map(|address| inherited.open(ADMIN, address, wanted));
        let tcp = tcp.transpose().map_err(StartError::BindAdmin)?.unwrap_or_default();
        let control = config.admin_socket.as_deref().map(|path| inherited.local(path)).transpose()?.flatten();
        Ok(Doors { tcp, control })
    }

    /// The same sockets once more. The control socket's file stays with these.
    fn duplicate(&self) -> io::Result<Self> {
        let tcp = self.tcp.iter().map(Opened::try_clone).collect::<io::Result<_>>()?;
        let control = self
            .control
            .as_ref()
            .map(|opened| Ok::<_, io::Error>(OpenedLocal { socket: opened.socket.try_clone()?, file: None }));
        Ok(Doors { tcp, control: control.transpose()? })
    }

    /// The control socket's name in the file system, if it is this process's or is to become so.
    pub(super) fn socket_file(&mut self) -> Option<&mut SocketFile> {
        self.control.as_mut()?.file.as_mut()
    }

    /// Makes the control socket this process's again, as it was before another process took over: its name may be gone.
    pub(super) fn restore(&mut self) {
        let Some(OpenedLocal { socket, file: Some(file) }) = &mut self.control else { return };
        if file.restore() {
            return;
        }
        match sockets::bind_local(file.path()) {
            Ok((bound, name)) => (*socket, *file) = (bound, name),
            Err(error) => {
                error!(%error, "no control socket: commands cannot reach this gate; restart it when clients can bear it");
            }
        }
    }

    /// All their sockets, to be passed on.
    pub(super) fn keys(&self) -> io::Result<Vec<Key>> {
        let tcp =
            self.tcp.iter().flat_map(|opened| opened.sockets.iter().map(|socket| (socket, opened.shared)));
        let tcp = tcp.map(|(socket, shared)| Key::new(ADMIN.to_owned(), shared, socket));
        tcp.chain(self.control.iter().map(Key::of_control)).collect()
    }

    /// Starts to serve at them; `None` if there are none.
    pub(super) fn open(
        self,
        state: Arc<State>,
        controls: Controls,
    ) -> Result<Option<AdminThread>, StartError> {
        if self.tcp.is_empty() && self.control.is_none() {
            return Ok(None);
        }
        let Doors { tcp, control } = self.duplicate().map_err(refused(WHAT))?;
        let addresses: Vec<SocketAddr> = self.tcp.iter().map(|opened| opened.bound).collect();
        let listeners: Vec<StdTcpListener> = tcp.into_iter().flat_map(|opened| opened.sockets).collect();
        let control = control.map(|opened| opened.socket);
        let path = control.as_ref().and_then(|control| control.local_addr().ok());
        let runtime = Builder::new_current_thread().enable_all().build().map_err(refused(WHAT))?;
        let (stop, stopped) = oneshot::channel::<()>();
        let (open, opened) = watch::channel(true);
        let thread = thread::Builder::new().name("admin".to_owned()).spawn(move || {
            runtime.block_on(async {
                // They end with the runtime.
                for listener in listeners {
                    tokio::spawn(serve(listener, Arc::clone(&state), opened.clone()));
                }
                tokio::select! {
                    () = serve_control(control, Arc::clone(&state), controls, opened) => {}
                    () = supervised("events", || admin::tell(Arc::clone(&state))) => {}
                    _ = stopped => {}
                }
            });
        });
        let thread = thread.map_err(refused(WHAT))?;
        for address in addresses {
            info!(%address, "admin listening");
        }
        if let Some(path) = path.as_ref().and_then(|address| address.as_pathname()) {
            info!(path = %path.display(), "control socket listening");
        }
        Ok(Some(AdminThread { open, stop: Some(stop), thread: Some(thread), doors: self }))
    }
}

impl AdminThread {
    /// Leaves new connections to another process that has the same sockets, or takes them in again. Those that are
    /// there are served on.
    pub(super) fn set_open(&self, open: bool) {
        self.open.send_replace(open);
    }

    /// Its sockets, to be passed on.
    pub(super) fn keys(&self) -> io::Result<Vec<Key>> {
        self.doors.keys()
    }

    /// The control socket's name in the file system, if it is this process's or is to become so.
    pub(super) fn socket_file(&mut self) -> Option<&mut SocketFile> {
        self.doors.socket_file()
    }

    /// Ends all its connections, and leaves its sockets to another process; they are kept, to be opened again.
    pub(super) fn retire(mut self) -> Doors {
        std::mem::take(&mut self.doors)
    }
}

async fn serve(listener: StdTcpListener, state: Arc<State>, open: watch::Receiver<bool>) {
    match TcpListener::from_std(listener) {
        Ok(listener) => {
            let listener = Arc::new(listener);
            let serve = || admin::serve(Arc::clone(&listener), Arc::clone(&state));
            while_open(open, || supervised("admin listener", serve)).await;
        }
        Err(error) => error!(%error, "admin listener cannot be served"),
    }
}

/// Without a socket it waits for ever.
async fn serve_control(
    socket: Option<StdUnixListener>,
    state: Arc<State>,
    controls: Controls,
    open: watch::Receiver<bool>,
) {
    match socket.map(UnixListener::from_std) {
        Some(Ok(socket)) => {
            let socket = Arc::new(socket);
            let serve = || admin::serve_control(Arc::clone(&socket), Arc::clone(&state), controls.clone());
            while_open(open, || supervised("control socket", serve)).await;
        }
        Some(Err(error)) => error!(%error, "control socket cannot be served"),
        None => {}
    }
    pending::<()>().await;
}

/// Serves whenever it is to, until that ends or the thread is about to.
async fn while_open<F: Future<Output = ()>>(mut open: watch::Receiver<bool>, serve: impl Fn() -> F) {
    while open.wait_for(|open| *open).await.is_ok() {
        tokio::select! {
            () = serve() => return,
            _ = open.wait_for(|open| !*open) => {}
        }
    }
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
