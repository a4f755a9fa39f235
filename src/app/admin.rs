//! The admin listener's thread (O6).

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tracing::{error, info};

use super::gate::{StartError, refused};
use crate::admin::{self, State};
use crate::sockets;

/// The running thread. Dropping it closes the listener.
pub(super) struct AdminThread {
    /// Where it listens.
    pub(super) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl AdminThread {
    pub(super) fn start(address: SocketAddr, state: Arc<State>) -> Result<Self, StartError> {
        let what = "the admin listener";
        let listener = sockets::bind(address, 1).map_err(StartError::BindAdmin)?.swap_remove(0);
        let address = listener.local_addr().map_err(refused(what))?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(refused(what))?;
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("admin".to_owned()).spawn(move || {
            runtime.block_on(async {
                match TcpListener::from_std(listener) {
                    Ok(listener) => tokio::select! {
                        () = admin::serve(listener, state) => {}
                        _ = stopped => {}
                    },
                    Err(error) => error!(%error, "admin listener cannot be served"),
                }
            });
        });
        let thread = thread.map_err(refused(what))?;
        info!(%address, "admin listening");
        Ok(AdminThread { address, stop: Some(stop), thread: Some(thread) })
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
