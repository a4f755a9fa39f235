//! From nodes' names to addresses, again and again, so that a node may move.
//!
//! A [`Directory`] holds what is known of one cluster's names. Whoever needs an [`Address`] reads it there at the
//! moment of need; `look_up` keeps it true, and never harms what is known: the last good addresses stay until
//! others are found. The address at which a node makes a statement is the node's from then on.

mod book;
mod look_up;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::sync::watch;

pub use book::Book;
use book::News;
pub use look_up::{keep, look_up_once, system};

/// What is known of the names of one cluster's nodes; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Directory(watch::Sender<Book>);

/// A host in a directory: a name, or an IP address, which nobody has to look up.
#[derive(Clone, Debug)]
pub struct Host {
    directory: Directory,
    name: Arc<str>,
    place: usize,
}

/// Where something can be reached: a host and a port.
#[derive(Clone, Debug)]
pub struct Address {
    host: Host,
    port: u16,
}

impl Directory {
    /// Adds a host. Add it once for each node, so that what one node is reached by says nothing of another.
    pub fn add(&self, host: &str) -> Host {
        let mut place = 0;
        self.0.send_modify(|book| place = book.add(host.parse().ok()));
        Host { directory: self.clone(), name: host.into(), place }
    }

    /// Tells when any address in it changes.
    pub fn changes(&self) -> watch::Receiver<Book> {
        self.0.subscribe()
    }
}

impl Host {
    /// As it is configured.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it has to be looked up.
    pub fn is_name(&self) -> bool {
        self.name.parse::<IpAddr>().is_err()
    }

    /// The address of one of its ports.
    pub fn port(&self, port: u16) -> Address {
        Address { host: self.clone(), port }
    }

    /// Waits until a first look-up has brought something, be it a failure.
    async fn looked_up(&self) {
        let mut changes = self.directory.changes();
        // The sender lives as long as `self`.
        let _ = changes.wait_for(|book| book.is_looked_up(self.place)).await;
    }

    /// Takes in what a look-up brought, and says what is new.
    fn take(&self, answer: io::Result<Vec<IpAddr>>) {
        let mut news = None;
        self.directory.0.send_if_modified(|book| {
            news = book.take(self.place, answer.map_err(|error| error.to_string().into()));
            news.is_some()
        });
        let name = &*self.name;
        match news {
            None => {}
            Some(News::Addresses(addresses)) => {
                tracing::info!(name, ?addresses, "name looked up");
                if !self.port(0).others().is_empty() {
                    tracing::warn!(
                        name,
                        ?addresses,
                        "name stands for several addresses, and only one of them is asked at a time: a leader behind another \
                         one is not found; give each node a name or an address of its own"
                    );
                }
            }
            Some(News::Trouble(cause)) => {
                tracing::warn!(name, %cause, "name cannot be looked up: what was last known of it stays");
            }
            Some(News::TroubleOver) => {
                tracing::info!(name, "name can be looked up again, nothing has changed");
            }
        }
    }
}

impl Address {
    /// Where to go: the address that was last reached, or the first that is known. Once there is one, there is
    /// always one.
    pub fn current(&self) -> Option<SocketAddr> {
        self.read(Book::current).map(|ip| self.with_port(ip))
    }

    /// Where it was last reached, which [`note_reached`](Self::note_reached) has said; a look-up alone says nothing.
    pub fn reached(&self) -> Option<SocketAddr> {
        self.read(Book::reached).map(|ip| self.with_port(ip))
    }

    /// What its name stands for.
    pub fn listed(&self) -> Vec<SocketAddr> {
        self.read(Book::listed).into_iter().map(|ip| self.with_port(ip)).collect()
    }

    /// The addresses that its name stands for beside the first, as far as they are of a kind (IPv4 or IPv6) that an
    /// earlier one is of, too: two of one kind are seldom one machine's.
    pub fn others(&self) -> Vec<SocketAddr> {
        let listed = self.listed();
        let is_other = |(place, address): &(usize, &SocketAddr)| {
            listed[..*place].iter().any(|earlier| earlier.is_ipv4() == address.is_ipv4())
        };
        listed.iter().enumerate().filter(is_other).map(|(_, address)| *address).collect()
    }

    /// Whether both are ports of one host in the directory, so that what is reached at one is reached at the other.
    pub fn shares_host(&self, other: &Address) -> bool {
        self.host.directory.0.same_channel(&other.host.directory.0) && self.host.place == other.host.place
    }

    /// The addresses to try one after the other, beginning after the one that `failed` last, if one did. The address at
    /// which it was reached is one of them, even when its name no longer stands for it.
    pub fn in_turn(&self, failed: Option<SocketAddr>) -> Vec<SocketAddr> {
        let found = self.read(|book, place| book.in_turn(place, failed.map(|address| address.ip())));
        found.into_iter().map(|ip| self.with_port(ip)).collect()
    }

    /// All that leads to it: what its name stands for, and the current address.
    pub fn all(&self) -> Vec<SocketAddr> {
        let mut all = self.listed();
        all.extend(self.current().filter(|current| !all.contains(current)));
        all
    }

    /// Whether its name still stands for this address.
    pub fn is_listed(&self, address: SocketAddr) -> bool {
        address.port() == self.port && self.read(|book, place| book.is_listed(place, address.ip()))
    }

    /// Notes that clients cannot connect here, so that those who come next are sent to the next address that is listed.
    /// Of no effect where the host was reached by a probe, or where there is no other address.
    pub fn pass_over(&self, address: SocketAddr) {
        self.host.directory.0.send_if_modified(|book| book.pass_over(self.host.place, address.ip()));
    }

    /// Notes that the node made a statement here: this is the current address from now on, also for other ports of the host.
    pub fn note_reached(&self, address: SocketAddr) {
        self.host.directory.0.send_if_modified(|book| book.note_reached(self.host.place, address.ip()));
    }

    /// As it is configured: a name or an address, and the port.
    pub fn configured(&self) -> String {
        format!("{}:{}", self.host.name, self.port)
    }

    /// Begins with what another process knew of a name (O3): what it stood for, and where it was `reached`, if it ever
    /// was. Nothing is to be known yet; an address stays what it is.
    pub fn recall(&self, listed: &[IpAddr], reached: Option<IpAddr>) {
        if self.host.is_name() && !listed.is_empty() {
            let place = self.host.place;
            self.host.directory.0.send_modify(|book| {
                book.take(place, Ok(listed.to_vec()));
                if let Some(reached) = reached {
                    book.note_reached(place, reached);
                }
            });
        }
    }

    /// Waits until a first look-up has brought something, be it a failure.
    pub async fn looked_up(&self) {
        self.host.looked_up().await;
    }

    /// Why it cannot be looked up at present, in the name service's words.
    pub fn trouble(&self) -> Option<Arc<str>> {
        self.read(Book::trouble)
    }

    fn read<T>(&self, read: impl FnOnce(&Book, usize) -> T) -> T {
        read(&self.host.directory.0.borrow(), self.host.place)
    }

    fn with_port(&self, ip: IpAddr) -> SocketAddr {
        SocketAddr::new(ip, self.port)
    }
}

/// The same port of the same host of the same directory, wherever that is now.
impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.shares_host(other) && self.port == other.port
    }
}

/// The current address or, as long as there is none, the name.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.current() {
            Some(address) => address.fmt(f),
            None => write!(f, "{}:{}", self.host.name, self.port),
        }
    }
}

/// An address that never changes, in a directory of its own.
impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Directory::default().add(&address.ip().to_string()).port(address.port())
    }
}
