//! The addresses that the gate listens on: bound at the start, and at a reload only those that are new (O2).

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::gate::{StartError, refused};
use super::inherited::{Inherited, Key, Opened, Wanted};
use crate::config::Config;
use crate::proxy::Sockets;
use crate::sockets::BindError;

/// All of them, in the order of the configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Listening(Vec<Address>);

#[derive(Clone, Debug)]
struct Address {
    listener: Arc<str>,
    configured: SocketAddr,
    /// What its clients come in by: one, or one for each kind of address.
    doors: Vec<Door>,
}

/// Sockets that are bound to the same.
#[derive(Clone, Debug)]
struct Door {
    bound: SocketAddr,
    /// Whether somebody keeps them who is no gate (O3).
    shared: bool,
    /// They once more, to be passed on.
    duplicates: Arc<[OwnedFd]>,
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
                    (Address { listener: name, ..known.clone() }, known.kept())
                } else {
                    let opened = inherited.open(&key(&name, place), configured, wanted);
                    let opened = opened.map_err(|cause| cannot_bind(&name, cause))?;
                    Address::new(name, configured, opened)?
                };
                next.push(address);
                of_listener.extend(sockets);
            }
            all.push(of_listener);
        }
        Ok((Listening(next), all))
    }

    /// The listeners with what they are bound to.
    pub(super) fn addresses(&self) -> Vec<(Arc<str>, SocketAddr)> {
        let of = |address: &Address| {
            let name = Arc::clone(&address.listener);
            address.doors.iter().map(move |door| (Arc::clone(&name), door.bound)).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of).collect()
    }

    /// Whether all sockets of a listener's address are bound to some of these.
    pub(super) fn is_bound_within(&self, listener: &str, configured: SocketAddr, to: &[SocketAddr]) -> bool {
        let known = self.known(listener, configured);
        known.is_some_and(|address| address.doors.iter().all(|door| to.contains(&door.bound)))
    }

    /// The sockets which somebody keeps who is no gate, and which have no place in this configuration.
    ///
    /// # Errors
    /// There are no descriptors for them.
    pub(super) fn without_place_in(&self, config: &Config) -> io::Result<Vec<OwnedFd>> {
        let has_place = |address: &&Address| {
            config.listeners.iter().any(|listener| {
                listener.bind.iter().any(|configured| address.serves(&listener.name, *configured))
            })
        };
        let gone = self.0.iter().filter(|address| !has_place(address));
        let shared = gone.flat_map(|address| &address.doors).filter(|door| door.shared);
        shared.flat_map(|door| door.duplicates.iter()).map(OwnedFd::try_clone).collect()
    }

    /// All their sockets, to be passed on under the names that the next gate knows them by.
    pub(super) fn keys(&self) -> io::Result<Vec<Key>> {
        let mut keys = Vec::new();
        for address in &self.0 {
            let of_listener = self.0.iter().filter(|other| other.listener == address.listener);
            let place = of_listener.take_while(|other| !std::ptr::eq(*other, address)).count();
            for door in &address.doors {
                for socket in door.duplicates.iter() {
                    keys.push(Key::new(key(&address.listener, place), door.shared, socket)?);
                }
            }
        }
        Ok(keys)
    }

    /// What a listener's address is bound to already.
    fn known(&self, listener: &str, configured: SocketAddr) -> Option<&Address> {
        self.0.iter().find(|address| address.serves(listener, configured))
    }
}

impl Address {
    fn new(
        listener: Arc<str>,
        configured: SocketAddr,
        opened: Vec<Opened>,
    ) -> Result<(Self, Vec<Sockets>), StartError> {
        let (mut doors, mut all) = (Vec::new(), Vec::new());
        for opened in opened {
            let duplicates = opened.duplicates().map_err(refused("a listener"))?.into();
            let Opened { bound, sockets, shared } = opened;
            doors.push(Door { bound, shared, duplicates });
            all.push(Sockets::New { sockets, shared });
        }
        Ok((Address { listener, configured, doors }, all))
    }

    /// Whether it is what a listener has configured. A port that the system has chosen is that listener's own.
    fn serves(&self, listener: &str, configured: SocketAddr) -> bool {
        self.configured == configured && (configured.port() != 0 || *self.listener == *listener)
    }

    /// What serves it already.
    fn kept(&self) -> Vec<Sockets> {
        self.doors.iter().map(|door| Sockets::Kept(door.bound)).collect()
    }
}

fn cannot_bind(listener: &str, cause: BindError) -> StartError {
    StartError::Bind { listener: listener.to_owned(), cause }
}

/// What the sockets of this one of a listener's addresses are known by to the next gate.
fn key(listener: &str, place: usize) -> String {
    format!("listeners.{listener}.bind.{place}")
}
