//! The addresses that the gate listens on: bound at the start, and at a reload only those that are new (O2).

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::gate::{StartError, refused};
use super::inherited::{Inherited, Key, Opened};
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
    /// Whether somebody keeps its sockets who is no gate (O3).
    shared: bool,
    /// Its sockets once more, to be passed on.
    duplicates: Arc<[OwnedFd]>,
}

impl Listening {
    /// What it takes to listen where this configuration says: for each listener the sockets of its addresses, of which
    /// those that are new are bound by this, to so many sockets each, unless they were passed. The addresses that are left
    /// out stay bound.
    ///
    /// # Errors
    /// If one cannot be bound; those that were bound before it are closed again.
    pub(super) fn go_on(
        &self,
        config: &Config,
        sockets: usize,
        inherited: &mut Inherited,
    ) -> Result<(Listening, Vec<Vec<Sockets>>), StartError> {
        let mut next = Vec::new();
        let mut all = Vec::new();
        for listener in &config.listeners {
            let mut of_listener = Vec::new();
            for (place, &configured) in listener.bind.iter().enumerate() {
                let name = Arc::clone(&listener.name);
                let (address, sockets) = if let Some(known) = self.known(configured) {
                    (Address { listener: name, ..known.clone() }, Sockets::Kept(known.bound))
                } else {
                    let passed = inherited.tcp(&key(&name, place), configured);
                    let opened = match passed.map_err(|cause| cannot_bind(&name, cause))? {
                        Some(opened) => opened,
                        None => self.bind(config, &name, configured, sockets)?,
                    };
                    Address::new(name, configured, opened)?
                };
                next.push(address);
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

    /// Those of their addresses whose sockets somebody keeps who is no gate.
    pub(super) fn shared(&self) -> Vec<SocketAddr> {
        self.0.iter().filter(|address| address.shared).map(|address| address.bound).collect()
    }

    /// All their sockets, to be passed on under the names that the next gate knows them by.
    pub(super) fn keys(&self) -> io::Result<Vec<Key>> {
        let mut keys = Vec::new();
        for address in &self.0 {
            let of_listener = self.0.iter().filter(|other| other.listener == address.listener);
            let place = of_listener.take_while(|other| other.bound != address.bound).count();
            for socket in address.duplicates.iter() {
                keys.push(Key::new(key(&address.listener, place), address.shared, socket)?);
            }
        }
        Ok(keys)
    }

    fn known(&self, configured: SocketAddr) -> Option<&Address> {
        self.0.iter().find(|address| address.configured == configured)
    }

    fn bind(
        &self,
        config: &Config,
        listener: &str,
        address: SocketAddr,
        count: usize,
    ) -> Result<Opened, StartError> {
        let bound = sockets::bind(address, count).or_else(|error| match error {
            // The gate's own: 0.0.0.0 stands aside for 127.0.0.1, say.
            BindError::InUse { .. } if self.gives_up(address.port(), config) => {
                sockets::bind_beside(address, count)
            }
            error => Err(error),
        });
        let sockets = bound.map_err(|cause| cannot_bind(listener, cause))?;
        Ok(Opened { sockets, shared: false })
    }

    /// Whether this configuration leaves out an address with this port.
    fn gives_up(&self, port: u16, config: &Config) -> bool {
        let stays = |address: &Address| {
            config.listeners.iter().any(|listener| listener.bind.contains(&address.configured))
        };
        self.0.iter().any(|address| address.bound.port() == port && !stays(address))
    }
}

impl Address {
    fn new(
        listener: Arc<str>,
        configured: SocketAddr,
        opened: Opened,
    ) -> Result<(Self, Sockets), StartError> {
        let bound = opened.sockets[0].local_addr().map_err(refused("a listener"))?;
        let duplicates = opened.duplicates().map_err(refused("a listener"))?.into();
        let address = Address { listener, configured, bound, shared: opened.shared, duplicates };
        Ok((address, Sockets::New(opened.sockets)))
    }
}

fn cannot_bind(listener: &str, cause: BindError) -> StartError {
    StartError::Bind { listener: listener.to_owned(), cause }
}

/// What the sockets of this one of a listener's addresses are known by to the next gate.
fn key(listener: &str, place: usize) -> String {
    format!("listeners.{listener}.bind.{place}")
}
