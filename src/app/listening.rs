//! The addresses that the gate listens on: bound at the start, and at a reload only those that are new (O2).

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use super::gate::{StartError, refused};
use crate::config::Config;
use crate::proxy::Sockets;
use crate::sockets::{self, BindError};

/// All of them, in the order of the configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Listening(Vec<Address>);

#[derive(Clone, Debug)]
struct Address {
    listener: Arc<str>,
    configured: SocketAddr,
    /// The same, but for a port that the system has chosen.
    bound: SocketAddr,
}

impl Listening {
    /// What it takes to listen where this configuration says: for each listener the sockets of its addresses, of which
    /// those that are new are bound by this, to so many sockets each. The addresses that are left out stay bound.
    ///
    /// # Errors
    /// If one cannot be bound; those that were bound before it are closed again.
    pub(super) fn go_on(
        &self,
        config: &Config,
        sockets: usize,
    ) -> Result<(Listening, Vec<Vec<Sockets>>), StartError> {
        let mut next = Vec::new();
        let mut all = Vec::new();
        for listener in &config.listeners {
            let mut of_listener = Vec::new();
            for &configured in &listener.bind {
                let (bound, sockets) = match self.bound(configured) {
                    Some(bound) => (bound, Sockets::Kept(bound)),
                    None => self.bind(config, &listener.name, configured, sockets)?,
                };
                next.push(Address { listener: Arc::clone(&listener.name), configured, bound });
                of_listener.push(sockets);
            }
            all.push(of_listener);
        }
        Ok((Listening(next), all))
    }

    /// The listeners with what they are bound to.
    pub(super) fn addresses(&self) -> Vec<(Arc<str>, SocketAddr)> {
        self.0.iter().map(|address| (Arc::clone(&address.listener), address.bound)).collect()
    }

    fn bound(&self, configured: SocketAddr) -> Option<SocketAddr> {
        self.0.iter().find_map(|address| (address.configured == configured).then_some(address.bound))
    }

    fn bind(
        &self,
        config: &Config,
        listener: &str,
        address: SocketAddr,
        count: usize,
    ) -> Result<(SocketAddr, Sockets), StartError> {
        let bound = sockets::bind(address, count).or_else(|error| match error {
            // The gate's own: 0.0.0.0 stands aside for 127.0.0.1, say.
            BindError::InUse { .. } if self.gives_up(address.port(), config) => {
                sockets::bind_beside(address, count)
            }
            error => Err(error),
        });
        let bound: Vec<TcpListener> =
            bound.map_err(|cause| StartError::Bind { listener: listener.to_owned(), cause })?;
        let address = bound[0].local_addr().map_err(refused("a listener"))?;
        Ok((address, Sockets::New(bound)))
    }

    /// Whether this configuration leaves out an address with this port.
    fn gives_up(&self, port: u16, config: &Config) -> bool {
        let stays = |address: &Address| {
            config.listeners.iter().any(|listener| listener.bind.contains(&address.configured))
        };
        self.0.iter().any(|address| address.bound.port() == port && !stays(address))
    }
}
