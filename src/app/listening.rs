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

/// What new addresses are bound to, and beside what.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// How many sockets each gets.
    pub(super) count: usize,
    /// Whether it is the gate itself that has a socket where such an address would be. It can only be one that is about
    /// to be closed: those of one configuration are in nobody's way.
    pub(super) is_own: &'a dyn Fn(SocketAddr) -> bool,
}

impl Listening {
    /// What it takes to listen where this configuration says: for each listener the sockets of its addresses, of which
    /// those that are new are bound by this, unless they were passed. The addresses that are left out stay bound.
    ///
    /// # Errors
    /// If one cannot be bound; those that were bound before it are closed again.
    pub(super) fn go_on(
        &self,
        config: &Config,
        wanted: Wanted<'_>,
        inherited: &mut Inherited,
    ) -> Result<(Listening, Vec<Vec<Sockets>>), StartError> {
        let mut next = Vec::new();
        let mut all = Vec::new();
        for listener in &config.listeners {
            let mut of_listener = Vec::new();
            for (place, &configured) in listener.bind.iter().enumerate() {
                let name = Arc::clone(&listener.name);
                let (address, sockets) = if let Some(known) = self.known(&name, configured) {
                    (Address { listener: name, ..known.clone() }, Sockets::Kept(known.bound))
                } else {
                    let passed = inherited.tcp(&key(&name, place), configured);
                    let opened = match passed.map_err(|cause| cannot_bind(&name, cause))? {
                        Some(opened) => opened,
                        None => bind(&name, configured, wanted)?,
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

    /// What a listener's address is bound to already. A port that the system has chosen is that listener's own.
    fn known(&self, listener: &str, configured: SocketAddr) -> Option<&Address> {
        let is_it = |address: &&Address| {
            address.configured == configured && (configured.port() != 0 || *address.listener == *listener)
        };
        self.0.iter().find(is_it)
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

fn bind(listener: &str, address: SocketAddr, wanted: Wanted<'_>) -> Result<Opened, StartError> {
    let bound = sockets::bind(address, wanted.count).or_else(|error| match error {
        // The gate's own: 0.0.0.0 stands aside for 127.0.0.1, say, or what was removed a moment ago is back.
        BindError::InUse { .. } if (wanted.is_own)(address) => sockets::bind_beside(address, wanted.count),
        error => Err(error),
    });
    let sockets = bound.map_err(|cause| cannot_bind(listener, cause))?;
    Ok(Opened { sockets, shared: false })
}

fn cannot_bind(listener: &str, cause: BindError) -> StartError {
    StartError::Bind { listener: listener.to_owned(), cause }
}

/// What the sockets of this one of a listener's addresses are known by to the next gate.
fn key(listener: &str, place: usize) -> String {
    format!("listeners.{listener}.bind.{place}")
}
